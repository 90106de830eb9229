"""Answers of Anthropic as they look on the wire, and a provider to send them to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mmcrime.plugins import Part, Provider, Request, Response
from mmcrime.testing import WireReply
from mmcrime_providers.anthropic import AnthropicProvider

KEY = "sk-ant-api03-0123456789abcdefghijklmnop"
SCHEMA = {
    "type": "object",
    "properties": {
        "seen": {"type": "string", "maxLength": 200},
        "sure": {"type": "number", "minimum": 0, "maximum": 1},
        "place": {"type": ["string", "null"]},
        "kinds": {"type": "array", "items": {"type": "string"}, "minItems": 2},
    },
    "required": ["seen", "sure", "kinds"],
}
REQUEST = Request(
    instructions="Say what you see.",
    parts=(
        Part(text="The garage at night, at 1.5 s:"),
        Part(data=b"\xff\xd8picture\xff\xd9", media_type="image/jpeg", width=640, height=360),
    ),
    schema=SCHEMA,
    max_output_tokens=512,
)


def made(url: str, *, timeout: float = 30.0) -> Provider:
    key = SecretStr(KEY)
    return AnthropicProvider(api_key=key, model="claude-sonnet-5-5", base_url=url, timeout=timeout)


def ask(url: str, request: Request = REQUEST) -> Response:
    """Ask once, in a loop of its own."""

    async def work() -> Response:
        async with made(url) as provider:
            return await provider.generate(request)

    return asyncio.run(work())


def message(stop: str | None = "end_turn", **fields: Any) -> WireReply:
    """An answer of status 200; constructed after recorded ones."""
    thought = {"type": "thinking", "thinking": "A garage.", "signature": "c2ln"}
    body = {
        "model": "claude-sonnet-5-5",
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [
            thought,
            {"type": "text", "text": "A calm "},
            {"type": "text", "text": "garage."},
        ],
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 43,
            "cache_creation_input_tokens": 1200,
            "cache_read_input_tokens": 300,
            "output_tokens": 132,
            "service_tier": "standard",
        },
    }
    return WireReply(body={**body, **fields})


def failed(
    status: int, kind: str, words: str, *, code: str | None = None, **headers: str
) -> WireReply:
    """An error; constructed after recorded ones."""
    error: dict[str, Any] = {"type": kind, "message": words}
    if code is not None:
        error["details"] = {"error_code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"type": "error", "error": error, "request_id": "req_1"}
    return WireReply(status=status, headers=named, body=body)


def streamed(path: Path) -> dict[str, Any]:
    """Return the message that recorded events of a stream describe, as it comes without one."""
    whole: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
        if event.get("type") == "message_start":
            whole = event["message"]
        elif event.get("type") == "content_block_start":
            whole["content"].append(event["content_block"])
        elif event.get("type") == "content_block_delta":
            key = event["delta"]["type"].removesuffix("_delta")
            whole["content"][event["index"]][key] += event["delta"][key]
        elif event.get("type") == "message_delta":
            whole |= event["delta"]
            whole["usage"] |= event["usage"]
    return whole
