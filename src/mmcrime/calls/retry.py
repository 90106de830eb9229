"""Attempts of one call: one loop, one deadline.

Only errors that say so are tried again, after what the service asked to wait, else after a
random time whose bound doubles. A wait that would end after the deadline is not begun. A
wait of more than two minutes that a service asks for is one for a person to decide: without a
deadline, which says how long there is, the call fails at once and says how long it would be.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from mmcrime.calls.turned_away import LONGEST_WAIT, past_deadline
from mmcrime.calls.wrapper import Wrapper
from mmcrime.errors import BudgetExceededError, ProviderError
from mmcrime.plugins import Provider, Request, Response

__all__ = ["Retrying"]

_FIRST = 1.0  # seconds that the first wait has at most, where the service names none
_MOST = 30.0  # seconds that no such wait exceeds
_JITTER = 0.1  # of what the service asked for; those it sent away together come back apart
_MOST_JITTER = 2.0  # seconds
_random = random.SystemRandom()


class Retrying(Wrapper):
    """Asks again when that may help. What is no `ProviderError` passes through at once.

    Args:
        inner: The provider of one attempt.
        name: The name the caller knows it by.
        deadline: Loop time after which the answer is of no use.
        attempts: Most attempts, at least 1.
    """

    def __init__(
        self, inner: Provider, *, name: str, deadline: float | None, attempts: int = 5
    ) -> None:
        super().__init__(inner)
        self.name = name
        self._deadline = deadline
        self._attempts = attempts

    async def generate(self, request: Request) -> Response:
        """Ask until there is an answer, or no further attempt makes sense.

        Raises:
            ProviderError: The last one. From the second attempt on, and wherever one that
                might have helped was not made, the message says how often was tried and why
                no more.
            BudgetExceededError: If the deadline has passed before the first attempt, or from
                inside at the first one. What stops a further attempt is a remark on the error
                of the last one: it failed by that, and not by the budget.
        """
        loop = asyncio.get_running_loop()
        if self._deadline is not None and self._deadline <= loop.time():
            raise past_deadline(self.name)
        try:
            return await self._inner.generate(request)
        except ProviderError as error:
            failed = error
        # Only now: the loop costs more than all else around a call that succeeds at once.
        return await self._again(request, failed)

    async def _again(self, request: Request, failed: ProviderError) -> Response:
        """Go on after a first attempt, which the loop counts as its own."""
        first: list[ProviderError] = [failed]
        plan = _Plan(self._attempts, self._deadline)

        async def attempt() -> Response:
            nonlocal failed
            if first:
                raise first.pop()
            try:
                return await self._inner.generate(request)
            except BudgetExceededError as refused:
                plan.ended = f"; not again, because {refused.message.rstrip('.')}"
                plan.unsent = 1
                raise failed from refused
            except ProviderError as error:
                failed = error
                raise

        retrying = AsyncRetrying(
            sleep=asyncio.sleep,
            retry=retry_if_exception(_may_help),
            wait=plan.wait,
            stop=plan.stop,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except ProviderError as error:
            made = retrying.statistics["attempt_number"] - plan.unsent
            if made == 1 and not plan.ended:
                raise
            told = _with_remark(error, f"{_times(made)}{plan.ended}")
            told.out_of_time |= plan.late or plan.unsent > 0
            raise told from error


@dataclass(slots=True)
class _Plan:
    """When the next attempt of one call is made, and whether."""

    attempts: int
    deadline: float | None
    ended: str = ""
    late: bool = False  # whether the deadline is why
    unsent: int = 0  # attempts that the budget refused

    def wait(self, state: RetryCallState) -> float:
        """Return the seconds until the next attempt."""
        asked = _asked(state)
        if asked is None:
            return _random.uniform(0, min(_MOST, _FIRST * 2.0 ** (state.attempt_number - 1)))
        return asked + _random.uniform(0, min(_MOST_JITTER, _JITTER * asked + _JITTER))

    def stop(self, state: RetryCallState) -> bool:
        """Say whether this was the last attempt, and note why."""
        if self.unsent or state.attempt_number >= self.attempts:
            return True
        wait, asked = state.upcoming_sleep, _asked(state)
        if self.deadline is None:
            if asked is not None and asked > LONGEST_WAIT:
                self.ended = (
                    f"; not again, because the service asks to wait for {asked:.0f} s and "
                    f"without a deadline at most {LONGEST_WAIT:g} s are waited"
                )
        elif asyncio.get_running_loop().time() + wait >= self.deadline:
            self.ended = f"; not again, because the deadline passes before {wait:.1f} s of waiting"
            self.late = True
        return bool(self.ended)


def _may_help(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.retryable


def _asked(state: RetryCallState) -> float | None:
    """Return the seconds that a service asked to wait; what cannot be meant is passed over."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, ProviderError) else None
    if asked is None or not math.isfinite(asked) or asked < 0:
        return None
    return asked


def _times(made: int) -> str:
    return "asked once" if made == 1 else f"asked {made} times"


def _with_remark(error: ProviderError, remark: str) -> ProviderError:
    """Return the same error, of whatever class, with a remark at the end of its message."""
    # Its class may be a stranger's, with a constructor of its own.
    told = error.__class__.__new__(error.__class__)
    told.__dict__.update(error.__dict__)
    told.message = f"{error.message.rstrip('.')} ({remark})."
    told.args = (told.message,)
    return told
