"""What was and what was not looked at: one lane an observer, on the time axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmcrime.evidence import NO_STREAM, SILENT, Interval, merge_intervals, subtract_intervals
from mmcrime.reports.html.axis import Axis
from mmcrime.reports.html.figures import FAR
from mmcrime.reports.missed import SHORT, closeness, cut_off
from mmcrime.reports.words import clean, judges

_FINEST = 1 / 600
"""Share of the axis under which neighbouring stretches are drawn as one."""
_LEAST = 1e-9
"""Share under which what was looked at is nothing at all."""
_SLIVER = 0.0005
"""Share under which a rest comes from the rounding of timestamps."""
_SHORT_SHARE = 0.05
"""Share of the axis from which on even a short stretch is no sliver."""
_INSTANT = 1e-3
"""Seconds that are no stretch."""
_UNKNOWN = "an unknown part"
_NOTHING_THERE = (NO_STREAM, SILENT, "padding")
"""Reasons of gaps that nobody could have looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A stretch of a lane, in per cent: ``seen``, ``missed`` or ``nothing`` (to look at)."""

    at: float
    width: float
    kind: str


_LOST_END = Bar(at=98.5, width=1.5, kind="missed")
"""Stands for an end of unknown length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One observer.

    Attributes:
        name: ``Pictures looked over`` or the analyzer.
        status: What it did, in words.
        share: How much of the time it looked at, in words.
        bars: What is drawn; empty when nothing is known.
    """

    name: str
    status: str
    share: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How much of one sense was judged.

    Attributes:
        sense: ``pictures``, ``sound``, or ``input`` where nothing could be read.
        lost: The share that nobody judged, 0 to 1, or None when it is unknown.
        words: How much was judged, in words.
        cut: Whether the file ends before its header says so.
    """

    sense: str
    lost: float | None
    words: str
    cut: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of it was judged."""
        return not self.cut and self.lost is not None and self.lost < _SLIVER

    @property
    def blind(self) -> bool:
        """Whether nothing of it was judged."""
        return self.lost is not None and self.lost > 1 - _LEAST


def lanes(report: Mapping[str, Any], axis: Axis) -> tuple[Lane, ...]:
    """Return the lanes of preprocessing, then one for each analyzer that was asked."""
    coverage = report.get("coverage") or {}
    media = report.get("media") or {}
    kind = media.get("kind")
    senses = (
        ("Pictures looked over", "video", kind == "video"),
        ("Sound decoded", "sound", True),
        ("Speech listened to", "speech", True),
    )
    silence = _absent(coverage.get("sound") or {}, axis)
    drawn = [
        _lane(
            name,
            _looks(report) if key == "video" else "preprocessing",
            coverage.get(key) or {},
            axis,
            silence=silence if key == "speech" else (),
            cut=_is_cut(coverage.get(key) or {}),
        )
        for name, key, there in senses
        if there
    ]
    judged = coverage.get("analyzers") or {}
    cut = any(_is_cut(coverage.get(key) or {}) for key in ("video", "sound"))
    for assessment in report.get("assessments") or ():
        if kind == "audio" and not judges(assessment, "sound", media):
            continue  # it missed nothing here
        answered = assessment["status"] == "answered"
        own = coverage_by(assessment, coverage)
        # What somebody examined who then gave no answer is no part of the result.
        covered = own if answered else {"gaps": own.get("gaps") or ()}
        name = clean(assessment["analyzer"], limit=80)
        drawn.append(_lane(name, clean(assessment["status"]), covered, axis, cut=cut))
    known = {a["id"] for a in report.get("assessments") or ()}
    drawn += [
        _lane(clean(name, limit=80), "answered", own, axis, cut=cut)
        for name, own in judged.items()
        if name not in known
    ]
    return tuple(drawn)


def _looks(report: Mapping[str, Any]) -> str:
    looks = closeness(report)
    return f"preprocessing, {looks}" if looks else "preprocessing"


def coverage_by(assessment: Mapping[str, Any], coverage: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an analyzer examined: as the run says, or else as it says itself."""
    by_name = coverage.get("analyzers") or {}
    return by_name.get(assessment["id"]) or assessment.get("coverage") or {}


def _lane(
    name: str,
    status: str,
    covered: Mapping[str, Any],
    axis: Axis,
    *,
    silence: tuple[Interval, ...] = (),
    cut: bool = False,
) -> Lane:
    whole = (axis.start, axis.end)
    absent = merge_intervals((*_absent(covered, axis), *silence))
    seen = _outside(_clipped(covered.get("examined") or (), axis), absent, axis)
    # What is stated neither way was not looked at: doubt is never drawn as certainty.
    missed = _told(subtract_intervals(whole, (*seen, *absent)), covered.get("gaps") or (), axis)
    there = axis.length - sum(e - s for s, e in absent)
    lost = sum(e - s for s, e in missed)
    cut = cut and there > _INSTANT  # what is not there lost nothing
    return Lane(
        name=name,
        status=status,
        share=_UNKNOWN
        if axis.cut
        else looked_words(lost / there if there > _INSTANT else None, cut=cut),
        bars=(
            *_bars(absent, "nothing", axis),
            *_bars(seen, "seen", axis),
            *_bars(missed, "missed", axis),
            *((_LOST_END,) if cut else ()),
        ),
    )


def _told(
    missed: Iterable[Interval], gaps: Iterable[Mapping[str, Any]], axis: Axis
) -> tuple[Interval, ...]:
    """Leave out slivers that are no stated gap: where one stream ends just after another.

    The list in words leaves them out too. Of a very short input they are no sliver.
    """
    stated = _clipped(((gap["start"], gap["end"]) for gap in gaps if not _empty(gap)), axis)
    return tuple(
        (start, end)
        for start, end in missed
        if end - start >= min(SHORT, axis.length * _SHORT_SHARE)
        or any(s < end and start < e for s, e in stated)
    )


def _is_cut(covered: Mapping[str, Any]) -> bool:
    return any(cut_off(gap["reason"]) for gap in covered.get("gaps") or ())


def looked_words(lost: float | None, *, cut: bool = False) -> str:
    """Return how much was looked at, from the share that was not, 0 to 1, in words.

    None means that there was nothing to look at. Less than all is never called all, and
    more than nothing never nothing. Of a file that was ``cut`` off, the end is gone, and
    nobody knows how long it was.
    """
    words = _part(lost)
    if not cut:
        return words
    return "all but the lost end" if words == "all" else f"{words}, without the lost end"


def _part(lost: float | None) -> str:
    if lost is None:
        return "nothing there to be"
    if lost < _SLIVER:
        return "all"
    if lost > 1 - _LEAST:
        return "nothing"
    if lost > 0.99:
        return "under 1 %"
    if lost <= 0.5:
        return f"all but {max(1, round(100 * lost))} %"
    return f"only {round(100 * (1 - lost))} %"


def _absent(covered: Mapping[str, Any], axis: Axis) -> tuple[Interval, ...]:
    """Return where nothing was there to look at; what is also said to be damaged was there."""
    found: dict[bool, list[Interval]] = {True: [], False: []}
    for gap in covered.get("gaps") or ():
        found[_empty(gap)].append((gap["start"], gap["end"]))
    return _outside(_clipped(found[True], axis), _clipped(found[False], axis), axis)


def _empty(gap: Mapping[str, Any]) -> bool:
    return gap["reason"].partition(":")[0] in _NOTHING_THERE


def _outside(
    stretches: Iterable[Interval], others: Iterable[Interval], axis: Axis
) -> tuple[Interval, ...]:
    """Return what of some stretches lies in none of the others."""
    whole = (axis.start, axis.end)
    return subtract_intervals(whole, (*subtract_intervals(whole, stretches), *others))


def _clipped(intervals: Iterable[Sequence[float]], axis: Axis) -> tuple[Interval, ...]:
    return merge_intervals(
        (
            (max(start, axis.start), min(end, axis.end))
            for start, end in intervals
            if abs(start) < FAR and abs(end) < FAR
        ),
        join=_INSTANT,
    )


def _bars(stretches: Iterable[Interval], kind: str, axis: Axis) -> list[Bar]:
    merged = merge_intervals(stretches, join=axis.length * _FINEST)
    return [Bar(at=axis.at(s[0]), width=axis.width(s), kind=kind) for s in merged]


def looks(report: Mapping[str, Any]) -> tuple[Look, ...]:
    """Return how much of each sense the analyzers that answered judged.

    A sense that the input does not have is left out: no sound track, or digital silence.
    Where it has no other sense, it is told that there was nothing to judge.
    """
    media = report.get("media") or {}
    kind = media.get("kind")
    if kind is None:
        return (Look(sense="input", lost=1.0, words=looked_words(1.0)),)
    there = {
        "pictures": kind in ("image", "video"),
        "sound": kind == "audio" or (kind == "video" and media.get("has_audio") is not False),
    }
    senses = [sense for sense, is_there in there.items() if is_there]
    found = tuple(look for look in (_look(report, sense) for sense in senses) if look)
    return found or (Look(sense=senses[0], lost=1.0, words="nothing, there is only silence"),)


def _look(report: Mapping[str, Any], sense: str) -> Look | None:
    coverage = report.get("coverage") or {}
    media = report.get("media") or {}
    decoded = coverage.get("sound" if sense == "sound" else "video") or {}
    examined = [
        coverage_by(a, coverage)
        for a in report.get("assessments") or ()
        if a["status"] == "answered" and judges(a, sense, media)
    ]
    if media["kind"] == "image":
        return _still(examined, decoded)
    axis = Axis.of(report)
    absent = _absent(decoded, axis) if axis else ()
    there = axis.length - sum(e - s for s, e in absent) if axis else 1.0
    if there < _INSTANT and all(map(_empty, decoded.get("gaps") or ())):
        return None
    if not examined:
        return Look(sense=sense, lost=1.0, words=looked_words(1.0))
    if axis is None or axis.cut or there < _INSTANT:
        return Look(sense=sense, lost=None, words=_UNKNOWN)
    seen = (stretch for covered in examined for stretch in covered.get("examined") or ())
    left = subtract_intervals((axis.start, axis.end), (*_clipped(seen, axis), *absent))
    gaps = [gap for covered in examined for gap in covered.get("gaps") or ()]
    lost = sum(e - s for s, e in _told(left, gaps, axis)) / there
    cut = _is_cut(decoded)
    return Look(sense=sense, lost=lost, words=looked_words(lost, cut=cut), cut=cut)


def _still(examined: Sequence[Mapping[str, Any]], decoded: Mapping[str, Any]) -> Look:
    """Return how much of a picture was judged: it has no length, gaps tell that some is lost."""
    if not examined:
        return Look(sense="pictures", lost=1.0, words=looked_words(1.0))
    if decoded.get("gaps") or all(covered.get("gaps") for covered in examined):
        return Look(sense="pictures", lost=None, words="a part")
    return Look(sense="pictures", lost=0.0, words=looked_words(0.0))
