"""What preprocessing needs of an open Media, so that it depends on no decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mmcrime.evidence import Gap, Interval, MediaReader, MotionCurve

if TYPE_CHECKING:
    from mmcrime.media.stills import Stills

__all__ = ["OpenMedia"]


class OpenMedia(MediaReader, Protocol):
    """What is needed of an open Media; `mmcrime.media.MediaHandle` is one."""

    @property
    def video_span(self) -> Interval | None:
        """The stretch of media time that pictures fill; None without moving pictures."""

    @property
    def audio_span(self) -> Interval | None:
        """The stretch of media time that sound fills; None without sound."""

    @property
    def lost_video(self) -> str | None:
        """Why no picture decodes although there is a stream of pictures."""

    @property
    def lost_audio(self) -> str | None:
        """Why no sound decodes although there is a stream of sound."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """What of the file is not examined, such as further streams, and why."""

    @property
    def missing(self) -> Gap | None:
        """What the headers state and the file does not hold."""

    def motion(self, *, stop: Callable[[float], bool] | None = None) -> MotionCurve:
        """Measure the motion of the whole video, until ``stop`` says yes."""

    def stills(self, *, max_side: int | None = None) -> Stills:
        """Decode all pictures of an image file."""
