"""Runs of several pipelines that share a Redis: real HTTP, real Redis, the whole call layer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmcrime import CrimeDetectionPipeline
from mmcrime.calls import link
from mmcrime.errors import MissingDependencyError
from mmcrime.results import Report
from services import NAMES, answer, config, nobody, serving, shot
from shared_redis import URL, own_namespace


@pytest.fixture
def namespace() -> Iterator[str]:
    with own_namespace() as name:
        yield name


def analysed(
    servers: Any, folder: Path, *, redis: str = URL, namespace: str = "shop", **more: Any
) -> Report:
    urls = {name: server.url for name, server in servers.items()}
    given = config(urls, folder, **more)
    given["cache"] |= {"url": redis, "namespace": namespace}
    with CrimeDetectionPipeline(given) as pipeline:
        return pipeline.analyze(shot(), providers=list(urls))


def test_an_answer_of_one_pipeline_is_a_cached_vote_in_another_and_redis_is_announced_once(
    namespace: str, tmp_path: Path
) -> None:
    with serving({name: (answer(name),) for name in NAMES}) as servers:
        first = analysed(servers, tmp_path / "one", namespace=namespace)
        second = analysed(servers, tmp_path / "other", namespace=namespace)
        assert [len(server.requests) for server in servers.values()] == [1, 1, 1]
    assert [a.cached for a in first.assessments if a.kind == "llm"] == [False] * 3
    assert [a.cached for a in second.assessments if a.kind == "llm"] == [True] * 3
    assert second.verdict.votes_answered == 3
    assert second.cost.usd == 0
    for report, others in ((first, 3), (second, 0)):
        told = [record for record in report.egress if record.purpose == "cache"]
        assert [record.to for record in told] == [URL]
        assert "answers" in told[0].what
        assert len(report.egress) == 1 + others
    assert Report.from_json(first.to_json()).egress == first.egress


@pytest.mark.parametrize("enabled", [True, False])
def test_while_redis_is_away_nothing_is_sent_and_the_report_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, enabled: bool
) -> None:
    """With stored answers or without: the budget of the day is there too."""
    patience = link.Link.__init__.__kwdefaults__
    monkeypatch.setitem(patience, "patience", 0.2)
    away = nobody().replace("http://", "redis://:pa55word@")
    with serving({"openai": answer("openai"), "gemini": answer("gemini")}) as servers:
        urls = {name: server.url for name, server in servers.items()}
        given = config(urls, tmp_path, fallback=["gemini"])
        given["cache"] |= {"url": away, "enabled": enabled}
        with CrimeDetectionPipeline(given) as pipeline:
            reports = list(pipeline.analyze_many([shot(1), shot(2)], providers=["openai"]))
        assert [len(server.requests) for server in servers.values()] == [0, 0]
    for report in reports:
        assert report.verdict.outcome == "undetermined"
        (vote,) = (a for a in report.assessments if a.kind == "llm")
        assert vote.status == "failed"
        assert vote.error is not None
        assert vote.error.type == "ConfigError"
        assert "cannot be used" in vote.error.message
        assert "Nothing was sent" in vote.error.message
        assert vote.usage is not None
        assert (vote.usage.calls, vote.cost.usd) == (0, 0)
        assert "pa55word" not in report.to_json()
    assert not list(tmp_path.glob("days.json*"))


def test_offline_a_shared_answer_is_out_of_reach(namespace: str, tmp_path: Path) -> None:
    with serving({"openai": answer("openai")}) as servers:
        analysed(servers, tmp_path, namespace=namespace)
        report = analysed(servers, tmp_path, namespace=namespace, offline=True)
        assert len(servers["openai"].requests) == 1
    (vote,) = (a for a in report.assessments if a.kind == "llm")
    assert vote.error is not None
    assert (vote.status, vote.error.type) == ("failed", "EgressError")
    assert URL in vote.error.message
    assert not report.egress


def test_a_day_is_shared_by_pipelines_and_no_file_keeps_it(namespace: str, tmp_path: Path) -> None:
    with serving({"openai": answer("openai")}) as servers:
        analysed(servers, tmp_path / "one", namespace=namespace)
        capped = {"budget": {"calls_per_day": 1}, "context": "another question"}
        report = analysed(servers, tmp_path / "other", namespace=namespace, **capped)
        assert len(servers["openai"].requests) == 1
    (vote,) = (a for a in report.assessments if a.kind == "llm")
    assert vote.error is not None
    assert vote.error.type == "BudgetExceededError"
    assert "budget.calls_per_day is 1: 1 call spent today" in vote.error.message
    assert not list(tmp_path.rglob("days.json*"))


def test_the_package_that_is_missing_is_named_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingDependencyError, match=r"mmcrime\[redis\]"):
        CrimeDetectionPipeline({"cache": {"url": URL, "directory": str(tmp_path)}})
