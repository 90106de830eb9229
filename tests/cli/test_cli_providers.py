"""The command line with the three cloud services: real SDKs against local servers."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from html_reader import read
from mmcrime.calls import breaker, limits, retry
from mmcrime.results import Assessment, Report
from mmcrime.testing import WireReply
from services import (
    HTML,
    KEYS,
    NAMES,
    USD,
    answer,
    bad_key,
    config,
    failed,
    nobody,
    scripted,
    serving,
    shot,
)
from wire import contract_server

Run = Callable[..., tuple[int, str, str]]
_PATIENCE = 60.0  # seconds after which a process counts as stuck


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmcrime: Run) -> Run:
    """Run the command in a folder with a picture, where repeated attempts wait for little."""
    monkeypatch.setattr(retry, "_FIRST", 0.002)
    monkeypatch.setattr(limits, "_BREATH", 0.002)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    Path("picture.png").write_bytes(shot())
    return mmcrime


def configured(urls: Mapping[str, str], **more: Any) -> None:
    held = config(urls, Path("cache").absolute(), **more)
    Path("config.json").write_text(json.dumps(held), encoding="utf-8")


def named(*names: str) -> list[str]:
    return [part for name in names for part in ("--provider", name)]


def only(out: str) -> Report:
    (line,) = out.splitlines()
    return Report.from_json(line)


def vote(report: Report, name: str) -> Assessment:
    return next(a for a in report.assessments if a.analyzer == f"llm:{name}")


# -- mmcrime analyze picture.png --provider NAME ---------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_a_service_votes_and_every_form_of_the_report_says_what_it_used_cost_and_got(
    run: Run, name: str, shared: Path
) -> None:
    with contract_server(shared, name, [scripted(name)]) as server:
        configured({name: server.url})
        form = ["analyze", "picture.png", *named(name), "--no-cache"]
        json_code, out, _ = run(*form, "--json")
        text_code, text, _ = run(*form)
        html_code, _, _ = run(*form, "-o", "report.html")
    assert [e["errors"] for e in server.log] == [[], [], []]
    assert (json_code, text_code, html_code) == (0, 0, 0)
    report = only(out)
    cast = vote(report, name)
    assert (cast.status, cast.outcome, cast.provider) == ("answered", "detected", name)
    assert (cast.usage.calls, cast.usage.input_tokens, cast.usage.output_tokens) == (1, 1000, 100)
    assert (cast.cost.usd, cast.cost.source) == (USD, "user")
    assert [e.to for e in report.egress] == [f"{name} ({cast_url(server.url, name)})"]
    page = " ".join(read(Path("report.html").read_text(encoding="utf-8")).text.split())
    for told in (" ".join(text.split()), page):
        assert f"{name}" in told
        assert str(cast.model) in told
        assert "$0.0020" in told
        assert cast_url(server.url, name) in told
        assert "One man pushes another, who falls." in told
        assert KEYS[name] not in told
    assert "1 of 1 votes answered" in text


def cast_url(url: str, name: str) -> str:
    return f"{url}/v1" if name == "openai" else url


@pytest.mark.parametrize("how", ["refused", "500", "401", "html", "no JSON"])
def test_two_dead_of_three_exit_with_0_and_all_dead_with_4(run: Run, how: str) -> None:
    broken: dict[str, Callable[[str], WireReply]] = {
        "refused": failed_500,
        "500": failed_500,
        "401": bad_key,
        "html": lambda _: HTML,
        "no JSON": lambda name: answer(name, "I see nothing."),
    }
    replies = {n: answer(n) if n == "gemini" else broken[how](n) for n in NAMES}
    with serving(replies) as servers:
        urls = {n: s.url for n, s in servers.items()}
        if how == "refused":
            urls |= {"openai": nobody(), "anthropic": nobody()}
        configured(urls)
        one_code, one, one_err = run("analyze", "picture.png", *named(*NAMES), "--json")
        _, text, _ = run("analyze", "picture.png", *named(*NAMES))
        none_code, none, none_err = run(
            "analyze", "picture.png", *named("openai", "anthropic"), "--json"
        )
    assert one_code == 0
    verdict = only(one).verdict
    assert (verdict.votes_answered, verdict.votes_asked, verdict.outcome) == (1, 3, "detected")
    assert "1 of 3 votes answered" in text
    for name in ("openai", "anthropic"):
        assert vote(only(one), name).status == "failed"
        assert re.search(rf"llm:{name} +failed", text)
    assert none_code == 4
    assert [r.code for r in only(none).verdict.reasons] == ["all_failed"]
    for key in KEYS.values():
        assert key not in one + one_err + text + none + none_err


def failed_500(_name: str) -> WireReply:
    return failed(500)


def test_a_refusal_of_all_is_4_and_named_so(run: Run) -> None:
    with serving({"openai": answer("openai", stop="refused")}) as servers:
        configured({"openai": servers["openai"].url})
        code, out, _ = run("analyze", "picture.png", *named("openai"), "--json")
    assert code == 4
    assert [r.code for r in only(out).verdict.reasons] == ["all_refused"]


def test_what_was_answered_once_is_not_asked_again_unless_that_is_wanted(run: Run) -> None:
    with serving({"openai": answer("openai")}) as servers:
        configured({"openai": servers["openai"].url})
        form = ["analyze", "picture.png", *named("openai", "openai"), "--json"]
        _, first, _ = run(*form)
        _, second, _ = run(*form)
        assert len(servers["openai"].requests) == 1
        _, anew, _ = run(*form, "--no-cache")
        assert len(servers["openai"].requests) == 2
    assert (only(second).egress, vote(only(second), "openai").cached) == ((), True)
    assert (only(second).cost.usd, only(second).cost.source) == (0.0, "cache")
    for fresh in (first, anew):
        assert (len(only(fresh).egress), only(fresh).cost.usd) == (1, USD)
        assert only(fresh).verdict.votes_asked == 1


def test_offline_is_2_and_sends_nothing(run: Run) -> None:
    with serving({"openai": answer("openai")}) as servers:
        configured({"openai": servers["openai"].url})
        code, out, _ = run("analyze", "picture.png", *named("openai"), "--offline", "--json")
        assert servers["openai"].requests == []
    assert code == 2
    error = vote(only(out), "openai").error
    assert error is not None
    assert error.type == "EgressError"
    assert only(out).egress == ()


def test_a_budget_that_is_too_small_is_5_and_sends_nothing(run: Run) -> None:
    with serving({"openai": answer("openai")}) as servers:
        configured({"openai": servers["openai"].url})
        form = ["analyze", "picture.png", *named("openai"), "--budget", "0.0000001"]
        code, out, _ = run(*form, "--json")
        _, text, _ = run(*form)
        assert servers["openai"].requests == []
    assert code == 5
    assert only(out).egress == ()
    assert "--budget" in " ".join(text.split())


def test_an_unpriced_model_is_5_under_the_default_cap_and_says_what_to_do(run: Run) -> None:
    with serving({"openai": answer("openai")}) as servers:
        configured({"openai": servers["openai"].url})
        held = json.loads(Path("config.json").read_text())
        del held["providers"]["openai"]["price"]
        Path("config.json").write_text(json.dumps(held))
        code, text, _ = run("analyze", "picture.png", *named("openai"))
        assert servers["openai"].requests == []
    assert code == 5
    told = " ".join(text.split())
    assert "Give providers.openai.price, or cap the calls instead" in told


def test_a_folder_shares_the_budget_of_the_command_line(run: Run) -> None:
    """Each call reserves for 4096 tokens that come out and uses 100: three fit."""
    Path("in").mkdir()
    for number in range(20):
        Path(f"in/{number:02}.png").write_bytes(shot(number))
    with serving({"openai": answer("openai")}) as servers:
        configured({"openai": servers["openai"].url})
        held = json.loads(Path("config.json").read_text())
        price = {"input_per_million": 0.0, "output_per_million": 1.0}
        held["providers"]["openai"]["price"] = price
        Path("config.json").write_text(json.dumps(held))
        code, out, _ = run("analyze", "in", *named("openai"), "--budget", "0.004296", "--json")
        assert len(servers["openai"].requests) == 3
    reports = [Report.from_json(line) for line in out.splitlines()]
    assert code == 5
    assert len(reports) == 20
    assert sum(r.verdict.outcome == "detected" for r in reports) == 3


# -- a run that is killed --------------------------------------------------------------


def test_a_run_that_is_killed_after_a_reply_is_not_charged_again(run: Run, tmp_path: Path) -> None:
    """One service has answered and the other has not when the process dies."""
    replies = {"openai": answer("openai"), "gemini": WireReply(fault="silent")}
    command = [sys.executable, "-m", "mmcrime", "analyze", "picture.png"]
    with serving(replies) as servers:
        configured({n: s.url for n, s in servers.items()})
        process = subprocess.Popen(
            [*command, *named("openai", "gemini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MMCRIME_CACHE__DIRECTORY": str(tmp_path / "cache")},
        )
        try:
            assert servers["gemini"].asked.wait(_PATIENCE)
            paid(tmp_path / "cache" / "ledger.sqlite3")
            assert process.poll() is None, "there is a report already"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert len(servers["openai"].requests) == 1
        # As if the reply had never come to be stored: only the record of it is left.
        for file in (tmp_path / "cache" / "answers").rglob("*"):
            if file.is_file():
                file.unlink()
        code, out, _ = run("analyze", "picture.png", *named("openai"), "--json")
        assert len(servers["openai"].requests) == 1
    assert code == 0
    cast = vote(only(out), "openai")
    assert (cast.status, cast.cached, cast.cost.usd, cast.cost.source) == (
        "answered",
        True,
        0.0,
        "cache",
    )
    assert only(out).egress == ()


def paid(ledger: Path) -> None:
    """Wait until a reply is in the record of what was paid."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if ledger.exists():
            with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
                try:
                    rows = connection.execute("SELECT status FROM replies").fetchall()
                except sqlite3.OperationalError:  # it is being made
                    rows = []
            if ("answered",) in rows:
                return
        time.sleep(0.01)
    pytest.fail("no reply was recorded")


# -- mmcrime providers -----------------------------------------------------------------


def test_providers_are_listed_with_key_model_and_what_they_take_and_nothing_is_sent(
    run: Run,
) -> None:
    with serving({n: answer(n) for n in NAMES}) as servers:
        configured({n: s.url for n, s in servers.items()})
        code, out, _ = run("providers")
        assert [s.requests for s in servers.values()] == [[], [], []]
    assert code == 0
    told = " ".join(out.split())
    for name in NAMES:
        assert re.search(rf"^ok +{name} ", out, re.MULTILINE)
        assert cast_url(servers[name].url, name) in told
        assert KEYS[name] not in told
    assert told.count("not enabled, key present; model ") == 3
    assert "pictures, sound, video, a JSON schema" in told


@pytest.mark.parametrize("name", NAMES)
def test_a_check_says_whether_the_answer_was_right(run: Run, name: str) -> None:
    blue, red = (answer(name, json.dumps({"colour": colour})) for colour in ("blue", "red"))
    with serving({name: (blue, red, blue)}) as servers:
        configured({name: servers[name].url})
        right_code, right, _ = run("providers", "check", name)
        wrong_code, wrong, _ = run("providers", "check", name)
        again_code, _, _ = run("providers", "check", name)
        assert len(servers[name].requests) == 3  # no stored answer serves
        assert b"image" in servers[name].requests[0].body
    assert (right_code, wrong_code, again_code) == (0, 4, 0)
    told = " ".join(right.split())
    assert told.startswith(f"ok {name} answered: 'blue'; model ")
    assert "1000 tokens in; 100 tokens out; cost: $0.0020 (your price)." in told
    assert re.search(r"; \d+\.\d s; ", told)
    assert " ".join(wrong.split()).startswith(f"failed {name} answered: 'red'; ")
    assert f"providers.{name}.model" in " ".join(wrong.split())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["refused", "401", "500"])
def test_a_check_of_a_dead_service_is_4_and_says_what_to_do(run: Run, name: str, how: str) -> None:
    with serving({name: bad_key(name) if how == "401" else failed(500)}) as servers:
        configured({name: nobody() if how == "refused" else servers[name].url})
        code, out, err = run("providers", "check", name)
    assert code == 4
    told = " ".join(out.split())
    assert told.startswith(f"failed {name} ")
    assert {"refused": "Check the network", "401": "key", "500": "Try again later"}[how] in told
    assert KEYS[name] not in out + err


def test_a_check_without_a_name_asks_those_in_use(run: Run) -> None:
    blue = {n: answer(n, '{"colour": "blue"}') for n in NAMES}
    with serving(blue) as servers:
        configured({n: s.url for n, s in servers.items()}, default_provider="gemini")
        code, out, _ = run("providers", "check")
        assert [len(servers[n].requests) for n in NAMES] == [0, 0, 1]
    assert code == 0
    assert out.startswith("ok       gemini")


def test_doctor_names_a_service_that_is_left_alone_and_the_report_does(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "APART", 0.0)
    with serving({"openai": failed(503)}) as servers:
        configured({"openai": servers["openai"].url})
        _, before, _ = run("doctor")
        run("analyze", "picture.png", *named("openai"))
        _, after, _ = run("doctor")
        code, report, _ = run("analyze", "picture.png", *named("openai"))
        assert len(servers["openai"].requests) == 5
    assert "shut " not in before
    told = " ".join(after.split())
    assert "shut service openai openai (gpt-5-nano) failed 5 times in a row" in told
    assert "one call is let through from 20" in told
    assert code == 4
    assert "is not asked: it failed 5 times in a row" in " ".join(report.split())


# -- secrets ---------------------------------------------------------------------------


def test_no_command_writes_a_key_whatever_the_level_of_the_logs(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="mmcrime")
    written = ""
    replies = {"openai": bad_key("openai"), "anthropic": failed(500), "gemini": answer("gemini")}
    with serving(replies) as servers:
        configured({n: s.url for n, s in servers.items()})
        for command in (
            ["analyze", "picture.png", *named(*NAMES)],
            ["analyze", "picture.png", *named(*NAMES), "--json"],
            ["analyze", "picture.png", *named(*NAMES), "-o", "report.html"],
            ["providers"],
            *(["providers", "check", name] for name in NAMES),
            ["doctor"],
            ["config", "show"],
        ):
            _, out, err = run(*command)
            written += out + err
    written += Path("report.html").read_text(encoding="utf-8") + caplog.text
    written += "".join(str(vars(record)) for record in caplog.records)
    for key in KEYS.values():
        assert key not in written
