"""A provider that costs what it is told, for tests of the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmcrime.calls.budget import Budgeted, DayBudget, RunBudget
from mmcrime.calls.prices import Pricing
from mmcrime.config import Price
from mmcrime.plugins import Capabilities, Part, Provider, Request, Response, TokenUsage
from mmcrime.results import Cost

USD = Price(input_per_million=0.0, output_per_million=1_000_000.0)
"""A price at which each token that may come out costs one US dollar."""


@dataclass(kw_only=True)
class Reply:
    """What one call comes to.

    Attributes:
        usd: What it costs; None when nobody can say.
        tokens: What the service counts; None when it does not.
        error: What it raises instead of answering.
        turns: How often other tasks run while it is under way.
        until: What it waits for.
    """

    usd: float | None = 0.0
    tokens: int | None = 0
    error: BaseException | None = None
    turns: int = 1
    until: asyncio.Event | None = None


@dataclass(kw_only=True)
class Till(Provider):
    """Answers from a list; the last reply is repeated.

    Attributes:
        replies: What is answered, in the order of the calls.
        sent: How many calls reached it.
    """

    replies: Sequence[Reply] = field(default_factory=lambda: [Reply()])
    sent: int = 0

    def __post_init__(self) -> None:
        self.capabilities = Capabilities()  # type: ignore[misc]  # of this instance
        self.model = "till-1"

    async def generate(self, request: Request) -> Response:
        reply = self.replies[min(self.sent, len(self.replies) - 1)]
        self.sent += 1
        for _ in range(reply.turns):
            await asyncio.sleep(0)
        if reply.until is not None:
            await reply.until.wait()
        if reply.error is not None:
            raise reply.error
        cost = Cost() if reply.usd is None else Cost(usd=reply.usd, source="user", detail="told")
        usage = TokenUsage() if reply.tokens is None else TokenUsage(input=0, output=reply.tokens)
        return Response(
            status="answered", text="{}", model=request.model or "till-1", cost=cost, usage=usage
        )


def asking(most_usd: int) -> Request:
    """Return a request that may cost so many dollars under `USD`."""
    return Request(instructions="", parts=(Part(text=""),), max_output_tokens=most_usd)


def budgeted(
    till: Provider, run: RunBudget, day: DayBudget, *, price: Price | None = USD
) -> Budgeted:
    """Return a provider under caps."""
    pricing = Pricing("till", "http://127.0.0.1:9/v1", price)
    return Budgeted(till, name="till", pricing=pricing, run=run, day=day)
