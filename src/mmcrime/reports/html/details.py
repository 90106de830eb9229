"""The lower half of a page: what was heard, what left, the file, the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeVar

from mmcrime.reports.html.answer import Step
from mmcrime.reports.html.figures import figure
from mmcrime.reports.missed import unseen
from mmcrime.reports.words import SOUND_NAMES, clean, clock, size, span, volume, wall_span

T = TypeVar("T")
_HEARD = 200
_LISTED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown(Generic[T]):
    """The first of many.

    Attributes:
        items: What the page shows.
        more: How many it does not.
    """

    items: tuple[T, ...] = ()
    more: int = 0


def first(items: Sequence[T], most: int) -> Shown[T]:
    """Return the first of ``items``, and how many are left out."""
    return Shown(items=tuple(islice(items, most)), more=max(0, len(items) - most))


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """Words or a sound, with what it is worth."""

    when: str
    kind: str
    words: str
    worth: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listened:
    """What was heard.

    Attributes:
        items: What the page shows, in order of time.
        more: What it does not, in words.
    """

    items: tuple[Heard, ...]
    more: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One thing that left this machine."""

    what: str
    to: str
    purpose: str
    when: str
    size: str


Pair = tuple[str, str]


def heard(report: Mapping[str, Any]) -> Listened:
    """Return words and sounds in order of time, as many of each as fit apart.

    Sounds stand in no competition with words: of a long talk a single bang must remain.
    """
    evidence = report.get("evidence") or {}
    talk = first(evidence.get("transcript") or (), _HEARD)
    noise = sounds(report, _HEARD)
    found = [(s["start"], s["end"], "sound", s) for s in noise.items]
    found += [(s["start"], s["end"], "speech", s) for s in talk.items]
    found.sort(key=lambda item: item[:3])
    return Listened(
        items=tuple(_heard(kind, s) for _, _, kind, s in found),
        more=" and ".join(
            f"{left} more {what}"
            for left, what in ((noise.more, "sounds"), (talk.more, "stretches of speech"))
            if left
        ),
    )


def sounds(report: Mapping[str, Any], most: int) -> Shown[Mapping[str, Any]]:
    """Return the strongest sounds in order of time, and how many are left out."""
    found = (report.get("evidence") or {}).get("sounds") or ()
    strongest = first(sorted(found, key=lambda s: -s["score"]), most)
    in_time = sorted(strongest.items, key=lambda s: (s["start"], s["end"]))
    return Shown(items=tuple(in_time), more=strongest.more)


def _heard(kind: str, said: Mapping[str, Any]) -> Heard:
    when = span(said["start"], said["end"])
    if kind == "sound":
        words = SOUND_NAMES.get(said["label"], clean(said["label"], limit=80))
        return Heard(when=when, kind=kind, words=words, worth=f"strength {figure(said['score'])}")
    engine, worth = clean(said["engine"], limit=80), clean(said["reliability"])
    return Heard(
        when=when, kind=kind, words=clean(said["text"]), worth=f"{worth} reliability, {engine}"
    )


def not_seen(report: Mapping[str, Any]) -> Shown[tuple[str, str, str]]:
    """Return who did not look where, and why."""
    said = [(", ".join(gap.who), gap.where(), gap.reason) for gap in unseen(report)]
    return first(said, _LISTED)


def sent(report: Mapping[str, Any]) -> Shown[Sent]:
    """Return what left this machine."""
    shown = first(report.get("egress") or (), _LISTED)
    return Shown(items=tuple(_sent(record) for record in shown.items), more=shown.more)


def _sent(record: Mapping[str, Any]) -> Sent:
    return Sent(
        what=clean(record["what"]),
        to=clean(record["to"]),
        purpose=clean(record["purpose"]),
        when=instant(record["when"]),
        size=volume(record.get("size_bytes")),
    )


def instant(when: object) -> str:
    """Return a wall-clock time as people write it."""
    try:
        return f"{datetime.fromisoformat(str(when)):%Y-%m-%d %H:%M:%S %Z}".strip()
    except ValueError:
        return clean(when, limit=80)


def file_facts(report: Mapping[str, Any]) -> list[Pair]:
    """Return everything known about the input."""
    media = report.get("media") or {}
    sides = [media.get("width"), media.get("height")]
    recorded, length = media.get("recorded_at"), media.get("duration")
    known: list[tuple[str, object]] = [
        ("Name", clean(media.get("name"))),
        ("Source", clean(report.get("source"))),
        ("Kind", clean(media.get("kind")) or "could not be read"),
        ("Format", clean(media.get("format"))),
        ("Size", "" if media.get("size_bytes") is None else size(media["size_bytes"])),
        ("Length", "" if length is None else f"{clock(length)} ({figure(length)} s)"),
        (
            "Picture",
            "" if None in sides else f"{figure(sides[0], 0)} x {figure(sides[1], 0)} pixels",
        ),
        ("Frames a second", "" if media.get("fps") is None else f"{figure(media['fps'])} (stated)"),
        ("Sound track", {True: "yes", False: "no"}.get(media.get("has_audio"), "")),  # type: ignore[arg-type]
        ("Camera or collection", clean(media.get("source_id"))),
        ("Recorded", wall_span(recorded, 0.0, length or 0.0) or clean(recorded)),
        ("Content id", clean(media.get("content_id"))),
    ]
    given = first(list((media.get("metadata") or {}).items()), _LISTED)
    known += [(f"Given: {clean(k, limit=60)}", clean(v)) for k, v in given.items]
    if given.more:
        known.append(("Given", f"{given.more} more facts; all are in the JSON"))
    return [(name, str(value)) for name, value in known if value]


def run_facts(report: Mapping[str, Any]) -> list[Pair]:
    """Return when, under which id and with what the report was made."""
    return [
        ("Reported", instant(report.get("timestamp"))),
        ("Request id", clean(report.get("request_id"))),
        ("Report schema", clean(report.get("schema_version"))),
    ]


def timings(report: Mapping[str, Any]) -> list[Pair]:
    """Return how long each stage took."""
    spent = (report.get("timings") or {}).items()
    return [(clean(name, limit=80).replace("_", " "), f"{figure(s)} s") for name, s in spent]


def versions(report: Mapping[str, Any]) -> list[Pair]:
    """Return the versions the result depends on."""
    used = (report.get("versions") or {}).items()
    return [(clean(name, limit=80), clean(version, limit=80)) for name, version in used]


def errors(report: Mapping[str, Any]) -> Shown[Step]:
    """Return what went wrong, except for what stands beside an analyzer already."""
    told = [a.get("error") for a in report.get("assessments") or ()]
    left = [e for e in report.get("errors") or () if e not in told]
    return Shown(items=tuple(_errors(left[:_LISTED])), more=max(0, len(left) - _LISTED))


def _errors(records: Iterable[Mapping[str, Any]]) -> Iterable[Step]:
    for record in records:
        yield Step(
            code=f"{clean(record['stage'], limit=80)}: {clean(record['type'], limit=80)}",
            text=clean(record["message"]),
            next_step=clean(record.get("next_step")),
        )
