"""What all renderers share: harmless text, times and names."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mmcrime.taxonomy import crime_types

BANNER = "automated result, unconfirmed"
"""Stands above every verdict."""

OUTCOMES = {
    "detected": "Incident detected",
    "not_detected": "No incident detected",
    "undetermined": "Undetermined",
}
"""What people read for an outcome; the kind of a detected incident follows it."""

SOURCES = {
    "claimed": "claimed by a model, not measured",
    "measured": "measured by a detector, not calibrated",
    "calibrated": "calibrated on labelled data",
}
"""What people read for the source of a probability."""

SOUND_NAMES = {
    "siren": "possible siren",
    "impulsive": "possible gunshot or similar bang",
    "scream": "possible scream",
}
"""What people read for a sound event."""

_JUDGES = {
    "pictures": frozenset({"video", "motion", "objects"}),
    "sound": frozenset({"sound", "speech"}),
}

_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_LONGEST = 1e10  # seconds; three centuries
_MAX_TEXT = 600  # characters; a description of that length still fits a screen


def judges(assessment: Mapping[str, Any], sense: str, media: Mapping[str, Any]) -> bool:
    """Tell whether an analyzer looks at a sense of this input.

    A language model may be given pictures or sound. It looked at the pictures of a video
    when it was shown frames, and at the sound only when it was shown none: nothing says
    that it was given both.

    Args:
        assessment: One of the report's assessments, whatever its status.
        sense: ``pictures`` or ``sound``.
        media: The report's facts about the input.
    """
    if assessment["kind"] != "llm":
        return assessment["kind"] in _JUDGES[sense]
    if media.get("kind") != "video":
        return (sense == "sound") == (media.get("kind") == "audio")
    shown = bool((assessment.get("coverage") or {}).get("frames"))
    return shown == (sense == "pictures")


def clean(text: object, *, limit: int = _MAX_TEXT) -> str:
    """Return text without anything that could steer a terminal or reorder a line.

    Control, format (also right-to-left overrides and zero-width characters), surrogate
    and private characters become U+FFFD; line breaks and tabs become single spaces.

    Args:
        text: Anything; None gives an empty text.
        limit: Most characters; what is cut off is stated.
    """
    raw = "" if text is None else str(text)
    cut = len(raw) - limit
    shown = "".join(" " if c in _SPACES else c for c in raw[:limit])
    safe = "".join("\ufffd" if unicodedata.category(c)[0] == "C" else c for c in shown)
    safe = " ".join(safe.split())
    return f"{safe} … ({cut} more characters)" if cut > 0 else safe


def finite(value: float | None) -> float | None:
    """Return a number that can be reckoned with; None for NaN, infinity and their like.

    A stored report may hold anything that JSON can: also whole numbers that no float holds.
    """
    try:
        number = math.nan if value is None else float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def clock(seconds: float) -> str:
    """Return media time as ``m:ss.s`` (``h:mm:ss.s`` from one hour on).

    What is no time of any recording is quoted as the number it is, and what is no number
    is called unknown.
    """
    if finite(seconds) is None:
        return "unknown time"
    if not abs(seconds) < _LONGEST:
        return f"{seconds:g} s"
    tenths = round(abs(seconds) * 10)
    sign = "-" if seconds < 0 and tenths else ""
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{sign}{hours}:{minutes:02d}:{tail}" if hours else f"{sign}{minutes}:{tail}"


def span(start: float, end: float) -> str:
    """Return a stretch of media time, or the instant when it has no length."""
    first, last = clock(start), clock(end)
    return first if first == last else f"{first}-{last}"


def wall_clock(recorded_at: str | None, seconds: float) -> datetime | None:
    """Return the wall-clock time of a media time, or None when nobody knows it.

    Args:
        recorded_at: ISO 8601 time of media time 0, with its zone.
        seconds: Media time.
    """
    try:
        return datetime.fromisoformat(recorded_at or "") + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


def wall_span(recorded_at: str | None, start: float, end: float) -> str:
    """Return a stretch of media time in wall-clock words, empty when nobody knows it."""
    first, last = wall(recorded_at, start), wall(recorded_at, end)
    if first is None or last is None:
        return ""
    if first == last:
        return first
    if first[:10] != last[:10]:
        return f"{first} to {last}"
    return f"{first[:19]} to {last[11:]}"


def crime_name(type_id: str | None) -> str:
    """Return what people read for a crime type; an unknown one is quoted as it is."""
    if not type_id:
        return "unknown kind"
    known = crime_types().get(type_id)
    return known.name if known else clean(type_id, limit=80)


def size(count: int) -> str:
    """Return a number of bytes for people; one that no disk holds is unknown."""
    if not 0 <= count < 1e18:
        return "size unknown"
    if count < 1000:
        return f"{count} bytes"
    for unit, scale in (("kB", 1e3), ("MB", 1e6)):
        if count < scale * 1000:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e9:.1f} GB"


_NO_COST = {
    "local": "ran on this machine",
    "none": "nothing was sent",
    "cache": "a stored answer",
}
_PRICES = {"user": "your price"}
_SMALLEST = 0.0001  # US dollars


def money(cost: Mapping[str, Any]) -> str:
    """Return a cost with its source; an unknown one is "unknown", never 0."""
    usd = finite(cost.get("usd"))
    if usd is None:
        why = clean(cost.get("detail"), limit=160)
        return f"cost unknown ({why})" if why else "cost unknown"
    source = clean(cost.get("source"))
    if source in _NO_COST:
        return f"no cost, {_NO_COST[source]}"
    return f"{_dollars(usd)} ({_PRICES.get(source, source.replace('_', ' '))})"


def _dollars(usd: float) -> str:
    """Return a sum; one that four places would show as nothing is told from nothing."""
    if usd == 0:
        return "$0"
    return f"${usd:.4f}" if abs(usd) >= _SMALLEST else f"under ${_SMALLEST:.4f}"


def hundredths(share: float | None) -> str:
    """Return a probability or a score as two digits; "unknown" where it is no number."""
    number = finite(share)
    return "unknown" if number is None else f"{number:.2f}"


def chance(probability: float | None, source: str | None) -> str:
    """Return a probability with where it comes from."""
    if probability is None:
        return "no probability"
    return f"probability {hundredths(probability)}, {clean(source)}"


def judged(verdict: Mapping[str, Any]) -> bool:
    """Tell whether the severity was judged: "none" of an undetermined verdict is no answer."""
    undetermined: bool = verdict["outcome"] == "undetermined"
    return not undetermined or verdict["severity"] != "none"


def facts(media: Mapping[str, Any]) -> str:
    """Return the facts about the input in one line, without its name."""
    parts = [clean(media.get("kind") or "unreadable"), clean(media.get("format"))]
    if media.get("duration") is not None:
        parts.append(clock(media["duration"]))
    sides = [finite(media.get(side)) for side in ("width", "height")]
    if all(sides):
        parts.append("x".join(f"{side:.12g}" for side in sides))
    if media.get("size_bytes") is not None:
        parts.append(size(media["size_bytes"]))
    if media.get("kind") == "video" and media.get("has_audio") is False:
        parts.append("no sound")
    for key, label in (("source_id", "source"), ("recorded_at", "recorded")):
        if media.get(key):
            parts.append(f"{label} {clean(media[key])}")
    return ", ".join(part for part in parts if part)


def heard(report: Mapping[str, Any]) -> list[tuple[float, float, str, str]]:
    """Return what was heard in time order: (start, end, ``sound`` or ``speech``, words)."""
    evidence = report.get("evidence") or {}
    found: list[tuple[float, float, str, str]] = [
        (s["start"], s["end"], "sound", SOUND_NAMES.get(s["label"], clean(s["label"])))
        for s in evidence.get("sounds") or ()
    ]
    found += [(s["start"], s["end"], "speech", s["text"]) for s in evidence.get("transcript") or ()]
    return sorted(found, key=lambda item: (item[0], item[2]))


def shortlist(
    report: Mapping[str, Any], most: int
) -> tuple[list[tuple[float, float, str, str]], int]:
    """Return at most so many of what was `heard`, in time order, and how many are left out.

    A sound event counts before all words: ten bangs must not drown in a day of talk. The
    strongest sounds are kept, then the first words.
    """
    found = heard(report)
    if len(found) <= most:
        return found, 0
    scores: dict[tuple[float, float], float] = {}
    for sound in (report.get("evidence") or {}).get("sounds") or ():
        place = (sound["start"], sound["end"])
        scores[place] = max(scores.get(place, 0.0), finite(sound.get("score")) or 0.0)

    def rank(number: int) -> tuple[float, int]:
        start, end, kind, _ = found[number]
        return (-scores.get((start, end), 0.0) if kind == "sound" else 1.0, number)

    numbered = sorted(range(len(found)), key=rank)
    return [found[n] for n in sorted(numbered[:most])], len(found) - most


def cells(text: str) -> int:
    """Return how many terminal columns a cleaned text takes."""
    return sum(_cell_width(c) for c in text)


def _cell_width(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def wrap(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """Break text into lines of at most ``width`` columns, words that are too long too.

    Args:
        text: Cleaned text.
        width: Columns of a line, its prefix included.
        first: Prefix of the first line.
        rest: Prefix of all other lines.
    """
    lines: list[str] = []
    prefix, line = first, ""
    for word in _pieces(text.split(" "), max(8, width - max(cells(first), cells(rest)))):
        longer = f"{line} {word}" if line else word
        if line and cells(prefix) + cells(longer) > width:
            lines.append(prefix + line)
            prefix, line = rest, word
        else:
            line = longer
    return [*lines, prefix + line]


def _pieces(words: Sequence[str], room: int) -> Iterable[str]:
    for word in words:
        piece, used = "", 0
        for char in word:
            wide = _cell_width(char)
            if used + wide > room:
                yield piece
                piece, used = "", 0
            piece, used = piece + char, used + wide
        yield piece


def wall(recorded_at: str | None, seconds: float) -> str | None:
    """Return the wall-clock time of an instant, such as ``2026-05-01 12:00:06 UTC+02:00``.

    Args:
        recorded_at: Wall-clock time of media time 0, ISO 8601 with time zone.
        seconds: Media seconds.

    Returns:
        The time to the second, in the time zone of the recording; None when it is unknown.
    """
    # Tenths as `clock` shows them: 6.99 s is 0:07.0 there, and must be second 7 here.
    moment = wall_clock(recorded_at, round(seconds, 1))
    if moment is None or moment.tzinfo is None:
        return None
    text = moment.isoformat(" ", "seconds")
    offset = text[19:]
    return f"{text[:19]} UTC{'' if offset == '+00:00' else offset}"


def volume(count: int | None) -> str:
    """Return how much left this machine, also when nobody knows."""
    return "size unknown" if count is None else size(count)


def agreement(check: Mapping[str, Any]) -> str:
    """Return in words whether two voters agree."""
    word = "agree" if check["agree"] else "disagree"
    who = f"{clean(check['first'], limit=80)} and {clean(check['second'], limit=80)} {word}"
    return f"{who}: {clean(check['text'])}" if check.get("text") else who
