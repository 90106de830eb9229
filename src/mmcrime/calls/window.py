"""What was let through in the last minute, exactly, and when more may be.

Pure state: every method is told the time. Two libraries were tried first and neither keeps
the promise that no sliding window is ever exceeded without an entry for every single token;
``docs/decisions/0021-own-sliding-window.md`` has the figures.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

__all__ = ["MARGIN", "SPAN", "WINDOW", "Held", "Window", "limit_text", "meant"]

WINDOW = 60.0
"""Seconds of the window that limits are stated for."""
MARGIN = 0.5
"""Seconds that all stays longer: a service counts when a request arrives, not when it is sent,
and one that was slow to arrive may be followed by a faster one."""
SPAN = WINDOW + MARGIN
_SLOT = 0.05  # seconds within which what is let through is one entry; bounds the memory
_RECOVERY = 120.0  # seconds in which the additive increase regains a whole limit
_LONGEST_HOLD = 120.0  # seconds; a reset later than that is a quota's and not a rate's


@dataclass(slots=True)
class _Slowed:
    """After a 429: what may pass from then on, growing by a straight line."""

    mark: int  # what had passed until then and does not count
    start: float
    since: float
    slope: float

    def allowed(self, now: float) -> float:
        return self.start + self.slope * max(0.0, now - self.since)


@dataclass(slots=True)
class Held:
    """What the service says is left, and refills by a straight line until it is whole."""

    mark: int  # what had passed when it said so
    left: float
    at: float
    slope: float
    until: float

    @classmethod
    def said(
        cls,
        *,
        limit: float | None,
        left: float | None,
        reset: float | None,
        at: float,
        mark: int,
    ) -> Held | None:
        """Return what the service says, as `Window.state` takes it; None if it cannot be meant."""
        if left is None or reset is None or not (math.isfinite(left) and 0 < reset < _LONGEST_HOLD):
            return None
        left = max(0.0, left)
        missing = max(0.0, limit - left) if limit is not None and math.isfinite(limit) else 0.0
        return cls(mark=mark, left=left, at=at, slope=missing / reset, until=at + reset)


def meant(limit: float | None) -> float | None:
    """Return a limit that a service states; None for what cannot be meant."""
    return limit if limit is not None and math.isfinite(limit) and limit >= 1 else None


def limit_text(*, setting: str, unit: str, configured: int | None, limit: float | None) -> str:
    """Name a limit and whose it is.

    Args:
        setting: How the configuration calls it.
        unit: What is counted, in the plural.
        configured: The configured limit; None for none.
        limit: The lower one of that and what the service states; None if neither is known.
    """
    if configured is not None and limit == configured:
        return f"{setting}={configured}"
    if limit is not None:
        return f"the service's own limit of {limit:g} {unit} a minute"
    return f"the {unit} a minute that the service lets through"


class Window:
    """One limit of one service: so many units in any 60 seconds.

    Memory does not grow with the units or with the rate: at most 20 entries a second.

    Args:
        setting: How the configuration calls the limit, for messages.
        unit: What is counted, in the plural.
        limit: The configured limit; None for none.
    """

    def __init__(self, *, setting: str, unit: str, limit: int | None) -> None:
        self._setting = setting
        self._unit = unit
        self._configured = limit
        self._stated: float | None = None  # by the service
        self._slowed: _Slowed | None = None
        self._held: Held | None = None
        self._times: list[float] = []  # the latest time of each entry
        self._sums: list[int] = []  # all units up to and with each entry
        self._opened = -math.inf  # the first time of the last entry
        self._head = 0  # first entry that counts
        self._gone = 0  # units of the entries before it
        self.total = 0
        """All units that ever passed."""

    @property
    def limit(self) -> float | None:
        """The lower one of what is configured and what the service states."""
        known = [x for x in (self._configured, self._stated) if x is not None]
        return min(known, default=None)

    def __str__(self) -> str:
        """Name the limit and whose it is."""
        return limit_text(
            setting=self._setting,
            unit=self._unit,
            configured=self._configured,
            limit=self.limit,
        )

    def used(self, now: float) -> int:
        """Return the units that count at this time."""
        while self._head < len(self._times) and self._times[self._head] + SPAN <= now:
            self._gone = self._sums[self._head]
            self._head += 1
        if self._head > 4096:
            del self._times[: self._head], self._sums[: self._head]
            self._head = 0
        return self.total - self._gone

    def add(self, now: float, units: int) -> None:
        """Count units that pass now, or that were found to have passed."""
        if units <= 0:
            return
        self.used(now)  # so that what is old goes, also where no limit has anybody ask what counts
        self.total += units
        if now - self._opened < _SLOT and self._head < len(self._times):
            # Later than it was, so that it counts for longer and never for less.
            self._times[-1], self._sums[-1] = now, self.total
            return
        self._opened = now
        self._times.append(now)
        self._sums.append(self.total)

    def ready(self, now: float, units: int) -> float:
        """Return when so many units may pass if nothing else does; inf if never."""
        at, limit = now, self.limit
        if limit is not None:
            if units > limit:
                return math.inf
            at = self._free_at(now, limit - units)
        return max(at, self._ready_slowed(now, units), self._ready_held(now, units))

    def earliest(self, now: float, units: int) -> float:
        """Return a time before which the last of so many units cannot pass, in any parts."""
        limit = self.limit
        if limit is None or units <= 0:
            return now
        rounds = math.ceil(units / limit) - 1
        return self._free_at(now, limit - (units - rounds * limit)) + rounds * SPAN

    def slow(self, now: float, resume: float) -> None:
        """Halve what may pass, after a 429.

        What had passed is the measure where it is less than the limit: a limit that is set
        too high would otherwise cost one refusal after another.

        Args:
            now: The time.
            resume: When anything passes again, from when on the rate grows.
        """
        limit, used = self.limit, self.used(now)
        before = min(used, math.inf if limit is None else limit)
        if self._slowed is not None:
            before = min(before, self._slowed.allowed(now))
        before = max(1.0, before)
        whole = 2 * before if limit is None else limit
        self._slowed = _Slowed(
            mark=self.total, start=before / 2, since=max(now, resume), slope=whole / _RECOVERY
        )

    def state(
        self,
        *,
        limit: float | None,
        left: float | None,
        reset: float | None,
        at: float,
        mark: int,
    ) -> None:
        """Take note of what the service says; what cannot be meant is passed over.

        Args:
            limit: Units a minute.
            left: How many of them are left.
            reset: Seconds until they are whole again.
            at: When the request passed that it says so of.
            mark: `total` just after that.
        """
        self._stated = meant(limit) or self._stated
        said = Held.said(limit=limit, left=left, reset=reset, at=at, mark=mark)
        if said is None or (self._held is not None and mark < self._held.mark):
            return  # the latter: an older request that was answered later
        self._held = said

    def _free_at(self, now: float, allowed: float) -> float:
        """Return when at most ``allowed`` units count, if no more pass."""
        if self.used(now) <= allowed:
            return now
        entry = bisect_left(self._sums, self.total - allowed, lo=self._head)
        return self._times[entry] + SPAN

    def _ready_slowed(self, now: float, units: int) -> float:
        slowed = self._slowed
        if slowed is None:
            return now
        allowed = slowed.allowed(now)
        whole = 4 * slowed.start if self.limit is None else self.limit
        if allowed >= whole:
            self._slowed = None
            return now
        self.used(now)
        passed = self.total - max(self._gone, slowed.mark)
        # One always may, however large: a service that is never asked is never found well.
        if passed == 0 or passed + units <= allowed:
            return now
        enough = min(whole, passed + units)
        grown = slowed.since + (enough - slowed.start) / slowed.slope
        return min(grown, self._free_at(now, max(0.0, allowed - units)))

    def _ready_held(self, now: float, units: int) -> float:
        held = self._held
        if held is None:
            return now
        if now >= held.until:
            self._held = None
            return now
        lacking = self.total - held.mark + units - held.left
        if lacking <= held.slope * (now - held.at):
            return now
        return min(held.until, held.at + lacking / held.slope) if held.slope else held.until
