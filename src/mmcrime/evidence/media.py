"""One input, its frames and windows of sound, and the Evidence that gives access to it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from mmcrime.evidence.coverage import Coverage
from mmcrime.evidence.signals import LoudnessCurve, MotionCurve, SoundEvent, Transcript

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second of all audio that mmcrime hands out (mono float32)."""

MediaKind = Literal["image", "audio", "video"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """One input, as its content says it is.

    Attributes:
        kind: ``image``, ``audio`` or ``video``, found from the content.
        name: The name a person knows it by; hostile text, never a path to open.
        content_id: ``"blake3:" + hex digest`` of all its bytes.
        format: Sniffed format, such as ``"mp4"`` or ``"jpeg"``.
        size_bytes: Size of the input.
        duration: Seconds of media time, measured where decoding measured it,
            else what the container claims; None when neither is known.
        width: Upright pixels, rotation and EXIF orientation applied.
        height: Upright pixels.
        fps: Average frames a second that the container states.
        has_audio: Whether there is an audio stream, be it one that cannot be decoded.
        source_id: Camera or collection, if the caller named one.
        recorded_at: Wall-clock time of media time 0, with time zone.
        metadata: What the caller gave; recorded, never interpreted.
    """

    kind: MediaKind
    name: str
    content_id: str
    format: str
    size_bytes: int
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    has_audio: bool = False
    source_id: str | None = None
    recorded_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One picture with its presentation time.

    Attributes:
        time: Presentation time in media seconds.
        pixels: uint8, ``(height, width, 3)`` RGB, or ``(height, width)`` when
            grey pictures were asked for.
    """

    time: float
    pixels: NDArray[np.uint8]

    def encode(self, quality: int = 85) -> EncodedFrame:
        """Return this frame as a JPEG (``quality`` 1 to 95)."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=quality)
        height, width = self.pixels.shape[:2]
        return EncodedFrame(time=self.time, width=width, height=height, jpeg=buffer.getvalue())


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedFrame:
    """A frame kept as JPEG, so that many of them cost little memory."""

    time: float
    width: int
    height: int
    jpeg: bytes = field(repr=False)

    def decode(self) -> Frame:
        """Return the frame with its pixels (RGB)."""
        import numpy as np
        from PIL import Image

        with Image.open(io.BytesIO(self.jpeg), formats=["JPEG"]) as image:
            return Frame(time=self.time, pixels=np.asarray(image.convert("RGB")))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AudioWindow:
    """A stretch of sound: mono float32 in -1..1, at `SAMPLE_RATE` unless asked otherwise.

    Attributes:
        start: Media time of the first sample.
        samples: Shape ``(n,)``.
        rate: Samples a second.
    """

    start: float
    samples: NDArray[np.float32]
    rate: int = SAMPLE_RATE

    @property
    def end(self) -> float:
        """Media time just after the last sample."""
        return self.start + len(self.samples) / self.rate


class MediaReader(Protocol):
    """Decodes more of one Media on demand. All calls block: use a thread."""

    @property
    def media(self) -> Media:
        """The Media that this reader decodes."""

    def frames(self, at: Sequence[float], *, max_side: int | None = None) -> Iterator[Frame]:
        """Yield the frame shown at each asked time, in time order, with its true time."""

    def clip(
        self,
        start: float,
        end: float,
        *,
        fps: float | None = None,
        max_side: int | None = None,
        grey: bool = False,
    ) -> Iterator[Frame]:
        """Yield frames of ``[start, end)``, at most ``fps`` a second (all when None)."""

    def audio(self, start: float, end: float, *, seconds: float = 30.0) -> Iterator[AudioWindow]:
        """Yield mono windows of at most ``seconds`` that lie inside ``[start, end)``."""

    def copy(self, *, most_bytes: int | None = None) -> bytes:
        """Return a video as MP4 without its metadata, not encoded anew."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """What is known about one Media, with lazy access to more of it.

    The methods decode on demand and block, so call them in a thread
    (``asyncio.to_thread``). They may be called from several threads.

    Attributes:
        media: The input.
        reader: Decodes more of it.
        stills: The frames sampled at the interval, kept as JPEG.
        transcript: Words, with what was not listened to.
        sounds: Sound events.
        motion: One motion score a second (video only).
        loudness: One level a second.
        video: Where the pictures were looked over; see `MotionCurve.coverage`.
        sound: Coverage of the audio.
    """

    media: Media
    reader: MediaReader
    stills: tuple[EncodedFrame, ...] = ()
    transcript: Transcript = field(default_factory=Transcript)
    sounds: tuple[SoundEvent, ...] = ()
    motion: MotionCurve = field(default_factory=MotionCurve)
    loudness: LoudnessCurve = field(default_factory=LoudnessCurve)
    video: Coverage = field(default_factory=Coverage)
    sound: Coverage = field(default_factory=Coverage)

    def frames(
        self, at: Sequence[float] | None = None, *, max_side: int | None = None
    ) -> Iterator[Frame]:
        """Yield the sampled frames, or the frames shown at the asked times."""
        if at is None:
            return (still.decode() for still in self.stills)
        return self.reader.frames(at, max_side=max_side)

    def clip(
        self,
        start: float,
        end: float,
        fps: float | None = None,
        *,
        max_side: int | None = None,
        grey: bool = False,
    ) -> Iterator[Frame]:
        """Yield the frames of ``[start, end)``, at most ``fps`` a second."""
        return self.reader.clip(start, end, fps=fps, max_side=max_side, grey=grey)

    def audio(self, start: float, end: float) -> Iterator[AudioWindow]:
        """Yield mono 16 kHz windows of ``[start, end)``."""
        return self.reader.audio(start, end)
