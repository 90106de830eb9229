"""Every reply that is paid for is written down before it is used."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from calls_kit import ANSWER, CUT, REFUSAL, USAGE, Service, question, until

from mmcrime.calls.ledger import Ledger, Recorded
from mmcrime.calls.meter import Meter, mark_sent, metered
from mmcrime.calls.stored import to_json
from mmcrime.calls.wrapper import Wrapper
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    EgressError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Request, Response, TokenUsage
from mmcrime.results import Cost

KEY = "ab" * 32
PRICE = Cost(usd=0.25, source="price_table", detail="prices of 2026-11-01")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "cache")
    yield ledger
    ledger.close()


def record(ledger: Ledger, response: Response | None, **fields: Any) -> None:
    given: dict[str, Any] = {
        "key": KEY,
        "request_id": "run-1",
        "tenant": "default",
        "provider": "service",
        "endpoint": "https://service.example/v1",
        "model": "m",
        "cost": PRICE,
    }
    ledger.record(response=response, **{**given, **fields})


def rows(ledger_folder: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(ledger_folder / "ledger.sqlite3")) as connection:
        return connection.execute(f"SELECT {columns} FROM replies ORDER BY id").fetchall()  # noqa: S608


def change(tmp_path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(tmp_path / "cache" / "ledger.sqlite3")) as connection:
        connection.execute(sql, values)
        connection.commit()


def price(_model: str | None, usage: TokenUsage, _request: Request) -> Cost:
    tokens = usage.output
    if tokens is None:
        return Cost()
    return Cost(usd=tokens / 100, source="price_table", detail="prices of 2026-11-01")


def recorded(inner: Any, ledger: Ledger, **fields: Any) -> Recorded:
    given: dict[str, Any] = {"name": "service", "price": price, "tenant": "t"}
    return Recorded(inner, ledger=ledger, request_id="run-1", **{**given, **fields})


class Sent(Wrapper):
    """Says that the request leaves, as the gate of the call layer does."""

    async def generate(self, request: Request) -> Response:
        mark_sent()
        return await self._inner.generate(request)


def test_nothing_is_written_before_it_is_used(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "cache")
    assert not ledger.is_open
    ledger.close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for mode in (None, 0o644):
            ledger = Ledger(tmp_path / "cache")
            if mode is not None:
                (tmp_path / "cache" / "ledger.sqlite3").chmod(mode)
            record(ledger, ANSWER)
            files = list((tmp_path / "cache").glob("ledger.sqlite3*"))
            assert len(files) == 3  # the write-ahead log and its index among them
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            ledger.close()
    finally:
        os.umask(before)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_an_answer_serves_every_run(ledger: Ledger) -> None:
    record(ledger, ANSWER)
    assert ledger.find(KEY, request_id="run-1") == ANSWER
    assert ledger.find(KEY, request_id="run-2") == ANSWER
    assert ledger.find("cd" * 32, request_id="run-1") is None


@pytest.mark.parametrize("reply", [REFUSAL, CUT])
def test_a_bad_reply_serves_only_the_run_that_paid_for_it(ledger: Ledger, reply: Response) -> None:
    record(ledger, reply)
    assert ledger.find(KEY, request_id="run-1") == reply
    assert ledger.find(KEY, request_id="run-2") is None


def test_an_answer_is_preferred_to_a_later_refusal(ledger: Ledger) -> None:
    record(ledger, ANSWER, request_id="run-2")
    record(ledger, REFUSAL)
    assert ledger.find(KEY, request_id="run-1") == ANSWER


def test_an_attempt_without_a_reply_serves_nobody(tmp_path: Path, ledger: Ledger) -> None:
    record(ledger, None, cost=Cost(detail="may be billed"))
    assert ledger.find(KEY, request_id="run-1") is None
    columns = "status, reply, usd, cost_source"
    assert rows(tmp_path / "cache", columns) == [("failed", None, None, "unknown")]


def test_a_row_says_who_paid_for_what(tmp_path: Path, ledger: Ledger) -> None:
    before = time.time()
    record(ledger, ANSWER)
    columns = "time, request_id, tenant, provider, endpoint, model, key, status, reply, usd"
    ((at, *row),) = rows(tmp_path / "cache", f"{columns}, cost_source, cost_detail")
    assert before <= at <= time.time()
    assert row == [
        *("run-1", "default", "service", "https://service.example/v1", "m", KEY, "answered"),
        *(to_json(KEY, ANSWER), 0.25, "price_table", "prices of 2026-11-01"),
    ]


@pytest.mark.parametrize(
    "reply", [b"{}", "text", 7, to_json("cd" * 32, ANSWER), to_json(KEY, ANSWER)[:-1]], ids=repr
)
def test_a_damaged_row_is_passed_over(tmp_path: Path, ledger: Ledger, reply: object) -> None:
    record(ledger, ANSWER)
    record(ledger, ANSWER)
    change(tmp_path, "UPDATE replies SET reply = ? WHERE id = 2", reply)
    assert ledger.find(KEY, request_id="run-1") == ANSWER
    change(tmp_path, "UPDATE replies SET reply = ?", reply)
    assert ledger.find(KEY, request_id="run-1") is None


def test_rows_older_than_90_days_are_dropped_when_it_is_opened(
    tmp_path: Path, ledger: Ledger
) -> None:
    for _ in range(3):
        record(ledger, ANSWER)
    day = 24 * 3600
    change(tmp_path, "UPDATE replies SET time = ? WHERE id = 1", time.time() - 91 * day)
    change(tmp_path, "UPDATE replies SET time = ? WHERE id = 2", time.time() - 89 * day)
    ledger.close()
    ledger.open()
    assert rows(tmp_path / "cache", "id") == [(2,), (3,)]


def test_what_is_forgotten_serves_nobody_and_stays_paid(tmp_path: Path, ledger: Ledger) -> None:
    record(ledger, ANSWER)
    ledger.forget()
    assert ledger.find(KEY, request_id="run-1") is None
    assert rows(tmp_path / "cache", "usd, reply") == [(0.25, None)]


def test_threads_share_a_ledger(tmp_path: Path, ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: record(ledger, ANSWER, key=f"k{n}"), range(200)))
    assert len(rows(tmp_path / "cache")) == 200


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from mmcrime.calls.ledger import Ledger
from mmcrime.plugins import Response
from mmcrime.results import Cost
ledger = Ledger(Path(sys.argv[1]))
for n in range(50):
    ledger.record(key=f"{sys.argv[2]} {n}", request_id="r", tenant="t", provider="p", endpoint="e",
        model=None, cost=Cost(), response=Response(status="answered", text="x", model="m"))
ledger.close()
"""
    folder = str(tmp_path / "cache")
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, folder, str(number)])
        for number in range(4)
    ]
    assert [process.wait() for process in started] == [0] * 4
    assert len({key for (key,) in rows(tmp_path / "cache", "key")}) == 200


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"file/cache/ledger\.sqlite3', cannot be used"):
        Ledger(tmp_path / "file" / "cache").open()


def test_a_file_that_is_no_ledger_of_ours_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError, match=r"cannot be used: file is not a database.*move the file"):
        Ledger(tmp_path).open()
    assert path.read_bytes() == b"no database" * 1000
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="it is of version 9, not 1"):
        Ledger(tmp_path).open()


def test_a_reply_that_cannot_be_recorded_is_not_lost(
    tmp_path: Path, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.open()
    change(tmp_path, "DROP TABLE replies")
    provider = recorded(Service(ANSWER), ledger)
    assert asyncio.run(provider.generate(question())).text == ANSWER.text
    assert "could not be recorded" in caplog.text


def test_after_a_reply_that_could_not_be_recorded_nothing_is_sent_until_one_can(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Else a full disk would forget one paid reply after the other."""
    ledger.open()
    change(tmp_path, "ALTER TABLE replies RENAME TO away")
    service = Service(ANSWER)
    provider = recorded(service, ledger)
    asyncio.run(provider.generate(question()))
    with pytest.raises(ConfigError, match="cannot be used"):
        asyncio.run(provider.generate(question()))
    assert len(service.asked) == 1
    change(tmp_path, "ALTER TABLE away RENAME TO replies")
    asyncio.run(provider.generate(question()))
    assert rows(tmp_path / "cache", "status") == [("answered",)]


def test_a_reply_whose_counts_nobody_can_price_is_recorded_at_unknown_cost(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Its cost is unknown, never 0, and it is not paid for again."""

    def priced(_model: str | None, usage: TokenUsage, _request: Request) -> Cost:
        return Cost(usd=(usage.output or 0) / 1e-300 * 1e300, source="price_table")

    provider = recorded(Service(ANSWER), ledger, price=priced)
    meter = asyncio.run(metered_call(provider))
    assert (meter.calls, meter.cost.usd) == (1, None)
    assert "counts" in meter.cost.detail
    assert rows(tmp_path / "cache", "status, usd") == [("answered", None)]
    assert ledger.find(KEY, request_id="run-2") is not None


def test_a_link_in_place_of_the_file_is_refused_and_what_it_leads_to_is_not_touched(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    other.chmod(0o644)
    (tmp_path / "ledger.sqlite3").symlink_to(other)
    with pytest.raises(ConfigError, match="it is a link"):
        Ledger(tmp_path).open()
    assert (other.read_text(), other.stat().st_mode & 0o777) == ("precious", 0o644)


async def metered_call(provider: Recorded, error: type[BaseException] | None = None) -> Meter:
    with metered() as meter:
        if error is None:
            await provider.generate(question(key=KEY))
        else:
            with pytest.raises(error):
                await provider.generate(question(key=KEY))
    return meter


@pytest.mark.parametrize("reply", [ANSWER, REFUSAL, CUT])
def test_a_reply_is_priced_counted_and_written_down(
    tmp_path: Path, ledger: Ledger, reply: Response
) -> None:
    async def ask() -> tuple[Response, Meter]:
        with metered() as meter:
            return await recorded(Service(reply), ledger).generate(question(key=KEY)), meter

    response, meter = asyncio.run(ask())
    assert response.cost == price(None, reply.usage, question())
    assert response.provider == "service"
    assert meter.cost == price(None, reply.usage, question())
    assert meter.usage.calls == 1
    assert meter.usage.input_tokens == USAGE.input
    assert rows(tmp_path / "cache", "status, usd, tenant") == [(reply.status, 0.3, "t")]
    assert ledger.find(KEY, request_id="run-1") is not None


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("gone", provider="service"),
        InvalidResponseError("nonsense", provider="service"),
    ],
    ids=repr,
)
def test_a_failure_that_may_be_billed_has_an_unknown_cost_and_a_row(
    tmp_path: Path, ledger: Ledger, error: ProviderError
) -> None:
    sent = recorded(Sent(Service(error)), ledger)
    meter = asyncio.run(metered_call(sent, type(error)))
    assert meter.calls == 1
    assert meter.cost == Cost(detail="an attempt failed; it may be billed")
    assert rows(tmp_path / "cache", "status, usd") == [("failed", None)]


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("slow down", provider="service"),
        AuthenticationError("no", provider="service"),
        ProviderError("bad request", provider="service"),
    ],
    ids=repr,
)
def test_a_failure_for_free_costs_nothing_and_has_no_row(
    tmp_path: Path, ledger: Ledger, error: ProviderError
) -> None:
    sent = Sent(Service(error))
    meter = asyncio.run(metered_call(recorded(sent, ledger), type(error)))
    assert meter.calls == 1
    assert meter.cost == Cost(usd=0.0, source="price_table", detail="prices of 2026-11-01")
    assert rows(tmp_path / "cache") == []
    unpriced = recorded(sent, ledger, price=lambda *_: Cost(detail="no price"))
    assert asyncio.run(metered_call(unpriced, type(error))).cost == Cost(detail="no price")


@pytest.mark.parametrize(
    "error",
    [
        EgressError("offline"),
        BudgetExceededError("out of time"),
        RateLimitedError("its turn would come too late", provider="service"),
    ],
)
def test_an_attempt_that_never_left_is_not_counted(
    tmp_path: Path, ledger: Ledger, error: Exception
) -> None:
    meter = asyncio.run(metered_call(recorded(Service(error), ledger), type(error)))
    assert meter.calls == 0
    assert rows(tmp_path / "cache") == []


def test_a_plug_in_that_breaks_after_sending_may_be_billed(ledger: Ledger) -> None:
    sent = recorded(Sent(Service(KeyError("choices"))), ledger)
    assert asyncio.run(metered_call(sent, KeyError)).cost.usd is None
    before = recorded(Service(KeyError("choices")), ledger)
    assert asyncio.run(metered_call(before, KeyError)).calls == 0


@pytest.mark.parametrize("sent", [True, False])
def test_a_cancelled_attempt_counts_once_it_has_left(ledger: Ledger, sent: bool) -> None:
    async def ask() -> Meter:
        service = Service(ANSWER)
        service.release = asyncio.Event()
        provider = recorded(Sent(service) if sent else service, ledger)
        with metered() as meter:
            task = asyncio.create_task(provider.generate(question()))
            await until(lambda: bool(service.asked))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return meter

    meter = asyncio.run(ask())
    assert meter.calls == sent
    assert (meter.cost.detail != "") == sent


def test_a_cancelled_call_that_was_answered_is_written_down(tmp_path: Path, ledger: Ledger) -> None:
    async def ask() -> None:
        ledger.open()
        with closing(sqlite3.connect(tmp_path / "cache" / "ledger.sqlite3")) as other:
            other.execute("BEGIN IMMEDIATE")  # the row has to wait
            with metered() as meter:
                task = asyncio.create_task(recorded(Service(ANSWER), ledger).generate(question()))
                await until(lambda: meter.calls == 1)
            task.cancel()
            await asyncio.sleep(0.05)
            assert not task.done()
            other.rollback()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())
    assert rows(tmp_path / "cache", "status") == [("answered",)]


def test_a_ledger_that_cannot_be_used_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    service = Service(ANSWER)
    with pytest.raises(ConfigError):
        asyncio.run(recorded(service, Ledger(tmp_path / "file")).generate(question()))
    assert service.asked == []
