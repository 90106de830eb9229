"""How much of one run is done, for whoever shows it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence

GATHERING = 0.5
"""Share of a run that preparing the evidence stands for."""
JUDGING = 0.45
"""Share that the analyzers stand for; the rest is fusing, and showing what was found."""


class Progress:
    """One run's share, told in the event loop; it never falls and never passes 1.

    Args:
        tell: Is called with a share between 0 and 1.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._share = 0.0
        self._shares: dict[str, float] = {}

    def gathered(self, share: float) -> None:
        """Note how much of the preparation is done."""
        self._reach(GATHERING * share)

    def expect(self, names: Sequence[str]) -> None:
        """Say which analyzers will be asked."""
        self._shares = dict.fromkeys(names, 0.0)

    def of(self, name: str) -> Callable[[float], None]:
        """Return what one analyzer calls with its share, from any thread.

        What is no number between 0 and 1 is brought there or ignored: it comes from plug-ins.
        """

        def heard(share: object) -> None:
            if isinstance(share, int | float) and math.isfinite(share):
                with contextlib.suppress(RuntimeError):  # the loop of a cancelled run may be closed
                    self._loop.call_soon_threadsafe(self._analyzed, name, float(share))

        return heard

    def done(self, name: str) -> None:
        """Note that an analyzer has answered, or that nobody waits for it any more."""
        self._analyzed(name, 1.0)

    def finish(self) -> None:
        """Note that the report is there."""
        self._reach(1.0)

    def _analyzed(self, name: str, share: float) -> None:
        if name in self._shares:
            self._shares[name] = min(1.0, max(self._shares[name], share))
            mean = sum(self._shares.values()) / len(self._shares)
            self._reach(GATHERING + JUDGING * mean)

    def _reach(self, share: float) -> None:
        # Shares that differ by less than a hundredth look the same; the end is always told.
        if share >= self._share + 0.01 or (share >= 1.0 > self._share):
            self._share = min(share, 1.0)
            self._tell(self._share)
