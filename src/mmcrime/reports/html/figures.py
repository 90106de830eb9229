"""Numbers as a page shows them: a report of a stranger may hold what is no number."""

from __future__ import annotations

import math

FAR = 1e300
"""Neither what lies beyond it nor what is no number is a time or a value."""


def as_time(value: float) -> float:
    """Return a time that can be reckoned with, NaN where there is none."""
    return float(value) if abs(value) < FAR else math.nan


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number with so many digits after its point; "unknown" where there is none."""
    if value is None or not abs(value) < FAR:
        return "unknown"
    return f"{value:.{digits}f}" if abs(value) < 1e15 else f"{float(value):g}"
