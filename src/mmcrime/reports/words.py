"""What all renderers share: harmless text, times, names, and gaps put together."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mmcrime.evidence import NO_STREAM, SILENT, Interval, merge_intervals
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

_GAP_REASONS = {
    "damaged": "could not be decoded",
    "not_requested": "not asked for",
    "over_limit": "beyond a limit",
    "speech_limit": "beyond what the speech engine listens to",
    NO_STREAM: "there is none in this input",
    SILENT: "digital silence, nothing to hear",
    "padding": "filling that the codec adds",
    "deadline": "no time left",
    "not_judged": "decoded, but could not be judged",
    "offline": "refused, offline is set",
}
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


def clock(seconds: float) -> str:
    """Return media time as ``m:ss.s`` (``h:mm:ss.s`` from one hour on).

    What is no time of any recording is quoted as the number it is.
    """
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


def _stretch(start: float, end: float) -> str:
    return span(start, end) if end - start >= 0.1 else f"under 0.1 s at {clock(start)}"


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
    return f"{first[:19]} to {last[11:] if first[:10] == last[:10] else last}"


def crime_name(type_id: str | None) -> str:
    """Return what people read for a crime type; an unknown one is quoted as it is."""
    if not type_id:
        return "unknown kind"
    known = crime_types().get(type_id)
    return known.name if known else clean(type_id, limit=80)


def size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 1000:
        return f"{count} bytes"
    for unit, scale in (("kB", 1e3), ("MB", 1e6)):
        if count < scale * 1000:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e9:.1f} GB"


def money(cost: Mapping[str, Any]) -> str:
    """Return a cost with its source; an unknown one is "unknown", never 0."""
    usd = cost.get("usd")
    if usd is None:
        return "cost unknown"
    if cost.get("source") == "local":
        return "no cost, ran on this machine"
    return f"${usd:.4f} ({clean(cost.get('source')).replace('_', ' ')})"


def chance(probability: float | None, source: str | None) -> str:
    """Return a probability with where it comes from."""
    if probability is None:
        return "no probability"
    return f"probability {probability:.2f}, {clean(source)}"


def judged(verdict: Mapping[str, Any]) -> bool:
    """Tell whether the severity was judged: "none" of an undetermined verdict is no answer."""
    undetermined: bool = verdict["outcome"] == "undetermined"
    return not undetermined or verdict["severity"] != "none"


def facts(media: Mapping[str, Any]) -> str:
    """Return the facts about the input in one line, without its name."""
    parts = [clean(media.get("kind") or "unreadable"), clean(media.get("format"))]
    if media.get("duration") is not None:
        parts.append(clock(media["duration"]))
    if media.get("width") and media.get("height"):
        parts.append(f"{media['width']}x{media['height']}")
    if media.get("size_bytes") is not None:
        parts.append(size(media["size_bytes"]))
    if media.get("kind") == "video" and media.get("has_audio") is False:
        parts.append("no sound")
    for key, label in (("source_id", "source"), ("recorded_at", "recorded")):
        if media.get(key):
            parts.append(f"{label} {clean(media[key])}")
    return ", ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unseen:
    """Stretches that the same observers missed for the same reason.

    Attributes:
        who: ``video``, ``sound``, ``speech`` and analyzer names.
        reason: The reason in words; untrusted detail is cleaned.
        stretches: Merged media intervals; empty for an input without time.
    """

    who: tuple[str, ...]
    reason: str
    stretches: tuple[Interval, ...]

    def where(self) -> str:
        """Return the stretches in words: the first three, then how much more."""
        if not self.stretches:
            return "all of it"
        shown = ", ".join(_stretch(*stretch) for stretch in self.stretches[:3])
        if len(self.stretches) <= 3:
            return shown
        total = sum(end - start for start, end in self.stretches)
        return f"{shown} and {len(self.stretches) - 3} more stretches ({total:.1f} s in all)"


def unseen(report: Mapping[str, Any]) -> list[Unseen]:
    """Say what nobody looked at: first whole senses, then the gaps, put together.

    There is one entry a reason and set of stretches.
    """
    media = report.get("media") or {}
    if media.get("kind", "") is None:
        return [Unseen(who=("the input",), reason="unreadable", stretches=())]
    coverage = report.get("coverage") or {}
    holes: dict[tuple[str, str], list[Interval]] = {}
    observers: list[tuple[str, Mapping[str, Any]]] = [
        (name, coverage.get(name) or {}) for name in ("video", "sound", "speech")
    ]
    observers += list((coverage.get("analyzers") or {}).items())
    for who, covered in observers:
        for gap in covered.get("gaps") or ():
            key = (clean(who, limit=80), _gap_reason(gap["reason"]))
            holes.setdefault(key, []).append((gap["start"], gap["end"]))
    together: dict[tuple[str, tuple[Interval, ...]], list[str]] = {}
    for (who, reason), stretches in holes.items():
        together.setdefault((reason, merge_intervals(stretches, join=0.05)), []).append(who)
    return [
        *_unjudged(media, coverage.get("sound") or {}, report.get("assessments") or ()),
        *(
            Unseen(who=tuple(dict.fromkeys(who)), reason=reason, stretches=stretches)
            for (reason, stretches), who in together.items()
        ),
    ]


def _unjudged(
    media: Mapping[str, Any],
    sound: Mapping[str, Any],
    assessments: Iterable[Mapping[str, Any]],
) -> Iterator[Unseen]:
    """Yield the senses for which no analyzer answered, although there is something to judge."""
    kind = media.get("kind")
    there = {"pictures": kind in ("image", "video"), "sound": kind == "audio"}
    there["sound"] |= kind == "video" and bool(media.get("has_audio"))
    reasons = {gap["reason"] for gap in sound.get("gaps") or ()}
    if reasons and reasons <= {SILENT, NO_STREAM} and not sound.get("examined"):
        there["sound"] = False  # a gap says so already
    answered = [a for a in assessments if a["status"] == "answered"]
    for sense in _JUDGES:
        if there[sense] and not any(judges(a, sense, media) for a in answered):
            yield Unseen(who=(sense,), reason="no analyzer judged this", stretches=())


def _gap_reason(reason: str) -> str:
    word, _, detail = reason.partition(": ")
    said = _GAP_REASONS.get(word, clean(word.replace("_", " "), limit=120))
    return f"{said}: {clean(detail, limit=200)}" if detail else said


def heard(report: Mapping[str, Any]) -> list[tuple[float, float, str, str]]:
    """Return what was heard in time order: (start, end, ``sound`` or ``speech``, words)."""
    evidence = report.get("evidence") or {}
    found: list[tuple[float, float, str, str]] = [
        (s["start"], s["end"], "sound", SOUND_NAMES.get(s["label"], clean(s["label"])))
        for s in evidence.get("sounds") or ()
    ]
    found += [(s["start"], s["end"], "speech", s["text"]) for s in evidence.get("transcript") or ()]
    return sorted(found, key=lambda item: (item[0], item[2]))


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
