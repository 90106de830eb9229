"""The short way: frames, sound or motion of a source in one call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmcrime.evidence import AudioWindow, Frame, MotionCurve
from mmcrime.media.handle import MediaHandle, open_media
from mmcrime.media.source import Source

__all__ = ["audio_windows", "motion_curve", "sample_frames"]


@contextmanager
def _opened(source: Source | MediaHandle) -> Iterator[MediaHandle]:
    if isinstance(source, MediaHandle):
        yield source
    else:
        with open_media(source) as handle:
            yield handle


def sample_frames(
    source: Source | MediaHandle,
    interval: float = 5.0,
    max_side: int | None = 768,
    *,
    at: Sequence[float] | None = None,
) -> Iterator[Frame]:
    """Yield the frame shown every ``interval`` seconds, or at the times of ``at``.

    Args:
        source: What `open_media` takes, or an open handle (which stays open). URLs are
            refused here: open them with `open_media` and a gate.
        interval: Seconds between asked times, from 0 to the end of the pictures.
        max_side: Longest side in pixels; None keeps the size.
        at: Media times in seconds instead of the interval.

    Raises:
        ValueError: If the interval is not positive or a time is not finite.
        MediaError: If the input cannot be read.
    """
    if not interval > 0:
        raise ValueError(f"interval must be positive, not {interval!r}")
    with _opened(source) as handle:
        if at is None:
            end = min((handle.video_span or (0.0, 0.0))[1], handle.limits.max_duration)
            at = [k * interval for k in range(max(1, math.ceil(end / interval)))]
        yield from handle.frames(at, max_side=max_side)


def audio_windows(source: Source | MediaHandle, seconds: float = 30.0) -> Iterator[AudioWindow]:
    """Yield all sound as mono windows at 16 kHz of at most ``seconds``.

    Args:
        source: What `open_media` takes except URLs, or an open handle (which stays open).
        seconds: Longest window.

    Raises:
        ValueError: If ``seconds`` is not positive.
        MediaError: If the input cannot be read.
    """
    with _opened(source) as handle:
        yield from handle.audio(0.0, math.inf, seconds=seconds)


def motion_curve(source: Source | MediaHandle) -> MotionCurve:
    """Return the motion of a whole video, one score a second, with its coverage.

    Args:
        source: What `open_media` takes except URLs, or an open handle (which stays open).

    Raises:
        MediaError: If the input cannot be read.
    """
    with _opened(source) as handle:
        return handle.motion()
