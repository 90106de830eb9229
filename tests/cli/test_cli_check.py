"""What `mmcrime providers check` says, word for word, when it did not go well."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmcrime.testing import WireReply, wire_server

Run = Callable[..., tuple[int, str, str]]
_DEAR = {"input_per_million": 5000, "output_per_million": 5000}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmcrime: Run) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    return mmcrime


def configured(url: str, **more: Any) -> None:
    section = {"base_url": f"{url}/v1", "model": "seer", "api": "chat", "api_key": "k", **more}
    held = {"providers": {"openai": section}, "cache": {"directory": str(Path("c").absolute())}}
    Path("config.json").write_text(json.dumps(held), encoding="utf-8")


def told(out: str) -> str:
    return " ".join(out.split())


def test_a_check_of_nobody_is_2_since_nothing_was_found_out(run: Run) -> None:
    code, out, err = run("providers", "check")
    assert (code, out) == (2, "")
    assert "mmcrime providers check openai" in err


def test_a_check_that_the_budget_refuses_says_that_nothing_was_sent(run: Run) -> None:
    configured("http://127.0.0.1:9", price=_DEAR)
    code, out, _ = run("providers", "check", "openai")
    assert code == 4
    assert "which is the default" in told(out)
    assert " USD; model seer; " in told(out)
    assert "; no cost, nothing was sent. Raise budget.usd_per_run" in told(out)


def test_a_check_whose_price_is_unknown_says_so_once_and_names_the_setting(run: Run) -> None:
    said = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "seer",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": json.dumps({"colour": "red"})},
            }
        ],
    }
    reply = WireReply(headers={"content-type": "application/json"}, body=json.dumps(said).encode())
    with wire_server(reply) as server:
        configured(server.url)
        held = json.loads(Path("config.json").read_text(encoding="utf-8"))
        held["budget"] = {"calls_per_run": 5}
        Path("config.json").write_text(json.dumps(held), encoding="utf-8")
        code, out, _ = run("providers", "check", "openai")
        asked = server.requests[0].body.decode()
    assert code == 4
    assert "cost: " not in told(out)
    assert "; cost unknown (" in told(out)
    assert told(out).endswith("Set providers.openai.model to one that looks at pictures.")
    # Also whoever takes no schema must know the key of the answer.
    assert 'the one key \\"colour\\"' in asked
