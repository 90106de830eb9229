"""What Replicate's errors mean: those of requests, and those that end a prediction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmcrime.errors import ProviderError, UnavailableError
from mmcrime_providers._failures import Failure
from mmcrime_providers._http import scrubbed
from mmcrime_providers._json import as_text
from mmcrime_providers._service import Service

__all__ = ["ReplicateFailure", "ended_badly", "refusal_in"]

_MAYBE_DONE = frozenset({408, 500, 502, 504})
"""Statuses after which the work may have been done. Others refuse it before it begins."""
# A model says why it failed in words of its maker, some with a code of the service. These are
# those of filters, as users of many models report them, and of the service's own troubles, of
# which its page of error codes lists E1000 (unknown) and E6716 (did not start in time).
_REFUSED = re.compile(
    r"(?i)\bnsfw content (?:was )?detected|\bflagged as sensitive\b|\(E005\)"
    r"|\bflagged by (?:the|our|its|google)\b.{0,20}?\b(?:safety|moderat)"
    r"|\bcontent[ _]policy\b|\bmoderation_blocked\b"
)
_PASSING = re.compile(
    r"(?i)\b(?:E1000|E6716)\b|please retry\b|try again later|temporarily unavailable"
    r"|prediction interrupted|unexpected error handling prediction"
)
_MOST = 4096  # characters of an error that are searched


@dataclass(frozen=True, kw_only=True)
class ReplicateFailure(Failure):
    """An error as Replicate describes it: a title, and details in words (RFC 9457)."""

    @property
    def message(self) -> str:
        """The service's own words."""
        return as_text(self.described.get("detail")) or super().message

    @property
    def kind(self) -> str:
        """The title."""
        return as_text(self.described.get("title"))

    @property
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there; a version that is not there is a bad input."""
        missing = self.status == 404 and {"detail", "status"} <= self.described.keys()
        return missing or (self.status == 422 and "version" in self.kind.lower())

    @property
    def is_maybe_done(self) -> bool:
        """Whether the work may have been done."""
        return self.status in _MAYBE_DONE

    def next_step(self, provider: str, model: str, endpoint: str) -> str:
        """Return what to do about a request that the service refused."""
        step = super().next_step(provider, model, endpoint)
        if self.is_unknown_model:
            step += " Models that are not official need their version, 'owner/name:version'."
        elif self.status == 422:
            step = f"Set providers.{provider}.inputs to what the page of {model!r} lists."
        return step


def refusal_in(prediction: Mapping[str, Any]) -> str:
    """Return the words with which a filter ended a prediction; empty where none did."""
    words = as_text(prediction.get("error"))
    failed = prediction.get("status") == "failed" and _REFUSED.search(words[:_MOST])
    return words if failed else ""


def ended_badly(prediction: Mapping[str, Any], service: Service, name: str) -> ProviderError:
    """Return our error for a prediction that ended without an answer, and was not refused.

    Args:
        prediction: What the service says of it; its status is none of success.
        service: Who was asked.
        name: The id of the prediction.
    """
    status = as_text(prediction.get("status"))
    provider = service.provider
    if status == "failed":
        words = as_text(prediction.get("error"))
        said = scrubbed(words, service.secrets)
        message = f"The prediction {name!r} of {provider} failed" + (
            f": {said!r}." if said else "."
        )
        if _PASSING.search(words[:_MOST]):
            return UnavailableError(message, provider=provider)
        return ProviderError(
            message,
            provider=provider,
            may_be_billed=True,
            next_step="Check that the model takes what was sent; its log is at the service.",
        )
    if status == "aborted":
        return UnavailableError(
            f"{provider} ended the prediction {name!r} before it had begun.",
            provider=provider,
            may_be_billed=False,
        )
    return ProviderError(
        f"The prediction {name!r} of {provider} was cancelled by somebody else.",
        provider=provider,
        may_be_billed=True,
        next_step="Ask whoever else uses the account.",
    )
