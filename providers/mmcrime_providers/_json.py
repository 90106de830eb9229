"""JSON of strangers: what it may hold is looked at, and nothing of it raises."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mmcrime.errors import InvalidResponseError
from mmcrime_providers._http import scrubbed

__all__ = ["as_mapping", "as_name", "as_text", "count_of", "mappings", "no_answer", "parsed"]

_LONGEST_NAME = 200  # characters
_MOST = 10**12  # tokens; what is above it was not counted


def parsed(text: str | bytes) -> Any:
    """Return what a body holds; None if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return an object, and an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list; none for everything else."""
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def as_text(value: object) -> str:
    """Return a text, and an empty one for everything else."""
    return value if isinstance(value, str) else ""


def as_name(value: object) -> str:
    """Return the name of a model, which goes into reports; an empty one for what is none."""
    text = as_text(value)
    return text if len(text) <= _LONGEST_NAME and text.isprintable() else ""


def count_of(counts: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these that is there; None where it can be no count of tokens."""
    value = next((counts[name] for name in names if name in counts), None)
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    return value if good else None


def no_answer(provider: str, why: str) -> InvalidResponseError:
    """Return the error of a successful answer in which none is."""
    return InvalidResponseError(
        f"{provider} sent something that is no answer: {scrubbed(why)}.",
        provider=provider,
        next_step="Try again, or set another model.",
    )
