"""What is logged, under which request, and in which form."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path

import pytest

from mmcrime import CrimeDetectionPipeline
from mmcrime.calls.store import AnswerStore
from mmcrime.logs import JsonFormatter, current_request, get_logger, of_request
from mmcrime.plugins import RunContext
from mmcrime.testing import FakeProvider
from services import shot

ROOT = Path(__file__).resolve().parent.parent


def _record(**fields: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "mmcrime.calls", "levelname": "INFO", "msg": "done", **fields}
    )


def test_all_that_is_logged_in_a_run_bears_its_request_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By ourselves, by a plug-in, by whoever hears of the progress, and in threads."""
    log = get_logger("mmcrime.acme")

    async def asked(_: object) -> ValueError:
        log.warning("in the loop")
        await asyncio.to_thread(log.warning, "in a thread")
        return ValueError("a bug")

    def heard(_name: str, _share: float) -> None:
        raise ValueError("a bug")

    given = {
        "analyzers": {"speech": {"enabled": False}},
        "cache": {"directory": str(tmp_path)},
        "budget": {"usd_per_run": None},
    }
    with CrimeDetectionPipeline(given, providers={"mine": FakeProvider(asked)}) as pipeline:
        report = pipeline.analyze(shot(), progress=heard)
    said = {record.getMessage() for record in caplog.records}
    assert {"in the loop", "in a thread", "progress callback failed"} <= said
    for record in caplog.records:
        if record.name.startswith("mmcrime"):
            assert vars(record)["request_id"] == report.request_id
    assert current_request() == ""


def test_what_the_store_logs_in_its_own_thread_bears_the_id_of_whoever_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = get_logger("mmcrime.calls")

    async def ask(store: AnswerStore, request: str) -> None:
        with of_request(request):
            store.soon(log.warning, "soon")
            await store.run(log.warning, "now")

    async def both() -> None:
        store = AnswerStore(tmp_path, size_bytes=1_000_000)
        await asyncio.gather(ask(store, "one"), ask(store, "two"))
        await asyncio.to_thread(store.close)

    asyncio.run(both())
    found = sorted((r.getMessage(), vars(r)["request_id"]) for r in caplog.records)
    assert found == [("now", "one"), ("now", "two"), ("soon", "one"), ("soon", "two")]


def test_a_record_keeps_the_request_that_it_names_itself(caplog: pytest.LogCaptureFixture) -> None:
    with of_request("outer"):
        get_logger("mmcrime.calls").warning("of another", extra={"request_id": "inner"})
        get_logger("mmcrime.calls").warning("of this")
    get_logger("mmcrime.calls").warning("of none")
    assert [vars(r)["request_id"] for r in caplog.records] == ["inner", "outer", ""]


def test_every_logger_of_the_library_is_made_where_the_request_is_written() -> None:
    """``logging.getLogger`` alone would make one whose records have no request."""
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("providers/**/*.py")]:
        made = re.findall(r"= logging\.getLogger\(.+", path.read_text(encoding="utf-8"))
        # These two add handlers and log nothing.
        if path.parts[-2:] not in {("mmcrime", "logs.py"), ("cli", "terminal.py")}:
            assert not [m for m in made if "mmcrime" in m or "__name__" in m], path


def test_a_record_is_one_line_of_json() -> None:
    record = _record(created=0.5, camera="north", frames=3, share=float("nan"), request_id="r-1")
    assert json.loads(JsonFormatter().format(record)) == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "INFO",
        "logger": "mmcrime.calls",
        "message": "done",
        "request_id": "r-1",
        "camera": "north",
        "frames": 3,
        "share": "nan",
    }


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[31m", "\u2028", "\ud800", '"}{', "\0"])
def test_a_hostile_text_stays_inside_of_its_line(hostile: str) -> None:
    record = _record(msg=hostile, exc_info=(ValueError, ValueError(hostile), None))
    line = JsonFormatter().format(record)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == hostile
    assert "ValueError" in json.loads(line)["exception"]


def test_long_texts_are_cut_and_none_can_pose_as_another_part() -> None:
    record = _record(msg="x" * 100_000, level="forged", extra="y" * 100_000)
    line = JsonFormatter().format(record)
    assert len(line) < 5_000
    assert json.loads(line)["level"] == "INFO"


def test_a_request_id_of_the_caller_is_the_one_that_is_logged(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from mmcrime.egress import Gate

    caplog.set_level(logging.INFO, logger="mmcrime")
    given = {"analyzers": {"speech": {"enabled": False}}, "cache": {"directory": str(tmp_path)}}
    context = RunContext(request_id="of-the-caller", egress=Gate(offline=False))
    with CrimeDetectionPipeline(given) as pipeline:
        pipeline.analyze(shot(), run=context)
    found = {vars(r)["request_id"] for r in caplog.records if r.name.startswith("mmcrime")}
    assert found == {"of-the-caller"}
