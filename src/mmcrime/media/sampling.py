"""The short way: frames, sound or motion of a source in one call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, MotionCurve
from mmcrime.media.handle import MediaHandle, open_media
from mmcrime.media.looked import FrameSampling, Mode
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
    mode: Mode = "exact",
    *,
    at: Sequence[float] | None = None,
) -> FrameSampling:
    """Give the frame shown every ``interval`` seconds, or at the times of ``at``.

    Frames come in time order, each once and with its true time. In exact mode each is the one
    that is on screen at the asked time, and costs the decoding from the keyframe before it.

    Keyframes mode is approximate: in place of each such frame it gives the keyframe at or
    before it, which is decoded alone. The frame is then older than was asked by up to one
    keyframe interval (1 to 10 s in most files), and asked times that lie in one interval
    share one frame. Its time and its picture are as true as in exact mode. Where an edit list
    cuts the first keyframe away, the next one stands in for it, which is later.

    Args:
        source: What `open_media` takes, or an open handle (which stays open). URLs are
            refused here: open them with `open_media` and a gate.
        interval: Seconds between asked times, from 0 to the end of the pictures.
        max_side: Longest side in pixels; None keeps the size.
        mode: ``"exact"`` or ``"keyframes"``.
        at: Media times in seconds instead of the interval.

    Returns:
        An iterator of `Frame`, whose ``coverage`` states what came of the asked times: a
        damaged stretch gives no frames and is a gap there. While it runs it may raise
        MediaError. What was opened here is closed at its end.

    Raises:
        ValueError: If the interval or the longest side is not positive, a time is not finite,
            or there is no such mode.
        MediaError: If the input cannot be read.
    """
    if not 0 < interval < math.inf:
        raise ValueError(f"interval must be positive and finite, not {interval!r}")
    if isinstance(source, MediaHandle):
        return _sampled(source, interval, max_side, mode, at)
    handle = open_media(source)
    try:
        sampling = _sampled(handle, interval, max_side, mode, at)
        sampling.at_end(handle.close)
    except BaseException:
        handle.close()
        raise
    return sampling


def _sampled(
    handle: MediaHandle,
    interval: float,
    max_side: int | None,
    mode: Mode,
    at: Sequence[float] | None,
) -> FrameSampling:
    if at is None:
        end = min((handle.video_span or (0.0, 0.0))[1], handle.limits.max_duration)
        at = [k * interval for k in range(max(1, math.ceil(end / interval)))]
    return handle.frames(at, max_side=max_side, mode=mode)


def audio_windows(
    source: Source | MediaHandle, seconds: float = 30.0, rate: int = SAMPLE_RATE
) -> Iterator[AudioWindow]:
    """Yield all sound as mono windows of at most ``seconds``.

    Windows are consecutive and in flat memory. Each says when it starts: sound that begins
    after the pictures keeps its distance, and no window bridges a hole.

    Args:
        source: What `open_media` takes except URLs, or an open handle (which stays open).
        seconds: Longest window.
        rate: Samples a second, from 8,000 to 48,000.

    Raises:
        ValueError: If ``seconds`` is not positive or the rate is out of that range.
        MediaError: If the input cannot be read.
    """
    with _opened(source) as handle:
        yield from handle.audio(0.0, math.inf, seconds=seconds, rate=rate)


def motion_curve(source: Source | MediaHandle) -> MotionCurve:
    """Return the motion of a whole video, one score a second, with its coverage.

    Args:
        source: What `open_media` takes except URLs, or an open handle (which stays open).

    Raises:
        MediaError: If the input cannot be read.
    """
    with _opened(source) as handle:
        return handle.motion()
