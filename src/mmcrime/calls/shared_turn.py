"""What processes that share the limits of a service and Redis say to each other.

The script in ``shared_limits.lua`` is one turn: it hears what a process has to tell, and says
whether its first in line may go.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import Any

from mmcrime.calls.limits import Place
from mmcrime.calls.link import CLOCK, Script
from mmcrime.calls.window import Held, meant
from mmcrime.plugins import RateStatus

__all__ = ["BODY", "TURN", "News", "Reply"]

BODY = files("mmcrime.calls").joinpath("shared_limits.lua").read_text(encoding="utf-8")
TURN = Script(CLOCK + BODY)


@dataclass(slots=True)
class News:
    """What is still to be told.

    Attributes:
        debt: Tokens that were used beyond what was reserved.
        episode: The latest episode in which a request was refused; -1 for none.
        resume: Loop time when the pause after a refusal ends.
        said: What the service says of each unit.
    """

    debt: int = 0
    episode: int = -1
    resume: float = -math.inf
    said: dict[str, dict[str, float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.debt > 0 or self.episode >= 0 or bool(self.said)

    def heed(self, place: Place, rate: RateStatus) -> None:
        """Keep what the service says, of the latest request."""
        requests = Held.said(
            limit=rate.requests_per_minute,
            left=rate.requests_left,
            reset=rate.requests_reset,
            at=place.at,
            mark=place.requests_passed,
        )
        self._say("requests", _as_said(rate.requests_per_minute, requests))
        tokens = Held.said(
            limit=rate.tokens_per_minute,
            left=rate.tokens_left,
            reset=rate.tokens_reset,
            at=place.at,
            mark=place.tokens_passed,
        )
        self._say("tokens", _as_said(rate.tokens_per_minute, tokens))

    def add(self, later: News) -> None:
        """Take in what became known later."""
        self.debt += later.debt
        self.episode = max(self.episode, later.episode)
        self.resume = max(self.resume, later.resume)
        for unit, said in later.said.items():
            self._say(unit, said)

    def as_told(self, now: float) -> dict[str, Any]:
        """Return it as the script hears it.

        Args:
            now: Loop time.
        """
        told: dict[str, Any] = {"debt": self.debt, "said": self.said}
        if self.episode >= 0:
            pause = max(0.0, self.resume - now)
            told["refused"] = {"episode": self.episode, "pause": pause}
        return told

    def _say(self, unit: str, said: dict[str, float]) -> None:
        known = self.said.get(unit, {})
        if said.get("mark", math.inf) < known.get("mark", -math.inf):
            said = {key: value for key, value in said.items() if key == "limit"}
        if said:
            self.said[unit] = {**known, **said}


def _as_said(limit: float | None, held: Held | None) -> dict[str, float]:
    limit = meant(limit)
    return {**({} if held is None else asdict(held)), **({} if limit is None else {"limit": limit})}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the script says; see there.

    Attributes:
        why: ``go``, ``told`` if nobody waits, ``unfit``, or what the first in line waits for.
        wait: Seconds until it may go, at least.
        now: The time of Redis.
    """

    why: str
    wait: float
    now: float
    episode: int
    requests: int
    tokens: int
    requests_stated: float
    tokens_stated: float
    pause: float

    @classmethod
    def read(cls, parts: list[bytes]) -> Reply:
        """Read the texts of the script."""
        why, wait, now, episode, requests, tokens, *rest = (part.decode() for part in parts)
        passed = int(episode), int(requests), int(tokens)
        return cls(why, float(wait), float(now), *passed, *map(float, rest))
