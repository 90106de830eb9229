"""The table of prices that the `genai-prices` library carries: which of them hold where.

The table is asked by the address of the service. Its patterns are not anchored, so that an
address is held against the whole name of the server here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

    Rates = Mapping[str, Decimal | TieredPrices]

__all__ = ["HOURS", "Entry", "dearest", "look_up", "possible", "rate", "table_name"]

HOURS = ("audio_hours", "input_audio_hours")
"""Prices of an hour of sound. The table states the same price under both, and not their sum."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A model of the table.

    Attributes:
        name: Service and model, as the table names them.
        service: The service alone.
        now: Its prices: US dollars for a million tokens, for a thousand requests, or for an
            hour of sound.
        soon: All the prices that may hold while a call is under way, these among them.
    """

    name: str
    service: str
    now: Rates
    soon: tuple[Rates, ...]

    @property
    def by_the_hour(self) -> bool:
        """Whether sound is what is sold, and no tokens."""
        return "input_mtok" not in self.now


def table_name() -> str:
    """Name the table and say of when it is."""
    from genai_prices import __version__
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    if snapshot.from_auto_update:  # by the application; mmcrime never does
        return f"genai-prices {__version__}, updated {snapshot.timestamp:%Y-%m-%d}"
    return _name_as_installed()


@lru_cache(maxsize=1)
def _name_as_installed() -> str:
    from genai_prices import __version__
    from genai_prices.data import providers
    from genai_prices.types import StartDateConstraint

    today = datetime.now(UTC).date()
    dates = (
        price.constraint.start_date
        for provider in providers
        for model in provider.models
        if isinstance(model.prices, list)
        for price in model.prices
        if isinstance(price.constraint, StartDateConstraint)
    )
    begun = [day for day in dates if day <= today]
    newest = f"newest price of {max(begun):%Y-%m-%d}" if begun else "of an unknown date"
    return f"genai-prices {__version__}, {newest}"


def look_up(model: str, endpoint: str, now: datetime) -> Entry | str:
    """Return the prices of a model at an address, or why there are none."""
    from genai_prices import Usage, calc_price
    from genai_prices.types import TimeOfDateConstraint

    unknown = f"the price of {model!r} at {endpoint!r} is not known"
    origin, address = _address(endpoint)
    try:
        found = calc_price(Usage(), model, provider_api_url=address, genai_request_timestamp=now)
    except LookupError:
        return unknown
    prices = found.model_price
    # A price that the table does not state is not zero.
    stated = _stated(prices).keys()
    sold = {"input_mtok", "output_mtok"} <= stated or not (stated - {*HOURS})
    if not stated or not sold or not _covers(found.provider.api_pattern, origin, address):
        return unknown
    # A price that begins within the hour may hold when the reply comes; so may one by the clock.
    soon = [prices, found.model.get_prices(now + timedelta(hours=1))]
    if isinstance(found.model.prices, list):
        soon += [
            p.prices for p in found.model.prices if isinstance(p.constraint, TimeOfDateConstraint)
        ]
    return Entry(
        name=f"{found.provider.id}/{found.model.id}",
        service=found.provider.id,
        now=_stated(prices),
        soon=tuple(_stated(prices) for prices in soon),
    )


def _stated(prices: ModelPrice) -> Rates:
    """Return the prices that are there; asking an entry of the table for others is slow."""
    return {key: price for key, price in vars(prices).items() if price is not None}


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


def possible(rates: Rates, keys: Sequence[str], tokens: float = math.inf) -> Iterator[Decimal]:
    """Yield the rates under some keys, with those of the tiers that so many tokens may reach."""
    for key in keys:
        price = rates.get(key)
        if isinstance(price, Decimal):
            yield price
        elif price is not None:
            yield price.base
            yield from (tier.price for tier in price.tiers if tier.start < tokens)


def dearest(rates: Rates, keys: Sequence[str], tokens: int) -> Decimal:
    """Return the highest of some rates for a request of so many tokens; 0 if there is none."""
    return max(possible(rates, keys, tokens), default=Decimal(0))


def rate(rates: Rates, key: str, tokens: int) -> Decimal:
    """Return the rate of a request of so many tokens; the last tier that it is above holds."""
    *_, held = possible(rates, (key,), tokens) if key in rates else (Decimal(0),)
    return held
