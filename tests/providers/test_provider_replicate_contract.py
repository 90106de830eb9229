"""Replicate passes the contract of providers.

One call is one prediction. The contract counts requests, so that its predictions have ended
when they are made; `test_provider_replicate_run` has those that take their time.
"""

from __future__ import annotations

from replicate_kit import KEY, failed, make, prediction, problem

from mmcrime.plugins import Provider, TokenUsage
from mmcrime.testing import ProviderContract, WireCases
from mmcrime_providers.replicate import ReplicateInputs


class TestReplicate(ProviderContract):
    secret = KEY

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        inputs = ReplicateInputs(images="images", max_tokens="max_output_tokens")
        return make(base_url, timeout=timeout, inputs=inputs)

    def cases(self) -> WireCases:
        """Constructed after recorded ones."""
        counts = {"predict_time": 9.0, "input_token_count": 125, "output_token_count": 512}
        return WireCases(
            answered=prediction(),
            text="A calm garage.",
            model="google/gemini-3-flash",
            usage=TokenUsage(input=125, output=35),
            empty=prediction(output=[]),
            refused=failed("The input or output was flagged as sensitive. (E005)"),
            truncated=prediction(metrics=counts, output='{"what_is'),
            bad_key=problem(401, "Unauthenticated", f"The token {KEY} is not valid"),
            unknown_model=problem(404, "Not found", "The requested resource could not be found."),
            bad_request=problem(422, "Input validation failed", "- input.prompt is required"),
            rate_limited=problem(429, "", "Request was throttled.", retry_after=5),
            delay=5.0,
            quota_used_up=problem(402, "Insufficient credit", "You have no credit."),
            failed=problem(500, "Internal server error", "Something went wrong."),
        )
