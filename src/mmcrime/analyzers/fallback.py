"""Which provider an analyzer asks, and after which failures another one in its stead."""

from __future__ import annotations

from mmcrime.errors import ConfigError, RateLimitedError, UnavailableError, UnfitMediaError
from mmcrime.plugins import Provider, Response, RunContext

__all__ = ["may_fall_back", "named"]


def named(name: str, context: RunContext, *, analyzer: str) -> Provider:
    """Return the provider of that name.

    Raises:
        ConfigError: If the run does not have it.
    """
    try:
        return context.providers[name]
    except KeyError:
        raise ConfigError(
            f"The analyzer {analyzer!r} is to ask the provider {name!r}, which this run does "
            "not have.",
            next_step="Name it: providers=[...] in Python, --provider on the command line.",
        ) from None


def may_fall_back(failure: Response | BaseException) -> str | None:
    """Name the kind of a failure, if another provider may be asked because of it.

    A refused key and a bad request are mistakes to be mended, not to be hidden behind another
    provider's bill; a budget that is used up, ``offline`` and a deadline that has passed hold
    for every provider; an answer that cannot be read says nothing of the service.

    Args:
        failure: What came of a call: an error, or a response, which may be a refusal.

    Returns:
        ``refusal``; ``rate``, a used-up quota and a place that would come too late included;
        ``outage``; ``capability`` when the service takes no such media; None for all else.
    """
    if isinstance(failure, Response):
        return "refusal" if failure.status == "refused" else None
    if isinstance(failure, RateLimitedError):
        return "rate"
    if isinstance(failure, UnavailableError):
        return "outage"
    if isinstance(failure, UnfitMediaError):
        return "capability"
    return None
