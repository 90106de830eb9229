"""What is said to a request that gets no place in the line of a service."""

from __future__ import annotations

from mmcrime.errors import BudgetExceededError, RateLimitedError, UnfitMediaError

__all__ = ["LONGEST_WAIT", "past_deadline", "too_large", "too_late"]

LONGEST_WAIT = 120.0
"""Seconds that a service may ask to wait where no deadline says how long there is."""


def past_deadline(name: str) -> BudgetExceededError:
    """Say that the deadline passed before the service could be asked."""
    return BudgetExceededError(
        f"The deadline passed before {name!r} could be asked.", next_step="Allow more time."
    )


def too_large(name: str, tokens: int, limit: str) -> UnfitMediaError:
    """Say that no minute has so many tokens.

    Args:
        name: The provider's registered name.
        tokens: What the request may need.
        limit: The limit, and whose it is.
    """
    return UnfitMediaError(
        f"A request of up to {tokens} tokens to {name!r} is more than a whole minute has: {limit}.",
        provider=name,
        next_step="Send less (analyzers.llm.max_frames, max_output_tokens), or raise "
        "the limit where the service allows it.",
    )


def too_late(name: str, *, wait: float, left: float | None, why: str) -> RateLimitedError:
    """Say that the turn would come too late; not retryable.

    Args:
        name: The provider's registered name.
        wait: Seconds until the turn, at least.
        left: Seconds until the deadline; None for no deadline.
        why: What the request waits for.
    """
    if left is None:
        said = f"without a deadline at most {LONGEST_WAIT:g} s are waited"
    else:
        said = f"the deadline is in {max(0.0, left):.1f} s"
    error = RateLimitedError(
        f"{name!r} has no place for another request: {why}. "
        f"It would wait for {wait:.1f} s or more, and {said}.",
        provider=name,
        retry_after=wait,
        retryable=False,
        next_step="Allow more time, or ask another provider.",
    )
    error.out_of_time = left is not None
    return error
