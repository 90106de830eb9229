"""Putting a report together from what the run found."""

from __future__ import annotations

import io
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mmcrime import __version__, taxonomy
from mmcrime.calls.prices import price_versions
from mmcrime.errors import MmcrimeError
from mmcrime.evidence import EncodedFrame, Evidence, Media
from mmcrime.fusion import Fused
from mmcrime.media.intake import clean_name
from mmcrime.perceive.spans import record as error_record
from mmcrime.results import (
    SCHEMA_VERSION,
    Assessment,
    Cost,
    CoverageRecord,
    EgressRecord,
    ErrorRecord,
    EvidenceRecord,
    FrameRecord,
    Incident,
    MediaRecord,
    Reason,
    Report,
    Verdict,
)

THUMBNAIL_SIDE = 320
"""Longest side of a thumbnail in pixels: readable in a table, about 10 kB each."""
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*:)/")
_LIBRARIES = ("av", "numpy", "opencv-python-headless", "pillow", "pocketsphinx", "pydantic")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a run knows when its report is put together.

    ``transcribing`` is what a provider that was the speech engine cost.
    """

    request_id: str
    source: str
    media: MediaRecord
    evidence: Evidence
    evidence_record: EvidenceRecord
    peaks: Mapping[str, EncodedFrame]
    assessments: tuple[Assessment, ...]
    transcribing: Cost
    fused: Fused
    egress: tuple[EgressRecord, ...]
    timings: Mapping[str, float]
    errors: tuple[ErrorRecord, ...]


def compose(facts: Facts) -> Report:
    """Return the report of a run. Blocks: use a thread."""
    evidence = facts.evidence
    kept = _with_peaks(facts.evidence_record, facts.peaks)
    times = [frame.time for frame in kept.frames]
    coverage = CoverageRecord(
        duration=evidence.media.duration,
        video=evidence.video,
        sound=evidence.sound,
        speech=evidence.transcript.coverage,
        analyzers={a.id: a.coverage for a in facts.assessments if a.status == "answered"},
    )
    costs = (*(a.cost for a in facts.assessments if a.status != "skipped"), facts.transcribing)
    return Report(
        request_id=facts.request_id,
        timestamp=datetime.now(UTC),
        source=facts.source,
        media=facts.media,
        verdict=facts.fused.verdict,
        incidents=tuple(
            _illustrated(incident, times, facts.peaks.get(incident.id))
            for incident in facts.fused.incidents
        ),
        assessments=facts.assessments,
        evidence=kept,
        coverage=coverage,
        egress=facts.egress,
        cost=total_cost(costs),
        timings=dict(facts.timings),
        versions={**versions(), **_prices(costs)},
        errors=facts.errors,
    )


def _prices(costs: Sequence[Cost]) -> dict[str, str]:
    """Say which table of prices was used, where one was."""
    used = any(cost.source == "price_table" for cost in costs)
    return price_versions() if used else {}


def unreadable(
    source: str,
    error: BaseException,
    *,
    request_id: str,
    egress: tuple[EgressRecord, ...] = (),
    given: Mapping[str, Any] | None = None,
) -> Report:
    """Return the undetermined report of a source that could not be analysed.

    Args:
        source: Display name of the source.
        error: What happened.
        request_id: The id of the run.
        egress: What left before it failed.
        given: What the caller told about the source (source_id, recorded_at, metadata).
    """
    record = error_record("prepare", error)
    reason = Reason(
        code="low_coverage",
        text=f"Nothing of it was examined: {record.message}",
        next_step=(error.next_step if isinstance(error, MmcrimeError) else "")
        or "Check the file, then run it again.",
    )
    return Report(
        request_id=request_id,
        timestamp=datetime.now(UTC),
        source=source,
        media=MediaRecord(kind=None, name=source, **dict(given or {})),
        verdict=Verdict(
            outcome="undetermined", reasons=(reason,), recommendations=(reason.next_step,)
        ),
        egress=egress,
        cost=Cost(usd=0.0, source="local") if not egress else Cost(),
        versions=versions(),
        errors=(record,),
    )


def media_record(media: Media) -> MediaRecord:
    """Return the published facts about the Media."""
    return MediaRecord(
        kind=media.kind,
        name=media.name,
        content_id=media.content_id,
        format=media.format,
        size_bytes=media.size_bytes,
        duration=media.duration,
        width=media.width,
        height=media.height,
        fps=media.fps,
        has_audio=media.has_audio,
        source_id=media.source_id,
        recorded_at=media.recorded_at,
        metadata=dict(media.metadata),
    )


def evidence_record(evidence: Evidence, *, frame_interval: float | None) -> EvidenceRecord:
    """Return the published form of the evidence, with thumbnails. Blocks: use a thread."""
    return EvidenceRecord(
        transcription=evidence.transcript.text,
        transcript=evidence.transcript.segments,
        sounds=evidence.sounds,
        motion=evidence.motion,
        loudness=evidence.loudness,
        frames=tuple(_frame_record(still) for still in evidence.stills),
        frame_interval=frame_interval,
    )


def _frame_record(still: EncodedFrame) -> FrameRecord:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(still.jpeg), formats=["JPEG"]) as image:
        image.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        image.save(buffer, "JPEG", quality=75)
    # model_construct: validation would base64-decode these bytes once more.
    return FrameRecord.model_construct(
        time=still.time, width=still.width, height=still.height, thumbnail=buffer.getvalue()
    )


def _with_peaks(record: EvidenceRecord, peaks: Mapping[str, EncodedFrame]) -> EvidenceRecord:
    """Return the evidence with the frames at the incidents' peaks among its own. Blocks."""
    there = {frame.time for frame in record.frames}
    new = {frame.time: frame for frame in peaks.values() if frame.time not in there}
    if not new:
        return record
    frames = (*record.frames, *(_frame_record(frame) for frame in new.values()))
    return record.model_copy(update={"frames": tuple(sorted(frames, key=lambda f: f.time))})


def _illustrated(incident: Incident, times: Sequence[float], peak: EncodedFrame | None) -> Incident:
    """Name the kept frames of an incident, the one at its peak too, or else the nearest."""
    inside = {time for time in times if incident.start <= time <= incident.end}
    if peak is not None:
        inside.add(peak.time)  # it may have begun just before the incident
    if not inside and times:
        inside.add(min(times, key=lambda time: abs(time - incident.peak)))
    return incident.model_copy(update={"frames": tuple(sorted(inside))})


def total_cost(costs: Sequence[Cost]) -> Cost:
    """Add up what is known; one unknown cost makes the sum unknown, never smaller."""
    unknown = [c for c in costs if c.usd is None]
    if unknown:
        return Cost(detail="; ".join(dict.fromkeys(c.detail for c in unknown if c.detail)))
    # What cost nothing has a source as well; a sum is as good as its weakest part.
    sources = {c.source for c in costs if c.usd} or {c.source for c in costs}
    source = next(
        (weak for weak in ("user", "price_table", "reported", "cache", "none") if weak in sources),
        "local",
    )
    details = dict.fromkeys(c.detail for c in costs if c.detail)
    return Cost(usd=sum(c.usd or 0.0 for c in costs), source=source, detail="; ".join(details))


@cache
def _library_versions() -> tuple[tuple[str, str], ...]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            # Another build of the same library (opencv-python) may stand in for it.
            found.append((name, "unknown"))
    return tuple(found)


def versions() -> dict[str, str]:
    """Return the versions a result depends on."""
    return {
        "mmcrime": __version__,
        "schema": SCHEMA_VERSION,
        "taxonomy": taxonomy.version(),
        "python": platform.python_version(),
        **dict(_library_versions()),
    }


def display_name(source: object, given: str | None = None) -> str:
    """Return a short name for a source that could not even be opened; never its secrets.

    Args:
        source: The source.
        given: What the caller calls it, if anything; also from a hostile client.
    """
    if given is not None:
        return clean_name(given)
    if isinstance(source, str | os.PathLike):
        text = os.fsdecode(source)
        scheme = _SCHEME.match(text)
        if scheme:
            # Query strings and user parts of URLs hold keys, in mistyped ones as well.
            place = text[scheme.end() :].partition("?")[0].partition("#")[0]
            text = scheme.group(1) + "//" + place.rpartition("@")[2].lstrip("/")
        return "".join(c if c.isprintable() else "?" for c in text)[-200:] or "(empty name)"
    return type(source).__name__
