"""Reports for tests: a full one, and one whose every free text is what the test says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from builders import answered, dead
from mmcrime.evidence import Coverage, Gap, SoundEvent, TranscriptSegment
from mmcrime.results import (
    Cost,
    CoverageRecord,
    EgressRecord,
    ErrorRecord,
    EvidenceRecord,
    Incident,
    MediaRecord,
    Reason,
    Report,
    Verdict,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "clip\u202e4pm.exe",
    "line\nbreak\r\nand\u2028more",
    "a | b `c` <img src=x onerror=alert(1)> [x](http://evil.example) **bold** # head",
    "=HYPERLINK(\"http://evil.example\")",
    "+1", "-2+3", "@SUM(A1)", "\t=1", " =1", "＝1",  # noqa: RUF001  # the wide sign is the point
    "ends with backslash \\",
    "\x9b31m\x85\x00\ufeff\u200b\U000e0041\ud800",
    "![i](javascript:alert(1))\n\n# Title\n- item\n```\ncode",
    "www.evil.example someone@evil.example https://evil.example",
    "界" * 90,
    "x" * 3000,
    "",
)  # fmt: skip
"""Text that media, names or plug-ins could bring."""

calm = settings(deadline=None, max_examples=50)
"""Properties over whole reports: a busy machine is no failure."""

hostile_text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60))


def report(text: str | None = None, **fields: Any) -> Report:
    """A report with something in every section.

    Args:
        text: What stands in every field of free text; None for harmless words.
        **fields: Override whole fields of the report.
    """

    def say(words: str) -> str:
        return words if text is None else text

    # An undetermined verdict must say why: pydantic refuses empty reasons there.
    reason = say("The two analyzers contradict each other.") or "?"
    base: dict[str, Any] = {
        "request_id": "r-1",
        "timestamp": NOW,
        "source": say("night/cam 1.mp4"),
        "media": MediaRecord(
            kind="video",
            name=say("cam 1.mp4"),
            format=say("mp4"),
            size_bytes=1_234_567,
            duration=20.0,
            width=1280,
            height=720,
            has_audio=True,
            content_id=say("blake3:00"),
            source_id=say("yard"),
            recorded_at=NOW,
        ),
        "verdict": Verdict(
            outcome="detected",
            reasons=(Reason(code="conflict", text=reason, next_step=say("Look at it.") or "?"),),
            crime_type=say("fighting"),
            probability=0.82,
            probability_source="measured",
            confidence="medium",
            severity="high",
            severity_reasons=(say("People are struck."),),
            evidence_description=say("Two people struggle at the wall."),
            alternative_interpretations=(say("Horseplay"),),
            recommendations=(say("Watch 0:04 to 0:08."),),
            votes_asked=3,
            votes_answered=1,
        ),
        "incidents": (
            Incident(
                id="i1",
                start=4.0,
                end=8.0,
                peak=6.5,
                crime_type=say("fighting"),
                alternatives=(say("assault"),),
                severity="high",
                probability=0.82,
                assessment_ids=(say("motion"),),
            ),
        ),
        "assessments": (
            answered(
                "motion",
                model=say("motion-1"),
                evidence_description=say("fast, irregular movement"),
                flags=(say("suspected_instructions"),),
                cost=Cost(usd=0.0, source="local"),
            ),
            dead(
                "acme",
                status="refused",
                runs="cloud",
                kind="llm",
                provider=say("acme"),
                error=ErrorRecord(
                    stage=say("analyze:acme"),
                    type=say("ProviderError"),
                    message=say("It would not look at this."),
                    next_step=say("Ask another one."),
                ),
            ),
        ),
        "evidence": EvidenceRecord(
            transcription=say("get away from me"),
            transcript=(
                TranscriptSegment(
                    start=3.0,
                    end=5.0,
                    text=say("get away from me"),
                    engine=say("sphinx"),
                    reliability="low",
                ),
            ),
            sounds=(SoundEvent(start=1.0, end=1.4, peak=1.1, label="impulsive", score=0.9),),
        ),
        "coverage": CoverageRecord(
            duration=20.0,
            video=Coverage(examined=((0.0, 20.0),), frames=5),
            speech=Coverage(
                examined=((0.0, 10.0),),
                gaps=(Gap(start=10.0, end=20.0, reason="speech_limit"),),
            ),
            analyzers={
                say("motion"): Coverage(
                    examined=((0.0, 12.0), (13.0, 20.0)),
                    frames=10,
                    gaps=(Gap(start=12.0, end=13.0, reason=f"damaged: {say('bad packet')}"),),
                )
            },
        ),
        "egress": (
            EgressRecord(
                what=say("image of a request"),
                to=say("acme"),
                purpose="provider",
                when=NOW,
                size_bytes=512,
            ),
        ),
        "errors": (
            ErrorRecord(
                stage=say("transcribe"),
                type=say("MmcrimeError"),
                message=say("gave up"),
                next_step=f"try again {say('')}",
            ),
        ),
    }
    return Report(**(base | fields))


def undetermined(**fields: Any) -> Report:
    """A report of a picture that nobody could judge."""
    reason = Reason(
        code="no_capable_analyzer",
        text="No analyzer here judges a picture.",
        next_step="Name a provider that does.",
    )
    return Report(
        **(
            {
                "request_id": "r-2",
                "timestamp": NOW,
                "source": "still.jpg",
                "media": MediaRecord(kind="image", name="still.jpg", width=640, height=480),
                "verdict": Verdict(outcome="undetermined", reasons=(reason,)),
            }
            | fields
        )
    )
