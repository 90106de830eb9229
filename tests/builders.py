"""Small builders of assessments for tests; every field can be overridden."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from mmcrime.evidence import Coverage
from mmcrime.results import Assessment, ErrorRecord, Segment

DURATION = 20.0
KINDS = ("llm", "video", "sound", "speech", "motion", "objects")
ERROR = ErrorRecord(stage="analyze:x", type="UnavailableError", message="gone", next_step="retry")


def jpeg(mark: object = "", *, side: int = 8) -> bytes:
    """A small JPEG that differs from those with another mark."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (90, 90, 120)).save(buffer, "JPEG", comment=str(mark))
    return buffer.getvalue()


def answered(
    name: str = "motion", *, outcome: str = "detected", probability: float = 0.9, **fields: Any
) -> Assessment:
    """An assessment that answered, over the whole of a 20 s media unless told otherwise."""
    base: dict[str, Any] = {
        "id": name,
        "analyzer": name,
        "kind": "motion",
        "runs": "local",
        "family": name,
        "provider": "embedded",
        "model": name,
        "status": "answered",
        "outcome": outcome,
        "probability": probability,
        "probability_source": "measured",
        "coverage": Coverage(examined=((0.0, DURATION),), frames=10),
    }
    if outcome == "detected":
        base["segments"] = (Segment(start=4.0, end=8.0, score=probability, crime_type="fighting"),)
    return Assessment(**(base | fields))


def dead(name: str = "motion", *, status: str = "failed", **fields: Any) -> Assessment:
    """An assessment that did not answer."""
    base: dict[str, Any] = {
        "id": name,
        "analyzer": name,
        "kind": "motion",
        "runs": "local",
        "family": name,
        "status": status,
        "error": ERROR,
    }
    return Assessment(**(base | fields))


@st.composite
def segments(draw: st.DrawFn) -> tuple[Segment, ...]:
    """Any segments inside the 20 s media."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.floats(0, DURATION))
        found.append(
            Segment(
                start=start,
                end=draw(st.floats(start, DURATION)),
                score=draw(st.floats(0, 1)),
                crime_type=draw(st.sampled_from([None, "fighting", "gunshot", "explosion"])),
            )
        )
    return tuple(found)


@st.composite
def assessments(draw: st.DrawFn, *, name: str) -> Assessment:
    """Any valid assessment, alive or dead."""
    kind = draw(st.sampled_from(KINDS))
    status = draw(st.sampled_from(["answered", "answered", "failed", "refused", "skipped"]))
    if status != "answered":
        return dead(name, status=status, kind=kind)
    outcome = draw(st.sampled_from(["detected", "not_detected", "undetermined"]))
    share = draw(st.sampled_from([0.0, 0.5, 0.95, 1.0]))
    return answered(
        name,
        outcome=outcome,
        probability=draw(st.floats(0, 1)),
        kind=kind,
        provider=draw(st.sampled_from(["embedded", "acme"])),
        model=draw(st.sampled_from(["m1", "m2"])),
        family=draw(st.sampled_from(["f1", "f2"])),
        segments=draw(segments()),
        coverage=Coverage(examined=((0.0, DURATION * share),) if share else (), frames=1),
    )


@st.composite
def panels(draw: st.DrawFn) -> list[Assessment]:
    """Up to six assessments of one media."""
    count = draw(st.integers(0, 6))
    return [draw(assessments(name=f"a{i}")) for i in range(count)]
