"""The budget of a run: reserved before each call, settled after it.

What would cross a cap is not sent. While other calls of the run are under way, one that does
not fit beside what is reserved for them waits for the first of them to be settled: most cost
far less than they may.
"""

from __future__ import annotations

import asyncio

from mmcrime.calls.caps import (
    NOTHING,
    Amount,
    Refusal,
    Spending,
    first_crossed,
    only_money_is_capped,
)
from mmcrime.calls.day_book import Booking, DayBook
from mmcrime.calls.day_budget import DayBudget
from mmcrime.calls.estimate import total_tokens
from mmcrime.calls.meter import attempted
from mmcrime.calls.prices import Pricing
from mmcrime.calls.wrapper import Wrapper
from mmcrime.config import BudgetSettings
from mmcrime.errors import (
    BudgetExceededError,
    ProviderError,
)
from mmcrime.logs import get_logger
from mmcrime.plugins import Provider, Request, Response

__all__ = ["Budgeted", "DayBudget", "RunBudget", "Spending"]

_log = get_logger("mmcrime.calls.budget")


class RunBudget:
    """The caps of one run, shared by its calls; belongs to one event loop.

    Args:
        settings: The caps.
        tenant: On whose account the day is booked.
    """

    def __init__(self, settings: BudgetSettings, *, tenant: str = "default") -> None:
        self.settings = settings
        self.tenant = tenant
        self._spent = NOTHING
        self._reserved = NOTHING
        self._for_room: list[asyncio.Future[None]] = []
        self._for_settlement: list[asyncio.Future[None]] = []

    @property
    def spent(self) -> Spending:
        """What has been spent, without what is reserved."""
        return self._spent.spending

    @property
    def reserved(self) -> Spending:
        """What is reserved for calls that are under way."""
        return self._reserved.spending

    def reserve(self, ask: Amount) -> Refusal | None:
        """Reserve what a call may come to, unless that would cross a cap."""
        refusal = first_crossed(
            self.settings, "run", spent=self._spent, reserved=self._reserved, ask=ask
        )
        if refusal is None:
            self._reserved += ask
        return refusal

    def release(self, ask: Amount) -> None:
        """Give a reservation back of which nothing was used."""
        self._reserved -= ask
        _wake(self._for_room)
        if self._reserved == NOTHING:  # nothing is left that could be settled
            _wake(self._for_settlement)

    def settle(self, ask: Amount, actual: Amount) -> None:
        """Turn a reservation into what the call came to, be it more or less."""
        self._reserved -= ask
        self._spent += actual
        _wake(self._for_room)
        _wake(self._for_settlement)

    def may_pass_later(self, refusal: Refusal) -> bool:
        """Whether the calls of this run that are under way may leave room for a refused one."""
        return self._reserved.calls > 0 and refusal.may_pass(self._reserved)

    async def room(self) -> None:
        """Wait until some call of this run gives up what it had reserved."""
        await _notice(self._for_room)

    async def settlement(self) -> None:
        """Wait until some call of this run is settled, or none is left."""
        await _notice(self._for_settlement)


class Budgeted(Wrapper):
    """Sends nothing that would cross a cap.

    An attempt that left, as `mark_sent` says, and fails counts as a call. It costs nothing
    where its error says that the service does not charge for it; otherwise, and when it is
    cancelled, the whole reservation counts as spent, as it does for an answer that nobody can
    price. What cost more than was reserved is booked in full.

    Args:
        inner: Where requests go on to; it sets ``Response.cost``.
        name: The provider's name in the configuration, for messages.
        pricing: Its prices.
        run: The caps of the run.
        day: The caps of the day.
    """

    def __init__(
        self, inner: Provider, *, name: str, pricing: Pricing, run: RunBudget, day: DayBook
    ) -> None:
        super().__init__(inner)
        self._name = name
        self._pricing = pricing
        self._run = run
        self._day = day
        self._loaded = False

    async def generate(self, request: Request) -> Response:
        """Reserve, ask, settle.

        Raises:
            BudgetExceededError: If the call might cross a cap, or nobody knows its price
                and only money is capped. Nothing was sent.
            ConfigError: If a cap of a day is set and its file cannot be used. Nothing was
                sent.
        """
        if not self._loaded:
            await asyncio.to_thread(self._pricing.load, request)
            self._loaded = True
        booking = await self._reserve(self._ask(request))
        ask = booking.amount
        with attempted() as attempt:
            try:
                response = await self._inner.generate(request)
            except BaseException as error:
                # What was cancelled while it waited for its turn has not left.
                self._settle(booking, _of_failure(error, ask) if attempt.sent else NOTHING)
                raise
        self._settle(booking, _of_answer(response, ask))
        return response

    def _ask(self, request: Request) -> Amount:
        """Return the most that a request may come to."""
        cost = self._pricing.at_most(request.model or self.model, request, self.capabilities)
        if cost.usd is None:
            for settings in (self._run.settings, self._day.settings):
                if only_money_is_capped(settings):
                    raise self._unpriced(settings, cost.detail)
        return Amount.of(usd=cost.usd, tokens=total_tokens(request, self.capabilities))

    def _unpriced(self, settings: BudgetSettings, why: str) -> BudgetExceededError:
        cap = "usd_per_run" if settings.usd_per_run is not None else "usd_per_day"
        default = "" if cap in settings.model_fields_set else ", which is the default"
        return BudgetExceededError(
            f"budget.{cap} is {getattr(settings, cap)!r} USD{default}, but {why}, so that "
            "nothing is sent.",
            next_step=f"Give providers.{self._name}.price, or cap the calls instead with "
            "budget.calls_per_run.",
        )

    async def _reserve(self, ask: Amount) -> Booking:
        while True:
            refusal = self._run.reserve(ask)
            if refusal is not None:
                if not self._run.may_pass_later(refusal):
                    raise refusal.error
                await self._run.room()
                continue
            try:
                booking = await self._day.reserve(self._run.tenant, ask)
            except BaseException:
                self._run.release(ask)
                raise
            if isinstance(booking, Booking):
                return booking
            self._run.release(ask)
            if not self._run.may_pass_later(booking):
                raise booking.error
            await self._run.settlement()

    def _settle(self, booking: Booking, actual: Amount) -> None:
        self._run.settle(booking.amount, actual)
        self._day.settle_soon(booking, actual)


def _of_answer(response: Response, ask: Amount) -> Amount:
    usage = response.usage
    counted = usage.input is not None and usage.output is not None
    tokens = (usage.input or 0) + (usage.output or 0) if counted else ask.tokens
    if response.cost.usd is None:
        return Amount(picos=ask.picos, calls=1, tokens=tokens, unpriced=ask.unpriced)
    return Amount.of(usd=response.cost.usd, tokens=tokens)


def _of_failure(error: BaseException, ask: Amount) -> Amount:
    """Return what an attempt counts for that left and gave no answer."""
    if isinstance(error, ProviderError) and not error.may_be_billed:
        return Amount(calls=1)
    # Cancelled in flight, or broken in a way that nobody foresaw: it may be billed.
    return ask


def _wake(waiting: list[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)
    waiting.clear()


async def _notice(waiting: list[asyncio.Future[None]]) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting.append(future)
    try:
        await future
    finally:
        if future in waiting:
            waiting.remove(future)
