"""Spans and counts of calls (`mmcrime.telemetry`): of a call, of its attempts, of what is sent.

A call may be served from the store, or take several attempts. An attempt waits for its turn
before it is sent, and has a price only after it was answered. So three wrappers stand at
three places: `TracedCall` around all of it, `TracedAttempt` around what prices and limits an
attempt, and `TracedSending` around the provider alone. Where nobody listens they pass
everything through.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mmcrime.calls.wrapper import Wrapper
from mmcrime.errors import BudgetExceededError
from mmcrime.plugins import Provider, Request, Response
from mmcrime.telemetry import RunTelemetry, current_run, span
from mmcrime.telemetry.instruments import Attributes, Instruments, of_provider, operation
from mmcrime.telemetry.run import entered

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["TracedAttempt", "TracedCall", "TracedSending"]

Lane = Literal["live", "batch"]
_MOST_MODEL = 200  # characters; the service decides what it calls its model
_FINISH = {"answered": "stop", "refused": "content_filter", "truncated": "length"}
"""The words of the conventions. The service's own may be any text."""


@dataclass(eq=False, slots=True)
class _Call:
    """One call.

    Attributes:
        sent: Attempts that were sent so far.
    """

    sent: int = 0


@dataclass(eq=False, slots=True)
class _Attempt:
    """One attempt of a call.

    Attributes:
        begun: `time.perf_counter` before it waited for its turn.
        span: Of what was sent; None until then.
        ended: When that was over, in nanoseconds since 1970.
    """

    begun: float
    span: Span | None = None
    ended: int | None = None


_call: ContextVar[_Call | None] = ContextVar("mmcrime_traced_call", default=None)
_attempt: ContextVar[_Attempt | None] = ContextVar("mmcrime_traced_attempt", default=None)


class _Traced(Wrapper):
    def __init__(self, inner: Provider, *, name: str) -> None:
        super().__init__(inner)
        self._name = name
        self._about = of_provider(name, self.endpoint)

    def _operation(self, request: Request) -> str:
        return operation(request.task, self._about["gen_ai.provider.name"])

    def _asks(self, request: Request) -> Attributes:
        """Return what the conventions want to know of a request."""
        asks: Attributes = {**self._about, "gen_ai.operation.name": self._operation(request)}
        if model := request.model or self.model:
            asks["gen_ai.request.model"] = model
        return asks


class TracedCall(_Traced):
    """One span a call, stored answers and repeated attempts included; outermost.

    Args:
        inner: What answers.
        name: The name the caller knows the provider by.
    """

    async def generate(self, request: Request) -> Response:
        """Pass the request on, and tell what came of it."""
        run = current_run()
        if run is None:
            return await self._inner.generate(request)
        call = _Call()
        token = _call.set(call)
        try:
            # Whoever adds up tokens or money by the names of the conventions must find them
            # once, where they were used: at what was sent.
            about: Attributes = {"mmcrime.provider": self._name, "mmcrime.task": request.task}
            with span("mmcrime.call", about) as begun:
                try:
                    response = await self._inner.generate(request)
                except BudgetExceededError:
                    run.instruments.refusals.add(1, self._about)
                    raise
                finally:
                    if begun is not None:
                        begun.set_attribute("mmcrime.call.attempts", call.sent)
                if begun is not None:
                    begun.set_attribute("mmcrime.cached", response.cached)
                    begun.set_attribute("mmcrime.response.status", response.status)
                if response.cached:
                    run.instruments.hits.add(1, self._about)
                return response
        finally:
            _call.reset(token)


class TracedAttempt(_Traced):
    """Knows when an attempt began to wait for its turn, and what its answer cost.

    Args:
        inner: What prices, limits and sends.
        name: The name the caller knows the provider by.
    """

    async def generate(self, request: Request) -> Response:
        """Pass the request on, and end the span of what was sent."""
        run = current_run()
        if run is None:
            return await self._inner.generate(request)
        attempt = _Attempt(begun=time.perf_counter())
        token = _attempt.set(attempt)
        try:
            response = await self._inner.generate(request)
            self._priced(run, attempt, response)
            return response
        finally:
            _attempt.reset(token)
            if attempt.span is not None:
                attempt.span.end(attempt.ended)

    def _priced(self, run: RunTelemetry, attempt: _Attempt, response: Response) -> None:
        usd = response.cost.usd
        if usd is None:  # unknown, which is not nothing
            return
        if attempt.span is not None:
            attempt.span.set_attribute("mmcrime.cost.usd", usd)
        about: Attributes = {
            "gen_ai.provider.name": self._about["gen_ai.provider.name"],
            "gen_ai.response.model": _short(response.model),
        }
        run.instruments.cost.add(usd, about)


class TracedSending(_Traced):
    """One client span for each request that is sent, as the conventions describe it; innermost.

    Args:
        inner: The provider.
        name: The name the caller knows it by.
        lane: ``batch`` where an answer may take hours, so that its time is told apart.
    """

    def __init__(self, inner: Provider, *, name: str, lane: Lane = "live") -> None:
        super().__init__(inner, name=name)
        if lane != "live":
            self._about = {**self._about, "mmcrime.lane": lane}

    async def generate(self, request: Request) -> Response:
        """Pass the request on; `TracedAttempt` ends the span."""
        run, call, attempt = current_run(), _call.get(), _attempt.get()
        if run is None or call is None or attempt is None:
            return await self._inner.generate(request)
        call.sent += 1
        asks = self._asks(request)
        about = {
            **asks,
            "gen_ai.request.max_tokens": request.max_output_tokens,
            "mmcrime.attempt": call.sent,
            "mmcrime.wait.seconds": time.perf_counter() - attempt.begun,
        }
        name = f"{self._operation(request)} {request.model or self.model or ''}".rstrip()
        attempt.span = run.started(name, about, client=True)
        started = time.perf_counter()
        try:
            with entered(attempt.span):
                response = await self._inner.generate(request)
        except BaseException as error:
            asks["error.type"] = type(error).__name__
            raise
        else:
            asks["gen_ai.response.model"] = _short(response.model)
            attempt.span.set_attributes(_answer(response))
            _count_tokens(run.instruments, asks, response)
            return response
        finally:
            attempt.ended = time.time_ns()
            run.instruments.duration.record(time.perf_counter() - started, asks)


def _answer(response: Response) -> Attributes:
    """Return what is told of an answer; none of its words."""
    usage = response.usage
    counted = {
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input,
    }
    return {
        "gen_ai.response.model": _short(response.model),
        "gen_ai.response.finish_reasons": (_FINISH[response.status],),
        "mmcrime.response.status": response.status,
        **{name: value for name, value in counted.items() if value is not None},
    }


def _count_tokens(instruments: Instruments, asks: Attributes, response: Response) -> None:
    usage = response.usage
    for kind, tokens in (("input", usage.input), ("output", usage.output)):
        if tokens is not None:
            instruments.tokens.record(tokens, {**asks, "gen_ai.token.type": kind})


def _short(model: str) -> str:
    return model[:_MOST_MODEL]
