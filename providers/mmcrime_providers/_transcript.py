"""What providers that transcribe have in common: the sound they get, the list they give back.

What the list holds is checked by whoever asked; here it is made of what services say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mmcrime.errors import ProviderError
from mmcrime.plugins import Part, Request
from mmcrime_providers._json import as_text, no_answer

__all__ = [
    "Segment",
    "agreed",
    "length",
    "phrases",
    "primary_language",
    "seconds_in",
    "sound_in",
    "written",
]

Segment = tuple[float, float, str]
"""Seconds from the beginning of the sound, and the words."""

_PAUSE = 0.6  # seconds without a word that end a phrase, as in the embedded engine
_ERROR_FIELDS = ("error", "errors", "message", "code", "detail")
_MOST_WORDS = 5000  # nobody says more in a minute
_MOST_CHARACTERS = 100_000  # nor that much
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


def phrases(words: Iterable[Segment], *, provider: str) -> list[Segment]:
    """Join words into phrases, which a pause ends.

    Raises:
        InvalidResponseError: If they are more than any stretch of sound can hold.
    """
    joined: list[tuple[float, float, list[str]]] = []
    for count, (start, end, word) in enumerate(words, 1):
        if count > _MOST_WORDS:
            raise no_answer(provider, f"it holds more than {_MOST_WORDS} words")
        if joined and start - joined[-1][1] < _PAUSE:
            first, last, said = joined[-1]
            said.append(word)
            joined[-1] = (first, max(end, last), said)
        else:
            joined.append((start, end, [word]))
    return [(start, end, " ".join(said)) for start, end, said in joined]


def told_text(body: Mapping[str, Any], *, provider: str) -> str:
    """Return the text of an answer; an empty one only where it is no error.

    Raises:
        InvalidResponseError: If it holds none, or none but the description of an error.
    """
    text = body.get("text")
    if not isinstance(text, str):
        raise no_answer(provider, "it holds no text")
    wrong = next((name for name in _ERROR_FIELDS if body.get(name)), None)
    if wrong is not None and not text.strip():
        raise no_answer(provider, f"it holds no words, but the field {wrong!r}")
    return text


def agreed(text: str, timed: list[Segment], part: Part, *, provider: str) -> list[Segment]:
    """Return the phrases with times, if no word of the whole text is missing in them.

    Else the text stands for the whole sound: a word without a time is worth more than none.

    Args:
        text: All that was said, as the service wrote it.
        timed: The same in phrases with times.
        part: The sound.
        provider: Registered name, for errors.

    Raises:
        InvalidResponseError: If it is more than any stretch of sound can hold.
    """
    joined = " ".join(phrase for _, _, phrase in timed)
    if max(len(text), len(joined)) > _MOST_CHARACTERS:
        raise no_answer(provider, f"it holds more than {_MOST_CHARACTERS} characters")
    if timed and _letters(text) in _letters(joined):
        return timed
    return [(0.0, length(part), text)]


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
    # A whole number of any size is JSON, and may be no float.
    return value * unit if 0 <= value < _LONGEST / unit else None


def primary_language(tag: str) -> str:
    """Return the language of a BCP 47 tag without its region; empty for a tag that has none."""
    language = as_text(tag).replace("_", "-").partition("-")[0].lower()
    return language if language.isascii() and language.isalpha() and 2 <= len(language) <= 3 else ""


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
