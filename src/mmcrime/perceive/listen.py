"""One pass over the sound of a Media, shared by everybody who listens.

Sound is decoded once, window by window, and each window goes to every ear. A listener
that raises is out; the others and the pass go on. Memory does not grow with the length
of the media.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from mmcrime.evidence import AudioWindow, Gap, Interval, MediaReader, merge_intervals
from mmcrime.perceive.spans import failure_of, record
from mmcrime.perceive.stages import Halt
from mmcrime.results import ErrorRecord

__all__ = ["Ear", "Listener", "listen"]

_Found = TypeVar("_Found")
_Out_co = TypeVar("_Out_co", covariant=True)
_WINDOW = 30.0  # seconds of sound held at a time: 1.9 MB
_CONTIGUOUS = 1e-3  # seconds; rounding between neighbouring windows


class Listener(Protocol[_Out_co]):
    """Something that notices things in a stream of sound."""

    def feed(self, window: AudioWindow) -> Iterable[_Out_co]:
        """Listen to the next window and return what is over."""

    def finish(self) -> Iterable[_Out_co]:
        """Return what was still open at the end."""


class Ear(Generic[_Found]):
    """Feeds one listener and keeps account of what it really listened to.

    Args:
        stage: The name of what is done, for errors and gaps.
        listener: Who listens.

    Attributes:
        found: What it noticed.
        examined: What it listened to: merged, in media seconds.
        errors: Why it stopped listening, if it did.
    """

    def __init__(self, stage: str, listener: Listener[_Found]) -> None:
        self._stage = stage
        self._listener = listener
        self._last_start = 0.0
        self._reason = ""
        self.found: list[_Found] = []
        self.examined: tuple[Interval, ...] = ()
        self.errors: tuple[ErrorRecord, ...] = ()

    def feed(self, window: AudioWindow) -> None:
        """Pass a window on, unless the listener is out."""
        if self.errors:
            return
        try:
            self.found += self._listener.feed(window)
        except BaseException as error:  # noqa: BLE001 - border: one listener's fault is not the others'; in a thread, so no cancellation
            self._leave(error)
        else:
            self._last_start = window.start
            span = (window.start, window.end)
            self.examined = merge_intervals((*self.examined, span), join=_CONTIGUOUS)

    def finish(self) -> None:
        """End the stream."""
        if self.errors:
            return
        try:
            self.found += self._listener.finish()
        except BaseException as error:  # noqa: BLE001 - border, as in feed
            self._leave(error)

    def missing(self, whole: Interval) -> tuple[Gap, ...]:
        """Return what the listener's own failure cost."""
        if not self.errors:
            return ()
        return (Gap(start=self._last_start, end=whole[1], reason=self._reason),)

    def _leave(self, error: BaseException) -> None:
        # What was still open in the window before went with the listener, so that window
        # does not count as examined.
        kept = ((s, min(e, self._last_start)) for s, e in self.examined)
        self.examined = merge_intervals(kept)
        self._reason = f"{self._stage}_failed: {failure_of(error)}"
        self.errors = (record(self._stage, error),)


def listen(
    reader: MediaReader,
    span: Interval,
    ears: Sequence[Ear[Any]],
    halt: Halt,
    reached: Callable[[float], None] = lambda _: None,
) -> tuple[tuple[Interval, ...], BaseException | None]:
    """Decode the sound of ``span`` once and pass it to every ear. Blocks.

    Args:
        reader: Decodes the Media.
        span: Media seconds.
        ears: Who listens; each is finished at the end, also after an error.
        halt: Ends the pass between two windows.
        reached: Is told the media time up to which everybody has listened.

    Returns:
        What was decoded, and the error that ended the pass early, if one did.
    """
    decoded: tuple[Interval, ...] = ()
    failure: BaseException | None = None
    try:
        for window in reader.audio(*span, seconds=_WINDOW):
            if halt.due:
                break
            for ear in ears:
                ear.feed(window)
            decoded = merge_intervals((*decoded, (window.start, window.end)), join=_CONTIGUOUS)
            reached(window.end)
    except BaseException as error:  # noqa: BLE001 - border: hostile media; what was decoded is used
        failure = error
    for ear in ears:
        ear.finish()
    return decoded, failure
