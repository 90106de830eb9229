"""Reading what a provider gives for the task ``label``, strictly."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["MOST_LABELS", "read_labels"]

MOST_LABELS = 25_000
"""Most labels of one picture or stretch of sound: ImageNet-21k, the largest set, has 21,841."""
_LONGEST = 200  # characters of a label


def read_labels(text: str | bytes) -> dict[str, float]:
    """Return the score of each label in a JSON list of ``{"label": str, "score": float}``.

    Further keys of an entry are left out. Scores need not add up to 1.

    Args:
        text: The list, such as the text of a response to the task ``label``.

    Raises:
        ValueError: If it is no such list, is empty, names a label twice, or holds a score that
            is no finite number from 0 to 1 or a label that is no printable text.
    """
    try:
        held = json.loads(text, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(held, list) or not 0 < len(held) <= MOST_LABELS:
        raise ValueError(f"it is no list of 1 to {MOST_LABELS} labels")
    scores: dict[str, float] = {}
    for entry in held:
        label, score = _entry(entry)
        if label in scores:
            raise ValueError("a label stands twice")
        scores[label] = score
    return scores


def _entry(entry: Any) -> tuple[str, float]:
    if not isinstance(entry, dict) or not {"label", "score"} <= entry.keys():
        raise ValueError("an entry is no label with its score")
    label, score = entry["label"], entry["score"]
    if not isinstance(label, str) or not label.strip() or len(label) > _LONGEST:
        raise ValueError(f"a label is no text of 1 to {_LONGEST} characters")
    if not label.isprintable():  # nor half of a surrogate pair, which no report can hold
        raise ValueError("a label holds characters that cannot be printed")
    number = isinstance(score, int | float) and not isinstance(score, bool)
    if not number or not 0 <= score <= 1:  # which NaN is not, either
        raise ValueError("a score is no number from 0 to 1")
    return label, float(score) + 0.0  # -0.0 becomes 0.0


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a key stands twice")
    return dict(pairs)
