"""The command line in the lane of batches: a run that does not wait, and one that collects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import services
from batch_service import NAMES, BatchService, batch_service
from mmcrime import CrimeDetectionPipeline
from mmcrime.calls import batch_lane
from mmcrime.calls.batch_watch import Pace
from mmcrime.results import Assessment, Report
from wire import contract

Run = Callable[..., tuple[int, str, str]]
QUICK = Pace(quiet=0.3, longest=2.0, first=0.02, most=0.1, unsure=0.3, orphaned=0.3)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(batch_lane, "PACE", QUICK)
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    for number in range(3):
        Path(f"pictures/{number}.png").write_bytes(services.shot(number))


@contextmanager
def configured(name: str, shared: Path, **how: Any) -> Iterator[BatchService]:
    """Serve a service whose contract is held to, and configure it in the working folder."""
    with batch_service(name, contract=contract(shared, name), text=services.words(), **how) as on:
        held = services.config({name: on.url}, Path("cache"))
        held["providers"][name] |= {"lane": "batch", "enabled": True}
        Path("config.json").write_text(json.dumps(held), encoding="utf-8")
        yield on
    assert on.wrong == []


def votes(out: str, name: str) -> list[Assessment]:
    reports = [Report.from_json(line) for line in out.splitlines()]
    return [a for report in reports for a in report.assessments if a.analyzer == f"llm:{name}"]


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_does_not_wait_is_collected_by_the_same_command(
    name: str, mmcrime: Run, shared: Path
) -> None:
    pictures = ("pictures/0.png", "pictures/1.png")
    with configured(name, shared, runs=10**9) as service:
        with CrimeDetectionPipeline("config.json") as pipeline:
            reports = pipeline.analyze_many(pictures, deadline=2.5)
            out = "\n".join(report.to_json() for report in reports)
        assert [v.status for v in votes(out, name)] == ["failed", "failed"]
        assert all("had not ended" in str(v.error and v.error.message) for v in votes(out, name))
        _, listed, _ = mmcrime("providers", "batches")
        told = " ".join(listed.split())
        assert f"{service.batches[0].name}: 2 of 2 requests without an answer" in told
        assert services.KEYS[name] not in listed
        service.runs = 0
        code, out, _ = mmcrime("analyze", *pictures, "--json")
        assert code == 0
        assert [v.outcome for v in votes(out, name)] == ["detected", "detected"]
        assert all(v.cached and v.cost.usd == 0.0 for v in votes(out, name))
        assert len(service.batches) == 1
        _, listed, _ = mmcrime("providers", "batches")
        assert "no batch waits to be collected" in listed


@pytest.mark.shared
def test_a_folder_goes_in_one_batch_at_half_the_price(mmcrime: Run, shared: Path) -> None:
    with configured("anthropic", shared) as service:
        code, out, _ = mmcrime("analyze", "pictures", "--json")
        assert code == 0
        assert [len(batch.bodies) for batch in service.batches] == [3]
        paid = [v.cost.usd for v in votes(out, "anthropic")]
        assert paid == [pytest.approx(services.USD / 2)] * 3
        code, out, _ = mmcrime("analyze", "pictures", "--json")
        assert all(v.cached for v in votes(out, "anthropic"))
        assert len(service.batches) == 1


def test_where_there_was_no_batch_the_list_says_so_and_makes_no_file(
    mmcrime: Run, tmp_path: Path
) -> None:
    Path("config.json").write_text(json.dumps(services.config({}, Path("cache"))))
    code, out, _ = mmcrime("providers", "batches")
    assert code == 0
    assert "no batch waits" in out
    assert not (tmp_path / "cache").exists()
