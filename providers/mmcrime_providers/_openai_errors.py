"""The one table from errors of OpenAI's protocol to ours."""

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
_LATER = frozenset({408, 409, 425})
_MAYBE_DONE = frozenset({408, 500, 502, 504})
"""Statuses after which the work may have been done. Others refuse it before it begins."""
_STATUS_OF_CODE = {"server_error": 500, "vector_store_timeout": 500, "rate_limit_exceeded": 429}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as the service describes it, in an answer of any status.

    Attributes:
        status: HTTP status, or what an error inside a successful answer amounts to.
        headers: Of the answer.
        text: The body.
        code: The code of the error; empty if there is none.
        kind: Its type; empty if there is none.
        message: The service's own words.
        accepted: Whether the answer came with status 200 all the same.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    code: str = ""
    kind: str = ""
    message: str = ""
    accepted: bool = False

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], text: str) -> Failure:
        """Read an unsuccessful answer, JSON or not."""
        try:
            body: Any = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        error = body.get("error", body) if isinstance(body, dict) else body
        return cls._read(status, headers, text, error)

    @classmethod
    def inside(
        cls, body: Mapping[str, Any], headers: Mapping[str, str], text: str
    ) -> Failure | None:
        """Read the error in an answer of status 200; None if it holds none."""
        error = body.get("error")
        if not error:
            return None
        code = error.get("code") if isinstance(error, dict) else None
        status = _STATUS_OF_CODE.get(str(code), 400)
        if isinstance(code, int) and 400 <= code < 600:
            status = code
        return cls._read(status, headers, text, error, accepted=True)

    @classmethod
    def _read(
        cls,
        status: int,
        headers: Mapping[str, str],
        text: str,
        error: object,
        *,
        accepted: bool = False,
    ) -> Failure:
        told = error if isinstance(error, dict) else {"message": error}
        words = {
            key: value if isinstance(value, str) else ""
            for key, value in ((key, told.get(key)) for key in ("code", "type", "message"))
        }
        return cls(
            status=status,
            headers=headers,
            text=text,
            code=words["code"],
            kind=words["type"],
            message=words["message"],
            accepted=accepted,
        )

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
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there."""
        words = self.message.lower()
        named = self.status == 404 and "model" in words and "url" not in words
        return named or self.code in _NO_MODEL

    @property
    def is_missing_route(self) -> bool:
        """Whether the server lacks this API, and not this model."""
        return self.status in _NO_ROUTE and not self.is_unknown_model


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
            next_step="The quota is used up: add credit at the service, or ask another provider.",
        )
    wait = retry_after(failure.headers, failure.text)
    if status == 429:
        return RateLimitedError(message, provider=provider, retry_after=wait)
    if status in (401, 403):
        return AuthenticationError(message, provider=provider)
    if status >= 500 or status in _LATER:
        billed = failure.accepted or status in _MAYBE_DONE
        return UnavailableError(message, provider=provider, retry_after=wait, may_be_billed=billed)
    return ProviderError(
        message,
        provider=provider,
        may_be_billed=failure.accepted,
        next_step=_next_step(failure, provider, model, endpoint),
    )


def _next_step(failure: Failure, provider: str, model: str, endpoint: str) -> str:
    if failure.is_unknown_model:
        return f"Set providers.{provider}.model to a model of this service; asked was {model!r}."
    if failure.is_missing_route or failure.status < 400:
        return f"Check providers.{provider}.base_url, which is {endpoint!r}."
    return f"Check that the model {model!r} takes what was sent, or set another one."
