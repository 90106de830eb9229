"""The table of suggested models is dated, current, and says so where it is used."""

from __future__ import annotations

from datetime import date, timedelta
from typing import get_args

import pytest
from anthropic.types import Model as AnthropicModel
from genai_prices.data import providers as priced
from openai.types import ChatModel

from mmcrime_providers._models import chosen_model, model_table

TABLE = model_table()
DAY = timedelta(days=1)
VENDOR = {"anthropic": "anthropic", "gemini": "google", "openai": "openai"}


@pytest.mark.parametrize("provider", sorted(VENDOR))
def test_a_suggested_model_is_one_whose_price_is_known(provider: str) -> None:
    (vendor,) = (p for p in priced if p.id == VENDOR[provider])
    model = TABLE.suggested[provider]
    assert model in {known.id for known in vendor.models}


def test_a_suggested_model_is_known_to_the_sdk() -> None:
    assert TABLE.suggested["openai"] in get_args(ChatModel)
    listed, _ = get_args(AnthropicModel)
    assert TABLE.suggested["anthropic"] in get_args(listed)


def test_no_suggested_model_is_to_be_switched_off_soon() -> None:
    """Within the days after which the table counts as old."""
    for provider, model in TABLE.suggested.items():
        end = TABLE.shutdown[provider].get(model)
        assert end is None or end > TABLE.updated + 120 * DAY


def test_the_choice_from_the_table_is_told() -> None:
    model, (remark,) = chosen_model("openai", None, today=TABLE.updated)
    assert model == TABLE.suggested["openai"]
    assert repr(model) in remark
    assert TABLE.updated.isoformat() in remark
    assert "providers.openai.model" in remark


def test_a_table_is_old_after_120_days() -> None:
    _, young = chosen_model("gemini", None, today=TABLE.updated + 120 * DAY)
    _, old = chosen_model("gemini", None, today=TABLE.updated + 121 * DAY)
    assert len(young) == 1
    assert "121 days old" in old[1]


def test_a_named_model_is_taken_as_it_is_and_needs_no_remark() -> None:
    later = TABLE.updated + 1000 * DAY
    assert chosen_model("openai", "my-own-model", today=later) == ("my-own-model", ())


def test_the_end_of_a_model_is_told_whoever_chose_it() -> None:
    end = TABLE.shutdown["openai"]["gpt-5-mini"]
    assert end == date(2026, 12, 11)
    _, (before,) = chosen_model("openai", "gpt-5-mini", today=end - DAY)
    assert "will be switched off on 2026-12-11" in before
    _, (after,) = chosen_model("openai", "gpt-5-mini", today=end)
    assert "was to be switched off on 2026-12-11" in after
