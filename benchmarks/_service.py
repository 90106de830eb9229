"""A service in another process, which answers as OpenAI does after a while.

    python benchmarks/_service.py SECONDS

Prints its port. It reads every request to its end and looks at nothing in it but its length.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "total_tokens": 1100,
    "input_tokens": 1000,
    "output_tokens": 100,
}
_TEXT = json.dumps(
    {
        "observations": ["A man pushes another to the ground."],
        "incident": "yes",
        "crime_type": "assault",
        "probability": 0.9,
        "severity": "high",
        "description": "One man pushes another, who falls.",
        "alternative_interpretations": [],
        "segments": [],
        "text_seen": "",
        "instructions_seen": False,
    }
)
_ANSWERS = {
    "responses": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m-1",
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "annotations": [], "text": _TEXT}],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _USAGE,
    },
    "completions": {
        "id": "chat_1",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": _TEXT},
            }
        ],
        "usage": _USAGE,
    },
}


class _Service(asyncio.Protocol):
    """One connection. Answers of an instant need no task, so that the server is no bottleneck."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            head, found, body = (self._head + data).partition(b"\r\n\r\n")
            if not found:
                self._head = head
                return
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            self._kind = head.partition(b" HTTP")[0].rpartition(b"/")[2].decode()
            self._head, self._missing = b"", length - len(body)
        else:
            self._missing -= len(data)
        if not self._missing:
            asyncio.get_running_loop().call_later(self._seconds, self._answer, self._kind)

    def _answer(self, kind: str) -> None:
        body = json.dumps(_ANSWERS[kind]).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        if not self._transport.is_closing():
            self._transport.write(head.encode() + b"\r\n\r\n" + body)


async def _serve(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Service(seconds), "127.0.0.1", 0, backlog=500)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def service(seconds: float) -> Iterator[str]:
    """Give the address of a service of its own process that answers after so many seconds."""
    command = [sys.executable, str(Path(__file__).resolve()), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(cast("IO[str]", process.stdout).readline())
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
