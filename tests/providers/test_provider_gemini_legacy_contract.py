"""The provider of the end-of-life SDK passes the contract of providers."""

from __future__ import annotations

from gemini_kit import KEY, USAGE, answer, detail, failed, quota
from pydantic import SecretStr

from mmcrime.plugins import Provider, TokenUsage
from mmcrime.testing import ProviderContract, WireCases
from mmcrime_providers.gemini_legacy import GeminiLegacyProvider


class TestGeminiLegacy(ProviderContract):
    secret = KEY

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return GeminiLegacyProvider(
            api_key=SecretStr(KEY), model="gemini-3.8-flash", base_url=base_url, timeout=timeout
        )

    def cases(self) -> WireCases:
        """Constructed after recorded ones."""
        said = f"API key not valid: {KEY}. Please pass a valid API key."
        thought = {k: v for k, v in USAGE.items() if k != "candidatesTokenCount"}
        missing = "models/x is not found for API version v1beta, or is not supported."
        return WireCases(
            answered=answer(),
            text="A calm garage.",
            model="gemini-3.8-flash-001",
            usage=TokenUsage(input=125, cached_input=40, audio_input=119, output=35),
            empty=answer(parts=[]),
            refused=answer("SAFETY", parts=[]),
            truncated=answer("MAX_TOKENS", candidate={"content": {}}, usageMetadata=thought),
            bad_key=failed(
                400, "INVALID_ARGUMENT", said, detail("ErrorInfo", reason="API_KEY_INVALID")
            ),
            unknown_model=failed(404, "NOT_FOUND", missing),
            bad_request=failed(400, "INVALID_ARGUMENT", "Unable to process input image."),
            rate_limited=quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
            delay=37.5,
            quota_used_up=quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", delay="5s"),
            failed=failed(503, "UNAVAILABLE", "The model is overloaded."),
        )
