"""``mmcrime providers batches``: what waits to be collected."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmcrime.calls.batch_book import BATCHES_FILE, Batch, BatchBook, Item

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory that is configured, with nothing in it yet."""
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(json.dumps({"cache": {"directory": "kept-here"}}))
    return Path("kept-here")


def item(number: int) -> Item:
    return Item(id=f"l-{number}", key=f"k{number}", request_id="r", tenant="acme", silent=True)


def fill(folder: Path) -> None:
    """Write down a batch of two requests, one of them done, and one that nobody confirmed."""
    book = BatchBook(folder)
    hours_ago = time.time() - 3 * 3600
    first = Batch(
        label="l", provider="openai", endpoint="e", model="gpt-x", time=hours_ago, requests=2
    )
    second = Batch(
        label="m", provider="gemini", endpoint="e", model="g-x", time=time.time(), requests=1
    )
    book.intend(first, [item(0), item(1)])
    book.submitted("l", "batch_77")
    book.done(["l-0"])
    book.intend(second, [item(2)])
    book.close()


def test_without_any_batch_it_says_so_and_makes_no_file(mmcrime: Command, folder: Path) -> None:
    code, out, _ = mmcrime("providers", "batches")
    assert (code, "no batch waits" in out) == (0, True)
    assert mmcrime("providers", "batches", "--format", "json")[1] == ""
    assert not (folder / BATCHES_FILE).exists()


def test_it_says_of_each_batch_how_old_and_how_open_it_is(mmcrime: Command, folder: Path) -> None:
    fill(folder)
    code, out, _ = mmcrime("providers", "batches")
    told = " ".join(out.split())
    assert code == 0
    assert "submitted openai batch_77; gpt-x; 1 of 2 requests open; 3.0 h old" in told
    assert "has not confirmed it; g-x; 1 of 1 requests open; 0.0 h old" in told


def test_a_program_gets_one_object_a_line_and_nothing_of_whose_requests_they_are(
    mmcrime: Command, folder: Path
) -> None:
    fill(folder)
    _, out, _ = mmcrime("providers", "batches", "--format", "json")
    first, second = (json.loads(line) for line in out.splitlines())
    assert first == {
        "provider": "openai",
        "model": "gpt-x",
        "batch": "batch_77",
        "state": "submitted",
        "age_hours": pytest.approx(3.0, abs=0.01),
        "requests": 2,
        "open": 1,
    }
    assert (second["batch"], second["state"]) == (None, "unconfirmed")
    assert "acme" not in out
