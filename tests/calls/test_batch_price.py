"""A request in a batch costs its share of the usual price, and never less than it may."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from batch_kit import QUICK, question

import services
from batch_service import batch_service
from mmcrime.calls.batch_book import BatchBook
from mmcrime.calls.batch_lane import BatchLane, Entry
from mmcrime.calls.batch_price import BatchPricing
from mmcrime.calls.ledger import Ledger
from mmcrime.calls.prices import NO_TOKENS, Pricing
from mmcrime.config import Price, load_settings
from mmcrime.egress import Gate
from mmcrime.pipeline.service import built
from mmcrime.plugins import BatchProvider, TokenUsage
from mmcrime.results import LOCAL_COST
from spending import in_loop

OPENAI = "https://api.openai.com/v1"
GEMINI = "https://generativelanguage.googleapis.com"
USER = Price(input_per_million=1.0, output_per_million=10.0)
COUNTS = TokenUsage(input=1000, cached_input=0, cache_write=0, audio_input=0, output=100)


def half(endpoint: str = "", price: Price | None = None, *, free: bool = False) -> BatchPricing:
    return BatchPricing("p", endpoint, price, free=free, model=None, share=0.5)


def usd(pricing: Pricing, model: str, usage: TokenUsage) -> float:
    cost = pricing.cost_of(model, usage).usd
    assert cost is not None
    return cost


@pytest.mark.parametrize(
    ("endpoint", "model", "price"),
    [("", "mine", USER), (OPENAI, "gpt-4o", None), (GEMINI, "gemini-2.5-flash", None)],
)
def test_the_counted_tokens_cost_half_and_the_source_says_so(
    endpoint: str, model: str, price: Price | None
) -> None:
    usual = Pricing("p", endpoint, price).cost_of(model, COUNTS)
    cost = half(endpoint, price).cost_of(model, COUNTS)
    assert usual.usd is not None
    assert cost.usd == pytest.approx(usual.usd / 2)
    assert cost.source == usual.source
    assert cost.detail == f"{usual.detail}; in a batch, 50% of it"


def test_what_came_from_a_cache_costs_the_most_that_either_reading_of_the_service_allows() -> None:
    usage = TokenUsage(input=1000, cached_input=800, cache_write=0, audio_input=0, output=100)
    usual = usd(Pricing("p", OPENAI), "gpt-4o", usage)
    cost = half(OPENAI).cost_of("gpt-4o", usage)
    assert cost.usd is not None
    # All of it as if nothing came from there, or that part at the price of the other lane.
    assert cost.usd >= usual / 2
    assert cost.usd >= usd(half(OPENAI), "gpt-4o", COUNTS)
    assert "at most" in cost.detail


def test_what_is_unknown_stays_unknown_and_what_is_free_stays_free() -> None:
    assert half(OPENAI).cost_of("no-such-model", COUNTS).usd is None
    assert half(free=True).cost_of("mine", COUNTS) == LOCAL_COST
    assert half("", USER).cost_of("mine", NO_TOKENS).usd == 0.0


def of_flash(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let a model answer that the table has, whose sound is dearer than its pictures."""
    return [{**o, "response": {**o["response"], "modelVersion": "gemini-2.5-flash"}} for o in lines]


@in_loop
async def test_a_picture_is_not_priced_as_if_some_of_it_might_be_sound(tmp_path: Path) -> None:
    with batch_service("gemini", results=of_flash) as service:
        section = services.section("gemini", service.url)
        settings = load_settings({"providers": {"gemini": section}}, environ={}, dotenv=None)
        provider = built("gemini", settings).provider
        assert isinstance(provider, BatchProvider)
        book, ledger = BatchBook(tmp_path), Ledger(tmp_path)
        lane = BatchLane(
            provider,
            name="gemini",
            book=book,
            ledger=ledger,
            price=half(GEMINI).cost_of,
            pace=QUICK,
        )
        entry = Entry(
            request=question("a", key="k"),
            request_id="r",
            tenant="t",
            announce=lambda _: None,
            gate=Gate(offline=False),
            outcome=asyncio.get_running_loop().create_future(),
        )
        lane.enter(entry)
        response = await entry.outcome
        await lane.aclose()
        book.close()
        ledger.close()
    assert response is not None
    assert response.usage.audio_input is None  # the service counts none apart
    assert response.cost.usd == pytest.approx(usd(half(GEMINI), "gemini-2.5-flash", COUNTS))
    assert "at most" not in response.cost.detail
