"""The providers of Hugging Face pass the contract of providers."""

from __future__ import annotations

from typing import Any, Literal

from openai_kit import completion
from pydantic import SecretStr

from mmcrime.plugins import Provider, TokenUsage
from mmcrime.testing import ProviderContract, WireCases, WireReply
from mmcrime_providers.huggingface import HuggingFaceProvider
from mmcrime_providers.huggingface_labels import HuggingFaceLabelsProvider

KEY = "hf_0123456789abcdefghijklmnopqrstuvwx"


def failed(status: int, message: str, **headers: str) -> WireReply:
    """An error as the router and endpoints describe most of theirs: one string."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireReply(status=status, headers=named, body={"error": message})


def errors() -> dict[str, Any]:
    return {
        "bad_key": failed(401, f"Invalid username or password, or token {KEY}."),
        "bad_request": failed(400, "Could not read the media."),
        "rate_limited": failed(429, "Too many requests.", retry_after="2.5"),
        "delay": 2.5,
        "quota_used_up": failed(402, "You have exceeded your monthly included credits."),
        "failed": failed(500, "Internal error."),
    }


class TestRouter(ProviderContract):
    secret = KEY

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return HuggingFaceProvider(
            api_key=SecretStr(KEY), model="org/seer", base_url=f"{base_url}/v1", timeout=timeout
        )

    def cases(self) -> WireCases:
        unsupported = {
            "message": "The requested model 'x' is not supported by any provider you have enabled.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_supported",
        }
        return WireCases(
            answered=completion(),
            text="A calm garage.",
            model="gpt-6.1-terra-x",
            usage=TokenUsage(input=64, cached_input=3, audio_input=44, output=9),
            empty=completion(content=""),
            refused=completion(content=None, refusal="I can't help."),
            truncated=completion("length", content='{"'),
            unknown_model=WireReply(status=400, body={"error": unsupported}),
            **errors(),
        )


class TestLabels(ProviderContract):
    secret = KEY
    modality: Literal["image", "audio"] = "image"
    # A classifier declines nothing and is never cut off.
    test_a_refusal_is_an_outcome = None  # type: ignore[assignment]
    test_an_answer_that_was_cut_off_says_so = None  # type: ignore[assignment]

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return HuggingFaceLabelsProvider(
            api_key=SecretStr(KEY),
            model="org/classifier",
            base_url=f"{base_url}/hf-inference",
            timeout=timeout,
            modality=self.modality,
        )

    def cases(self) -> WireCases:
        labels = [{"label": "calm", "score": 0.75}, {"label": "brawl", "score": 0.25}]
        return WireCases(
            answered=WireReply(body=labels),
            text='[{"label": "calm", "score": 0.75}, {"label": "brawl", "score": 0.25}]',
            model="org/classifier",
            usage=TokenUsage(),
            empty=WireReply(body=[]),
            unknown_model=WireReply(status=404, body=b"Not Found"),
            **errors(),
        )


def test_sound_is_asked_about_in_the_same_way_as_pictures() -> None:
    sound = TestLabels()
    sound.modality = "audio"
    sound.test_it_says_what_it_is()
    sound.test_an_answer_is_read()
    sound.test_all_that_is_asked_reaches_the_service_once()
