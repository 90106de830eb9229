"""OpenAI, Anthropic and Gemini as local servers that hold batches, as the real ones do.

Each batch runs for some looks, then ends. Every request is answered with its own question, so
that a test sees whose answer somebody got.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import services

NAMES = services.NAMES
_ENDED = {
    "openai": {"ended": "completed"},
    "gemini": {"ended": "SUCCEEDED"},
    "anthropic": {},
}


@dataclass(kw_only=True)
class Submitted:
    """A batch as the service holds it.

    Attributes:
        name: The service's name of it.
        label: Ours, where the service has a place for it.
        bodies: What was asked, by the ids of requests.
        looks: How often was asked how far it is.
        file: What was uploaded for it, for OpenAI.
    """

    name: str
    label: str
    bodies: Mapping[str, Any]
    file: str = ""
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    looks: int = 0


@dataclass(kw_only=True)
class BatchService:
    """One service.

    Attributes:
        kind: Which of the three.
        contract: What requests are held against, unknown keys refused; None for nothing.
        runs: Looks until a batch has ended.
        state: What becomes of batches: ``ended``, ``failed``, ``expired`` or ``cancelled``.
        results: Makes the lines of answers of one that it is given, in the order of their
            questions.
        text: What every answer says; None for what was asked.
        lost: How many submissions are taken without saying so: the line breaks.
        refusals: Statuses with which the next submissions are refused.
        cut: Whether the line breaks in the middle of the next answers.
        held: Submissions are taken and not answered until this is set; None for at once.
        held_at: The end of a path at which requests are held too, and never taken.
        live: Requests that were answered at once.
        batches: What was submitted, in order.
        asked: Method and path of every request.
        wrong: What broke the contract.
        deleted: Names that were deleted.
    """

    kind: str
    contract: Any = None
    runs: int = 1
    state: str = "ended"
    results: Callable[[list[dict[str, Any]]], list[Any]] = lambda lines: lines
    text: str | None = None
    lost: int = 0
    refusals: list[int] = field(default_factory=list)
    cut: bool = False
    held: threading.Event | None = None
    held_at: str = ""
    live: int = 0
    url: str = ""
    batches: list[Submitted] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def questions(self) -> list[str]:
        """Every question that was submitted, however often."""
        return [question_in(body) for batch in self.batches for body in batch.bodies.values()]

    def reply(self, method: str, path: str, ctype: str, body: bytes) -> tuple[int, bytes] | None:
        """Return status and body; None to break the line."""
        with self.lock:
            self.asked.append(f"{method} {path}")
            path = path.partition("?")[0]
            self._check(method, path, ctype, body)
            lost = bool(self.held_at) and path.endswith(self.held_at)
            answer = None if lost else getattr(self, f"_{self.kind}")(method, path, body)
            submitted = method == "POST" and (lost or bool(self.batches))
        if self.held is not None and submitted:
            self.held.wait(20)
        if answer is None or isinstance(answer, tuple):
            return answer  # type: ignore[no-any-return]
        return 200, answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def _check(self, method: str, path: str, ctype: str, body: bytes) -> None:
        if self.contract is None:
            return
        if self.kind == "gemini" and method != "POST":
            # The contract has no prefix, and looks at bodies only, of which these have none.
            if self.contract.op(method, path.removeprefix("/v1beta")) is None:
                self.wrong.append(f"no such operation: {method} {path}")
            return
        self.wrong += self.contract.check_request(method, path, ctype, body)

    def _submit(self, label: str, bodies: Mapping[str, Any], name: str, file: str = "") -> Any:
        if self.refusals:
            return self.refusals.pop(0), b'{"error": {"message": "no"}}'
        batch = Submitted(name=name, label=label, bodies=bodies, file=file)
        self.batches.append(batch)
        if self.lost:
            self.lost -= 1
            return None
        return self._told(batch)

    def _batch(self, path: str) -> Submitted | None:
        names = set(path.split("/")) - set(self.deleted)  # those that were deleted are gone
        return next((batch for batch in self.batches if batch.name in names), None)

    def _delete(self, name: str) -> Any:
        if name in self.deleted:
            return 404, b'{"error": {"message": "gone"}}'
        self.deleted.append(name)
        return {}

    def _look(self, batch: Submitted) -> Any:
        batch.looks += 1
        return self._told(batch)

    def _over(self, batch: Submitted) -> bool:
        return batch.looks >= self.runs

    def _lines(self, batch: Submitted) -> list[Any]:
        asked = sorted((question_in(body), key) for key, body in batch.bodies.items())
        return self.results([self._line(key, question) for question, key in asked])

    def _jsonl(self, batch: Submitted) -> bytes:
        lines = self._lines(batch)
        return b"\n".join(o if isinstance(o, bytes) else json.dumps(o).encode() for o in lines)

    def _line(self, key: str, question: str) -> dict[str, Any]:
        body = services.answer(self.kind, self.text or f"seen: {question}").body
        if self.kind == "openai":
            said = {"status_code": 200, "request_id": "r", "body": body}
            return {"id": "b", "custom_id": key, "response": said, "error": None}
        if self.kind == "anthropic":
            return {"custom_id": key, "result": {"type": "succeeded", "message": body}}
        return {"response": body, "metadata": {"custom_id": key}}

    def _told(self, batch: Submitted) -> dict[str, Any]:
        count, over = len(batch.bodies), self._over(batch)
        if self.kind == "anthropic":
            counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
            counts["succeeded" if over else "processing"] = count
            return {
                "id": batch.name,
                "type": "message_batch",
                "processing_status": "ended" if over else "in_progress",
                "request_counts": counts,
                "created_at": batch.made.isoformat(),
                "results_url": "http://198.51.100.1/elsewhere" if over else None,
            }
        state = _ENDED[self.kind].get(self.state, self.state)
        if self.kind == "openai":
            return {
                "id": batch.name,
                "object": "batch",
                "endpoint": "/v1/responses",
                "status": state if over else "in_progress",
                "input_file_id": batch.file,
                "output_file_id": f"out-{batch.name}" if over and self.state != "failed" else None,
                "error_file_id": None,
                "errors": {"data": [{"message": "bad line"}]} if state == "failed" else None,
                "created_at": int(batch.made.timestamp()),
                "request_counts": {"total": count, "completed": count * over, "failed": 0},
                "metadata": {"mmcrime": batch.label},
            }
        told: dict[str, Any] = {
            "name": f"batches/{batch.name}",
            "metadata": {
                "displayName": batch.label,
                "state": f"BATCH_STATE_{state.upper()}" if over else "BATCH_STATE_RUNNING",
                "batchStats": {"requestCount": str(count)},
            },
        }
        if over:
            inlined = {"inlinedResponses": {"inlinedResponses": self._lines(batch)}}
            told |= {"done": True, "response": inlined}
        return told

    def _live(self, body: bytes) -> Any:
        self.live += 1
        return services.answer(self.kind, f"seen: {question_in(json.loads(body))}").body

    def _openai(self, method: str, path: str, body: bytes) -> Any:
        if path == "/v1/responses":
            return self._live(body)
        if path == "/v1/files":
            name = f"file-{len(self.files)}"
            self.files[name] = body
            return {"id": name, "object": "file"}
        if path == "/v1/batches" and method == "POST":
            held = json.loads(body)
            label, file = held["metadata"]["mmcrime"], held["input_file_id"]
            name = f"batch_{len(self.batches)}"
            return self._submit(label, self._uploaded(held), name, file)
        if path == "/v1/batches":
            return {"data": [self._told(b) for b in reversed(self.batches)], "has_more": False}
        if method == "DELETE":
            return self._delete(path.rpartition("/")[2])
        batch = self._batch(path.replace("out-", ""))
        if batch is None:
            return 404, b'{"error": {"message": "No such batch"}}'
        return self._jsonl(batch) if path.endswith("/content") else self._look(batch)

    def _uploaded(self, held: Mapping[str, Any]) -> dict[str, Any]:
        raw = self.files[held["input_file_id"]]
        bodies = {}
        for line in re.findall(rb"^\{.*\}$", raw.replace(b"\r", b""), re.MULTILINE):
            one = json.loads(line)
            assert (one["method"], one["url"]) == ("POST", held["endpoint"])
            if self.contract is not None:
                content = json.dumps(one["body"]).encode()
                self.wrong += self.contract.check_request(
                    "POST", one["url"], "application/json", content
                )
            bodies[one["custom_id"]] = one["body"]
        return bodies

    def _anthropic(self, method: str, path: str, body: bytes) -> Any:
        if path == "/v1/messages":
            return self._live(body)
        if path == "/v1/messages/batches" and method == "POST":
            bodies = {o["custom_id"]: o["params"] for o in json.loads(body)["requests"]}
            return self._submit("", bodies, f"msgbatch_{len(self.batches)}")
        if path == "/v1/messages/batches":
            return {"data": [self._told(b) for b in reversed(self.batches)], "has_more": False}
        batch = self._batch(path)
        if batch is None:
            return 404, b'{"error": {"type": "not_found_error", "message": "no such batch"}}'
        if method == "DELETE":
            return self._delete(batch.name)
        return self._jsonl(batch) if path.endswith("/results") else self._look(batch)

    def _gemini(self, method: str, path: str, body: bytes) -> Any:
        if path.endswith(":generateContent"):
            return self._live(body)
        if method == "POST":
            held = json.loads(body)["batch"]
            requests = held["inputConfig"]["requests"]["requests"]
            bodies = {one["metadata"]["custom_id"]: one["request"] for one in requests}
            return self._submit(held["displayName"], bodies, f"b{len(self.batches)}")
        if path.endswith("/batches"):
            return {"operations": [self._told(b) for b in reversed(self.batches)]}
        batch = self._batch(path)
        if batch is None:
            return 404, b'{"error": {"code": 404, "message": "no such batch"}}'
        if method == "DELETE":
            return self._delete(batch.name)
        return self._look(batch)


def question_in(body: Any) -> str:
    """Return the last text of a request of any of the services."""
    texts = re.findall(r'"text": "((?:[^"\\]|\\.)*)"', json.dumps(_asked(body)))
    return texts[-1]


def _asked(body: Any) -> Any:
    return body.get("input") or body.get("messages") or body.get("contents")


@contextmanager
def batch_service(kind: str, **how: Any) -> Iterator[BatchService]:
    """Serve a service on loopback."""
    service = BatchService(kind=kind, **how)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.close_connection = True
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if "chunked" in self.headers.get("transfer-encoding", ""):
                body = self._chunked()
            ctype = self.headers.get("content-type", "")
            answer = service.reply(self.command, self.path, ctype, body)
            if answer is None:
                linger = struct.pack("ii", 1, 0)  # of 0 s makes closing a reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                return
            status, content = answer
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.send_header("connection", "close")
            self.end_headers()
            part = service.cut and self.path.endswith(("results", "content"))
            service.cut = service.cut and not part
            with suppress(OSError):  # whoever asked may be dead
                self.wfile.write(content[: len(content) // 2] if part else content)

        do_GET = do_DELETE = do_POST  # the names that the base class looks for

        def _chunked(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return  # the connection was reset on purpose

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
