"""What a reply costs, and the most that a request may cost.

Prices come from the user, or from the table of the `genai-prices` library as it is installed;
nothing is looked up anywhere. That table has no date of its own. What is stated instead is its
version and the day from which its newest price holds.

A figure is either that of the counts of the service, or the highest that they allow, and then
its ``detail`` says so. Where neither can be said it is unknown, which is not zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mmcrime.calls.estimate import input_tokens, sound_tokens
from mmcrime.config import Price
from mmcrime.plugins import Capabilities, Request, TokenUsage
from mmcrime.results import Cost

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

__all__ = ["Pricing", "price_versions"]

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """A model of the table: its prices now, and all that may hold while a call is under way."""

    name: str
    service: str
    now: ModelPrice
    soon: tuple[ModelPrice, ...]

    def says(self, key: str) -> bool:
        return getattr(self.now, key) is not None


class Pricing:
    """The prices of one provider at one endpoint.

    Args:
        provider: Its name in the configuration.
        endpoint: Where its requests go. The table is asked about this address, so that a
            server elsewhere that speaks the protocol of OpenAI is not priced as OpenAI.
        price: What the user says a model costs; it comes before the table.
    """

    def __init__(self, provider: str, endpoint: str, price: Price | None = None) -> None:
        self.provider = provider
        self.endpoint = endpoint
        self.price = price
        self._seen: dict[str, tuple[datetime, _Entry | str]] = {}

    def load(self) -> None:
        """Read the table, once in a process. It blocks for some 0.2 s: call it in a thread."""
        if self.price is None:
            _table()

    def cost_of(self, model: str | None, usage: TokenUsage, request: Request | None = None) -> Cost:
        """Return what a reply cost.

        Args:
            model: The model that answered.
            usage: The tokens that the service counted.
            request: What was asked. A request without sound and video shows that a count of
                sound that the service did not give would be zero.
        """
        if self.price is not None:
            return self._by_user(usage.input, usage.output)
        entry = self._entry(model)
        if isinstance(entry, str):
            return Cost(detail=entry)
        unknown = self._unknown(usage, entry)
        if unknown:
            return Cost(detail=unknown)
        with_sound = request is None or any(p.kind in ("audio", "video") for p in request.parts)
        totals = {_total(entry.now, counts) for counts in _readings(usage, entry, with_sound)}
        if not totals:
            return Cost(detail=f"the token counts of {self.provider} contradict each other")
        note = "" if len(totals) == 1 else "; at most, for the service counts no closer"
        return Cost(
            usd=float(max(totals)), source="price_table", detail=f"{_table()}: {entry.name}{note}"
        )

    def at_most(self, model: str | None, request: Request, capabilities: Capabilities) -> Cost:
        """Return the most that one attempt may cost: every token at the dearest rate of its kind.

        Args:
            model: The model that will be asked.
            request: The request; its sizes matter, not its bytes.
            capabilities: How the tokens of the service are estimated.
        """
        tokens = input_tokens(request, capabilities)
        if self.price is not None:
            return self._by_user(tokens, request.max_output_tokens)
        entry = self._entry(model)
        if isinstance(entry, str):
            return Cost(detail=entry)
        sound = sound_tokens(request, capabilities)
        hears = any(part.kind == "audio" for part in request.parts)
        if (sound or hears) and _lacks_price_of_sound(entry):
            return Cost(detail=f"the table has no price of sound for {entry.name}")
        usd = max(
            (
                (tokens - sound) * _dearest(prices, _INPUT, tokens)
                + sound * _dearest(prices, _INPUT + _SOUND, tokens)
                + request.max_output_tokens * _dearest(prices, _OUTPUT, tokens)
            )
            / _MILLION
            + _dearest(prices, ("requests_kcount",), tokens) / 1000
            for prices in entry.soon
        )
        return Cost(usd=float(usd), source="price_table", detail=f"{_table()}: {entry.name}")

    def _unknown(self, usage: TokenUsage, entry: _Entry) -> str:
        """Return why a reply cannot be priced; empty when it can."""
        if (usage.input is None and not _is_free(entry.now, _INPUT + _SOUND)) or (
            usage.output is None and not _is_free(entry.now, _OUTPUT)
        ):
            return f"{self.provider} did not say how many tokens it used"
        if any(entry.says(key) for key in _NOT_COUNTED):
            return f"{entry.name} has prices of tokens that are not counted apart"
        if usage.audio_input and _lacks_price_of_sound(entry):
            return f"the table has no price of sound for {entry.name}"
        return ""

    def _by_user(self, tokens_in: int | None, tokens_out: int | None) -> Cost:
        assert self.price is not None  # noqa: S101  # both callers asked
        usd = Decimal(0)
        for tokens, rate in (
            (tokens_in, self.price.input_per_million),
            (tokens_out, self.price.output_per_million),
        ):
            if tokens is None and rate:
                return Cost(detail=f"{self.provider} did not say how many tokens it used")
            usd += (tokens or 0) * Decimal(str(rate)) / _MILLION
        return Cost(usd=float(usd), source="user", detail=f"providers.{self.provider}.price")

    def _entry(self, model: str | None) -> _Entry | str:
        """Return the model's prices, or why there are none."""
        if not model:
            return f"no model is named, so that the price of {self.provider} is not known"
        now = datetime.now(UTC)
        at, entry = self._seen.get(model, (now, None))
        if entry is None or abs((now - at).total_seconds()) > _FRESH_SECONDS:
            entry = _look_up(model, self.endpoint, now)
            self._seen[model] = (now, entry)
        return entry


def price_versions() -> dict[str, str]:
    """Return what the prices come from, for `Report.versions`. It blocks: see `Pricing.load`."""
    return {"genai-prices": _table().removeprefix("genai-prices ")}


@lru_cache(maxsize=1)
def _table() -> str:
    """Name the table and say of when it is."""
    from genai_prices import __version__
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import StartDateConstraint

    snapshot = get_snapshot()
    if snapshot.from_auto_update:  # by the application; mmcrime never does
        return f"genai-prices {__version__}, updated {snapshot.timestamp:%Y-%m-%d}"
    today = datetime.now(UTC).date()
    dates = (
        price.constraint.start_date
        for provider in snapshot.providers
        for model in provider.models
        if isinstance(model.prices, list)
        for price in model.prices
        if isinstance(price.constraint, StartDateConstraint)
    )
    begun = [day for day in dates if day <= today]
    newest = f"newest price of {max(begun):%Y-%m-%d}" if begun else "of an unknown date"
    return f"genai-prices {__version__}, {newest}"


def _look_up(model: str, endpoint: str, now: datetime) -> _Entry | str:
    from genai_prices import Usage, calc_price
    from genai_prices.types import TimeOfDateConstraint

    unknown = f"the price of {model!r} at {endpoint!r} is not known"
    origin, address = _address(endpoint)
    try:
        found = calc_price(Usage(), model, provider_api_url=address, genai_request_timestamp=now)
    except LookupError:
        return unknown
    prices = found.model_price
    if not _covers(found.provider.api_pattern, origin, address) or any(
        # A price that the table does not state is not zero.
        getattr(prices, key) is None
        for key in ("input_mtok", "output_mtok")
    ):
        return unknown
    # A price that begins within the hour may hold when the reply comes; so may one by the clock.
    soon = [prices, found.model.get_prices(now + timedelta(hours=1))]
    if isinstance(found.model.prices, list):
        soon += [
            p.prices for p in found.model.prices if isinstance(p.constraint, TimeOfDateConstraint)
        ]
    return _Entry(
        name=f"{found.provider.id}/{found.model.id}",
        service=found.provider.id,
        now=prices,
        soon=tuple(soon),
    )


def _address(endpoint: str) -> tuple[str, str]:
    """Return the server, and the server with its path, in the form that the table knows.

    The patterns of the table are not anchored: a dot in a path could pass for one in a name.
    """
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return "", ""
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    shown = "" if port in (None, usual) else f":{port}"
    origin = f"{parts.scheme}://{parts.hostname or ''}{shown}"
    return origin, f"{origin}/{parts.path.lstrip('/').replace('.', '-')}"


def _covers(pattern: str, origin: str, address: str) -> bool:
    """Whether a pattern matches the whole name of a server, not only how it begins."""
    match = re.match(pattern, address)
    if match is None:
        return False
    rest = origin[match.end() :]
    return not rest or (match.group().endswith(".") and rest.isalnum())


def _is_free(prices: ModelPrice, keys: Iterable[str]) -> bool:
    return not any(_rates(prices, keys))


def _lacks_price_of_sound(entry: _Entry) -> bool:
    return entry.service in _SOUND_APART and not entry.says("input_audio_mtok")


def _rates(prices: ModelPrice, keys: Iterable[str], tokens: int | None = None) -> Iterator[Decimal]:
    """Yield the rates under some keys, of the tiers that a request of so many tokens may reach."""
    for key in keys:
        price = getattr(prices, key)
        if price is None:
            continue
        if isinstance(price, Decimal):
            yield price
            continue
        yield price.base
        yield from (t.price for t in price.tiers if tokens is None or t.start < tokens)


def _dearest(prices: ModelPrice, keys: Iterable[str], tokens: int) -> Decimal:
    return max(_rates(prices, keys, tokens), default=Decimal(0))


def _total(prices: ModelPrice, counts: dict[str, int]) -> Decimal:
    from genai_prices import Usage

    return prices.calc_price(Usage(**counts))["total_price"]


def _readings(usage: TokenUsage, entry: _Entry, with_sound: bool) -> Iterator[dict[str, int]]:
    """Yield the extreme ways to read the counts of a service; one where it leaves nothing open.

    What the service did not count is nothing or all that is left; of input that came from its
    cache it does not say how much was sound.
    """
    total, output = usage.input or 0, usage.output or 0
    cached = (usage.cached_input or 0) if entry.says("cache_read_mtok") else 0
    rest = max(0, total - cached)
    written = _choices(usage.cache_write, rest, asked=entry.says("cache_write_mtok"))
    heard = _choices(
        usage.audio_input, total, asked=entry.says("input_audio_mtok"), possible=with_sound
    )
    for write, sound in product(written, heard):
        least = max(0, cached + write + sound - total)
        most = min(cached, sound)
        for cached_sound in {least, most} if 0 <= least <= most else ():
            yield {
                "input_tokens": total,
                "output_tokens": output,
                "cache_read_tokens": cached,
                "cache_write_tokens": write,
                "input_audio_tokens": sound,
                "cache_audio_read_tokens": cached_sound,
            }


def _choices(count: int | None, most: int, *, asked: bool, possible: bool = True) -> set[int]:
    """Return the counts to try of tokens with a price of their own, if they have one."""
    if not asked:
        return {0}
    if count is not None:
        return {count}
    return {0, most} if possible else {0}
