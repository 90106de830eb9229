"""Runs of several pipelines that share a Redis: real HTTP, real Redis, the whole call layer."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import analyzing_worker
from forks import workers
from mmcrime import CrimeDetectionPipeline
from mmcrime.calls import link
from mmcrime.calls.breaker import Door
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.errors import MissingDependencyError, UnavailableError
from mmcrime.results import Assessment, Report
from services import MODELS, NAMES, Listener, answer, config, nobody, serving, shot
from shared_redis import URL, OwnServer, own_namespace


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


def llm(report: Report) -> list[Assessment]:
    return [a for a in report.assessments if a.kind == "llm"]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of the Redis under a name that could be that of another machine."""
    look_up = socket.getaddrinfo

    def found(host: Any, *args: Any, **kwargs: Any) -> Any:
        return look_up("127.0.0.1" if host == "redis.test" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return URL.replace("127.0.0.1", "redis.test")


# -- answers -----------------------------------------------------------------------------------


def test_an_answer_of_one_pipeline_is_a_cached_vote_in_another(
    namespace: str, tmp_path: Path
) -> None:
    with serving({name: (answer(name),) for name in NAMES}) as servers:
        first = analysed(servers, tmp_path / "one", namespace=namespace)
        second = analysed(servers, tmp_path / "other", namespace=namespace)
        assert [len(server.requests) for server in servers.values()] == [1, 1, 1]
    assert [a.cached for a in llm(first)] == [False] * 3
    assert [a.cached for a in llm(second)] == [True] * 3
    assert second.verdict.votes_answered == 3
    assert second.cost.usd == 0
    assert [len(report.egress) for report in (first, second)] == [3, 0]  # Redis is here


def test_a_redis_on_another_machine_is_announced_once_in_a_run(
    namespace: str, elsewhere: str, tmp_path: Path
) -> None:
    with serving({name: (answer(name),) for name in NAMES}) as servers:
        both = [
            analysed(servers, tmp_path / name, redis=elsewhere, namespace=namespace)
            for name in ("one", "other")
        ]
    assert [a.cached for a in llm(both[1])] == [True] * 3
    for report, others in zip(both, (3, 0), strict=True):
        told = [record for record in report.egress if record.purpose == "cache"]
        assert [record.to for record in told] == [elsewhere]
        assert "answers" in told[0].what
        assert len(report.egress) == 1 + others
        assert Report.from_json(report.to_json()).egress == report.egress


def test_offline_a_shared_answer_serves_from_this_machine_only(
    namespace: str, elsewhere: str, tmp_path: Path
) -> None:
    with serving({"openai": answer("openai")}) as servers:
        analysed(servers, tmp_path, namespace=namespace)
        here, there = (
            analysed(servers, tmp_path, redis=url, namespace=namespace, offline=True)
            for url in (URL, elsewhere)
        )
        assert len(servers["openai"].requests) == 1
    assert llm(here)[0].cached
    (vote,) = llm(there)
    assert vote.error is not None
    assert (vote.status, vote.error.type) == ("failed", "EgressError")
    assert elsewhere in vote.error.message
    assert not here.egress
    assert not there.egress


# -- without Redis -----------------------------------------------------------------------------


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(link.Link.__init__.__kwdefaults__, "patience", 0.2)
    monkeypatch.setattr(link, "_REPLY", 0.2)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("hangs", [False, True])
def test_while_redis_is_away_nothing_is_sent_and_the_report_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, enabled: bool, hangs: bool
) -> None:
    """With stored answers or without: the budget of the day is there too."""
    impatient(monkeypatch)
    with Listener() as listener, serving({name: answer(name) for name in NAMES}) as servers:
        urls = {name: server.url for name, server in servers.items()}
        given = config(urls, tmp_path, fallback=["gemini"])
        away = listener.url if hangs else nobody()
        given["cache"] |= {"url": away.replace("//", "//:pa55word@"), "enabled": enabled}
        given["cache"]["url"] = given["cache"]["url"].replace("http", "redis")
        with CrimeDetectionPipeline(given) as pipeline:
            reports = list(pipeline.analyze_many([shot(1), shot(2)], providers=list(NAMES)))
        assert [len(server.requests) for server in servers.values()] == [0, 0, 0]
    for report in reports:
        assert report.verdict.outcome == "undetermined"
        assert {a.kind for a in report.assessments} > {"llm"}  # the embedded ones have looked
        votes = llm(report)
        assert [vote.analyzer for vote in votes] == [f"llm:{name}" for name in NAMES]
        for vote in votes:
            assert vote.status == "failed"
            assert vote.error is not None
            assert vote.error.type == "ConfigError"
            assert away.replace("http", "redis") in vote.error.message
            assert "Nothing was sent, and nothing local stands in" in vote.error.message
            assert vote.usage is not None
            assert (vote.usage.calls, vote.cost.usd) == (0, 0)
        assert "pa55word" not in report.to_json()
    assert not list(tmp_path.glob("days.json*"))


def test_a_redis_that_goes_away_costs_no_report_and_when_it_is_back_calls_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    with (
        OwnServer(tmp_path / "data", appendonly=True) as redis,
        serving({"openai": answer("openai")}) as servers,
    ):
        given = config({"openai": servers["openai"].url}, tmp_path)
        given["cache"] |= {"url": redis.url, "namespace": "shop"}
        with CrimeDetectionPipeline(given) as pipeline:
            reports = [pipeline.analyze(shot(1), providers=["openai"])]
            redis.kill()
            # What is stored here does not serve either: it would be a silent fallback.
            reports += pipeline.analyze_many([shot(1), shot(2)], providers=["openai"])
            redis.start()
            reports += pipeline.analyze_many([shot(1), shot(2)], providers=["openai"])
    votes = [vote for report in reports for vote in llm(report)]
    assert [vote.status for vote in votes] == ["answered", "failed", "failed", *["answered"] * 2]
    assert [vote.cached for vote in votes] == [False, False, False, True, False]
    assert len(servers["openai"].requests) == 2


# -- limits, doors and the day -----------------------------------------------------------------


def test_processes_together_send_what_one_of_them_may(namespace: str, tmp_path: Path) -> None:
    """Each of two would send three; a minute has three, and the others are refused at once."""
    with serving({"openai": answer("openai")}) as servers:
        given = []
        for number in range(2):
            told = config({"openai": servers["openai"].url}, tmp_path / str(number))
            told["cache"] |= {"url": URL, "namespace": namespace}
            told["providers"]["openai"]["requests_per_minute"] = 3
            given.append((told, list(range(3 * number, 3 * number + 3)), 30.0))
        with workers(analyzing_worker.analyze, given) as processes:
            for process in processes:
                process.go()
            texts = [text for process in processes for text in process.said()]
        assert len(servers["openai"].requests) == 3
    votes = [vote for text in texts for vote in llm(Report.from_json(text))]
    assert len(votes) == 6
    assert sum(vote.status == "answered" for vote in votes) == 3
    assert {vote.error.type for vote in votes if vote.error} == {"RateLimitedError"}


def test_a_door_that_one_process_shut_is_shut_for_all(namespace: str, tmp_path: Path) -> None:
    async def shut(door: Door) -> None:
        held = link.Link(URL, namespace=namespace, directory=tmp_path)
        doors = SharedBreakers(held, failures=1, apart=0)
        down = UnavailableError("502 from upstream", provider="openai")
        await doors.failed(door, await doors.admit(door), down)
        await held.aclose()

    with serving({"openai": answer("openai")}) as servers:
        endpoint = f"{servers['openai'].url}/v1"
        asyncio.run(shut(Door("openai", endpoint, MODELS["openai"])))
        (vote,) = llm(analysed(servers, tmp_path / "other", namespace=namespace))
        assert not servers["openai"].requests
    assert vote.error is not None
    assert vote.error.type == "UnavailableError"
    assert "502 from upstream" in vote.error.message


def test_a_day_is_shared_by_pipelines_and_no_file_keeps_it(namespace: str, tmp_path: Path) -> None:
    with serving({"openai": answer("openai")}) as servers:
        analysed(servers, tmp_path / "one", namespace=namespace)
        capped = {"budget": {"calls_per_day": 1}, "context": "another question"}
        report = analysed(servers, tmp_path / "other", namespace=namespace, **capped)
        assert len(servers["openai"].requests) == 1
    (vote,) = llm(report)
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
