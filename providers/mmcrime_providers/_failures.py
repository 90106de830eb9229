"""Unsuccessful answers, and the one ladder from them to our errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from mmcrime.errors import (
    AuthenticationError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime_providers._http import retry_after, scrubbed
from mmcrime_providers._json import as_mapping, as_text, parsed

__all__ = ["Failure"]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as a service describes it. Each service says what the questions below mean.

    Attributes:
        status: HTTP status, or what an error inside a successful answer amounts to.
        headers: Of the answer.
        text: The body.
        described: The description of the error in it; empty if there is none.
        accepted: Whether the answer came with status 200 all the same.
    """

    later: ClassVar[frozenset[int]] = frozenset({408, 409, 425})
    """Statuses below 500 after which the same may succeed."""
    status_of_code: ClassVar[Mapping[str, int]] = {}
    """What codes of errors inside successful answers amount to; others are bad requests."""

    status: int
    headers: Mapping[str, str]
    text: str
    described: Mapping[str, Any]
    accepted: bool = False

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], text: str) -> Self:
        """Read an unsuccessful answer, JSON or not."""
        body = parsed(text)
        body = body[0] if isinstance(body, list) and body else body
        error = body.get("error", body) if isinstance(body, dict) else body
        return cls(status=status, headers=headers, text=text, described=_described(error))

    @classmethod
    def inside(cls, body: Mapping[str, Any], headers: Mapping[str, str], text: str) -> Self | None:
        """Read the error in an answer of status 200; None if it holds none."""
        error = body.get("error")
        if not error:
            return None
        code = as_mapping(error).get("code")
        status = cls.status_of_code.get(str(code), 400)
        if isinstance(code, int) and 400 <= code < 600:
            status = code
        described = _described(error)
        return cls(status=status, headers=headers, text=text, described=described, accepted=True)

    @property
    def message(self) -> str:
        """The service's own words."""
        return as_text(self.described.get("message"))

    @property
    def code(self) -> str:
        """The finest name that the service gives the error; empty if there is none."""
        return as_text(self.described.get("code"))

    @property
    def kind(self) -> str:
        """The coarser name; empty if there is none."""
        return as_text(self.described.get("type"))

    @property
    def is_bad_key(self) -> bool:
        """Whether the key is what is wrong."""
        return self.status in (401, 403)

    @property
    def is_used_up(self) -> bool:
        """Whether waiting a moment does not help: credit, or the quota of a day."""
        return self.status == 402

    @property
    def is_above_limit(self) -> bool:
        """Whether this request alone is more than the limit, so that waiting never helps."""
        return False

    @property
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there, and not the address."""
        return self.status == 404 and "model" in self.message.lower()

    @property
    def is_missing_route(self) -> bool:
        """Whether the server lacks this API, and not this model."""
        return self.status in (404, 405) and not self.is_unknown_model

    @property
    def is_later(self) -> bool:
        """Whether the service is what is wrong, and not the request."""
        return self.status >= 500 or self.status in self.later

    @property
    def is_maybe_done(self) -> bool:
        """Whether the work may have been done, where `is_later`."""
        return self.accepted

    @property
    def may_retry(self) -> bool:
        """Whether the service lets a request be sent again that `is_later` or came too early."""
        return True

    @property
    def wait(self) -> float | None:
        """The seconds that the service asks to wait; None if it does not."""
        return retry_after(self.headers, self.text)

    def next_step(self, provider: str, model: str, endpoint: str) -> str:
        """Return what to do about a request that the service refused."""
        if self.is_unknown_model:
            return (
                f"Set providers.{provider}.model to a model of this service; asked was {model!r}."
            )
        if self.is_missing_route or self.status < 400:
            return f"Check providers.{provider}.base_url, which is {endpoint!r}."
        return f"Check that the model {model!r} takes what was sent, or set another one."

    def error(
        self, *, provider: str, model: str, endpoint: str, secrets: Sequence[str]
    ) -> ProviderError:
        """Return our error for it, where it is no refusal.

        Args:
            provider: Registered name of the provider.
            model: The model that was asked.
            endpoint: Where the request went, without secrets.
            secrets: Keys that the message must not hold.
        """
        message = self._message(provider, secrets)
        if self.is_bad_key and not self.is_used_up:
            return AuthenticationError(message, provider=provider)
        step = ""
        if self.is_used_up:
            step = "The quota is used up: raise it or add credit, or ask another provider."
        elif self.is_above_limit:
            step = "Lower media.max_frames or media.max_side, or raise the limit at the service."
        if step:
            return RateLimitedError(message, provider=provider, retryable=False, next_step=step)
        wait = self.wait
        if self.status == 429:
            return RateLimitedError(
                message, provider=provider, retry_after=wait, retryable=self.may_retry
            )
        if self.is_later:
            return UnavailableError(
                message,
                provider=provider,
                retry_after=wait,
                retryable=self.may_retry,
                may_be_billed=self.is_maybe_done,
            )
        return ProviderError(
            message,
            provider=provider,
            may_be_billed=self.accepted,
            next_step=self.next_step(provider, model, endpoint),
        )

    def _message(self, provider: str, secrets: Sequence[str]) -> str:
        words = scrubbed(self.message, secrets)
        code = scrubbed(self.code or self.kind, secrets)
        message = f"{provider} answered with status {self.status}"
        message += f" ({code})" if code else ""
        return message + (f": {words!r}." if words else ".")


def _described(error: object) -> Mapping[str, Any]:
    return error if isinstance(error, dict) else {"message": error}
