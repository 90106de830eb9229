"""Gemini passes the contract of providers."""

from __future__ import annotations

from gemini_kit import KEY, contract_cases
from pydantic import SecretStr

from mmcrime.plugins import Provider
from mmcrime.testing import ProviderContract, WireCases
from mmcrime_providers.gemini import GeminiProvider


class TestGemini(ProviderContract):
    secret = KEY

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return GeminiProvider(
            api_key=SecretStr(KEY), model="gemini-3.8-flash", base_url=base_url, timeout=timeout
        )

    def cases(self) -> WireCases:
        return contract_cases("v1")
