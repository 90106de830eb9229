"""What the errors of OpenAI's protocol mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mmcrime_providers._failures import Failure

__all__ = ["OpenAIFailure"]

_REFUSALS = frozenset(
    {
        "bio_policy",
        "content_filter",
        "content_policy_violation",
        "image_content_policy_violation",
        "invalid_prompt",  # the vendor's word for a prompt that it blocks for safety
        "misalignment_policy_violation",
        "moderation_blocked",
    }
)
_USED_UP = frozenset(
    {
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_credits",
        "insufficient_quota",
        "quota_exceeded",
    }
)
_NO_MODEL = frozenset({"model_not_found", "invalid_model", "DeploymentNotFound"})
_NO_ROUTE = frozenset({404, 405, 501})
_MAYBE_DONE = frozenset({408, 500, 502, 504})
"""Statuses after which the work may have been done. Others refuse it before it begins."""
# The numbers have no field of their own, and the code is that of every limit.
_LIMIT = re.compile(r"(?i)\blimit:? ([0-9][0-9,]{0,14})\b.{0,80}?\brequested:? ([0-9][0-9,]{0,14})")


@dataclass(frozen=True, kw_only=True)
class OpenAIFailure(Failure):
    """An error as a service that speaks this protocol describes it."""

    status_of_code: ClassVar[Mapping[str, int]] = {
        "server_error": 500,
        "vector_store_timeout": 500,
        "rate_limit_exceeded": 429,
    }

    @property
    def is_refusal(self) -> bool:
        """Whether the service will not, and not that it cannot."""
        return self.code in _REFUSALS

    @property
    def is_used_up(self) -> bool:
        """Whether waiting a moment does not help: credit, or the quota of a day."""
        limited = self.status == 429 and "per day" in self.message
        return limited or self.status == 402 or bool({self.code, self.kind} & _USED_UP)

    @property
    def is_above_limit(self) -> bool:
        """Whether more tokens were requested than the limit, and not than is left of it."""
        said = _LIMIT.search(self.message[:4096]) if self.status == 429 else None
        if said is None:
            return False
        limit, requested = (int(number.replace(",", "")) for number in said.groups())
        return requested > limit

    @property
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there."""
        words = self.message.lower()
        named = self.status == 404 and "model" in words and "url" not in words
        return named or self.code in _NO_MODEL

    @property
    def is_missing_route(self) -> bool:
        """Whether the server lacks this API, and not this model."""
        return self.status in _NO_ROUTE and not self.is_unknown_model

    @property
    def is_maybe_done(self) -> bool:
        """Whether the work may have been done."""
        return self.accepted or self.status in _MAYBE_DONE
