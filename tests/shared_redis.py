"""A real Redis for tests: the one of this machine under a name of its own, or an own server."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis import Redis

URL = "redis://127.0.0.1:6379/0"


@contextlib.contextmanager
def own_namespace() -> Iterator[str]:
    """Give a namespace, and remove what was written under it."""
    name = f"test-{uuid.uuid4().hex}"
    try:
        yield name
    finally:
        with Redis.from_url(URL) as redis:
            if keys := list(redis.scan_iter(f"{name}:*", count=10_000)):
                redis.unlink(*keys)


class OwnServer:
    """A Redis on a free port, which can be killed and started again.

    Args:
        folder: Where it keeps its data.
        appendonly: Whether it has its data when it starts again.
    """

    def __init__(self, folder: Path, *, appendonly: bool = False, config: str = "") -> None:
        self._folder = folder
        self._arguments = ["--appendonly", "yes" if appendonly else "no", *config.split()]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed"
        self._process = subprocess.Popen(
            [
                *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", str(self._folder), "--appendfsync", "always", *self._arguments),
            ],
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        with Redis.from_url(self.url) as redis:
            while True:
                with contextlib.suppress(Exception):
                    redis.ping()
                    return
                assert time.monotonic() < until, "redis-server does not start"
                time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def hang(self) -> None:
        """Let it take what is sent and reply nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> OwnServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Cutter:
    """A way to Redis that loses replies: what was asked is done, and nobody hears of it.

    Attributes:
        url: Its address.
        lose: How many of the replies that come next are lost, with their connection.
    """

    def __init__(self, port: int = 6379) -> None:
        self.lose = 0
        self._port = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(65_536):
                if replies and self.lose > 0:
                    self.lose -= 1
                    target.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)


def raw(url: str = URL) -> Any:
    """Return a client that does what it is told."""
    return Redis.from_url(url)
