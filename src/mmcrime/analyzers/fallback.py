"""After which failures of a provider another one may be asked in its stead."""

from __future__ import annotations

from mmcrime.errors import RateLimitedError, UnavailableError, UnfitMediaError
from mmcrime.plugins import Response

__all__ = ["may_fall_back"]


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
