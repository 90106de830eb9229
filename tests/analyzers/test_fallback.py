"""Another provider is asked after failures that are not the caller's to mend."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from mmcrime.analyzers.fallback import may_fall_back
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    CorruptMediaError,
    EgressError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
    UnfitMediaError,
)
from mmcrime.plugins import Response


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (RateLimitedError("429", provider="p"), "rate"),
        (RateLimitedError("quota used up", provider="p", retryable=False), "rate"),
        (UnavailableError("502", provider="p"), "outage"),
        (UnavailableError("the door is shut", provider="p", retryable=False), "outage"),
        (UnfitMediaError("no sound", provider="p"), "capability"),
        (AuthenticationError("401", provider="p"), None),
        (ProviderError("400", provider="p"), None),
        (InvalidResponseError("no JSON", provider="p"), None),
        (BudgetExceededError("cap"), None),
        (EgressError("offline"), None),
        (ConfigError("wrong"), None),
        (CorruptMediaError("broken", source="f"), None),
        (TimeoutError(), None),
        (asyncio.CancelledError(), None),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_kind_of_an_error_decides(failure: BaseException, kind: str | None) -> None:
    assert may_fall_back(failure) == kind


@pytest.mark.parametrize(
    ("status", "kind"), [("refused", "refusal"), ("answered", None), ("truncated", None)]
)
def test_of_responses_only_a_refusal_is_a_failure(
    status: Literal["refused", "answered", "truncated"], kind: str | None
) -> None:
    assert may_fall_back(Response(status=status, text="x", model="m")) == kind
