"""OpenAI passes the contract of providers, in both of its dialects."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SecretStr

from mmcrime.plugins import Provider, TokenUsage
from mmcrime.testing import ProviderContract, WireCases, WireReply
from mmcrime_providers.openai import OpenAIProvider

KEY = "sk-proj-0123456789abcdefghijklmnop"


def failed(status: int, code: str | None, message: str, **headers: str) -> WireReply:
    error = {"message": message, "type": "some_error", "param": None, "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireReply(status=status, headers=named, body={"error": error})


def errors() -> dict[str, Any]:
    """Errors look the same in both dialects; constructed after recorded ones."""
    said = f"Incorrect API key provided: {KEY}. You can find your API key at ..."
    return {
        "bad_key": failed(401, "invalid_api_key", said),
        "unknown_model": failed(404, "model_not_found", "The model `x` does not exist."),
        "bad_request": failed(400, "invalid_value", "Invalid 'messages[3]'."),
        "rate_limited": failed(429, "rate_limit_exceeded", "Slow down.", retry_after="2.5"),
        "delay": 2.5,
        "quota_used_up": failed(429, "insufficient_quota", "Check your plan.", retry_after="1"),
        "failed": failed(500, "server_error", "The server had an error."),
    }


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


class _OpenAI(ProviderContract):
    secret = KEY
    api: Literal["responses", "chat"]

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return OpenAIProvider(
            api_key=SecretStr(KEY),
            model="gpt-6.1-terra",
            base_url=f"{base_url}/v1",
            timeout=timeout,
            api=self.api,
        )


class TestResponses(_OpenAI):
    api = "responses"

    def cases(self) -> WireCases:
        cut = {"incomplete_details": {"reason": "max_output_tokens"}}
        return WireCases(
            answered=response(),
            text="A calm garage.",
            model="gpt-6.1-terra-x",
            usage=TokenUsage(input=38, cached_input=12, cache_write=4, output=729),
            empty=response(content=[]),
            refused=response(content=[{"type": "refusal", "refusal": "I can't help."}]),
            truncated=response("incomplete", **cut),
            **errors(),
        )


class TestChat(_OpenAI):
    api = "chat"

    def cases(self) -> WireCases:
        return WireCases(
            answered=completion(),
            text="A calm garage.",
            model="gpt-6.1-terra-x",
            usage=TokenUsage(input=64, cached_input=3, audio_input=44, output=9),
            empty=completion(content=""),
            refused=completion(content=None, refusal="I can't help."),
            truncated=completion("length", content='{"'),
            **errors(),
        )
