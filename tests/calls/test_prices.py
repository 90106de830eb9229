"""Replies are priced by the place that answered, and never as free because nobody knows."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmcrime.calls.estimate import input_tokens
from mmcrime.calls.prices import NO_TOKENS, Pricing, price_versions
from mmcrime.config import Price
from mmcrime.plugins import Capabilities, Part, Request, TokenEstimate, TokenUsage

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
GEMINI = "https://generativelanguage.googleapis.com"
SOUND = Request(instructions="", parts=(Part(media_type="audio/wav", seconds=60.0),))
TEXT = Request(instructions="", parts=(Part(text="what"),))


def openai_usage(counts: dict[str, Any]) -> TokenUsage:
    """Read the usage of chat completions or of responses as it was recorded."""
    responses = "input_tokens" in counts
    details = counts.get("input_tokens_details" if responses else "prompt_tokens_details") or {}
    return TokenUsage(
        input=counts["input_tokens" if responses else "prompt_tokens"],
        cached_input=details.get("cached_tokens"),
        cache_write=details.get("cache_write_tokens"),
        audio_input=details.get("audio_tokens"),
        output=counts["output_tokens" if responses else "completion_tokens"],
    )


def anthropic_usage(counts: dict[str, Any]) -> TokenUsage:
    """Read a usage whose three input counts exclude each other."""
    cached, written = counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"]
    return TokenUsage(
        input=counts["input_tokens"] + cached + written,
        cached_input=cached,
        cache_write=written,
        output=counts["output_tokens"],
    )


def gemini_usage(counts: dict[str, Any]) -> TokenUsage:
    """Read a usage in which thinking stands beside the answer."""
    details = counts.get("promptTokensDetails")
    sound = [d["tokenCount"] for d in details or () if d["modality"] == "AUDIO"]
    answer = counts.get("candidatesTokenCount")
    return TokenUsage(
        input=counts.get("promptTokenCount"),
        cached_input=counts.get("cachedContentTokenCount"),
        audio_input=None if details is None else sum(sound),
        output=None if answer is None else answer + counts.get("thoughtsTokenCount", 0),
    )


READERS = {"openai": openai_usage, "anthropic": anthropic_usage, "gemini": gemini_usage}
ENDPOINTS = {"openai": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("service", "name", "micro_usd"),
    [
        # US dollars for a million tokens are millionths of a dollar for one.
        ("openai", "chat_image_200", 1119 * 2.5 + 10 * 10),
        ("openai", "chat_json_schema_200", 92 * 2.5 + 15 * 10),
        ("openai", "chat_truncated_json_length_200", 79 * 2.5 + 1 * 10),
        ("openai", "responses_image_200_ratelimit_headers", 38 * 0.05 + 729 * 0.4),
        ("anthropic", "image_200_ratelimit_headers", 43 * 1 + 132 * 5),
        ("gemini", "image_200", 3367 * 0.1 + 9 * 0.4),
        ("gemini", "json_schema_200", 8 * 0.1 + 20 * 0.4),
        ("gemini", "max_tokens_truncated_200", 15 * 0.3 + 5 * 2.5),
        # 6 tokens of text and 119 of sound, which costs more; 10 of answer and 25 of thinking.
        ("gemini", "audio_200", 6 * 0.3 + 119 * 1 + (10 + 25) * 2.5),
        # The table has only the price of text, and the sound cost a multiple of it.
        ("openai", "chat_audio_input_200", None),
        # No candidate, so that nobody says how much came out.
        ("gemini", "safety_block_candidate_200", None),
        ("gemini", "prompt_blocked_model_armor_200", None),
    ],
)
def test_recorded_answers_cost_what_their_counts_come_to(
    shared: Path, service: str, name: str, micro_usd: float | None
) -> None:
    path = shared / "specs" / "recorded" / service / f"{name}.json"
    body = json.loads(path.read_text(encoding="utf-8"))["response"]["body"]
    usage = READERS[service](body["usage" if service != "gemini" else "usageMetadata"])
    model = body["model" if service != "gemini" else "modelVersion"]
    cost = Pricing(service, ENDPOINTS[service]).cost_of(model, usage)
    if micro_usd is None:
        assert (cost.usd, cost.source) == (None, "unknown")
        assert cost.detail
        return
    assert cost.usd == pytest.approx(micro_usd / 1e6, rel=1e-12)
    assert cost.source == "price_table"
    assert "at most" not in cost.detail


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:11434/v1",  # on this machine, which does not make it free
        "https://llm.example/v1",
        "https://api.openai.com.llm.example/v1",
        "https://api.openai.community/v1",
        "https://llm.example/x.googleapis.com",
        "https://api.openai.com@llm.example/v1",
        "https://api.openai.com:8443/v1",
        "http://api.openai.com/v1",
        "https://[",
        "",
    ],
)
@pytest.mark.parametrize("model", ["gpt-4o", "gemini-2.5-flash"])
def test_the_model_of_a_service_is_not_priced_at_another_address(endpoint: str, model: str) -> None:
    pricing = Pricing("openai", endpoint)
    cost = pricing.cost_of(model, TokenUsage(input=10, output=10))
    assert (cost.usd, cost.source) == (None, "unknown")
    assert repr(model) in cost.detail
    assert pricing.at_most(model, TEXT, Capabilities()).usd is None


@pytest.mark.parametrize(
    ("endpoint", "model"),
    [
        ("https://API.openai.com:443/v1", "gpt-4o"),
        ("https://mine.openai.azure.com/openai/v1", "gpt-4o"),
        ("https://openrouter.ai/api/v1", "openai/gpt-4o"),
        ("https://api.groq.com/openai/v1", "llama-3.1-8b-instant"),
        ("https://europe-west4-aiplatform.googleapis.com/v1.2/", "gemini-2.5-flash"),
        ("https://api.moonshot.ai/v1", "kimi-k2.5"),
    ],
)
def test_services_are_known_by_their_address(endpoint: str, model: str) -> None:
    cost = Pricing("p", endpoint).cost_of(model, TokenUsage(input=1000, output=10))
    assert cost.usd is not None
    assert cost.usd > 0


@pytest.mark.parametrize("model", [None, "", "gpt-99", "text-embedding-3-small"])
def test_a_model_without_a_price_is_unknown_and_not_free(model: str | None) -> None:
    """An embedding model has a price of input only: what would come out is not free."""
    cost = Pricing("openai", OPENAI).cost_of(model, TokenUsage(input=1, output=1))
    assert (cost.usd, cost.source) == (None, "unknown")


@pytest.mark.parametrize("usage", [TokenUsage(), TokenUsage(input=5), TokenUsage(output=5)])
def test_a_missing_count_makes_the_cost_unknown(usage: TokenUsage) -> None:
    assert Pricing("openai", OPENAI).cost_of("gpt-4o", usage).usd is None
    priced = Price(input_per_million=1.0, output_per_million=1.0)
    assert Pricing("mine", "http://127.0.0.1:9", priced).cost_of("m", usage).usd is None


def test_a_missing_count_of_what_is_free_changes_nothing() -> None:
    price = Price(input_per_million=3.0, output_per_million=0.0)
    cost = Pricing("mine", "", price).cost_of("m", TokenUsage(input=1_000_000))
    assert cost.usd == 3.0
    free = Pricing("mine", "", Price(input_per_million=0.0, output_per_million=0.0))
    assert free.cost_of("m", TokenUsage()).usd == 0.0


def test_the_price_of_the_user_comes_before_the_table() -> None:
    price = Price(input_per_million=1.0, output_per_million=2.0)
    pricing = Pricing("openai", OPENAI, price)
    cost = pricing.cost_of("gpt-4o", TokenUsage(input=1_000_000, cached_input=5, output=500_000))
    assert (cost.usd, cost.source, cost.detail) == (2.0, "user", "providers.openai.price")
    most = pricing.at_most("gpt-4o", TEXT, Capabilities())
    assert most.usd == pytest.approx((input_tokens(TEXT, Capabilities()) + 2 * 4096) / 1e6)
    assert most.source == "user"


def test_the_cost_says_which_table_and_of_when() -> None:
    cost = Pricing("openai", OPENAI).cost_of("gpt-4o-2024-08-06", TokenUsage(input=1, output=1))
    table, _, model = cost.detail.partition(": ")
    assert model == "openai/gpt-4o"
    assert price_versions() == {"genai-prices": table.removeprefix("genai-prices ")}
    newest = datetime.fromisoformat(table.rpartition(" ")[2]).replace(tzinfo=UTC)
    assert datetime(2026, 1, 1, tzinfo=UTC) < newest <= datetime.now(UTC)


def test_input_from_the_cache_and_into_it_has_its_own_price() -> None:
    """Claude Haiku 4.5: 1 for input, 0.1 from the cache, 1.25 into it, 5 for output."""
    usage = TokenUsage(input=10_000, cached_input=6_000, cache_write=3_000, output=100)
    cost = Pricing("anthropic", ANTHROPIC).cost_of("claude-haiku-4-5", usage)
    assert cost.usd == pytest.approx((1_000 * 1 + 6_000 * 0.1 + 3_000 * 1.25 + 100 * 5) / 1e6)


def test_a_long_request_is_priced_by_the_tier_it_reaches() -> None:
    """Gemini 2.5 Pro: 1.25 and 10 up to 200,000 tokens that go in, then 2.5 and 15."""
    pricing = Pricing("gemini", GEMINI)
    at = pricing.cost_of("gemini-2.5-pro", TokenUsage(input=200_000, output=10))
    above = pricing.cost_of("gemini-2.5-pro", TokenUsage(input=200_001, output=10))
    assert at.usd == pytest.approx((200_000 * 1.25 + 10 * 10) / 1e6)
    assert above.usd == pytest.approx((200_001 * 2.5 + 10 * 15) / 1e6)


def test_what_the_service_leaves_open_is_priced_at_most_and_said() -> None:
    """600 of 1,000 tokens are sound, 500 come from the cache: text as far as it goes costs most.

    Gemini 2.5 Flash: text 0.3, from the cache 0.03; sound 1, from the cache 0.1.
    """
    usage = TokenUsage(input=1_000, cached_input=500, audio_input=600, output=0)
    cost = Pricing("gemini", GEMINI).cost_of("gemini-2.5-flash", usage, SOUND)
    assert cost.usd == pytest.approx((400 * 0.03 + 100 * 0.1 + 500 * 1) / 1e6)
    assert "at most" in cost.detail


def test_sound_that_was_not_counted_may_be_all_unless_none_was_sent() -> None:
    pricing = Pricing("gemini", GEMINI)
    usage = TokenUsage(input=1_000, output=0)
    heard = pricing.cost_of("gemini-2.5-flash", usage, SOUND)
    assert heard.usd == pytest.approx(1_000 / 1e6)
    assert "at most" in heard.detail
    read = pricing.cost_of("gemini-2.5-flash", usage, TEXT)
    assert read.usd == pytest.approx(300 / 1e6)
    assert "at most" not in read.detail


@pytest.mark.parametrize(
    "usage",
    [
        TokenUsage(input=10, cached_input=11, output=1),
        TokenUsage(input=10, audio_input=11, output=1),
        TokenUsage(input=10, cached_input=-1, output=1),
    ],
)
def test_counts_that_contradict_each_other_have_no_price(usage: TokenUsage) -> None:
    cost = Pricing("gemini", GEMINI).cost_of("gemini-2.5-flash", usage)
    assert cost.usd is None
    assert "contradict" in cost.detail


def test_tokens_that_the_table_prices_apart_but_nobody_counts_have_no_price() -> None:
    """A realtime model sells pictures at another price than text."""
    cost = Pricing("openai", OPENAI).cost_of("gpt-realtime", TokenUsage(input=1, output=1))
    assert cost.usd is None
    assert "counted apart" in cost.detail


MODELS = (
    (OPENAI, "gpt-4o"),
    (OPENAI, "gpt-5-nano"),
    (OPENAI, "gpt-audio"),
    (ANTHROPIC, "claude-sonnet-4-5"),
    (ANTHROPIC, "claude-haiku-4-5"),
    (GEMINI, "gemini-2.5-flash"),
    (GEMINI, "gemini-2.5-pro"),
    (GEMINI, "gemini-1.5-flash"),
    ("https://api.perplexity.ai", "sonar"),  # a price for each request as well
    ("https://api.deepseek.com", "deepseek-chat"),  # a price by the clock
)


@given(
    place=st.sampled_from(MODELS),
    parts=st.lists(st.integers(0, 300_000), min_size=4, max_size=4),
    output=st.integers(0, 100_000),
)
def test_counts_that_leave_nothing_open_are_priced_as_the_library_does(
    place: tuple[str, str], parts: list[int], output: int
) -> None:
    endpoint, model = place
    plain, cached, written, sound = parts
    usage = TokenUsage(
        input=plain + cached + written,
        cached_input=cached,
        cache_write=written,
        audio_input=0,
        output=output,
    )
    if endpoint == GEMINI and model == "gemini-2.5-flash" and cached == 0:
        usage = TokenUsage(input=plain + sound, audio_input=sound, output=output, cached_input=0)
    expected = calc_price(
        Usage(
            input_tokens=usage.input,
            cache_read_tokens=usage.cached_input,
            cache_write_tokens=usage.cache_write or 0,
            input_audio_tokens=usage.audio_input,
            cache_audio_read_tokens=0,
            output_tokens=output,
        ),
        model,
        provider_api_url=endpoint,
    )
    cost = Pricing("p", endpoint).cost_of(model, usage)
    assert cost.usd == pytest.approx(float(expected.total_price), rel=1e-9, abs=1e-15)


@given(
    place=st.sampled_from((*MODELS, (OPENAI, "gpt-realtime"))),
    words=st.integers(0, 600_000),
    seconds=st.floats(0, 3000),
    shares=st.lists(st.floats(0, 1), min_size=5, max_size=5),
)
def test_no_reply_within_the_estimate_costs_more_than_at_most(
    place: tuple[str, str], words: int, seconds: float, shares: list[float]
) -> None:
    """Whatever part of the estimate comes from the cache, goes into it, or is sound."""
    endpoint, model = place
    heard = seconds > 0 and model in ("gpt-audio", "gemini-2.5-flash", "gemini-2.5-pro")
    parts = (Part(media_type="audio/wav", seconds=seconds),) if heard else ()
    request = Request(instructions="x" * words, parts=parts)
    capabilities = Capabilities(audio=True, tokens=TokenEstimate(audio_per_second=32))
    pricing = Pricing("p", endpoint)
    most = pricing.at_most(model, request, capabilities)
    assert most.usd is not None
    bound = input_tokens(request, capabilities)
    total = int(bound * shares[0])
    sound = min(total, int(seconds * 32 * shares[1])) if heard else 0
    cached = int((total - sound) * shares[2])
    usage = TokenUsage(
        input=total,
        audio_input=sound,
        cached_input=cached,
        cache_write=int((total - sound - cached) * shares[3]),
        output=int(request.max_output_tokens * shares[4]),
    )
    cost = pricing.cost_of(model, usage, request)
    assert cost.usd is None or cost.usd <= most.usd * (1 + 1e-12)
    assert (cost.usd is None) == (model == "gpt-realtime")


def test_the_most_reserves_the_price_of_writing_into_the_cache() -> None:
    """Claude Haiku 4.5: input that is written to the cache costs 1.25 instead of 1."""
    most = Pricing("anthropic", ANTHROPIC).at_most("claude-haiku-4-5", TEXT, Capabilities())
    tokens = input_tokens(TEXT, Capabilities())
    assert most.usd == pytest.approx((tokens * 1.25 + 4096 * 5) / 1e6)


def test_the_most_of_sound_that_the_table_cannot_price_is_unknown() -> None:
    most = Pricing("openai", OPENAI).at_most("gpt-4o-audio-preview", SOUND, Capabilities())
    assert most.usd is None
    assert "sound" in most.detail


def test_the_table_is_read_only_when_it_is_needed() -> None:
    """Importing the call layer, and prices of the user, cost no import of the table."""
    code = (
        "import sys\n"
        "from mmcrime.calls import budget, prices\n"
        "from mmcrime.config import Price\n"
        "p = prices.Pricing('p', '', Price(input_per_million=1, output_per_million=1))\n"
        "p.load()\n"
        "assert 'genai_prices' not in sys.modules\n"
        "assert 'filelock' not in sys.modules\n"
        "prices.Pricing('p', '').load()\n"
        "assert 'genai_prices.data' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# -- transcribing ---------------------------------------------------------------------------


def words(seconds: float | None = 12.3, model: str = "gpt-transcribe") -> Request:
    part = Part(media_type="audio/wav", seconds=seconds)
    return Request(instructions="", parts=(part,), task="transcribe", model=model)


NOT_SAID = TokenUsage()
TOKENS = Price(input_per_million=1.0, output_per_million=10.0)


def test_sound_that_is_sold_by_the_hour_is_paid_by_the_second_rounded_up() -> None:
    """gpt-transcribe: 0.27 USD an hour; what is reserved is what it comes to."""
    pricing = Pricing("openai", OPENAI)
    most = pricing.at_most("gpt-transcribe", words(), Capabilities())
    cost = pricing.cost_of("gpt-transcribe", NOT_SAID, words())
    assert most.usd == cost.usd == pytest.approx(13 * 0.27 / 3600)
    assert cost.source == "price_table"
    assert cost.detail.endswith("openai/gpt-transcribe")


def test_the_price_of_an_hour_holds_for_nothing_but_transcribing() -> None:
    pricing = Pricing("openai", OPENAI)
    for request in (TEXT, None):
        cost = pricing.cost_of("gpt-transcribe", TokenUsage(input=5, output=5), request)
        assert (cost.usd, cost.source) == (None, "unknown")


def test_an_attempt_that_is_not_billed_costs_no_second() -> None:
    for pricing in (
        Pricing("openai", OPENAI),
        Pricing("openai", OPENAI, Price(per_minute_of_audio=1.0)),
    ):
        assert pricing.cost_of("gpt-transcribe", NO_TOKENS, words()).usd == 0.0


def test_the_users_price_of_a_minute_comes_first() -> None:
    pricing = Pricing("wit", "https://api.wit.ai", Price(per_minute_of_audio=0.6))
    most = pricing.at_most(None, words(), Capabilities())
    cost = pricing.cost_of("wit", NOT_SAID, words())
    assert most.usd == cost.usd == pytest.approx(0.13)
    assert (cost.source, cost.detail) == ("user", "providers.wit.price")


def test_sound_of_unknown_length_is_reserved_as_ten_minutes() -> None:
    pricing = Pricing("wit", "", Price(per_minute_of_audio=0.6))
    assert pricing.at_most(None, words(None), Capabilities()).usd == pytest.approx(6.0)


def test_the_users_price_of_tokens_is_that_of_the_model_that_answers() -> None:
    """Another model transcribes, whose price the table knows or nobody does."""
    pricing = Pricing("openai", OPENAI, TOKENS, model="gpt-x")
    assert pricing.cost_of("gpt-transcribe", NOT_SAID, words()).source == "price_table"
    assert pricing.cost_of("whisper-x", NOT_SAID, words(model="whisper-x")).usd is None
    usage = TokenUsage(input=1000, output=100)
    same = Pricing("gemini", GEMINI, TOKENS, model="gemini-x")
    assert same.cost_of("gemini-x-001", usage, words(model="gemini-x")).usd == pytest.approx(0.002)


def test_a_price_of_sound_alone_leaves_answers_to_the_table() -> None:
    pricing = Pricing("openai", OPENAI, Price(per_minute_of_audio=0.6))
    assert pricing.at_most("gpt-5-nano", TEXT, Capabilities()).source == "price_table"
    assert pricing.at_most("nobody-1", TEXT, Capabilities()).usd is None


@pytest.mark.parametrize("given", [{}, {"input_per_million": 1.0}, {"per_minute_of_audio": -1.0}])
def test_a_price_that_says_half_of_it_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Price(**given)
