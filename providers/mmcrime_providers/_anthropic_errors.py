"""What Anthropic's errors mean.

The status and the codes decide, wherever there are any: the service changes its words.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmcrime_providers._failures import Failure
from mmcrime_providers._json import as_mapping, as_text

__all__ = ["AnthropicFailure"]

_BLOCKED = "blocked by content filtering policy"
_USED_UP = ("credit balance is too low", "reached your specified api usage limits")
_NOT_BEGUN = frozenset({501, 503, 529})
"""Statuses of 500 and above that refuse the work before it begins."""


@dataclass(frozen=True, kw_only=True)
class AnthropicFailure(Failure):
    """An error as Anthropic describes it."""

    @property
    def code(self) -> str:
        """The code of the cause; empty if there is none."""
        return as_text(as_mapping(self.described.get("details")).get("error_code"))

    @property
    def is_refusal(self) -> bool:
        """Whether a filter stopped the answer. There is no code for it, only words."""
        return self.status == 400 and _BLOCKED in self.message.lower()

    @property
    def is_used_up(self) -> bool:
        """Whether waiting a moment does not help: credit, or a limit of what may be spent."""
        words = self.message.lower()
        coded = self.kind == "billing_error" or self.code.endswith("spend_limit_reached")
        # An empty account is a bad request to the service, without a code of its own.
        told = self.status == 400 and any(said in words for said in _USED_UP)
        return self.status == 402 or coded or told

    @property
    def is_too_large(self) -> bool:
        """Whether less of the same would do."""
        long = self.status == 400 and "prompt is too long" in self.message.lower()
        return self.status == 413 or long or self.code == "image_dimensions_too_large"

    @property
    def is_later(self) -> bool:
        """Whether the service is what is wrong, or says to send the same again."""
        return super().is_later or self._advice == "true"

    @property
    def is_maybe_done(self) -> bool:
        """Whether the work may have been done."""
        return self.status == 408 or (self.status >= 500 and self.status not in _NOT_BEGUN)

    @property
    def may_retry(self) -> bool:
        """Whether the service does not advise against it."""
        return self._advice != "false"

    @property
    def _advice(self) -> str:
        return self.headers.get("x-should-retry", "")

    def next_step(self, provider: str, model: str, endpoint: str) -> str:
        """Return what to do about a request that the service refused."""
        if self.is_too_large:
            return "Lower media.max_frames or media.max_side, so that less is sent."
        return super().next_step(provider, model, endpoint)
