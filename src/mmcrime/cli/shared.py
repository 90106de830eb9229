"""What the commands say of the Redis that ``cache.url`` names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mmcrime.calls.breaker import BreakerStatus
    from mmcrime.calls.link import Link
    from mmcrime.calls.outlook import Outlook
    from mmcrime.config import Settings

_T = TypeVar("_T")
_PATIENCE = 2.0  # seconds that somebody waits for a Redis that is away

_SURVIVES = {
    "all": "it has its data when it is restarted",
    "snapshots": "restarted, it has the data of its last snapshot only, and a cap of a day then "
    "refuses every call until the next day; set 'appendonly yes'",
    "nothing": "restarted, it has no data, and a cap of a day then refuses every call until the "
    "next day; set 'appendonly yes'",
    "unknown": "unknown whether it has its data when it is restarted; 'appendonly yes' sees to it",
}


def with_link(settings: Settings, work: Callable[[Link], Awaitable[_T]]) -> _T | None:
    """Do something with the connection; None where the settings name none.

    Raises:
        EgressError: If ``offline`` is set, and it is another machine.
        ConfigError: If Redis cannot be reached or used.
    """
    from mmcrime.calls.layer import shared_link
    from mmcrime.egress import Gate

    link = shared_link(settings, patience=_PATIENCE)
    if link is None:
        return None
    if not link.here:
        gate = Gate(offline=settings.offline)
        gate.announce(what="a question about what is stored", to=link.place, purpose="cache")

    async def done() -> _T:
        try:
            return await work(link)
        finally:
            await link.aclose()

    return asyncio.run(done())


def health(settings: Settings) -> tuple[str, str]:
    """Say how the Redis is: a mark, and what there is to say of it.

    Raises:
        EgressError: If ``offline`` is set, and it is another machine.
        ConfigError: If Redis cannot be reached or used.
    """
    from mmcrime.calls.outlook import look_at

    async def work(link: Link) -> tuple[str, Outlook]:
        return link.place, await look_at(link)

    asked = with_link(settings, work)
    if asked is None:
        return "none", "cache.url is not set; nothing is shared with other machines"
    place, outlook = asked
    said = [f"{place!r} can be reached", _SURVIVES[outlook.survives]]
    if outlook.drops_counts:
        said.append(
            f"with 'maxmemory-policy {outlook.eviction}' it may drop what today has cost; set "
            "'volatile-lru', which drops answers only, or 'noeviction'"
        )
    risky = outlook.drops_counts or outlook.survives in ("snapshots", "nothing")
    return "risky" if risky else "ok", "; ".join(said)


def doors(settings: Settings) -> tuple[BreakerStatus, ...]:
    """Return the services that kept failing, as all who share them know.

    Raises:
        EgressError: If ``offline`` is set, and the Redis is on another machine.
        ConfigError: If Redis cannot be reached or used.
    """
    from mmcrime.calls.breaker import Breakers
    from mmcrime.calls.layer import BREAKERS_FILE, cache_directory
    from mmcrime.calls.shared_breaker import SharedBreakers

    shared = with_link(settings, lambda link: SharedBreakers(link).status())
    if shared is not None:
        return shared
    return Breakers(cache_directory(settings) / BREAKERS_FILE).status()
