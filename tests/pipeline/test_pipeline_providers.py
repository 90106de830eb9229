"""Runs that ask the three cloud services: real SDKs, real HTTP, the whole call layer."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmcrime import CrimeDetectionPipeline
from mmcrime.calls import breaker, limits, retry
from mmcrime.plugins import Response, TokenUsage
from mmcrime.results import Assessment, Report
from mmcrime.testing import FakeProvider, WireReply
from mmcrime.testing.wire import WireServer
from services import (
    HTML,
    KEYS,
    NAMES,
    USD,
    VARIABLES,
    Listener,
    answer,
    bad_key,
    config,
    failed,
    nobody,
    scripted,
    serving,
    shot,
    words,
)
from wire import contract_server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds where an attempt is repeated."""
    monkeypatch.setattr(retry, "_FIRST", 0.002)
    monkeypatch.setattr(limits, "_BREATH", 0.002)


@contextmanager
def opened(
    urls: Mapping[str, str], folder: Path, *, providers: Any = None, **more: Any
) -> Iterator[CrimeDetectionPipeline]:
    with CrimeDetectionPipeline(config(urls, folder, **more), providers=providers) as pipeline:
        yield pipeline


def asked(urls: Mapping[str, str], folder: Path, media: Any = None, **call: Any) -> Report:
    """Analyse one picture with every service that has an address, in a fresh pipeline."""
    more = call.pop("settings", {})
    call.setdefault("providers", list(urls))
    with opened(urls, folder, **more) as pipeline:
        return pipeline.analyze(shot() if media is None else media, **call)


def urls_of(servers: Mapping[str, WireServer]) -> dict[str, str]:
    return {name: server.url for name, server in servers.items()}


def bangs() -> bytes:
    """Two seconds of faint noise with two bangs."""
    samples = np.random.default_rng(0).normal(0, 30, 32_000)
    for start in (8_000, 24_000):
        samples[start : start + 1600] += np.random.default_rng(1).normal(0, 12_000, 1600)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(samples.clip(-32_000, 32_000).astype("<i2").tobytes())
    return buffer.getvalue()


def vote(report: Report, name: str) -> Assessment:
    return next(a for a in report.assessments if a.analyzer == f"llm:{name}")


def sent_to(report: Report) -> list[str]:
    return [record.to.partition(" ")[0] for record in report.egress]


# -- each of the three, against its contract ------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_goes_to_a_service_as_its_contract_says_and_its_vote_is_in_the_report(
    name: str, shared: Path, tmp_path: Path
) -> None:
    with contract_server(shared, name, [scripted(name)]) as server:
        report = asked({name: server.url}, tmp_path)
    assert [(e["errors"], e["method"]) for e in server.log] == [([], "POST")]
    cast = vote(report, name)
    assert (cast.status, cast.outcome, cast.provider) == ("answered", "detected", name)
    assert (cast.probability, cast.probability_source) == (0.9, "claimed")
    assert (
        cast.model
        == {
            "openai": "gpt-5-nano-2025-08-07",
            "anthropic": "claude-haiku-4-5-20251001",
            "gemini": "gemini-3.8-flash-001",
        }[name]
    )
    assert (cast.usage.calls, cast.usage.input_tokens, cast.usage.output_tokens) == (1, 1000, 100)
    assert (cast.cost.usd, cast.cost.source) == (USD, "user")
    assert report.cost.usd == USD
    (left,) = report.egress
    assert left.to.startswith(f"{name} (http://127.0.0.1:")
    assert "image" in left.what
    assert 0 < (left.size_bytes or 0) < len(server.log[0]["raw"])
    assert (report.verdict.votes_asked, report.verdict.votes_answered) == (1, 1)
    assert report.verdict.outcome == "detected"


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["video", "audio"])
def test_video_and_sound_reach_a_service_as_it_takes_them_and_without_their_name(
    name: str, kind: str, shared: Path, tmp_path: Path, footage: Path
) -> None:
    """Gemini hears and watches; the others get pictures with their times, and words."""
    media: Any = footage
    given: dict[str, Any] = {"name": "Qwertz_at_Number_7.mp4", "metadata": {"site": "Xanadu"}}
    if kind == "audio":
        media = tmp_path / "Plugh.wav"
        media.write_bytes(bangs())
        given = {}
    with contract_server(shared, name, [scripted(name, words("no"))]) as server:
        report = asked({name: server.url}, tmp_path / "cache", media, **given)
    assert [e["errors"] for e in server.log] == [[]]
    raw = server.log[0]["raw"].decode()
    for hidden in ("Qwertz", "Number_7", "Plugh", "Xanadu", "scene.mp4", str(tmp_path)):
        assert hidden not in raw
    cast = vote(report, name)
    assert (cast.status, cast.outcome) == ("answered", "not_detected"), cast.error
    if name == "gemini":
        assert f'"{kind}/' in raw
        assert cast.coverage.examined
    elif kind == "video":
        assert raw.count("Picture at ") == cast.coverage.frames > 3
        assert "Picture at 0.000 s:" in raw
        assert "Picture at 15.000 s:" in raw
    else:
        # What was only recognised here was not heard by the model, and counts as a gap.
        assert '\\"label\\": ' in raw
        assert cast.coverage.examined == ()


# -- dead services ---------------------------------------------------------------------

DEATHS: dict[str, WireReply | str] = {
    "refused": "refused",
    "500": failed(500),
    "503 with HTML": failed(503, content_type="text/html"),
    "401": "bad key",
    "402": failed(402),
    "404": failed(404),
    "200 with HTML": HTML,
    "200 and empty": WireReply(body=b""),
    "200 and null": WireReply(body=b"null"),
    "half a body": WireReply(body=b'{"a": "' + b"x" * 9000 + b'"}', fault="half"),
    "reset": WireReply(fault="reset"),
    "no JSON in it": "no JSON",
    "[false]": "[false]",
    "false": '"false"',
    "truncated": "truncated",
    "drip": WireReply(fault="drip"),
}


def death(how: str, name: str) -> WireReply:
    reply = DEATHS[how]
    if isinstance(reply, WireReply):
        return reply
    if reply == "bad key":
        return bad_key(name)
    if reply == "truncated":
        return answer(name, words()[:40], stop="truncated")
    return answer(name, {"no JSON": "I see nothing."}.get(reply, reply))


@pytest.mark.parametrize("how", DEATHS)
def test_two_dead_services_of_three_leave_one_vote_of_three_and_two_named_failures(
    how: str, tmp_path: Path
) -> None:
    alive = NAMES[list(DEATHS).index(how) % 3]
    replies = {n: answer(n) if n == alive else death(how, n) for n in NAMES}
    with serving(replies) as servers:
        urls = urls_of(servers)
        if how == "refused":
            urls = {n: url if n == alive else nobody() for n, url in urls.items()}
        held = config(urls, tmp_path)
        for name in set(NAMES) - {alive}:
            held["providers"][name]["timeout"] = 0.5 if how == "drip" else 20
        with CrimeDetectionPipeline(held) as pipeline:
            report = pipeline.analyze(shot(), providers=list(NAMES))
    verdict = report.verdict
    assert (verdict.votes_asked, verdict.votes_answered) == (3, 1)
    assert verdict.outcome == "detected"  # by the one that answered
    assert vote(report, alive).status == "answered"
    assert vote(report, alive).cost.usd == USD
    for name in set(NAMES) - {alive}:
        cast = vote(report, name)
        assert (cast.status, cast.outcome, cast.probability) == (
            "failed",
            "undetermined",
            None,
        )
        assert cast.error is not None
        assert name in cast.error.message
        assert cast.error.next_step
        assert [e.stage for e in report.errors].count(f"analyze:llm:{name}") == 1
        # What was sent is counted, whether it helped or not.
        assert cast.usage.calls == sent_to(report).count(name) > 0


@pytest.mark.parametrize("how", ["refused", "500", "401", "200 with HTML", "[false]"])
def test_when_all_are_dead_nothing_is_said(how: str, tmp_path: Path) -> None:
    with serving({n: death(how, n) for n in NAMES}) as servers:
        urls = {n: nobody() for n in NAMES} if how == "refused" else urls_of(servers)
        report = asked(urls, tmp_path)
    assert report.verdict.outcome == "undetermined"
    assert report.verdict.crime_detected is None
    assert [r.code for r in report.verdict.reasons] == ["all_failed"]
    assert (report.verdict.votes_asked, report.verdict.votes_answered) == (3, 0)


def test_refusals_of_all_are_named_so_and_have_been_paid(tmp_path: Path) -> None:
    with serving({n: answer(n, stop="refused") for n in NAMES}) as servers:
        report = asked(urls_of(servers), tmp_path)
        assert [len(s.requests) for s in servers.values()] == [1, 1, 1]
    assert [r.code for r in report.verdict.reasons] == ["all_refused"]
    assert {a.status for a in report.assessments if a.kind == "llm"} == {"refused"}
    assert report.cost.usd == pytest.approx(3 * USD)


# -- fallback --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "kind"), [("refusal", "refusal"), ("503", "outage"), ("429", "rate")]
)
def test_another_provider_stands_in_and_the_vote_is_its_own(
    how: str, kind: str, tmp_path: Path
) -> None:
    first = {
        "refusal": answer("openai", stop="refused"),
        "503": failed(503),
        "429": WireReply(
            status=429, body={"error": {"message": "quota", "code": "insufficient_quota"}}
        ),
    }[how]
    replies = {"openai": first, "anthropic": failed(503), "gemini": answer("gemini")}
    with serving(replies) as servers:
        settings = {"fallback": ["anthropic", "gemini"]}
        report = asked(urls_of(servers), tmp_path, providers=["openai"], settings=settings)
    cast = vote(report, "openai")
    assert (cast.status, cast.provider, cast.model) == (
        "answered",
        "gemini",
        "gemini-3.8-flash-001",
    )
    assert [f.split(": ")[:2] for f in cast.fallbacks] == [
        ["openai", kind],
        ["anthropic", "outage"],
    ]
    assert (report.verdict.votes_asked, report.verdict.votes_answered) == (1, 1)
    assert cast.usage.calls == len(report.egress)
    assert sent_to(report)[-1] == "gemini"


def test_a_provider_that_takes_no_such_media_hands_on(tmp_path: Path, quiet_wav: bytes) -> None:
    """Sound without words or events is nothing that OpenAI's model could be told."""
    replies = {"openai": answer("openai", words("no")), "gemini": answer("gemini", words("no"))}
    with serving(replies) as servers:
        urls = urls_of(servers)
        alone = asked(urls, tmp_path, quiet_wav, providers=["openai"])
        settings = {"fallback": ["gemini"]}
        report = asked(urls, tmp_path, quiet_wav, providers=["openai"], settings=settings)
        assert servers["openai"].requests == []
    error = vote(alone, "openai").error
    assert error is not None
    assert error.type == "UnfitMediaError"
    assert (alone.cost.usd, alone.verdict.votes_asked) == (0.0, 2)  # sound, and this one
    cast = vote(report, "openai")
    assert cast.provider == "gemini"
    assert cast.fallbacks[0].startswith("openai: capability: ")
    assert sent_to(report) == ["gemini"]


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_key_is_not_hidden_behind_another_provider(name: str, tmp_path: Path) -> None:
    other = "gemini" if name != "gemini" else "openai"
    with serving({name: bad_key(name), other: answer(other)}) as servers:
        report = asked(urls_of(servers), tmp_path, providers=[name], settings={"fallback": [other]})
        assert servers[other].requests == []
        assert len(servers[name].requests) == 1  # nor is it tried again
    cast = vote(report, name)
    assert cast.error is not None
    assert cast.error.type == "AuthenticationError"
    assert cast.cost.usd == 0.0
    assert KEYS[name] not in report.to_json()


def test_a_voter_that_was_stood_in_for_does_not_count_twice(tmp_path: Path) -> None:
    """The stand-in is a voter of the panel itself: its one answer is one vote."""
    with serving({"openai": failed(503), "gemini": answer("gemini")}) as servers:
        report = asked(
            urls_of(servers), tmp_path, settings={"fallback": ["gemini"], "min_votes": 2}
        )
        assert len(servers["gemini"].requests) == 1
    assert {vote(report, n).provider for n in ("openai", "gemini")} == {"gemini"}
    assert report.verdict.votes_answered == 1
    assert report.verdict.outcome == "undetermined"
    assert [r.code for r in report.verdict.reasons] == ["too_few_votes"]


# -- stored answers --------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_second_run_sends_nothing_and_says_that_it_was_stored(
    name: str, tmp_path: Path
) -> None:
    with serving({name: answer(name)}) as servers:
        urls = urls_of(servers)
        first, second = (asked(urls, tmp_path) for _ in range(2))
        anew = asked(urls, tmp_path, settings={"cache": {"enabled": False}})
        assert len(servers[name].requests) == 2
        third = asked(urls, tmp_path, shot(1))
        assert len(servers[name].requests) == 3
    assert (second.egress, vote(second, name).cached) == ((), True)
    assert (second.cost.usd, second.cost.source) == (0.0, "cache")
    assert vote(second, name).usage.calls == 0
    assert second.verdict == first.verdict
    assert vote(second, name).model == vote(first, name).model
    for fresh in (first, anew, third):
        assert len(fresh.egress) == 1
        assert not vote(fresh, name).cached
        assert fresh.cost.usd == USD


def test_a_changed_model_or_address_is_asked_again(tmp_path: Path) -> None:
    with serving({"openai": answer("openai")}) as servers:
        url = servers["openai"].url
        asked({"openai": url}, tmp_path)
        held = config({"openai": url}, tmp_path)
        held["providers"]["openai"]["model"] = "gpt-another"
        with CrimeDetectionPipeline(held) as pipeline:
            report = pipeline.analyze(shot(), providers=["openai"])
        assert len(servers["openai"].requests) == 2
        assert not vote(report, "openai").cached
        asked({"openai": url.replace("127.0.0.1", "localhost")}, tmp_path)
        assert len(servers["openai"].requests) == 3


# -- money -----------------------------------------------------------------------------


def test_a_budget_that_is_too_small_sends_nothing(tmp_path: Path) -> None:
    with serving({"openai": answer("openai")}) as servers:
        report = asked(urls_of(servers), tmp_path, settings={"budget": {"usd_per_run": 1e-7}})
        assert servers["openai"].requests == []
    cast = vote(report, "openai")
    assert cast.error is not None
    assert cast.error.type == "BudgetExceededError"
    assert "budget.usd_per_run" in cast.error.message
    assert report.egress == ()
    assert (cast.usage.calls, report.cost.usd) == (0, 0.0)
    assert report.verdict.outcome == "undetermined"


def test_a_model_without_a_price_is_not_asked_under_the_default_cap(tmp_path: Path) -> None:
    with serving({"openai": answer("openai")}) as servers:
        held = config(urls_of(servers), tmp_path)
        del held["providers"]["openai"]["price"]
        with CrimeDetectionPipeline(held) as pipeline:
            refused = pipeline.analyze(shot(), providers=["openai"])
        assert servers["openai"].requests == []
        held["budget"] = {"calls_per_run": 1}
        with CrimeDetectionPipeline(held) as pipeline:
            capped = pipeline.analyze(shot(), providers=["openai"])
        assert len(servers["openai"].requests) == 1
    error = vote(refused, "openai").error
    assert error is not None
    assert error.type == "BudgetExceededError"
    assert "providers.openai.price" in error.next_step
    assert "which is the default" in error.message
    # Paid for, and nobody knows how much: that is not zero.
    assert vote(capped, "openai").status == "answered"
    assert capped.cost.usd is None


def test_a_folder_shares_one_budget(tmp_path: Path) -> None:
    """Each call may come to 4096 tokens and comes to 100: there is room for exactly three."""
    pictures = [shot(number) for number in range(20)]
    each = 1e-6
    price = {"input_per_million": 0.0, "output_per_million": each * 1e6}
    cap = 0.004296  # of which each reserves 0.004096
    with serving({"openai": answer("openai")}) as servers:
        held = config(urls_of(servers), tmp_path, budget={"usd_per_run": cap})
        held["providers"]["openai"]["price"] = price
        with CrimeDetectionPipeline(held) as pipeline:
            reports = list(pipeline.analyze_many(pictures, providers=["openai"]))
        assert len(servers["openai"].requests) == 3
    paid = [r for r in reports if vote(r, "openai").status == "answered"]
    assert len(paid) == 3
    assert sum(r.cost.usd or 0.0 for r in paid) == pytest.approx(300 * each)
    for report in reports:
        error = vote(report, "openai").error
        if report not in paid:
            assert error is not None
            assert error.type == "BudgetExceededError"
            assert report.egress == ()
            assert report.verdict.outcome == "undetermined"


def test_what_failed_attempts_cost_is_in_the_failed_assessment(tmp_path: Path) -> None:
    """A reply that cannot be read is paid for, and so is the one request to repair it."""
    with serving({"openai": answer("openai", "no JSON at all")}) as servers:
        report = asked(urls_of(servers), tmp_path)
        assert len(servers["openai"].requests) == 2
    cast = vote(report, "openai")
    assert cast.status == "failed"
    assert cast.usage.calls == 2
    assert cast.usage.input_tokens == 2000
    assert cast.cost.usd == report.cost.usd == pytest.approx(2 * USD)


def test_attempts_that_are_not_billed_cost_nothing_and_count_as_calls(tmp_path: Path) -> None:
    slow = WireReply(status=429, headers={"retry-after-ms": "1"}, body={"error": {"message": "x"}})
    with serving({"openai": (slow, answer("openai"))}) as servers:
        report = asked(urls_of(servers), tmp_path)
    cast = vote(report, "openai")
    assert (cast.status, cast.usage.calls, len(report.egress)) == ("answered", 2, 2)
    assert cast.cost.usd == USD


def test_an_attempt_that_may_have_been_billed_makes_the_cost_unknown(tmp_path: Path) -> None:
    with serving({"openai": (failed(500), answer("openai"))}) as servers:
        report = asked(urls_of(servers), tmp_path)
    cast = vote(report, "openai")
    assert (cast.status, cast.usage.calls) == ("answered", 2)
    assert cast.cost.usd is None
    assert "may be billed" in cast.cost.detail


# -- time ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_deadline_ends_a_call_and_what_was_sent_is_counted(name: str, tmp_path: Path) -> None:
    with Listener() as listener:
        report = asked({name: listener.url}, tmp_path, deadline=1.5)
        assert listener.left.wait(20)
    cast = vote(report, name)
    assert cast.status == "failed"
    assert cast.error is not None
    assert cast.error.type == "DeadlineError"
    assert sent_to(report) == [name]
    assert cast.usage.calls == 1
    assert cast.cost.usd is None


@pytest.mark.parametrize("name", NAMES)
def test_cancelling_a_run_hangs_up(name: str, tmp_path: Path) -> None:
    async def work(listener: Listener) -> None:
        with opened({name: listener.url}, tmp_path) as pipeline:
            running = asyncio.ensure_future(pipeline.analyze_async(shot(), providers=[name]))
            assert await asyncio.to_thread(listener.asked.wait, 20)
            assert not listener.left.is_set()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await asyncio.to_thread(listener.left.wait, 20)

    with Listener() as listener:
        asyncio.run(work(listener))


def test_what_was_cancelled_holds_nothing_up(tmp_path: Path) -> None:
    """Places, reservations and flights are given back: the same question is asked afresh."""

    async def work(pipeline: CrimeDetectionPipeline, servers: Mapping[str, WireServer]) -> Report:
        running = asyncio.ensure_future(pipeline.analyze_async(shot(), providers=["openai"]))
        assert await asyncio.to_thread(servers["openai"].asked.wait, 20)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await pipeline.analyze_async(shot(), providers=["openai"])

    with serving({"openai": (WireReply(fault="silent"), answer("openai"))}) as servers:
        held = config(urls_of(servers), tmp_path)
        held["providers"]["openai"]["max_concurrency"] = 1
        with CrimeDetectionPipeline(held) as pipeline:
            report = asyncio.run(work(pipeline, servers))
    assert vote(report, "openai").status == "answered"
    assert report.cost.usd == USD


# -- who is asked ----------------------------------------------------------------------


def test_a_provider_that_is_named_twice_has_one_vote(tmp_path: Path) -> None:
    with serving({"openai": answer("openai")}) as servers:
        report = asked(urls_of(servers), tmp_path, providers=["openai", "openai"])
        assert len(servers["openai"].requests) == 1
    assert (report.verdict.votes_asked, report.verdict.votes_answered) == (1, 1)


def test_offline_sends_nothing_and_is_a_failure(tmp_path: Path) -> None:
    with serving({n: answer(n) for n in NAMES}) as servers:
        report = asked(urls_of(servers), tmp_path, offline=True)
        assert [s.requests for s in servers.values()] == [[], [], []]
    assert report.egress == ()
    assert report.verdict.outcome == "undetermined"
    errors = [vote(report, n).error for n in NAMES]
    assert {e.type for e in errors if e is not None} == {"EgressError"}
    assert report.verdict.votes_asked == 3
    assert report.cost.usd == 0.0


def test_keys_in_the_environment_alone_send_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The addresses lead to our servers, so that a request would be seen."""
    with serving({n: answer(n) for n in NAMES}) as servers:
        for name in NAMES:
            monkeypatch.setenv(VARIABLES[name], KEYS[name])
            section = f"MMCRIME_PROVIDERS__{name.upper()}"
            url = servers[name].url
            monkeypatch.setenv(f"{section}__BASE_URL", f"{url}/v1" if name == "openai" else url)
            monkeypatch.setenv(f"{section}__API_KEY", KEYS[name])
            monkeypatch.setenv(f"{section}__MODEL", "m")
        monkeypatch.setenv("MMCRIME_BUDGET__CALLS_PER_RUN", "9")
        monkeypatch.setenv("MMCRIME_CACHE__DIRECTORY", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        with CrimeDetectionPipeline() as pipeline:
            silent = pipeline.analyze(shot())
            assert [s.requests for s in servers.values()] == [[], [], []]
            named = pipeline.analyze(shot(), providers=list(NAMES))
        assert [len(s.requests) for s in servers.values()] == [1, 1, 1]
    assert silent.egress == ()
    assert silent.verdict.votes_asked == 0
    assert named.verdict.votes_answered == 3


def test_injected_providers_vote_under_the_names_they_are_given(tmp_path: Path) -> None:
    def said(incident: str) -> FakeProvider:
        usage = TokenUsage(input=10, output=2)
        fake = FakeProvider(
            lambda _: Response(status="answered", text=words(incident), model="f-1", usage=usage)
        )
        fake.free = True
        return fake

    mine = {"mine": said("yes"), "yours": said("yes")}
    with opened({}, tmp_path, providers=mine) as pipeline:
        report = pipeline.analyze(shot())
        again = pipeline.analyze(shot())
        only = pipeline.analyze(shot(1), providers=["yours"])
    assert [(a.provider, a.model) for a in report.assessments if a.kind == "llm"] == [
        ("mine", "f-1"),
        ("yours", "f-1"),
    ]
    assert report.verdict.votes_answered == 2
    assert (report.cost.usd, report.cost.source) == (0.0, "local")
    assert all(a.cached for a in again.assessments if a.kind == "llm")
    assert only.verdict.votes_asked == 1
    assert [p.calls for p in mine.values()] == [1, 2]
    # Another pipeline cannot know what this instance would have answered.
    with opened({}, tmp_path, providers={"mine": said("no")}) as pipeline:
        assert pipeline.analyze(shot()).verdict.outcome == "not_detected"


def test_an_answer_about_one_file_serves_no_other_that_looks_the_same(tmp_path: Path) -> None:
    """Promise 2: the vote of one file never counts for another."""
    fake = FakeProvider(
        lambda _: Response(status="answered", text=words(), model="f-1"),
    )
    fake.free = True
    first, same_pixels = shot(), shot() + b"\0"  # bytes behind the end are no part of a picture
    with opened({}, tmp_path, providers={"mine": fake}) as pipeline:
        reports = [pipeline.analyze(media) for media in (first, same_pixels, first)]
    votes = [a for report in reports for a in report.assessments if a.kind == "llm"]
    assert [vote.cached for vote in votes] == [False, False, True]
    assert fake.calls == 2


# -- secrets ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["answered", "401", "500", "refused", "[false]"])
def test_no_key_is_in_a_log_a_report_or_an_error(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("mmcrime", "openai", "anthropic", "google_genai", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    replies = {n: answer(n) if how == "answered" else death(how, n) for n in NAMES}
    with serving(replies) as servers:
        urls = {n: nobody() for n in NAMES} if how == "refused" else urls_of(servers)
        report = asked(urls, tmp_path)
        if how == "answered":  # each key really travelled
            for name in NAMES:
                assert KEYS[name] in str(servers[name].requests[0].headers)
    whole = [report.to_json(), report.to_html(), json.dumps(report.to_flat()), str(report)]
    for record in caplog.records:
        whole += [record.getMessage(), str(vars(record)), caplog.handler.format(record)]
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    for key in KEYS.values():
        assert not [text for text in whole if key in text]
        assert key.encode() not in stored


# -- the breaker -----------------------------------------------------------------------


def test_a_service_that_keeps_failing_is_left_alone_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "APART", 0.0)
    with serving({"openai": failed(503)}) as servers:
        urls = urls_of(servers)
        first = asked(urls, tmp_path)
        sent = len(servers["openai"].requests)
        second = asked(urls, tmp_path, shot(1))
        assert len(servers["openai"].requests) == sent == 5
    assert sent_to(first) == ["openai"] * 5
    error = vote(second, "openai").error
    assert error is not None
    assert "is not asked: it failed 5 times in a row" in error.message
    assert second.egress == ()
    # It has failed before anything was sent: not even a call is counted.
    assert vote(second, "openai").usage.calls == 0
