"""Answers of OpenAI's protocol, constructed after recorded ones."""

from __future__ import annotations

from typing import Any

from mmcrime.testing import WireReply


def response(status: str = "completed", **fields: Any) -> WireReply:
    """An answer of the Responses API, of which ``content`` is the content of its message."""
    content = fields.pop("content", [{"type": "output_text", "text": "A calm garage."}])
    thought = {"type": "reasoning", "summary": []}
    message = {"type": "message", "role": "assistant", "content": content}
    usage = {
        "input_tokens": 38,
        "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 4},
        "output_tokens": 729,
        "output_tokens_details": {"reasoning_tokens": 640},
    }
    body = {"status": status, "model": "gpt-6.1-terra-x", "output": [thought, message]}
    return WireReply(body={**body, "error": None, "usage": usage, **fields})


def completion(finish: str = "stop", **message: Any) -> WireReply:
    """A chat completion."""
    usage = {
        "prompt_tokens": 64,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 44},
        "completion_tokens": 9,
    }
    said = {"role": "assistant", "content": "A calm garage.", "refusal": None, **message}
    choices = [{"index": 0, "finish_reason": finish, "message": said}]
    return WireReply(body={"model": "gpt-6.1-terra-x", "choices": choices, "usage": usage})
