"""OpenAI passes the contract of providers, in both of its dialects."""

from __future__ import annotations

from typing import Any, Literal

from openai_kit import completion, response
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
