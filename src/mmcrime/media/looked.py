"""Frames as they are decoded one by one, with what was looked at and what was missed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Literal, TypeAlias

from mmcrime.evidence import Coverage, Frame, Gap, Interval, merge_intervals

__all__ = ["FrameSampling", "Looked", "Mode"]

Mode: TypeAlias = Literal["exact", "keyframes"]

_TOUCHING = 1e-6  # seconds between stretches that are one


class Looked:
    """What was looked at so far, put down while frames are decoded."""

    def __init__(self) -> None:
        self._frames = 0
        self._seen: list[Interval] = []
        self._missed: dict[str, list[Interval]] = {}

    def see(self, stretch: Interval) -> None:
        """Put down one frame and the stretch of media time for which it is on screen."""
        self._frames += 1
        _extend(self._seen, stretch)

    def miss(self, stretch: Interval, reason: str) -> None:
        """Put down a stretch whose frame was asked for and cannot be given."""
        _extend(self._missed.setdefault(reason, []), stretch)

    @property
    def coverage(self) -> Coverage:
        """What was put down so far."""
        gaps = (
            Gap(start=start, end=end, reason=reason)
            for reason, missed in self._missed.items()
            for start, end in missed
        )
        return Coverage(
            examined=merge_intervals(self._seen),
            frames=self._frames,
            gaps=tuple(sorted(gaps, key=lambda gap: gap.start)),
        )


def _extend(stretches: list[Interval], more: Interval) -> None:
    """Add a stretch, growing the last one where they touch: flat memory over hours."""
    if stretches and stretches[-1][0] <= more[0] <= stretches[-1][1] + _TOUCHING:
        stretches[-1] = (stretches[-1][0], max(stretches[-1][1], more[1]))
    else:
        stretches.append(more)


class FrameSampling(Iterator[Frame]):
    """Iterates over asked frames, and states which of them were given.

    Belongs to one thread. Closing it early, or using it as a context manager, gives back the
    file at once; a finished one has done so.

    Args:
        frames: Decodes the frames, and puts down in ``looked`` what came of each.
        looked: What was put down.
    """

    def __init__(self, frames: Iterator[Frame], looked: Looked) -> None:
        self._frames = frames
        self._looked = looked
        self._end: Callable[[], None] | None = None

    def at_end(self, call: Callable[[], None]) -> None:
        """Have something called once, when the iteration is over or is closed."""
        self._end = call

    @property
    def coverage(self) -> Coverage:
        """What has come of the asked frames so far; complete when the iteration is over.

        ``examined`` are the stretches for which the given frames are on screen, ``frames`` is
        their number, and ``gaps`` are the stretches of asked frames that cannot be given:
        ``damaged``, or ``over_limit`` where they lie past the duration limit. Nothing is said
        of what was not asked for.
        """
        return self._looked.coverage

    def __next__(self) -> Frame:
        try:
            return next(self._frames)
        except BaseException:  # the end, or an error: either way nothing more will come
            self.close()
            raise

    def close(self) -> None:
        """End the iteration. Safe twice."""
        frames, self._frames = self._frames, iter(())
        end, self._end = self._end, None
        if isinstance(frames, Generator):
            frames.close()
        if end is not None:
            end()

    def __enter__(self) -> FrameSampling:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
