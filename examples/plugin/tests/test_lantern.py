"""The provider passes the tests that every provider passes."""

from mmcrime_example_brightness.lantern import LanternProvider
from pydantic import SecretStr

from mmcrime.plugins import Provider, TokenUsage
from mmcrime.testing import ProviderContract, WireCases, WireReply


def said(result: str, text: str) -> WireReply:
    return WireReply(
        body={"result": result, "text": text, "model": "lantern-1b", "tokens": [90, 4]}
    )


class TestLantern(ProviderContract):
    secret = "a-key-for-tests-only"

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return LanternProvider(
            api_key=SecretStr(self.secret), base_url=base_url, model="lantern-1", timeout=timeout
        )

    def cases(self) -> WireCases:
        return WireCases(
            answered=said("ok", "A calm garage."),
            text="A calm garage.",
            model="lantern-1b",
            usage=TokenUsage(input=90, output=4),
            refused=said("no", "I would rather not."),
            truncated=said("cut", "A calm"),
            bad_key=WireReply(status=401, body={"message": f"{self.secret} is no key"}),
            unknown_model=WireReply(status=404),
            bad_request=WireReply(status=400),
            rate_limited=WireReply(status=429, headers={"retry-after": "3"}),
            delay=3.0,
            quota_used_up=WireReply(status=402),
            failed=WireReply(status=503),
            empty=said("ok", ""),
        )
