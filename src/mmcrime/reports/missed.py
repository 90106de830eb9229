"""What nobody looked at: stated gaps, voters without an answer, and time nobody speaks of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmcrime.evidence import (
    CUT_OFF,
    NO_STREAM,
    SILENT,
    Interval,
    merge_intervals,
    subtract_intervals,
)
from mmcrime.reports.words import clean, clock, finite, judges, span

_GAP_REASONS = {
    "damaged": "could not be decoded",
    "not_requested": "not asked for",
    "over_limit": "beyond a limit",
    "speech_limit": "beyond what the speech engine listens to",
    NO_STREAM: "there is none in this input",
    SILENT: "digital silence, nothing to hear",
    "padding": "filling that the codec adds",
    "deadline": "no time left",
    "over_budget": "a cap of the budget did not allow it",
    "not_judged": "decoded, but could not be judged",
    "offline": "refused, offline is set",
}
_UNSTATED = "nobody says that it was examined"
SHORT = 0.1
"""Seconds: a stream that begins or ends so little beside another is no news for a person."""
_NO_NEWS = (NO_STREAM, "padding")
"""Reasons of gaps of which slivers are left out."""
_JOIN = 0.05
"""Seconds between two gaps that are told as one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unseen:
    """Stretches that the same observers missed for the same reason.

    Attributes:
        who: ``video``, ``sound``, ``speech`` and analyzer names.
        reason: The reason in words; untrusted detail is cleaned.
        stretches: Merged media intervals; empty where no time is known, as for a picture.
        partly: Whether the observers examined something of the input.
        end: Whether it is the end, of unknown length, of a file that was cut off.
    """

    who: tuple[str, ...]
    reason: str
    stretches: tuple[Interval, ...] = ()
    partly: bool = False
    end: bool = False

    def where(self) -> str:
        """Return the stretches in words: the first three, then how much more."""
        if self.end:
            return "the end of it"
        if not self.stretches:
            return "a part of it" if self.partly else "all of it"
        shown = ", ".join(_stretch(*stretch) for stretch in self.stretches[:3])
        if len(self.stretches) <= 3:
            return shown
        total = sum(end - start for start, end in self.stretches)
        return f"{shown} and {len(self.stretches) - 3} more stretches ({_seconds(total)} in all)"


def _stretch(start: float, end: float) -> str:
    return span(start, end) if end - start >= SHORT else f"under 0.1 s at {clock(start)}"


def _seconds(total: float) -> str:
    return f"{total:.1f} s" if total < 1e10 else f"{total:g} s"


def unseen(report: Mapping[str, Any]) -> list[Unseen]:
    """Say what nobody looked at: first whole senses, then the gaps, put together.

    There is one entry a reason and set of stretches. Analyzers that were asked and gave no
    answer are among them, and time of which an observer says nothing; an analyzer that
    was skipped had nothing to judge.
    """
    media = report.get("media") or {}
    if media.get("kind", "") is None:
        return [Unseen(who=("the input",), reason="unreadable")]
    there = _there(report)
    together: dict[Unseen, list[str]] = {}
    for who, missed in (*_gaps(report, there), *_silent_voters(report, there)):
        together.setdefault(missed, []).append(clean(who, limit=80))
    return [
        *_unjudged(report, there),
        *(
            Unseen(
                who=tuple(dict.fromkeys(who)),
                reason=missed.reason,
                stretches=missed.stretches,
                partly=missed.partly,
                end=missed.end,
            )
            for missed, who in together.items()
        ),
    ]


def closeness(report: Mapping[str, Any]) -> str | None:
    """Say how closely the pictures of a video were looked over: not each one is decoded."""
    motion = (report.get("evidence") or {}).get("motion") or {}
    apart = finite(motion.get("resolution"))
    if not apart:
        return None
    # Rounded up: less than was looked at may be said, more may not.
    if apart > 10:
        return f"a look at least every {_seconds(math.ceil(apart - 1e-3)).replace('.0 s', ' s')}"
    return f"a look at least every {max(math.ceil(apart * 10 - 1e-3), 1) / 10:g} s"


def _there(report: Mapping[str, Any]) -> frozenset[str]:
    """Return of which senses there is something to judge."""
    media = report.get("media") or {}
    sound = (report.get("coverage") or {}).get("sound") or {}
    kind = media.get("kind")
    found = {"pictures"} if kind in ("image", "video") else set()
    reasons = {gap["reason"] for gap in sound.get("gaps") or ()}
    # Silence and a missing track are gaps of their own, and say so already.
    nothing = reasons and reasons <= {SILENT, NO_STREAM} and not sound.get("examined")
    if (kind == "audio" or (kind == "video" and media.get("has_audio"))) and not nothing:
        found.add("sound")
    return frozenset(found)


def _unjudged(report: Mapping[str, Any], there: frozenset[str]) -> Iterator[Unseen]:
    """Yield the senses for which no analyzer answered, although there is something to judge."""
    media = report.get("media") or {}
    answered = [a for a in report.get("assessments") or () if a["status"] == "answered"]
    for sense in sorted(there):
        if not any(judges(a, sense, media) for a in answered):
            yield Unseen(who=(sense,), reason="no analyzer judged this")


def _silent_voters(
    report: Mapping[str, Any], there: frozenset[str]
) -> Iterator[tuple[str, Unseen]]:
    """Yield who was asked about something that is there, and gave no answer."""
    media = report.get("media") or {}
    for assessment in report.get("assessments") or ():
        able = (
            bool(there)
            if assessment["kind"] == "llm"
            else any(judges(assessment, sense, media) for sense in there)
        )
        if able and assessment["status"] in ("failed", "refused"):
            yield (
                assessment["analyzer"],
                Unseen(who=(), reason=f"{assessment['status']}, no answer"),
            )


def _preprocessing(
    report: Mapping[str, Any], there: frozenset[str]
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield what was decoded and listened to, and whether all of it should have been."""
    coverage = report.get("coverage") or {}
    still = (report.get("media") or {}).get("kind") == "image"
    for name, sense in (("video", "pictures"), ("sound", "sound"), ("speech", "sound")):
        yield name, coverage.get(name) or {}, sense in there and not still


def voters(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name of each analyzer that answered, and what it examined."""
    judged = dict((report.get("coverage") or {}).get("analyzers") or {})
    for assessment in report.get("assessments") or ():
        own = judged.pop(assessment["id"], None) or assessment.get("coverage") or {}
        if assessment["status"] == "answered":
            yield assessment["analyzer"], own
    yield from judged.items()


def _gaps(report: Mapping[str, Any], there: frozenset[str]) -> Iterator[tuple[str, Unseen]]:
    """Yield what each observer missed: what it states, then what it is silent about."""
    length = _length(report)
    asked = ((who, covered, bool(there)) for who, covered in voters(report))
    for who, covered, owed in (*_preprocessing(report, there), *asked):
        partly = bool(covered.get("examined") or covered.get("frames"))
        stated: dict[str, list[Mapping[str, Any]]] = {}
        for gap in covered.get("gaps") or ():
            stated.setdefault(gap["reason"], []).append(gap)
        for reason, gaps in stated.items():
            stretches = merge_intervals(
                timed((gap["start"], gap["end"]) for gap in gaps), join=_JOIN
            )
            if reason in _NO_NEWS and stretches:
                stretches = _long(stretches)
                if not stretches:
                    continue
            yield (
                who,
                Unseen(
                    who=(),
                    reason=_gap_reason(reason),
                    stretches=stretches,
                    partly=partly and not stretches,
                    end=cut_off(reason) and not stretches,
                ),
            )
        if owed and length:
            left = silent_about(covered, length)
            if left:
                yield who, Unseen(who=(), reason=_UNSTATED, stretches=left)
        elif owed and not partly and not stated:
            yield who, Unseen(who=(), reason=_UNSTATED)


def cut_off(reason: str) -> bool:
    """Tell whether the reason of a gap is that the file ends before its header says so."""
    return reason.startswith(CUT_OFF)


def silent_about(covered: Mapping[str, Any], length: float) -> tuple[Interval, ...]:
    """Return the time that is neither stated as examined nor as missed, but for slivers."""
    stated = [(gap["start"], gap["end"]) for gap in covered.get("gaps") or ()]
    stated += [(start, end) for start, end in covered.get("examined") or ()]
    return _long(subtract_intervals((0.0, length), timed(stated)))


def _long(stretches: Iterable[Interval]) -> tuple[Interval, ...]:
    return tuple((start, end) for start, end in stretches if end - start >= SHORT)


def _length(report: Mapping[str, Any]) -> float | None:
    """Return how long the input is; None for a picture and where nobody knows."""
    media = report.get("media") or {}
    known = media.get("duration") or (report.get("coverage") or {}).get("duration")
    return None if media.get("kind") == "image" else finite(known)


def timed(stretches: Iterable[tuple[Any, Any]]) -> list[Interval]:
    """Return the stretches whose ends are numbers that can be reckoned with."""
    pairs = ((finite(start), finite(end)) for start, end in stretches)
    return [(start, end) for start, end in pairs if start is not None and end is not None]


def _gap_reason(reason: str) -> str:
    word, _, detail = reason.partition(": ")
    said = _GAP_REASONS.get(word, clean(word.replace("_", " "), limit=120))
    return f"{said}: {clean(detail, limit=200)}" if detail else said
