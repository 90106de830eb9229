"""The example service behind a real server, with real uploads."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from select import select
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from mmcrime import Report
from mmcrime.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LIMIT = 300_000
HOSTILE = "../../etc/<script>alert(1)</script>\u202e.mp4"


class Served:
    """A running server: its address, what it logs, and its folder of temporary files."""

    def __init__(self, url: str, log: Path, temporary: Path) -> None:
        self.url = url
        self.temporary = temporary
        self._log = log
        self.client = httpx2.Client(base_url=url, timeout=60, trust_env=False)

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def post(self, content: bytes, name: str = "clip.mp4", **query: str) -> httpx2.Response:
        return self.client.post("/reports", files={"file": (name, content)}, params=query)


@contextmanager
def serving(
    folder: Path, app: str = "service:app", path: Path = EXAMPLES, **variables: str
) -> Iterator[Served]:
    """Run uvicorn on a free loopback port; at the end it must stop in order."""
    log, temporary = folder / "log", folder / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "--app-dir", str(path)]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "0", "--ws", "none", app],
            cwd=folder,
            env=os.environ | {"TMPDIR": str(temporary)} | variables,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        served = Served(_address(server, log), log, temporary)
        with served.client:
            yield served
    finally:
        server.terminate()
        server.wait(30)
    assert "Application shutdown complete" in served.log
    assert "Traceback" not in served.log
    assert list(temporary.iterdir()) == []


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        if found := re.search(r"running on (http://\S+)", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("service"), UPLOAD_LIMIT=str(LIMIT)) as served:
        yield served


def eventually(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 15
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return true()


def test_an_upload_is_answered_with_its_report(service: Served, clip: Path) -> None:
    answer = service.post(clip.read_bytes(), "door.mp4")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    report = Report.from_json(answer.content)
    assert (report.source, report.media.name) == ("door.mp4", "door.mp4")
    assert report.media.kind == "video"
    assert report.verdict.outcome == "undetermined"
    assert report.egress == ()


def test_the_report_is_a_page_when_asked_for(service: Served, clip: Path) -> None:
    answer = service.post(clip.read_bytes(), HOSTILE, format="html")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "automated result, unconfirmed" in answer.text.lower()
    assert "<script>alert(1)" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_another_form_is_refused_by_name(service: Served, clip: Path) -> None:
    answer = service.post(clip.read_bytes(), format="pdf")
    assert answer.status_code == 422
    assert "'json' or 'html'" in answer.text


def test_the_name_of_an_upload_is_text_and_no_path(service: Served, clip: Path) -> None:
    answer = service.post(clip.read_bytes(), HOSTILE)
    assert answer.json()["source"] == HOSTILE.replace("\u202e", "")
    assert answer.json()["media"]["kind"] == "video"


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b"no media at all", 415, "UnsupportedMediaError"),
        (b"", 415, "UnsupportedMediaError"),
        (b"\xff\xd8\xff broken", 422, "CorruptMediaError"),
    ],
)
def test_what_is_no_readable_media_is_the_clients_error_with_the_next_step(
    service: Served, content: bytes, status: int, error: str
) -> None:
    answer = service.post(content, "door.jpg")
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["message"].startswith("'door.jpg': ")
    assert "next_step" in answer.json()


@pytest.mark.parametrize("parts", [("file", "file"), ("file", "other")])
def test_an_upload_of_several_parts_is_refused_and_none_of_them_dropped(
    service: Served, clip: Path, parts: tuple[str, str]
) -> None:
    files = [(part, (f"{n}.mp4", clip.read_bytes())) for n, part in enumerate(parts)]
    answer = service.client.post("/reports", files=files)
    assert answer.status_code == 422
    assert answer.json() == {"detail": "Send one part, named file. This upload has 2."}


def test_an_upload_without_the_part_is_refused(service: Served, clip: Path) -> None:
    answer = service.client.post("/reports", files={"other": ("a.mp4", clip.read_bytes())})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "file"]


def test_an_upload_that_says_that_it_is_too_large_is_refused_unread(service: Served) -> None:
    """Nothing of the body is ever sent: whoever waits for it gives no answer."""
    address = urlsplit(service.url)
    with closing(HTTPConnection(address.netloc, timeout=30)) as connection:
        connection.putrequest("POST", "/reports")
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Content-Length", str(LIMIT + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_an_upload_of_unstated_length_is_refused_at_the_limit_and_not_at_its_end(
    service: Served,
) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    sent, most = 0, 500 * LIMIT  # far more than the sockets between the two hold
    with closing(HTTPConnection(urlsplit(service.url).netloc, timeout=30)) as connection:
        connection.putrequest("POST", "/reports")
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        piece = head + b"x" * 50_000
        while sent < most and not select([connection.sock], [], [], 0)[0]:
            connection.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            sent += len(piece)
            piece = b"x" * 50_000
        assert connection.getresponse().status == 413
    assert LIMIT <= sent < most


def test_several_uploads_at_once_are_all_answered(service: Served, clip: Path) -> None:
    """More than are worked on at the same time; each gets its own report."""
    content = clip.read_bytes()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: service.post(content, f"{n}.mp4"), range(8)))
    assert [a.status_code for a in answers] == [200] * 8
    assert [a.json()["source"] for a in answers] == [f"{n}.mp4" for n in range(8)]
    assert len({a.json()["request_id"] for a in answers}) == 8


def test_a_deadline_that_passes_is_a_gateway_timeout(tmp_path: Path, clip: Path) -> None:
    with serving(tmp_path, DEADLINE="0.000001") as service:
        answer = service.post(clip.read_bytes(), "door.mp4")
    assert (answer.status_code, answer.json()["error"]) == (504, "BudgetExceededError")
    assert answer.json()["next_step"] == "Allow a longer deadline."


HANGING = """
import asyncio
from functools import partial

import service
from mmcrime import Analyzer, CrimeDetectionPipeline
from service import app


class Hanging(Analyzer):
    name, kind, family = "hanging", "video", "hanging"
    modalities = frozenset({"video"})

    async def analyze(self, evidence, context):
        print("HANGING", "offline", context.egress.offline, flush=True)
        try:
            await asyncio.sleep(600)
        finally:
            print("CANCELLED", flush=True)


service.CrimeDetectionPipeline = partial(CrimeDetectionPipeline, analyzers=[Hanging()])
"""


def test_nobody_waits_for_a_long_analysis_and_it_ends_when_its_client_leaves(
    tmp_path: Path, clip: Path
) -> None:
    (tmp_path / "hanging.py").write_text(HANGING, encoding="utf-8")
    found = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
    upload = {"file": ("a.mp4", clip.read_bytes())}

    async def go(service: Served) -> None:
        async with httpx2.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as client:
            waiting = asyncio.create_task(client.post("/reports", files=upload))
            assert await asyncio.to_thread(eventually, lambda: "HANGING" in service.log)
            assert (await client.get("/health", timeout=10)).status_code == 200
            assert "HANGING offline True" in service.log
            assert "CANCELLED" not in service.log
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    with serving(tmp_path, "hanging:app", path=tmp_path, PYTHONPATH=found) as service:
        asyncio.run(go(service))
        assert eventually(lambda: "CANCELLED" in service.log), service.log
        assert service.client.get("/health").status_code == 200


DRAWING = """
import time
from pathlib import Path

from mmcrime import Report
from service import app


def slowly(draw):
    def drawn(report):
        print("DRAWING", flush=True)
        until = time.monotonic() + 30
        while not Path("go").exists() and time.monotonic() < until:
            time.sleep(0.05)
        print("DRAWN", flush=True)
        return draw(report)
    return drawn


Report.to_html, Report.to_json = slowly(Report.to_html), slowly(Report.to_json)
"""


@pytest.mark.parametrize("form", ["html", "json"])
def test_nobody_waits_while_a_report_is_drawn(tmp_path: Path, clip: Path, form: str) -> None:
    """A report of a long video takes its time; the drawing here waits until others are served."""
    (tmp_path / "drawing.py").write_text(DRAWING, encoding="utf-8")
    found = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
    with (
        serving(tmp_path, "drawing:app", path=tmp_path, PYTHONPATH=found) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(service.post, clip.read_bytes(), format=form)
        try:
            assert eventually(lambda: "DRAWING" in service.log), service.log
            assert service.client.get("/health", timeout=15).status_code == 200
            assert "DRAWN" not in service.log
        finally:
            (tmp_path / "go").touch()
        assert waiting.result().status_code == 200


def test_the_service_answers_while_four_analyses_are_at_work(
    tmp_path: Path, footage: Callable[[Path, float, Callable[[float], bool]], Path]
) -> None:
    """Real ones, which decode and compute; each answer to others comes soon and before theirs."""
    content = footage(tmp_path / "long.mp4", 90, lambda at: int(at) % 7 == 0).read_bytes()
    took: list[float] = []
    with serving(tmp_path) as service, ThreadPoolExecutor(4) as pool:
        working = [pool.submit(service.post, content, f"{n}.mp4") for n in range(4)]
        while not any(work.done() for work in working):
            began = time.monotonic()
            assert service.client.get("/health").status_code == 200
            took.append(time.monotonic() - began)
        answers = [work.result() for work in working]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(took) > 10
    assert max(took) < 5.0


def test_what_is_wrong_with_the_set_up_is_not_told_to_the_client() -> None:
    explain: Any = runpy.run_path(str(EXAMPLES / "service.py"))["explain"]
    answer = asyncio.run(explain(None, ConfigError("'/srv/secret.json' cannot be read")))
    assert answer.status_code == 500
    assert b"secret" not in answer.body
