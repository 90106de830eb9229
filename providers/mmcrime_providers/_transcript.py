"""What providers that transcribe have in common: the sound they get, the list they give back.

What the list holds is checked by whoever asked; here it is made of what services say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from mmcrime.errors import ProviderError
from mmcrime.plugins import Part, Request
from mmcrime_providers._json import as_text

__all__ = ["Segment", "length", "phrases", "primary_language", "seconds_in", "sound_in", "written"]

Segment = tuple[float, float, str]
"""Seconds from the beginning of the sound, and the words."""

_PAUSE = 0.6  # seconds without a word that end a phrase, as in the embedded engine
_LONGEST = 1e6  # seconds; what is above it is no time of a stretch of sound


def sound_in(request: Request, *, provider: str) -> Part:
    """Return the one stretch of sound of a request.

    Raises:
        ProviderError: If it holds another task, or anything beside one stretch of sound.
    """
    if request.task != "transcribe":
        raise ProviderError(
            f"{provider} only transcribes; it was asked to {request.task}.",
            provider=provider,
            next_step="Name it as analyzers.speech.engine, and nowhere else.",
        )
    (*others, part) = request.parts or (Part(),)
    if others or part.kind != "audio":
        raise ProviderError(
            f"{provider} transcribes one stretch of sound at a time, not "
            f"{[one.kind for one in request.parts]!r}.",
            provider=provider,
            next_step="Send one part of sound.",
        )
    return part


def length(part: Part) -> float:
    """Return the seconds of a stretch of sound; 0 where nobody said."""
    return part.seconds or 0.0


def written(segments: Iterable[Segment]) -> str:
    """Return segments as the text of a response; those without words are left out."""
    listed = [
        {"start": start, "end": end, "text": text.strip()}
        for start, end, text in segments
        if text.strip()
    ]
    return json.dumps(listed, allow_nan=False)


def phrases(words: Iterable[Segment]) -> list[Segment]:
    """Join words into phrases, which a pause ends."""
    joined: list[Segment] = []
    for start, end, word in words:
        if joined and start - joined[-1][1] < _PAUSE:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]), f"{joined[-1][2]} {word}")
        else:
            joined.append((start, end, word))
    return joined


def seconds_in(held: Mapping[str, Any], name: str, *, unit: float = 1.0) -> float | None:
    """Return a time in seconds; None where it can be none.

    Args:
        held: What a service said.
        name: The key of the time.
        unit: Seconds of one of its units.
    """
    value = held.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value * unit if 0 <= value * unit < _LONGEST and not math.isnan(value) else None


def primary_language(tag: str) -> str:
    """Return the language of a BCP 47 tag without its region; empty for a tag that has none."""
    language = as_text(tag).replace("_", "-").partition("-")[0].lower()
    return language if language.isascii() and language.isalpha() and 2 <= len(language) <= 3 else ""
