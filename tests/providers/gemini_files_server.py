"""A local Gemini with a store of files, which takes uploads in pieces as the real one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gemini_kit import answer

from mmcrime.testing import WireReply


@dataclass
class Store:
    """What the server holds, has seen, and does wrong.

    Attributes:
        url: Its address.
        log: Stages that were asked for, in order: ``start``, ``upload``, ``finalize``,
            ``get``, ``generate`` and ``delete``.
        files: Names and states of the files that it holds.
        uploaded: What was uploaded, by name, deleted or not.
        deleted: Names of the files that were deleted.
        asked: The last body of ``generate``.
        looks: How often a file must be looked at until it is ready.
        state: What it becomes then.
        replies: What it says instead of doing what a stage asks.
        stuck: The stage at which it does its work and never answers.
        reached: Set when it is stuck.
        upload_url: What it says of where to upload to; None for itself.
    """

    url: str = ""
    log: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    asked: Any = None
    looks: int = 1
    state: str = "ACTIVE"
    replies: dict[str, WireReply] = field(default_factory=dict)
    stuck: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    upload_url: str | None = None
    _seen: dict[str, int] = field(default_factory=dict)
    _started: dict[str, dict[str, Any]] = field(default_factory=dict)

    def next_reply(
        self, method: str, path: str, headers: Any, body: bytes
    ) -> tuple[str, WireReply]:
        """Do what is asked, and return the stage and what to say."""
        stage, name = _stage(method, path, headers)
        self.log.append(stage)
        work = {
            "start": lambda: self.start(headers, body),
            "upload": lambda: self.piece(name, headers, body),
            "finalize": lambda: self.piece(name, headers, body),
            "get": lambda: self.get(name),
            "delete": lambda: self.delete(name),
            "generate": lambda: self.generate(body),
        }
        return stage, self.replies[stage] if stage in self.replies else work[stage]()

    def start(self, headers: Any, body: bytes) -> WireReply:
        """Begin an upload, whose length and type must be told."""
        file = json.loads(body)["file"]
        assert headers["x-goog-upload-protocol"] == "resumable"
        assert int(headers["x-goog-upload-header-content-length"]) > 0
        # The SDK writes names with underscores here; the service takes them either way.
        assert headers["x-goog-upload-header-content-type"] == file["mime_type"]
        name = file["name"]
        assert 0 < len(name.removeprefix("files/")) <= 40
        self._started[name] = {"size": int(headers["x-goog-upload-header-content-length"])}
        self.uploaded[name] = b""
        where = f"{self.upload_url or self.url}/upload/v1/files?upload_id={name}"
        return WireReply(headers={"x-goog-upload-url": where, "x-goog-upload-status": "active"})

    def piece(self, name: str, headers: Any, body: bytes) -> WireReply:
        """Take a piece, which must begin where the last one ended."""
        assert int(headers["x-goog-upload-offset"]) == len(self.uploaded[name])
        self.uploaded[name] += body
        if "finalize" not in headers["x-goog-upload-command"]:
            return WireReply(headers={"x-goog-upload-status": "active"})
        assert len(self.uploaded[name]) == self._started[name]["size"]
        self.files[name] = "PROCESSING"
        return WireReply(headers={"x-goog-upload-status": "final"}, body={"file": self._file(name)})

    def get(self, name: str) -> WireReply:
        """Tell of a file, and process it a little."""
        self._seen[name] = self._seen.get(name, 0) + 1
        if self._seen[name] >= self.looks:
            self.files[name] = self.state
        return WireReply(body=self._file(name))

    def delete(self, name: str) -> WireReply:
        """Delete a file, if there is one."""
        if name not in self.files:
            return WireReply(status=403, body={"error": {"code": 403, "message": "no file"}})
        del self.files[name]
        self.deleted.append(name)
        return WireReply(body={})

    def generate(self, body: bytes) -> WireReply:
        """Answer, if all files that are named are there and ready."""
        self.asked = json.loads(body)
        for part in self.asked["contents"][0]["parts"]:
            if "fileData" in part:
                uri = part["fileData"]["file_uri"]
                assert self.files[uri.removeprefix("gs://store/")] == "ACTIVE"
        return answer()

    def _file(self, name: str) -> dict[str, Any]:
        error = {"error": {"code": 3, "message": "The video is broken."}}
        return {
            "name": name,
            "uri": f"gs://store/{name}",
            "state": self.files[name],
            "sizeBytes": str(len(self.uploaded[name])),
            "somethingNew": {"a": 1},
            **(error if self.files[name] == "FAILED" else {}),
        }


@contextmanager
def files_server(**wrong: Any) -> Iterator[Store]:
    """Serve on loopback; keywords are attributes of the `Store`."""
    store = Store(**wrong)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            stage, reply = store.next_reply(self.command, self.path, self.headers, body)
            if stage == store.stuck:
                store.reached.set()
                store.over.wait()
            self._send(reply)

        do_GET = do_DELETE = do_POST  # the names that the base class looks for

        def _send(self, reply: WireReply) -> None:
            try:
                self.send_response(reply.status)
                for key, value in {
                    "content-length": str(len(reply.content)),
                    **reply.headers,
                }.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(reply.content)
            except OSError:
                self.close_connection = True  # whoever asked has left

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield store
    finally:
        store.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _stage(method: str, path: str, headers: Any) -> tuple[str, str]:
    """Return what is asked for, and the name of the file that it is about."""
    parsed = urlsplit(path)
    if method in ("GET", "DELETE"):
        return ("get" if method == "GET" else "delete"), parsed.path.removeprefix("/v1/")
    if not parsed.path.startswith("/upload/"):
        return "generate", ""
    command = headers["x-goog-upload-command"]
    if command == "start":
        return "start", ""
    return ("finalize" if "finalize" in command else "upload"), parse_qs(parsed.query)["upload_id"][
        0
    ]
