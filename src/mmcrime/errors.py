"""The error tree of mmcrime.

```
MmcrimeError
  ConfigError                something you must change
    UnknownProviderError     a name that no installed plug-in has
    MissingDependencyError   carries the pip line that brings it
    ModelNotFoundError       no weights, no answer
  MediaError                 this input cannot be read
    UnsupportedMediaError    the content is none of the supported formats
    UnsafeMediaError         over a limit, or trying to reach something else
    CorruptMediaError        the right format, but nothing in it decodes
  ProviderError              a service did not answer (.provider .retryable .retry_after)
    AuthenticationError      the key was refused; never retried
    RateLimitedError         too many requests; retried, unless a quota is used up
    UnavailableError         network, timeout, 5xx; retried
    InvalidResponseError     not the answer that was asked for
    UnfitMediaError          the media cannot be fitted to what the service takes; nothing was sent
  BudgetExceededError        a cap the caller set (money, calls, tokens, time)
  EgressError                offline, and something wanted to leave
  AlertError                 recorded, never aborts an analysis
```

Every message quotes the offending value with ``!r``; ``next_step`` says in one
sentence what to do about it. No message holds a secret.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlertError",
    "AuthenticationError",
    "BudgetExceededError",
    "ConfigError",
    "CorruptMediaError",
    "EgressError",
    "InvalidResponseError",
    "MediaError",
    "MissingDependencyError",
    "MmcrimeError",
    "ModelNotFoundError",
    "ProviderError",
    "RateLimitedError",
    "UnavailableError",
    "UnfitMediaError",
    "UnknownProviderError",
    "UnsafeMediaError",
    "UnsupportedMediaError",
]


class MmcrimeError(Exception):
    """Base of everything mmcrime raises on purpose.

    Args:
        message: What happened, with the offending value quoted.
        next_step: What the caller can do about it, as one sentence.
    """

    default_next_step: ClassVar[str] = ""

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = self.default_next_step if next_step is None else next_step

    def __str__(self) -> str:
        if not self.next_step:
            return self.message
        closed = self.message.endswith((".", "!", "?", ":"))
        return f"{self.message}{'' if closed else '.'} {self.next_step}"


class ConfigError(MmcrimeError):
    """The configuration, an argument or the installation must be changed first."""


class UnknownProviderError(ConfigError):
    """A provider, analyzer or transcriber name that no installed plug-in has."""


class MissingDependencyError(ConfigError):
    """An optional package is not installed.

    Args:
        message: What needs the package.
        pip: The exact line that installs it.
    """

    def __init__(self, message: str, *, pip: str) -> None:
        super().__init__(message, next_step=f"Run: {pip}")
        self.pip = pip


class ModelNotFoundError(ConfigError):
    """A model's weights are not there; nothing votes without its weights."""


class MediaError(MmcrimeError):
    """One input cannot be read. The message names the input and the reason.

    Args:
        message: What is wrong, without the input's name.
        source: The name of the input, as a person knows it.
        next_step: What the caller can do about it.
    """

    def __init__(self, message: str, *, source: str, next_step: str | None = None) -> None:
        super().__init__(f"{source!r}: {message}", next_step=next_step)
        self.source = source


class UnsupportedMediaError(MediaError):
    """The content is none of the formats mmcrime reads, whatever its name says."""


class UnsafeMediaError(MediaError):
    """Reading on would cross a limit or reach something other than this input."""


class CorruptMediaError(MediaError):
    """The format is right but nothing in it decodes."""


class ProviderError(MmcrimeError):
    """A provider did not answer. Of this class itself: the service refused the request.

    Args:
        message: What happened.
        provider: The provider's registered name.
        retry_after: Seconds the service asked to wait, if it said so.
        retryable: Whether the same request may succeed later; None for what the class says.
            A used-up quota and a spend limit are rate limits that are not.
        may_be_billed: Whether the service may charge for the request all the same; None for
            what the class says.
        next_step: What the caller can do about it.
    """

    out_of_time: bool = False
    """Whether the caller's deadline or budget ended it, and not the service; of the call layer."""
    default_retryable: ClassVar[bool] = False
    default_may_be_billed: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retry_after: float | None = None,
        retryable: bool | None = None,
        may_be_billed: bool | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.provider = provider
        self.retry_after = retry_after
        self.retryable = self.default_retryable if retryable is None else retryable
        self.may_be_billed = self.default_may_be_billed if may_be_billed is None else may_be_billed


class AuthenticationError(ProviderError):
    """The service refused the key."""

    default_next_step = "Check the key of this provider in the configuration."


class RateLimitedError(ProviderError):
    """The service asked to slow down."""

    default_next_step = "Wait, ask for less in a minute, or ask another provider."
    default_retryable = True


class UnavailableError(ProviderError):
    """The service could not be reached or failed on its side."""

    default_next_step = "Try again later, or ask another provider."
    default_retryable = True
    default_may_be_billed = True  # it may have done the work before the line broke


class InvalidResponseError(ProviderError):
    """The service answered, but not with what was asked for."""

    default_next_step = "Check the address and the model of this provider, or ask another one."
    default_may_be_billed = True


class UnfitMediaError(ProviderError):
    """The media cannot be fitted to what the service takes; nothing was sent."""


class BudgetExceededError(MmcrimeError):
    """A cap that the caller set (money, calls, tokens, time) would be crossed."""


class EgressError(MmcrimeError):
    """Something wanted to leave this machine while ``offline`` is set."""

    default_next_step = "Set offline to false to allow it, or leave out what would leave."


class AlertError(MmcrimeError):
    """A notification could not be delivered. Recorded; never aborts an analysis."""
