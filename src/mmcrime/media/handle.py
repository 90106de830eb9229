"""The door to one input: open it once, then decode any part of it on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from mmcrime.config import Limits
from mmcrime.egress import Gate
from mmcrime.errors import UnsupportedMediaError
from mmcrime.evidence import (
    CUT_OFF,
    SAMPLE_RATE,
    AudioWindow,
    Frame,
    Gap,
    Interval,
    Media,
    MotionCurve,
)
from mmcrime.media import audio as sound
from mmcrime.media.export import video_copy
from mmcrime.media.frames import clip, frames_at
from mmcrime.media.looked import FrameSampling, Mode
from mmcrime.media.looks import looks_of
from mmcrime.media.motion import no_motion, scan_motion
from mmcrime.media.pictures import probe_picture
from mmcrime.media.similar import Look
from mmcrime.media.source import Source, Spooled, spool
from mmcrime.media.stills import Stills, pictures_at, read_stills
from mmcrime.media.timeline import Recording, Timeline, measure

__all__ = ["MediaHandle", "open_media"]


@dataclass(kw_only=True, eq=False)
class MediaHandle:
    """Decodes any part of one input; made by `open_media`, closed by whoever opened it.

    Every call opens the file anew, so the methods may be called from several threads.
    They block. Closing deletes the temporary copy of a URL, bytes or a stream.

    Attributes:
        media: The input, as its content says it is.
        limits: What the input may cost.
    """

    media: Media
    limits: Limits
    _spooled: Spooled
    _recording: Recording | None = None
    _album: tuple[Look, ...] = ()

    @property
    def video_span(self) -> Interval | None:
        """The stretch of media time that pictures fill, from a scan of all packets."""
        timeline = self._timeline
        return timeline.video.interval if timeline and timeline.video else None

    @property
    def audio_span(self) -> Interval | None:
        """The stretch of media time that sound fills, from a scan of all packets."""
        timeline = self._timeline
        return timeline.audio.interval if timeline and timeline.audio else None

    @property
    def skipped(self) -> tuple[str, ...]:
        """What of the file is not used, such as further streams, and why, in words.

        Cover pictures are not among it.
        """
        return self._timeline.skipped if self._timeline else ()

    @property
    def lost_video(self) -> str | None:
        """Why no picture decodes although the file has a stream of pictures."""
        return self._timeline.lost_video if self._timeline else None

    @property
    def lost_audio(self) -> str | None:
        """Why no sound decodes although the file has a stream of sound."""
        return self._timeline.lost_audio if self._timeline else None

    @property
    def missing(self) -> Gap | None:
        """A gap at the end if the headers state clearly more than the file holds.

        A file that was cut off is like that. The gap has no length, because headers lie.
        """
        timeline = self._timeline
        if timeline is None or timeline.claimed is None:
            return None
        end = timeline.duration
        if timeline.claimed <= 1.02 * end + 0.5:  # rounding, and a last frame without duration
            return None
        return Gap(start=end, end=end, reason=f"{CUT_OFF} {timeline.claimed:.1f} s")

    @property
    def _timeline(self) -> Timeline | None:
        return self._recording.timeline if self._recording else None

    def frames(
        self, at: Sequence[float], *, max_side: int | None = None, mode: Mode = "exact"
    ) -> FrameSampling:
        """Give the frame shown at each asked time; see `mmcrime.media.frames.frames_at`.

        Its ``coverage`` states which of them decoded. The pictures of an image file are all
        keyframes.
        """
        if self._recording is not None:
            return frames_at(self._recording, at, max_side=max_side, mode=mode)
        return pictures_at(self._spooled, at, limits=self.limits, max_side=max_side)

    def clip(
        self,
        start: float,
        end: float,
        *,
        fps: float | None = None,
        max_side: int | None = None,
        grey: bool = False,
    ) -> Iterator[Frame]:
        """Yield the frames that start in ``[start, end)``; see `mmcrime.media.frames.clip`.

        Only videos have clips: for a picture use `frames`.
        """
        if self._recording is None:
            return iter(())
        return clip(self._recording, start, end, fps=fps, max_side=max_side, grey=grey)

    def audio(
        self, start: float, end: float, *, seconds: float = 30.0, rate: int = SAMPLE_RATE
    ) -> Iterator[AudioWindow]:
        """Yield windows of ``[start, end)``; see `mmcrime.media.audio.windows`."""
        if self._recording is None:
            return iter(())
        return sound.windows(self._recording, start, end, seconds=seconds, rate=rate)

    def copy(self, *, most_bytes: int | None = None) -> bytes:
        """Return a video as MP4 without its metadata; see `mmcrime.media.export.video_copy`.

        Raises:
            MediaError: If it is larger, no video, or cannot be copied.
        """
        if self._recording is None:
            raise UnsupportedMediaError("it is no video.", source=self.media.name)
        return video_copy(self._recording, most_bytes=most_bytes)

    def motion(self, *, stop: Callable[[float], bool] | None = None) -> MotionCurve:
        """Measure the motion of the whole video; see `mmcrime.media.motion`."""
        if self._recording is None:
            return no_motion()
        album: list[Look] = []
        curve = scan_motion(self._recording, stop=stop, album=album)
        self._album = tuple(album) or self._album
        return curve

    def looks(self) -> tuple[Look, ...]:
        """Return what the video looks like every few seconds; see `mmcrime.media.looks`.

        Once the motion of the whole video was measured, nothing is decoded for it.
        """
        if self._recording is None:
            return ()
        return self._album or looks_of(self._recording)

    def stills(self, *, max_side: int | None = None) -> Stills:
        """Decode all pictures of an image file; see `mmcrime.media.stills`."""
        if self._recording is not None:
            return Stills.none()
        return read_stills(self._spooled, limits=self.limits, max_side=max_side)

    def close(self) -> None:
        """Delete the temporary copy, if there is one. Safe twice.

        It unlinks one file and its folder and waits for nobody, so that it may be called
        from an event loop; a reader that still holds the file open keeps its contents.
        """
        self._spooled.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_media(
    source: Source,
    *,
    limits: Limits | None = None,
    gate: Gate | None = None,
    name: str | None = None,
    source_id: str | None = None,
    recorded_at: datetime | None = None,
    metadata: Mapping[str, str] | None = None,
) -> MediaHandle:
    """Open a picture, sound recording or video by its content, whatever its name says.

    Args:
        source: Path, URL, bytes, binary file object, PIL image or numpy array.
        limits: What the input may cost; the defaults of `Limits` when None.
        gate: Is told of a download before it begins. None refuses downloads.
        name: The name a person knows the input by; else taken from the source.
        source_id: Camera or collection.
        recorded_at: Wall-clock time of media time 0, with time zone; else what the file
            itself states, if it states it with a time zone.
        metadata: Recorded with the media, never interpreted.

    Raises:
        MediaError: The input cannot be read: unsupported, unsafe or corrupt.
        EgressError: A download was refused by the gate.
    """
    limits = limits or Limits()
    spooled = spool(source, limits=limits, gate=gate or Gate(offline=True), name=name)
    given = _Given(source_id=source_id, recorded_at=recorded_at, metadata=dict(metadata or {}))
    try:
        if spooled.sniffed.kind == "image":
            return _open_picture(spooled, given, limits)
        return _open_recording(spooled, given, limits)
    except BaseException:
        spooled.close()
        raise


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What the caller says about an input."""

    source_id: str | None
    recorded_at: datetime | None
    metadata: Mapping[str, str]


def _open_picture(spooled: Spooled, given: _Given, limits: Limits) -> MediaHandle:
    with spooled.open() as file:
        info = probe_picture(file, spooled.sniffed, limits=limits, source=spooled.name)
    media = Media(
        kind="image",
        name=spooled.name,
        content_id=spooled.content_id,
        format=spooled.sniffed.format,
        size_bytes=spooled.size_bytes,
        width=info.width,
        height=info.height,
        source_id=given.source_id,
        recorded_at=given.recorded_at or info.recorded_at,
        metadata=given.metadata,
    )
    return MediaHandle(media=media, limits=limits, _spooled=spooled)


def _open_recording(spooled: Spooled, given: _Given, limits: Limits) -> MediaHandle:
    timeline = measure(spooled, spooled.sniffed, limits=limits, source=spooled.name)
    width, height = timeline.size or (None, None)
    media = Media(
        kind="video" if timeline.video or timeline.lost_video else "audio",
        name=spooled.name,
        content_id=spooled.content_id,
        format=spooled.sniffed.format,
        size_bytes=spooled.size_bytes,
        duration=timeline.duration,
        width=width,
        height=height,
        fps=timeline.fps,
        has_audio=timeline.audio is not None or timeline.lost_audio is not None,
        source_id=given.source_id,
        recorded_at=given.recorded_at or _recorded_at(timeline.tags),
        metadata=given.metadata,
    )
    recording = Recording(
        spool=spooled,
        sniffed=spooled.sniffed,
        limits=limits,
        source=spooled.name,
        timeline=timeline,
    )
    return MediaHandle(media=media, limits=limits, _spooled=spooled, _recording=recording)


def _recorded_at(tags: Mapping[str, str]) -> datetime | None:
    """Return the creation time that a file states, if it has a time zone.

    Apple's own tag comes first: it holds the zone of the place and not UTC.
    """
    for tag in ("com.apple.quicktime.creationdate", "creation_time"):
        try:
            stated = datetime.fromisoformat(tags.get(tag, ""))
        except ValueError:
            continue
        if stated.tzinfo is not None:
            return stated
    return None
