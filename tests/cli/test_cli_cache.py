"""``mmcrime cache``: what is stored, and removing it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmcrime.calls.ledger import Ledger
from mmcrime.calls.store import AnswerStore
from mmcrime.plugins import Response
from mmcrime.results import Cost

ANSWER = Response(status="answered", text="calm", model="m")
KEY = "ab" * 32
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory that is configured, with nothing in it yet."""
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(json.dumps({"cache": {"directory": "answers-here"}}))
    return Path("answers-here")


def fill(folder: Path) -> None:
    store, ledger = AnswerStore(folder, size_bytes=10**7), Ledger(folder)
    store.put(KEY, ANSWER)
    paid = Cost(usd=0.5, source="user")
    ledger.record(
        key=KEY,
        request_id="r",
        tenant="t",
        provider="p",
        endpoint="",
        model="m",
        cost=paid,
        response=ANSWER,
    )
    store.close()
    ledger.close()


def test_looking_at_what_is_stored_makes_nothing(mmcrime: Command, folder: Path) -> None:
    for verb in ("stats", "clear"):
        assert mmcrime("cache", verb)[0] == 0
    assert not folder.exists()


def test_it_says_how_much_is_stored_and_where(mmcrime: Command, folder: Path) -> None:
    fill(folder)
    code, out, _ = mmcrime("cache", "stats")
    assert code == 0
    assert "'answers-here'" in out
    assert "1 entries" in " ".join(out.split())


def test_what_was_removed_serves_nobody_and_what_was_paid_stays(
    mmcrime: Command, folder: Path
) -> None:
    fill(folder)
    code, _, said = mmcrime("cache", "clear")
    assert (code, said) == (0, "Nothing is stored in 'answers-here' any more.\n")
    store, ledger = AnswerStore(folder, size_bytes=10**7), Ledger(folder)
    assert store.get(KEY) is None
    assert ledger.find(KEY, request_id="r") is None
    store.close()
    ledger.close()
    assert (folder / "ledger.sqlite3").stat().st_size > 0
