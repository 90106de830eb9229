"""The one table from Anthropic's errors to ours.

The status and the codes decide, wherever there are any: the service changes its words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmcrime.errors import (
    AuthenticationError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime_providers._http import retry_after, scrubbed

__all__ = ["Failure", "translated"]

_BLOCKED = "blocked by content filtering policy"
_USED_UP = ("credit balance is too low", "reached your specified api usage limits")
_LATER = frozenset({408, 409, 425})
_NOT_BEGUN = frozenset({501, 503, 529})
"""Statuses of 500 and above that refuse the work before it begins."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An unsuccessful answer.

    Attributes:
        status: HTTP status.
        headers: Of the answer.
        text: The body.
        kind: The type of the error; empty if there is none.
        code: The code of its cause; empty if there is none.
        message: The service's own words.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    kind: str = ""
    code: str = ""
    message: str = ""

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], text: str) -> Failure:
        """Read an unsuccessful answer, JSON or not."""
        try:
            body: Any = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        error = _dict(_dict(body).get("error"))
        return cls(
            status=status,
            headers=headers,
            text=text,
            kind=_text(error.get("type")),
            code=_text(_dict(error.get("details")).get("error_code")),
            message=_text(error.get("message")),
        )

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
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there, and not the address."""
        return self.status == 404 and "model" in self.message.lower()

    @property
    def is_too_large(self) -> bool:
        """Whether less of the same would do."""
        long = self.status == 400 and "prompt is too long" in self.message.lower()
        return self.status == 413 or long or self.code == "image_dimensions_too_large"


def translated(
    failure: Failure, *, provider: str, model: str, endpoint: str, secrets: Sequence[str]
) -> ProviderError:
    """Return our error for an unsuccessful answer that is no refusal.

    Args:
        failure: What the service said.
        provider: Registered name of the provider.
        model: The model that was asked.
        endpoint: Where the request went, without secrets.
        secrets: Keys that the message must not hold.
    """
    status = failure.status
    words = scrubbed(failure.message, secrets)
    code = scrubbed(failure.code or failure.kind, secrets)
    message = f"{provider} answered with status {status}"
    message += f" ({code})" if code else ""
    message += f": {words!r}." if words else "."
    if failure.is_used_up:
        return RateLimitedError(
            message,
            provider=provider,
            retryable=False,
            next_step="Add credit or raise the limit at the service, or ask another provider.",
        )
    wait = retry_after(failure.headers, failure.text)
    told = failure.headers.get("x-should-retry", "")
    again = told != "false"
    if status == 429:
        return RateLimitedError(message, provider=provider, retry_after=wait, retryable=again)
    if status in (401, 403):
        return AuthenticationError(message, provider=provider)
    if status >= 500 or status in _LATER or told == "true":
        return UnavailableError(
            message,
            provider=provider,
            retry_after=wait,
            retryable=again,
            may_be_billed=status == 408 or (status >= 500 and status not in _NOT_BEGUN),
        )
    return ProviderError(
        message, provider=provider, next_step=_next_step(failure, provider, model, endpoint)
    )


def _next_step(failure: Failure, provider: str, model: str, endpoint: str) -> str:
    if failure.is_unknown_model:
        return f"Set providers.{provider}.model to a model of this service; asked was {model!r}."
    if failure.is_too_large:
        return "Lower media.max_frames or media.max_side, so that less is sent."
    if failure.status in (404, 405) or failure.status < 400:
        return f"Check providers.{provider}.base_url, which is {endpoint!r}."
    return f"Check that the model {model!r} takes what was sent, or set another one."


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
