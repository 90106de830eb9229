"""What a Redis that several machines share can be relied on for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mmcrime.calls.link import Link
from mmcrime.errors import ConfigError

__all__ = ["Outlook", "look_at"]

Survival = Literal["all", "snapshots", "nothing", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """How a Redis is set up.

    Attributes:
        survives: What it still has when it is restarted: all of it, what it had when it last
            wrote a snapshot, or nothing.
        eviction: What it does when its memory is full, such as ``noeviction``; empty where it
            does not say.
    """

    survives: Survival
    eviction: str

    @property
    def drops_counts(self) -> bool:
        """Whether it may drop what a day has cost to make room: it does so with any key."""
        return self.eviction.startswith("allkeys")


async def look_at(link: Link) -> Outlook:
    """Return how a Redis is set up, as far as it says.

    Raises:
        ConfigError: If it cannot be reached.
    """
    await link.execute("PING")
    appends = (await _said(link, "INFO", "persistence")).get("aof_enabled")
    snapshots = (await _said(link, "CONFIG GET", "save")).get("save")
    survives: Survival = "unknown"
    if appends:
        survives = "all"
    elif appends is not None and snapshots is not None:
        survives = "snapshots" if snapshots else "nothing"
    memory = await _said(link, "INFO", "memory")
    return Outlook(survives=survives, eviction=str(memory.get("maxmemory_policy", "")))


async def _said(link: Link, *command: str) -> dict[str, Any]:
    """Return what it says of itself; nothing where it must not, as services often forbid it."""
    try:
        said = await link.execute(*command)
    except ConfigError:
        return {}
    return said if isinstance(said, dict) else {}
