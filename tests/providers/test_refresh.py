"""``make refresh`` writes what is so, and leaves the choice of a model to people."""

from __future__ import annotations

import json
import runpy
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "tools/refresh.py"))
TODAY = date(2026, 11, 30)


def test_only_models_that_answer_and_still_run_get_an_end_date() -> None:
    prices = {
        "sample_spec": {"mode": "one of: chat, embedding", "litellm_provider": "one of many"},
        "gpt-a": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "2026-12-11"},
        "gpt-b": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "2026-11-29"},
        "gpt-c": {"litellm_provider": "openai", "mode": "chat"},
        "tts": {
            "litellm_provider": "openai",
            "mode": "audio_speech",
            "deprecation_date": "2027-01-01",
        },
        "gemini/g": {
            "litellm_provider": "gemini",
            "mode": "chat",
            "deprecation_date": "2027-05-07",
        },
        "azure/x": {"litellm_provider": "azure", "mode": "chat", "deprecation_date": "2027-05-07"},
    }
    assert TOOL["shutdown_dates"](prices, TODAY) == {
        "anthropic": {},
        "gemini": {"g": "2027-05-07"},
        "openai": {"gpt-a": "2026-12-11"},
    }


def test_a_suggestion_that_ends_or_is_unknown_is_a_problem() -> None:
    def found(model: str, end: str | None) -> list[str]:
        ends = {} if end is None else {"m": end}
        table: dict[str, Any] = {"suggested": {"openai": model}, "shutdown": {"openai": ends}}
        lines: list[str] = TOOL["problems"](table, TODAY, {"openai": ({"m"}, {"m"})})
        return lines

    assert found("m", None) == []
    assert found("m", "2027-03-30") == []
    assert found("m", "2027-03-29") == ["openai: 'm' will be switched off on 2027-03-29."]
    assert len(found("other", None)) == 2


def test_the_shipped_table_has_no_problem_by_what_is_installed() -> None:
    table = json.loads((ROOT / "providers/mmcrime_providers/models.json").read_text("utf-8"))
    known = {name: TOOL["names_known"](name) for name in table["suggested"]}
    assert TOOL["problems"](table, date.fromisoformat(table["updated"]), known) == []


def test_every_model_of_which_the_sdk_of_anthropic_warns_gets_a_remark() -> None:
    """Its warning does not reach anybody, so that the table has to know what it knows."""
    table = json.loads((ROOT / "providers/mmcrime_providers/models.json").read_text("utf-8"))
    ends = TOOL["sdk_ends"](date.fromisoformat(table["updated"]))
    assert ends
    assert table["shutdown"]["anthropic"] == table["shutdown"]["anthropic"] | ends


def test_a_pin_is_replaced_and_no_other() -> None:
    text = "# head\ngenai-prices==0.1\ngenai-prices-x==3\n"
    assert TOOL["pinned"](text, "genai-prices", "0.2.3") == (
        "# head\ngenai-prices==0.2.3\ngenai-prices-x==3\n"
    )
