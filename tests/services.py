"""The cloud services as local servers: their answers, their failures, settings for them.

Answers are constructed after recorded ones. Every answer counts the same tokens at the same
price, so that a sum of costs is a count of answers.
"""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from mmcrime.testing import WireReply, wire_server
from mmcrime.testing.wire import WireServer
from wire import Reply

NAMES = ("openai", "anthropic", "gemini")
"""Those with a suggested model, whose tests are the most thorough."""
FIVE = (*NAMES, "replicate", "huggingface")
KEYS = {
    "openai": "sk-proj-Zz01openaiZz02secretZz03key",
    "anthropic": "sk-ant-api03-Zz04anthropicZz05secret",
    "gemini": "AIzaSyZz06geminiZz07secretZz08key",
    "replicate": "r8_Zz09replicateZz10secretZz11token",
    "huggingface": "hf_Zz12huggingfaceZz13secretZz14",
}
VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
MODELS = {
    "openai": "gpt-5-nano",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-3.8-flash",
    "replicate": "google/gemini-3-flash",
    "huggingface": "Qwen/Qwen2.5-VL-7B-Instruct",
}
TOKENS_IN, TOKENS_OUT = 1000, 100
PRICE = {"input_per_million": 1.0, "output_per_million": 10.0}
USD = 0.002
"""What one answer costs."""


def shot(number: int = 0) -> bytes:
    """Return a picture that no other number gives."""
    buffer = io.BytesIO()
    colour = (number % 8 * 30, number // 8 % 8 * 30, number // 64 * 30)
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


def words(incident: str = "yes", **fields: Any) -> str:
    """What a model writes that follows the schema."""
    whole = {
        "observations": ["A man pushes another to the ground."],
        "incident": incident,
        "crime_type": "assault" if incident == "yes" else "none",
        "probability": {"yes": 0.9, "no": 0.05, "unsure": 0.5}[incident],
        "severity": "high" if incident == "yes" else "none",
        "description": "One man pushes another, who falls.",
        "alternative_interpretations": ["They play."],
        "segments": [],
        "text_seen": "",
        "instructions_seen": False,
    }
    return json.dumps(whole | fields)


def answer(name: str, text: str | None = None, *, stop: str = "", tokens: bool = True) -> WireReply:
    """Return an answer as the service sends it.

    Args:
        name: The service.
        text: What the model wrote; None for a valid answer.
        stop: ``refused`` or ``truncated`` instead of a whole answer.
        tokens: Whether it counts them.
    """
    told = words() if text is None else text
    body = _BODIES[name](told, stop)
    if not tokens:
        for counts in ("usage", "usageMetadata", "metrics"):
            body.pop(counts, None)
    return WireReply(body=body)


def _openai(text: str, stop: str) -> dict[str, Any]:
    said = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    if stop == "refused":
        said = {"type": "refusal", "refusal": "I can't help with that."}
    return {
        "id": "resp_1",
        "object": "response",
        "status": "incomplete" if stop == "truncated" else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if stop == "truncated" else None,
        "model": "gpt-5-nano-2025-08-07",
        "output": [
            {"id": "rs_1", "type": "reasoning", "content": [], "summary": []},
            {
                "id": "msg_1",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [said],
            },
        ],
        "usage": {
            "input_tokens": TOKENS_IN,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": TOKENS_OUT,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }


def _anthropic(text: str, stop: str) -> dict[str, Any]:
    stops = {"": "end_turn", "refused": "refusal", "truncated": "max_tokens"}
    return {
        "model": "claude-haiku-4-5-20251001",
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stops[stop],
        "stop_sequence": None,
        "usage": {
            "input_tokens": TOKENS_IN,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": TOKENS_OUT,
            "service_tier": "standard",
        },
    }


def _gemini(text: str, stop: str) -> dict[str, Any]:
    stops = {"": "STOP", "refused": "SAFETY", "truncated": "MAX_TOKENS"}
    content = {} if stop == "refused" else {"parts": [{"text": text}], "role": "model"}
    return {
        "candidates": [{"content": content, "finishReason": stops[stop], "index": 0}],
        "modelVersion": "gemini-3.8-flash-001",
        "responseId": "x",
        "usageMetadata": {
            "promptTokenCount": TOKENS_IN,
            "candidatesTokenCount": TOKENS_OUT,
            "totalTokenCount": TOKENS_IN + TOKENS_OUT,
        },
    }


def _replicate(text: str, stop: str) -> dict[str, Any]:
    refused = stop == "refused"
    return {
        "id": "p1",
        "model": "google/gemini-3-flash",
        "version": "hidden",
        "input": {},
        "status": "failed" if refused else "succeeded",
        "error": "The input was flagged as sensitive. (E005)" if refused else None,
        "output": None if refused else [text[:9], text[9:]],
        "metrics": {
            "predict_time": 3.8,
            "input_token_count": TOKENS_IN,
            # The service has no word for an answer that was cut off: it counts to the most.
            "output_token_count": 1_000_000 if stop == "truncated" else TOKENS_OUT,
        },
        "urls": {},
    }


def _huggingface(text: str, stop: str) -> dict[str, Any]:
    stops = {"": "stop", "refused": "content_filter", "truncated": "length"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "Qwen/Qwen2.5-VL-7B-Instruct",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": stops[stop],
            }
        ],
        "usage": {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": TOKENS_OUT,
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }


_BODIES = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "replicate": _replicate,
    "huggingface": _huggingface,
}


def scripted(name: str, text: str | None = None) -> Reply:
    """Return an answer for `wire.contract_server`."""
    return 200, {}, answer(name, text).body


def bad_key(name: str) -> WireReply:
    """The key is refused, and quoted, as real services do."""
    said = f"Incorrect API key provided: {KEYS[name]}."
    if name == "gemini":
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        error = {"code": 400, "message": said, "status": "INVALID_ARGUMENT", "details": [reason]}
        return WireReply(status=400, body={"error": error})
    if name == "replicate":
        body = {"title": "Unauthenticated", "detail": said, "status": 401}
        return WireReply(status=401, body=body)
    kind = "authentication_error" if name == "anthropic" else "invalid_request_error"
    error = {"type": kind, "message": said, "code": "invalid_api_key"}
    return WireReply(status=401, body={"type": "error", "error": error})


def failed(status: int, **headers: str) -> WireReply:
    """An error that tells nothing but its status, and asks to be tried again at once."""
    named = {"retry-after-ms": "1", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return WireReply(status=status, headers=named, body={"error": {"message": "overloaded"}})


HTML = WireReply(headers={"content-type": "text/html"}, body=b"<html><h1>Sign in</h1></html>")


def section(name: str, url: str, **more: Any) -> dict[str, Any]:
    """Return the configuration of a provider that talks to a server."""
    return {
        "api_key": KEYS[name],
        "base_url": f"{url}/v1" if name in {"openai", "huggingface"} else url,
        "model": MODELS[name],
        "price": PRICE,
        "timeout": 20,
        **more,
    }


def config(urls: Mapping[str, str], folder: Path, **more: Any) -> dict[str, Any]:
    """Return a configuration with a cache of its own and without speech recognition."""
    sections = {name: section(name, url) for name, url in urls.items()}
    return {
        "providers": sections,
        "cache": {"directory": str(folder)},
        "analyzers": {"speech": {"enabled": False}},
        **more,
    }


def nobody() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def serving(
    replies: Mapping[str, WireReply | tuple[WireReply, ...]],
) -> Iterator[dict[str, WireServer]]:
    """Give one server for each service."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(wire_server(*(r if isinstance(r, tuple) else (r,))))
            for name, r in replies.items()
        }


class Listener:
    """Takes requests, never answers, and notices when whoever asked hangs up.

    Attributes:
        url: Its address.
        asked: Set when a whole request has come in.
        left: Set when the other side has closed the connection after that.
    """

    def __init__(self) -> None:
        self.asked, self.left = threading.Event(), threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return  # closed before anybody came
        with connection:
            held = b""
            while chunk := connection.recv(65_536):
                held += chunk
                head, found, body = held.partition(b"\r\n\r\n")
                if found and len(body) >= _length(head):
                    self.asked.set()
            self.left.set()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
