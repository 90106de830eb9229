"""What the calls of one analyzer came to, counted where they are made.

An analyzer may forget a failed attempt, or claim a cost that is not so. The pipeline
therefore starts a meter before it asks an analyzer, and every call that is made on its
behalf, in tasks of its own too, adds to that meter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from mmcrime.plugins import Response, TokenUsage
from mmcrime.results import Cost, Usage

__all__ = ["BROKEN_OFF", "Attempt", "Meter", "attempted", "current_meter", "mark_sent", "metered"]

BROKEN_OFF = "an attempt was broken off; it may be billed"
"""What is said of the cost of a request that left and of which nothing came."""


@dataclass(kw_only=True, slots=True)
class Meter:
    """Adds up calls, tokens and money; belongs to one event loop.

    Attributes:
        begun: Attempts that were sent, counted when they left.
        calls: The same, counted when it was known what came of them, the failed ones included.
        hits: Stored answers that were used instead.
        fresh: Answers that were not stored.
        last: The answer that came in last, stored or not.
        voters: Provider and model of every answer.
    """

    begun: int = 0
    calls: int = 0
    hits: int = 0
    fresh: int = 0
    last: Response | None = None
    voters: set[tuple[str, str]] = field(default_factory=set)
    _input: int | None = None
    _output: int | None = None
    _costs: list[Cost] = field(default_factory=list)

    def sent(self, cost: Cost, usage: TokenUsage | None = None) -> None:
        """Count one attempt that was sent.

        Args:
            cost: What it cost, or must be taken to have cost.
            usage: The tokens that the service counted, if it answered.
        """
        self.calls += 1
        self._costs.append(cost)
        if usage is not None:
            self._input = _plus(self._input, usage.input)
            self._output = _plus(self._output, usage.output)

    def answered(self, response: Response) -> None:
        """Take note of an answer that is given to the analyzer."""
        self.last = response
        self.voters.add((response.provider, response.model))
        self.hits += response.cached
        self.fresh += not response.cached

    @property
    def used(self) -> bool:
        """Whether anything was sent, or served from the store."""
        return bool(self.begun or self.calls or self.hits)

    @property
    def cached(self) -> bool:
        """Whether all that was answered came from the store, whoever failed before."""
        return self.hits > 0 and self.fresh == 0

    @property
    def usage(self) -> Usage:
        """Calls and tokens, as far as the services counted them."""
        sent = max(self.begun, self.calls)
        return Usage(calls=sent, input_tokens=self._input, output_tokens=self._output)

    @property
    def cost(self) -> Cost:
        """The sum; unknown as soon as one part of it is."""
        if self.begun > self.calls:
            # Whoever ran out of time does not wait until the call is broken off.
            return Cost(detail=BROKEN_OFF)
        if not self._costs:
            return Cost(usd=0.0, source="cache") if self.hits else Cost()
        if any(cost.usd is None for cost in self._costs):
            unknown = next(cost for cost in self._costs if cost.usd is None)
            return Cost(detail=unknown.detail)
        sources = {cost.source for cost in self._costs if cost.usd}
        source = next((s for s in ("user", "price_table") if s in sources), self._costs[0].source)
        details = dict.fromkeys(cost.detail for cost in self._costs if cost.detail)
        return Cost(
            usd=sum(cost.usd or 0.0 for cost in self._costs),
            source=source,
            detail="; ".join(details),
        )


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One attempt at a call.

    Attributes:
        sent: Whether the request left, as `mark_sent` says. One that is cancelled while it
            waits for its turn did not.
    """

    sent: bool = False


_current: ContextVar[Meter | None] = ContextVar("mmcrime_meter", default=None)
_attempt: ContextVar[Attempt | None] = ContextVar("mmcrime_attempt", default=None)


def current_meter() -> Meter | None:
    """Return the meter of whoever is asking; None outside of a run."""
    return _current.get()


@contextmanager
def metered() -> Iterator[Meter]:
    """Count everything that is called inside, and in tasks that are begun inside."""
    meter = Meter()
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)


@contextmanager
def attempted() -> Iterator[Attempt]:
    """Hear of whether the request of this attempt left; so does one around it."""
    attempt, around = Attempt(), _attempt.get()
    token = _attempt.set(attempt)
    try:
        yield attempt
    finally:
        _attempt.reset(token)
        if around is not None and attempt.sent:
            around.sent = True


def mark_sent() -> None:
    """Say that the request of the current attempt leaves now."""
    if (meter := _current.get()) is not None:
        meter.begun += 1
    if (attempt := _attempt.get()) is not None:
        attempt.sent = True


def _plus(total: int | None, more: int | None) -> int | None:
    return total if more is None else (total or 0) + more
