"""The caps of a budget: what counts against them, and what would cross one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self

from mmcrime.config import BudgetSettings
from mmcrime.errors import BudgetExceededError

__all__ = [
    "CAPPED",
    "NOTHING",
    "Amount",
    "Period",
    "Refusal",
    "Spending",
    "asked_of",
    "first_crossed",
    "limit_of",
    "only_money_is_capped",
]

Period = Literal["run", "day"]

CAPPED = ("picos", "calls", "tokens")
"""The parts of `Amount` that can be capped, in the order in which they are looked at."""
_PICOS = 10**12  # whole numbers of these add up exactly, which fractions of a dollar do not


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """What has been spent, for people and reports.

    Attributes:
        usd: US dollars, as far as prices are known.
        calls: Attempts.
        tokens: Tokens in and out.
        unpriced: How many of the calls have no known price.
    """

    usd: float = 0.0
    calls: int = 0
    tokens: int = 0
    unpriced: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """What a call counts for, or several together; exact.

    Attributes:
        picos: Millionths of a millionth of a US dollar.
        calls: Attempts.
        tokens: Tokens in and out.
        unpriced: Calls of unknown price.
    """

    picos: int = 0
    calls: int = 0
    tokens: int = 0
    unpriced: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            picos=self.picos + other.picos,
            calls=self.calls + other.calls,
            tokens=self.tokens + other.tokens,
            unpriced=self.unpriced + other.unpriced,
        )

    def __sub__(self, other: Self) -> Self:
        return type(self)(
            picos=self.picos - other.picos,
            calls=self.calls - other.calls,
            tokens=self.tokens - other.tokens,
            unpriced=self.unpriced - other.unpriced,
        )

    @classmethod
    def of(cls, *, usd: float | None, tokens: int) -> Self:
        """Return what one call counts for, rounded up; ``usd`` None for an unknown price."""
        picos = 0 if usd is None else math.ceil(_picos(usd))
        return cls(picos=picos, calls=1, tokens=tokens, unpriced=int(usd is None))

    @property
    def spending(self) -> Spending:
        """The same in dollars."""
        return Spending(
            usd=self.picos / _PICOS, calls=self.calls, tokens=self.tokens, unpriced=self.unpriced
        )


NOTHING = Amount()


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A cap that a call would cross.

    Attributes:
        error: What to raise.
        part: Which part of `Amount` is capped.
        over: By how much the call would cross the cap.
    """

    error: BudgetExceededError
    part: str
    over: int

    def may_pass(self, reserved: Amount) -> bool:
        """Whether there would be room if calls under way cost less than was reserved for them."""
        held: int = getattr(reserved, self.part)
        return self.over <= held


def only_money_is_capped(settings: BudgetSettings) -> bool:
    """Whether money is capped and nothing else bounds what an unpriced call could cost."""
    money = settings.usd_per_run is not None or settings.usd_per_day is not None
    calls = settings.calls_per_run is not None or settings.calls_per_day is not None
    return money and not calls


def limit_of(settings: BudgetSettings, period: Period, part: str) -> int | None:
    """Return the cap on a part of `Amount`; None for none."""
    cap = getattr(settings, _name(period, part))
    if cap is None:
        return None
    return math.floor(_picos(cap)) if part == "picos" else int(cap)


def asked_of(ask: Amount, part: str) -> int:
    """Return how much room a call needs under the cap on a part of `Amount`."""
    # A call of unknown price costs something: it needs some room at the least.
    asked: int = getattr(ask, part) or (ask.unpriced if part == "picos" else 0)
    return asked


def first_crossed(
    settings: BudgetSettings, period: Period, *, spent: Amount, reserved: Amount, ask: Amount
) -> Refusal | None:
    """Return the first cap that a call would cross, money first; None when there is room.

    Args:
        settings: The caps.
        period: Which of them.
        spent: What has been spent in this period.
        reserved: What is reserved beside it.
        ask: What the call may count for.
    """
    for part in CAPPED:
        limit = limit_of(settings, period, part)
        if limit is None:
            continue
        asked = asked_of(ask, part)
        over = getattr(spent, part) + getattr(reserved, part) + asked - limit
        # Where nothing is asked for, nothing can be crossed: a free call passes an overdrawn cap.
        if over > 0 and asked > 0:
            name = _name(period, part)
            text = _words(settings, name, getattr(settings, name), (spent, reserved, ask), part)
            step = f"Raise budget.{name}"
            step += " (on the command line --budget)" if name == "usd_per_run" else ""
            error = BudgetExceededError(text, next_step=f"{step}, or ask for less.")
            return Refusal(error=error, part=part, over=over)
    return None


def _name(period: Period, part: str) -> str:
    return f"{'usd' if part == 'picos' else part}_per_{period}"


def _words(
    settings: BudgetSettings, name: str, cap: Any, amounts: tuple[Amount, Amount, Amount], part: str
) -> str:
    spent, reserved, ask = (_shown(getattr(amount, part), part) for amount in amounts)
    default = "" if name in settings.model_fields_set else ", which is the default"
    unit = " USD" if part == "picos" else ""
    when = " today (UTC)" if name.endswith("day") else ""
    held = f", {reserved} reserved for calls under way" if getattr(amounts[1], part) else ""
    return (
        f"budget.{name} is {cap!r}{unit}{default}: {spent} spent{when}{held}, and this call may "
        f"come to {ask}."
    )


def _picos(usd: float) -> Decimal:
    return Decimal(repr(usd)) * _PICOS  # 0.07 is meant, not the binary fraction beside it


def _shown(count: int, part: str) -> str:
    if part != "picos":
        unit = part if count != 1 else part.removesuffix("s")
        return f"{count} {unit}"
    return f"{count / _PICOS:.6f} USD"
