"""The one table from Gemini's errors to ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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

_LATER = frozenset({408, 409, 425, 499})
_MAYBE_DONE = frozenset({408, 499, 500, 502, 504})
"""Statuses after which the work may have been done. Others refuse it before it begins."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as the service describes it, in an answer of any status.

    Attributes:
        status: HTTP status, or what an error inside a successful answer amounts to.
        headers: Of the answer.
        text: The body.
        word: The canonical name of the error, such as ``INVALID_ARGUMENT``.
        reason: The finer one, such as ``API_KEY_INVALID``; empty if there is none.
        message: The service's own words.
        quotas: The quotas that were exceeded, each with its value.
        accepted: Whether the answer came with status 200 all the same.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    word: str = ""
    reason: str = ""
    message: str = ""
    quotas: tuple[tuple[str, str], ...] = ()
    accepted: bool = False

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], text: str) -> Failure:
        """Read an unsuccessful answer, JSON or not."""
        try:
            body: Any = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        body = body[0] if isinstance(body, list) and body else body
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
        status = code if isinstance(code, int) and 400 <= code < 600 else 400
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
        details = list(_dicts(told.get("details")))
        return cls(
            status=status,
            headers=headers,
            text=text,
            word=_word(told.get("status")),
            reason=next((_word(d["reason"]) for d in details if "reason" in d), ""),
            message=_word(told.get("message")),
            quotas=tuple(_quotas(details)),
            accepted=accepted,
        )

    @property
    def is_bad_key(self) -> bool:
        """Whether the key is what is wrong; an invalid one comes with status 400."""
        return self.status in (401, 403) or self.reason.startswith("API_KEY_")

    @property
    def is_used_up(self) -> bool:
        """Whether waiting a moment does not help: credit, or the quota of a day.

        The service then says all the same to come back in some seconds.
        """
        if self.status != 429:
            return self.status == 402
        of_days = any("PerDay" in name or value == "0" for name, value in self.quotas)
        return of_days or "per day" in self.message or self.reason == "QUOTA_EXHAUSTED"

    @property
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there."""
        return self.status == 404 and "model" in self.message.lower()


def translated(
    failure: Failure, *, provider: str, model: str, endpoint: str, secrets: Sequence[str]
) -> ProviderError:
    """Return our error for an unsuccessful answer.

    Args:
        failure: What the service said.
        provider: Registered name of the provider.
        model: The model that was asked.
        endpoint: Where the request went, without secrets.
        secrets: Keys that the message must not hold.
    """
    status = failure.status
    words = scrubbed(failure.message, secrets)
    code = scrubbed(failure.reason or failure.word, secrets)
    message = f"{provider} answered with status {status}"
    message += f" ({code})" if code else ""
    message += f": {words!r}." if words else "."
    if failure.is_bad_key:
        return AuthenticationError(message, provider=provider)
    if failure.is_used_up:
        return RateLimitedError(
            message,
            provider=provider,
            retryable=False,
            next_step="The quota is used up: raise it at the service, or ask another provider.",
        )
    wait = retry_after(failure.headers, failure.text)
    if status == 429:
        return RateLimitedError(message, provider=provider, retry_after=wait)
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
        return (
            f"Set providers.{provider}.model to a model of this service; asked was {model!r}. "
            f"Some are only there with providers.{provider}.api_version set to 'v1beta'."
        )
    if failure.status == 404 or failure.status < 400:
        return f"Check providers.{provider}.base_url, which is {endpoint!r}."
    return f"Check that the model {model!r} takes what was sent, or set another one."


def _quotas(details: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each quota; errors of another make name it as metadata."""
    for detail in details:
        for violation in _dicts(detail.get("violations")):
            yield _word(violation.get("quotaId")), _word(violation.get("quotaValue"))
        for metadata in _dicts([detail.get("metadata")]):
            yield _word(metadata.get("quota_limit")), _word(metadata.get("quota_limit_value"))


def _dicts(value: object) -> Iterator[Mapping[str, Any]]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
