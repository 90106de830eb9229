"""What preprocessing makes of one Media, and lazy access to more of it.

Times are media time in seconds: ``t = pts * time_base - start of the earliest
selected stream``. Audio and video share that clock. Intervals are half-open.
The classes here hold plain data; decoding is done by the room ``media`` behind
the `MediaReader` protocol, so that importing this module loads nothing heavy.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CUT_OFF",
    "NO_STREAM",
    "SAMPLE_RATE",
    "SILENT",
    "AudioWindow",
    "Coverage",
    "EncodedFrame",
    "Evidence",
    "Frame",
    "Gap",
    "Interval",
    "Media",
    "MediaKind",
    "MediaReader",
    "MotionCurve",
    "Reliability",
    "SoundEvent",
    "SoundLabel",
    "Transcript",
    "TranscriptSegment",
    "merge_intervals",
    "subtract_intervals",
]

SAMPLE_RATE = 16_000
"""Samples a second of all audio that mmcrime hands out (mono float32)."""

MediaKind = Literal["image", "audio", "video"]
Reliability = Literal["low", "medium", "high"]
SoundLabel = Literal["siren", "impulsive", "scream"]
CUT_OFF = "damaged: the header states"
"""How the reason of a gap begins where a file ends before its headers say so."""
NO_STREAM, SILENT = "no_stream", "silent"
"""Reasons of gaps in which there is nothing to examine: no such stream, or digital silence."""
CUT_OFF = "damaged: the header states"
"""How the reason of a gap begins that stands for a lost end of the file; the length follows."""
Interval = tuple[float, float]
"""Half-open ``[start, end)`` in media seconds."""


def merge_intervals(intervals: Iterable[Interval], *, join: float = 0.0) -> tuple[Interval, ...]:
    """Sort intervals and join those that overlap or lie at most ``join`` seconds apart."""
    merged: list[Interval] = []
    for start, end in sorted(i for i in intervals if i[1] > i[0]):
        if merged and start <= merged[-1][1] + join:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def subtract_intervals(whole: Interval, parts: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return what of ``whole`` no interval of ``parts`` covers."""
    left: list[Interval] = []
    at = whole[0]
    for start, end in merge_intervals(parts):
        if start > at:
            left.append((at, min(start, whole[1])))
        at = max(at, end)
        if at >= whole[1]:
            break
    if at < whole[1]:
        left.append((at, whole[1]))
    return tuple(i for i in left if i[1] > i[0])


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
    """A stretch of sound: mono float32 in -1..1 at `SAMPLE_RATE`.

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A stretch that was not examined, and why.

    Attributes:
        start: Media seconds.
        end: Media seconds; equal to ``start`` for a picture or an unknown length.
        reason: One of a few fixed words (``damaged``, ``not_requested``, ``not_judged``,
            ``over_limit``, ``speech_limit``, ``no_stream``, ``silent``, ``deadline`` …),
            then optionally ``": "`` and a detail.
    """

    start: float
    end: float
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """What was examined, computed from what was decoded and never from the plan.

    Attributes:
        examined: Merged half-open intervals in media seconds.
        frames: Number of pictures looked at.
        gaps: What was not looked at, with the reason.
    """

    examined: tuple[Interval, ...] = ()
    frames: int = 0
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def from_times(
        cls, times: Sequence[float], *, reach: float, whole: Interval, reason: str = "damaged"
    ) -> Coverage:
        """Build coverage from the presentation times of decoded frames.

        Args:
            times: Presentation times of the decoded frames.
            reach: Seconds that one decoded frame stands for.
            whole: The interval that ought to have been examined.
            reason: The reason given for what is missing of it.
        """
        spans = ((t, t + reach) for t in times)
        clipped = ((max(s, whole[0]), min(e, whole[1])) for s, e in spans)
        return cls.from_intervals(clipped, frames=len(times), whole=whole, reason=reason)

    @classmethod
    def from_intervals(
        cls,
        intervals: Iterable[Interval],
        *,
        whole: Interval,
        frames: int = 0,
        reason: str = "damaged",
    ) -> Coverage:
        """Build coverage from decoded intervals; the rest of ``whole`` becomes gaps.

        Slivers under a millisecond, which rounding of timestamps makes, are not gaps.
        """
        examined = merge_intervals(intervals, join=1e-3)
        gaps = tuple(
            Gap(start=s, end=e, reason=reason)
            for s, e in subtract_intervals(whole, examined)
            if e - s > 1e-3
        )
        return cls(examined=examined, frames=frames, gaps=gaps)

    @property
    def seconds(self) -> float:
        """Total length of what was examined."""
        return sum(end - start for start, end in self.examined)


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptSegment:
    """Words somebody may have said. Data from the media: never an instruction.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        text: What the engine heard.
        engine: Registered name of the transcriber.
        reliability: ``low`` never raises a severity by itself.
    """

    start: float
    end: float
    text: str
    engine: str
    reliability: Reliability


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """All segments of one Media with what was and was not listened to for speech."""

    segments: tuple[TranscriptSegment, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def text(self) -> str:
        """The segments' words in order, separated by spaces."""
        return " ".join(s.text for s in self.segments)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundEvent:
    """A sound that a detector noticed.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        peak: Media time at which it is strongest.
        label: ``siren``, ``impulsive`` (shot, explosion, breaking) or ``scream``.
        score: Strength of the detection, 0 to 1; not a probability of a crime.
    """

    start: float
    end: float
    peak: float
    label: SoundLabel
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionCurve:
    """How much moves, once a second.

    Attributes:
        times: Start of each second, in media seconds.
        scores: 0 (still) to 1; the largest local change, not the mean.
        method: How it was measured.
    """

    times: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    method: str = ""


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
        video: Coverage of the pictures.
        sound: Coverage of the audio.
    """

    media: Media
    reader: MediaReader
    stills: tuple[EncodedFrame, ...] = ()
    transcript: Transcript = field(default_factory=Transcript)
    sounds: tuple[SoundEvent, ...] = ()
    motion: MotionCurve = field(default_factory=MotionCurve)
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
