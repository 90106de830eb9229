"""A local HTTP server that answers from a script, and breaks the line where it is told to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

__all__ = ["WireReply", "WireRequest", "WireServer", "wire_server"]

Fault = Literal["none", "reset", "half", "drip", "silent", "endless"]

_DRIP_SECONDS = 0.05
_CHUNK = b"x" * 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class WireReply:
    """What a service sends back, or how the line breaks.

    Attributes:
        status: HTTP status.
        headers: Added to content type and length, or instead of them.
        body: Bytes as they are; anything else is sent as JSON.
        fault: ``reset`` breaks the connection before an answer; ``half`` sends half of the
            body and closes; ``drip`` sends spaces for ever, then and when; ``silent`` takes
            the request and says nothing; ``endless`` sends 100 MB without saying so before.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = b""
    fault: Fault = "none"

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class WireRequest:
    """What came in.

    Attributes:
        method: Such as ``POST``.
        path: Path and query.
        headers: Names in lower case.
        body: As it came.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class WireServer:
    """What a test sees of the server.

    Attributes:
        url: Its address on loopback, without a path.
        requests: What came in, in order.
        sent: Bytes of bodies that were handed to the system, which buffers some MB of them.
        asked: Set when a request has come in.
    """

    def __init__(self, replies: tuple[WireReply, ...]) -> None:
        self.url = ""
        self.requests: list[WireRequest] = []
        self.sent = 0
        self.asked = threading.Event()
        self._over = threading.Event()
        self._replies = list(replies)
        self._lock = threading.Lock()

    def next_reply(self, request: WireRequest) -> WireReply:
        """Take note of a request; the last reply is repeated."""
        with self._lock:
            self.requests.append(request)
            self.asked.set()
            return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def send(self, to: BaseHTTPRequestHandler, reply: WireReply) -> None:
        """Send a reply, faults included."""
        if reply.fault == "reset":
            # A linger of 0 s makes closing a reset.
            to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            to.connection.close()
            return
        if reply.fault == "silent":
            self._over.wait()
            return
        content = reply.content
        to.send_response(reply.status)
        given = {"content-type": "application/json", **reply.headers}
        if reply.fault in ("none", "half"):
            given.setdefault("content-length", str(len(content)))
        for name, value in given.items():
            to.send_header(name, value)
        to.send_header("connection", "close")
        to.end_headers()
        if reply.fault == "drip":
            while not self._over.wait(_DRIP_SECONDS):
                to.wfile.write(b" ")
        elif reply.fault == "endless":
            for _ in range(100 * 1024 * 1024 // len(_CHUNK)):
                to.wfile.write(_CHUNK)
                self.sent += len(_CHUNK)
        else:
            to.wfile.write(content if reply.fault == "none" else content[: len(content) // 2])

    def stop(self) -> None:
        """Let go of everybody who waits."""
        self._over.set()


@contextmanager
def wire_server(*replies: WireReply) -> Iterator[WireServer]:
    """Serve replies on loopback, in order; the last one is repeated.

    Whatever the method and the path are. Every connection takes one request.
    """
    wire = WireServer(replies)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            asked = WireRequest(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            self.close_connection = True
            try:
                wire.send(self, wire.next_reply(asked))
            except OSError:
                return  # whoever asked has left, which is what some tests are about

        do_GET = do_DELETE = do_POST  # noqa: N815  # the names that the base class looks for

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return  # the connection was reset on purpose

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # whoever comes while five others wait would be reset

    server = Server(("127.0.0.1", 0), Handler)
    wire.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield wire
    finally:
        wire.stop()
        server.shutdown()
        thread.join()
        server.server_close()
