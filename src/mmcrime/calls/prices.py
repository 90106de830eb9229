"""What a reply costs, and the most that a request may cost.

Prices come from the user, or from the table of the `genai-prices` library as it is installed;
nothing is looked up anywhere. That table has no date of its own. What is stated instead is its
version and the day from which its newest price holds.

A figure is either that of the counts of the service, or the highest that they allow, and then
its ``detail`` says so. Where neither can be said it is unknown, which is not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING

from mmcrime.calls.estimate import input_tokens, seconds_of_sound, sound_tokens
from mmcrime.calls.price_table import HOURS, Entry, dearest, look_up, possible, rate, table_name
from mmcrime.config import Price
from mmcrime.plugins import Capabilities, Request, TokenUsage
from mmcrime.results import LOCAL_COST, Cost

if TYPE_CHECKING:
    from mmcrime.calls.price_table import Rates

__all__ = ["NO_TOKENS", "Pricing", "price_versions"]

NO_TOKENS = TokenUsage(input=0, cached_input=0, cache_write=0, audio_input=0, output=0)
"""What is counted of an attempt that is not billed."""

_MILLION = 1_000_000
_FRESH_SECONDS = 60.0  # a price that begins at a date is seen this late at the most
_INPUT = (
    "input_mtok",
    "cache_write_mtok",
    "input_text_mtok",
    "input_image_mtok",
    "input_video_mtok",
)
_SOUND = ("input_audio_mtok", "cache_audio_write_mtok")
_OUTPUT = ("output_mtok", "output_text_mtok", "output_reasoning_mtok", "output_citation_mtok")
# Prices of counts that no `TokenUsage` holds.
_NOT_COUNTED = frozenset(_INPUT[2:] + _OUTPUT[1:])
# Services whose sound is never sold at the price of text: where the table has only that, it
# has no price of the sound.
_SOUND_APART = frozenset({"openai", "azure"})


class Pricing:
    """The prices of one provider at one endpoint.

    Args:
        provider: Its name in the configuration.
        endpoint: Where its requests go. The table is asked about this address, so that a
            server elsewhere that speaks the protocol of OpenAI is not priced as OpenAI.
        price: What the user says a model costs; it comes before the table.
        free: Whether the provider itself says that it buys nothing.
        model: The model of the provider, which is the one whose tokens the user knows the
            price of. Another one may be asked to transcribe.
    """

    def __init__(
        self,
        provider: str,
        endpoint: str,
        price: Price | None = None,
        *,
        free: bool = False,
        model: str | None = None,
    ) -> None:
        self.provider = provider
        self.endpoint = endpoint
        self.price = price
        self.model = model
        self.free = free and price is None
        self._seen: dict[str, tuple[datetime, Entry | str]] = {}

    def load(self, request: Request | None = None) -> None:
        """Read the table, once in a process. It blocks for some 0.2 s: call it in a thread.

        Args:
            request: What will be asked: the user may have given no price for that.
        """
        if not self.free and self._by_user(NO_TOKENS, request) is None:
            table_name()

    def cost_of(self, model: str | None, usage: TokenUsage, request: Request | None = None) -> Cost:
        """Return what a reply cost.

        Args:
            model: The model that answered.
            usage: The tokens that the service counted.
            request: What was asked. A request without sound and video shows that a count of
                sound that the service did not give would be zero.
        """
        if self.free:
            return LOCAL_COST
        if (known := self._by_user(usage, request)) is not None:
            return known
        entry = self._entry(model)
        if isinstance(entry, str):
            return Cost(detail=entry)
        if entry.by_the_hour:
            return _by_the_hour(entry, (entry.now,), request, usage)
        return self._by_tokens(entry, usage, request)

    def at_most(self, model: str | None, request: Request, capabilities: Capabilities) -> Cost:
        """Return the most that one attempt may cost: every token at the dearest rate of its kind.

        Args:
            model: The model that will be asked.
            request: The request; its sizes matter, not its bytes.
            capabilities: How the tokens of the service are estimated.
        """
        if self.free:
            return LOCAL_COST
        tokens = input_tokens(request, capabilities)
        most = TokenUsage(input=tokens, output=request.max_output_tokens)
        if (known := self._by_user(most, request)) is not None:
            return known
        entry = self._entry(model)
        if isinstance(entry, str):
            return Cost(detail=entry)
        if entry.by_the_hour:
            return _by_the_hour(entry, entry.soon, request, most)
        sound = sound_tokens(request, capabilities)
        hears = any(part.kind == "audio" for part in request.parts)
        if (sound or hears) and _lacks_price_of_sound(entry):
            return Cost(detail=f"the table has no price of sound for {entry.name}")
        usd = max(
            (
                (tokens - sound) * dearest(prices, _INPUT, tokens)
                + sound * dearest(prices, _INPUT + _SOUND, tokens)
                + request.max_output_tokens * dearest(prices, _OUTPUT, tokens)
            )
            / _MILLION
            + dearest(prices, ("requests_kcount",), tokens) / 1000
            for prices in entry.soon
        )
        return Cost(usd=float(usd), source="price_table", detail=f"{table_name()}: {entry.name}")

    def _by_tokens(self, entry: Entry, usage: TokenUsage, request: Request | None) -> Cost:
        unknown = self._unknown(usage, entry)
        if unknown:
            return Cost(detail=unknown)
        with_sound = request is None or any(p.kind in ("audio", "video") for p in request.parts)
        totals = {c.total(entry.now) for c in _readings(usage, entry, with_sound)}
        if not totals:
            return Cost(detail=f"the token counts of {self.provider} contradict each other")
        note = "" if len(totals) == 1 else "; at most, for the service counts no closer"
        return Cost(
            usd=float(max(totals)),
            source="price_table",
            detail=f"{table_name()}: {entry.name}{note}",
        )

    def _unknown(self, usage: TokenUsage, entry: Entry) -> str:
        """Return why a reply cannot be priced; empty when it can."""
        if (usage.input is None and not _is_free(entry.now, _INPUT + _SOUND)) or (
            usage.output is None and not _is_free(entry.now, _OUTPUT)
        ):
            return f"{self.provider} did not say how many tokens it used"
        if not _NOT_COUNTED.isdisjoint(entry.now):
            return f"{entry.name} has prices of tokens that are not counted apart"
        if usage.audio_input and _lacks_price_of_sound(entry):
            return f"the table has no price of sound for {entry.name}"
        return ""

    def _by_user(self, usage: TokenUsage, request: Request | None) -> Cost | None:
        """Return what the user's price makes of it; None where the user gave none for this."""
        price = self.price
        if price is None:
            return None
        if request is not None and request.task == "transcribe":
            if price.per_minute_of_audio is not None:
                each = Decimal(str(price.per_minute_of_audio))
                return self._users(_seconds(request, usage) * each / 60)
            if request.model not in (None, self.model):
                return None
        if price.input_per_million is None or price.output_per_million is None:
            return None
        usd = Decimal(0)
        for tokens, each in (
            (usage.input, Decimal(str(price.input_per_million))),
            (usage.output, Decimal(str(price.output_per_million))),
        ):
            if tokens is None and each:
                return Cost(detail=f"{self.provider} did not say how many tokens it used")
            usd += (tokens or 0) * each / _MILLION
        return self._users(usd)

    def _users(self, usd: Decimal) -> Cost:
        return Cost(usd=float(usd), source="user", detail=f"providers.{self.provider}.price")

    def _entry(self, model: str | None) -> Entry | str:
        """Return the model's prices, or why there are none."""
        if not model:
            return f"no model is named, so that the price of {self.provider} is not known"
        now = datetime.now(UTC)
        at, entry = self._seen.get(model, (now, None))
        if entry is None or abs((now - at).total_seconds()) > _FRESH_SECONDS:
            entry = look_up(model, self.endpoint, now)
            self._seen[model] = (now, entry)
        return entry


def price_versions() -> dict[str, str]:
    """Return what the prices come from, for `Report.versions`. It blocks: see `Pricing.load`."""
    return {"genai-prices": table_name().removeprefix("genai-prices ")}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counts:
    """Tokens, each in one place only."""

    all_input: int
    cached: int
    cached_sound: int
    written: int
    sound: int
    output: int

    def total(self, rates: Rates) -> Decimal:
        """Return US dollars."""
        rest = self.all_input - self.cached - self.cached_sound - self.written - self.sound
        lines = (
            (rest, "input_mtok"),
            (self.cached, "cache_read_mtok"),
            (self.cached_sound, "cache_audio_read_mtok"),
            (self.written, "cache_write_mtok"),
            (self.sound, "input_audio_mtok"),
            (self.output, "output_mtok"),
        )
        tokens = sum(
            (count * rate(rates, key, self.all_input) for count, key in lines if count), Decimal(0)
        )
        return tokens / _MILLION + rate(rates, "requests_kcount", self.all_input) / 1000


def _readings(usage: TokenUsage, entry: Entry, with_sound: bool) -> Iterator[_Counts]:
    """Yield the extreme ways to read the counts of a service; one where it leaves nothing open.

    What the service did not count is nothing or all that is left; of input that came from its
    cache it does not say how much was sound.
    """
    total, output = usage.input or 0, usage.output or 0
    cached = (usage.cached_input or 0) if "cache_read_mtok" in entry.now else 0
    rest = max(0, total - cached)
    written = _choices(usage.cache_write, rest, asked="cache_write_mtok" in entry.now)
    heard = _choices(
        usage.audio_input, total, asked="input_audio_mtok" in entry.now, possible=with_sound
    )
    for write, sound in product(written, heard):
        least = max(0, cached + write + sound - total)
        most = min(cached, sound)
        for cached_sound in {least, most} if 0 <= least <= most else ():
            yield _Counts(
                all_input=total,
                cached=cached - cached_sound,
                cached_sound=cached_sound,
                written=write,
                sound=sound - cached_sound,
                output=output,
            )


def _seconds(request: Request, usage: TokenUsage) -> int:
    """Return the seconds of sound that are paid for: none where nothing is billed."""
    return 0 if usage == NO_TOKENS else seconds_of_sound(request)


def _by_the_hour(
    entry: Entry, prices: Sequence[Rates], request: Request | None, usage: TokenUsage
) -> Cost:
    """Return what the sound of a request costs, at the dearest of some prices."""
    if request is None or request.task != "transcribe":
        return Cost(detail=f"{entry.name} is sold by the hour of sound that it transcribes")
    each = max(dearest(rates, HOURS, 0) for rates in prices)
    return Cost(
        usd=float(_seconds(request, usage) * each / 3600),
        source="price_table",
        detail=f"{table_name()}: {entry.name}",
    )


def _is_free(rates: Rates, keys: Sequence[str]) -> bool:
    return not any(possible(rates, keys))


def _lacks_price_of_sound(entry: Entry) -> bool:
    return entry.service in _SOUND_APART and "input_audio_mtok" not in entry.now


def _choices(count: int | None, most: int, *, asked: bool, possible: bool = True) -> set[int]:
    """Return the counts to try of tokens with a price of their own, if they have one."""
    if not asked:
        return {0}
    if count is not None:
        return {count}
    return {0, most} if possible else {0}
