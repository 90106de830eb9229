"""A provider that costs what it is told, for tests of the budget."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmcrime.calls.budget import Budgeted, DayBudget, RunBudget
from mmcrime.calls.meter import mark_sent
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
        left: Whether it is sent at all before that.
    """

    usd: float | None = 0.0
    tokens: int | None = 0
    error: BaseException | None = None
    turns: int = 1
    until: asyncio.Event | None = None
    left: bool = True


@dataclass(kw_only=True)
class Till(Provider):
    """Answers from a list; the last reply is repeated.

    Attributes:
        replies: What is answered, in the order of the calls, or to the number in a request's
            ``recipe``.
        sent: How many calls reached it.
        begun: Which replies were asked for.
        answered: Which of them were given back.
        at_sending: Called when a call arrives.
    """

    replies: Sequence[Reply] = field(default_factory=lambda: [Reply()])
    sent: int = 0
    answered: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    at_sending: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.capabilities = Capabilities()  # type: ignore[misc]  # of this instance
        self.model = "till-1"

    async def generate(self, request: Request) -> Response:
        number = int(request.recipe) if request.recipe else min(self.sent, len(self.replies) - 1)
        reply = self.replies[number]
        self.sent += 1
        if reply.left:
            mark_sent()
        self.begun.add(number)
        self.at_sending()
        for _ in range(reply.turns):
            await asyncio.sleep(0)
        if reply.until is not None:
            await reply.until.wait()
        if reply.error is not None:
            raise reply.error
        self.answered.add(number)
        cost = Cost() if reply.usd is None else Cost(usd=reply.usd, source="user", detail="told")
        usage = TokenUsage() if reply.tokens is None else TokenUsage(input=0, output=reply.tokens)
        return Response(
            status="answered", text="{}", model=request.model or "till-1", cost=cost, usage=usage
        )


def asking(most_usd: int, *, number: str = "") -> Request:
    """Return a request that may cost so many dollars under `USD`."""
    part = Part(text="")
    return Request(instructions="", parts=(part,), max_output_tokens=most_usd, recipe=number)


def budgeted(
    till: Provider, run: RunBudget, day: DayBudget, *, price: Price | None = USD
) -> Budgeted:
    """Return a provider under caps."""
    pricing = Pricing("till", "http://127.0.0.1:9/v1", price)
    return Budgeted(till, name="till", pricing=pricing, run=run, day=day)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def until(holds: Callable[[], bool]) -> None:
    """Give other tasks their turn until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0.001)
