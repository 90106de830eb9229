"""What the call layer shares: each part by itself fails where Redis is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mmcrime.calls.breaker import Door
from mmcrime.calls.caps import Amount
from mmcrime.calls.link import Link
from mmcrime.calls.shared_answers import SharedAnswers
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.calls.shared_day import SharedDayBudget
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.config import BudgetSettings, ProviderSettings
from mmcrime.errors import ConfigError
from services import nobody
from spending import in_loop


async def answers(link: Link) -> None:
    await SharedAnswers(link).find("k", request_id="r", usable=lambda _: True, deadline=None)


async def doors(link: Link) -> None:
    await SharedBreakers(link).admit(Door("acme", "https://acme.test", "m"))


async def day(link: Link) -> None:
    await SharedDayBudget(link, BudgetSettings()).reserve("default", Amount(calls=1))


async def limits(link: Link) -> None:
    limiter = SharedLimiter("acme", ProviderSettings(), link=link, endpoint="https://acme.test")
    try:
        await limiter.enter(1, deadline=None)
    finally:
        await limiter.aclose()


@pytest.mark.parametrize("part", [answers, doors, day, limits])
@in_loop
async def test_no_part_goes_on_by_itself_where_redis_is_away(
    tmp_path: Path, part: Callable[[Link], Awaitable[None]]
) -> None:
    """Even one that no limit or cap is set for: others may have one, and count this call."""
    url = nobody().replace("http", "redis")
    link = Link(url, namespace="shop", directory=tmp_path, patience=0.1)
    with pytest.raises(ConfigError, match="nothing local stands in") as refused:
        await part(link)
    assert url in str(refused.value)
    await link.aclose()
