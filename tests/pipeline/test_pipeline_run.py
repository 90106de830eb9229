"""One source through the whole pipeline, on real media."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import EchoProvider, Scripted, Verifier, reply
from PIL import Image

from mmcrime import CrimeDetectionPipeline, Report, Settings, analyze
from mmcrime.errors import (
    BudgetExceededError,
    ConfigError,
    CorruptMediaError,
    EgressError,
    MediaError,
    ModelNotFoundError,
    UnknownProviderError,
    UnsupportedMediaError,
)
from mmcrime.plugins import Part, Request, RunContext
from mmcrime.results import Assessment, Segment


def with_analyzers(settings: Settings, *analyzers: Any, **more: Any) -> CrimeDetectionPipeline:
    return CrimeDetectionPipeline(settings, analyzers=analyzers, **more)


def test_a_video_gives_a_complete_report(pipeline: CrimeDetectionPipeline, footage: Path) -> None:
    report = pipeline.analyze(footage, source_id="yard", metadata={"case": "7"})
    assert report.media.kind == "video"
    assert report.media.duration == pytest.approx(24, abs=0.2)
    assert {a.analyzer: a.status for a in report.assessments} == {
        "motion": "answered",
        "sound": "answered",
    }
    assert report.verdict.votes_answered == report.verdict.votes_asked == 2
    assert report.egress == ()
    assert (report.cost.usd, report.cost.source) == (0.0, "local")
    assert report.coverage.video.seconds > 23
    assert report.coverage.sound.seconds > 23
    assert len(report.evidence.frames) >= 5
    assert all(f.thumbnail for f in report.evidence.frames)
    assert (report.media.source_id, report.media.metadata) == ("yard", {"case": "7"})
    assert {"open", "total", "analyze:motion"} <= set(report.timings)
    assert Report.from_json(report.to_json(thumbnails=True)) == report


def test_a_picture_with_embedded_detectors_only_is_undetermined_with_the_next_step(
    pipeline: CrimeDetectionPipeline, picture: bytes
) -> None:
    report = pipeline.analyze(picture)
    (reason,) = report.verdict.reasons
    assert report.verdict.crime_detected is None
    assert reason.code == "no_capable_analyzer"
    assert "provider" in reason.next_step
    assert {a.status for a in report.assessments} == {"skipped"}


def test_a_sound_recording_is_judged_by_sound(
    pipeline: CrimeDetectionPipeline, quiet_wav: bytes
) -> None:
    report = pipeline.analyze(quiet_wav)
    assert report.media.kind == "audio"
    assert report.verdict.outcome == "not_detected"
    assert report.verdict.confidence == "low"


@pytest.mark.parametrize("form", ["path", "str", "bytes", "file", "image", "array"])
def test_every_form_of_source_gives_a_report(
    pipeline: CrimeDetectionPipeline, picture: bytes, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "no-extension"
    path.write_bytes(picture)
    source: Any = {
        "path": path,
        "str": str(path),
        "bytes": picture,
        "file": io.BytesIO(picture),
        "image": Image.open(io.BytesIO(picture)),
        "array": np.full((48, 64, 3), 90, np.uint8),
    }[form]
    report = pipeline.analyze(source)
    assert (report.media.kind, report.media.width, report.media.height) == ("image", 64, 48)


def test_the_one_shot_function_needs_no_pipeline(quiet_wav: bytes) -> None:
    assert (
        analyze(quiet_wav, config={"analyzers": {"speech": {"enabled": False}}}).media.kind
        == "audio"
    )


def test_content_of_another_kind_than_asked_for_is_refused(
    pipeline: CrimeDetectionPipeline, picture: bytes
) -> None:
    with pytest.raises(UnsupportedMediaError, match="'image', not 'video'"):
        pipeline.analyze(picture, kind="video")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"frame_interval": 0}, "frame_interval=0"),
        ({"frame_interval": float("nan")}, "frame_interval=nan"),
        ({"frame_interval": True}, "frame_interval=True"),
        ({"deadline": -1}, "deadline=-1"),
        ({"kind": "movie"}, "'movie'"),
        ({"providers": "openai"}, "'openai'"),
        ({"analyzers": ["nope"]}, "'nope'"),
        ({"providers": ["nope"]}, "'nope'"),
        ({"recorded_at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001  # the point
        ({"metadata": {"a": 1}}, "metadata"),
        ({"notify": True}, "notify=True"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it_and_the_next_step(
    pipeline: CrimeDetectionPipeline, picture: bytes, options: Any, names: str
) -> None:
    with pytest.raises(ConfigError, match=names.replace("'", ".")) as caught:
        pipeline.analyze(picture, **options)
    assert caught.value.next_step


def test_a_local_model_that_is_not_there_refuses_to_start() -> None:
    with pytest.raises(ModelNotFoundError):
        CrimeDetectionPipeline(use_local_llm=True, local_llm_size="tiny")


def test_an_enabled_analyzer_nobody_installed_refuses_to_start() -> None:
    with pytest.raises(UnknownProviderError, match="'local_llm'"):
        CrimeDetectionPipeline({"analyzers": {"local_llm": {"enabled": True}}})


def test_a_wrong_option_of_an_analyzer_refuses_to_start() -> None:
    with pytest.raises(ConfigError, match=r"analyzers\.motion\.speed"):
        CrimeDetectionPipeline({"analyzers": {"motion": {"speed": 3}}})


@pytest.mark.parametrize("source", [b"", b"hello world, this is text", b"\xff\xd8\xff\xe0junk"])
def test_unreadable_bytes_raise_one_typed_error(
    pipeline: CrimeDetectionPipeline, source: bytes
) -> None:
    with pytest.raises(MediaError):
        pipeline.analyze(source)


def test_offline_refuses_a_url_and_nothing_leaves(pipeline: CrimeDetectionPipeline) -> None:
    with pytest.raises(EgressError, match="offline"):
        pipeline.analyze("http://127.0.0.1:9/clip.mp4", offline=True)


# -- analyzers that die, lie or hang ------------------------------------------------


def boom(_evidence: Any, _context: Any) -> Assessment:
    raise RuntimeError("boom")


def exits(_evidence: Any, _context: Any) -> Assessment:
    raise SystemExit(3)


async def cancels_itself() -> Assessment:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    "act",
    [
        boom,
        exits,
        lambda e, c: cancels_itself(),
        lambda e, c: None,
        lambda e, c: {"crime_detected": True},
        lambda e, c: True,
        lambda e, c: reply("detected", segments=(Segment(start=0, end=9e9, score=1),)),
        lambda e, c: reply("detected", segments=(Segment(start=-50, end=1, score=1),)),
        lambda e, c: reply("detected", probability=2.0),
    ],
)
def test_an_analyzer_that_dies_or_garbles_is_a_failed_vote_and_never_an_answer(
    silent_settings: Settings, quiet_wav: bytes, act: Any
) -> None:
    """Promises 1 and 3: no error, exit or malformed reply becomes a yes or a no."""
    with with_analyzers(silent_settings, Scripted(act)) as pipeline:
        report = pipeline.analyze(quiet_wav)
    (assessment,) = report.assessments
    assert assessment.status == "failed"
    assert assessment.error is not None
    assert report.verdict.outcome == "undetermined"
    assert [r.code for r in report.verdict.reasons] == ["all_failed"]
    assert report.verdict.votes_answered == 0
    assert report.errors


def test_a_dead_analyzer_takes_nobody_else_down(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    alive = Scripted(lambda e, c: reply("detected", 0.9), "alive")
    with with_analyzers(silent_settings, Scripted(boom, "dead"), alive) as pipeline:
        report = pipeline.analyze(quiet_wav)
    assert report.verdict.outcome == "detected"
    assert (report.verdict.votes_answered, report.verdict.votes_asked) == (1, 2)


def test_a_hanging_analyzer_fails_at_the_deadline(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    with with_analyzers(silent_settings, Scripted(lambda e, c: asyncio.sleep(60))) as pipeline:
        started = time.monotonic()
        report = pipeline.analyze(quiet_wav, deadline=1.0)
        assert time.monotonic() - started < 20
    (assessment,) = report.assessments
    assert assessment.error is not None
    assert assessment.error.message.startswith("deadline")


def test_an_analyzer_cannot_answer_under_another_name(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    liar = Scripted(lambda e, c: reply(analyzer="motion", kind="motion", runs="cloud"), "liar")
    with with_analyzers(silent_settings, liar) as pipeline:
        (assessment,) = pipeline.analyze(quiet_wav).assessments
    assert (assessment.analyzer, assessment.kind, assessment.runs) == ("liar", "llm", "local")


def test_claimed_coverage_is_cut_to_what_was_decoded(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    """Promise 4: two seconds were decoded, whatever an analyzer claims."""
    with with_analyzers(silent_settings, Scripted(lambda e, c: reply())) as pipeline:
        (assessment,) = pipeline.analyze(quiet_wav).assessments
    assert assessment.coverage.seconds == pytest.approx(2.0, abs=0.1)
    assert "coverage_trimmed_to_what_was_decoded" in assessment.flags


def test_a_label_outside_the_taxonomy_is_flagged(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    odd = Scripted(lambda e, c: reply("detected", 0.9, crime_type="jaywalking"))
    with with_analyzers(silent_settings, odd) as pipeline:
        report = pipeline.analyze(quiet_wav)
    assert report.assessments[0].crime_type == "unknown_incident"
    assert "unmapped_label:jaywalking" in report.assessments[0].flags
    assert report.verdict.crime_type == "unknown_incident"


def test_verifiers_see_the_live_proposals_and_observers_do_not(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    seen: dict[str, int] = {}

    def note(name: str) -> Any:
        def act(_e: Any, context: RunContext) -> Assessment:
            seen[name] = len(context.proposals)
            return reply()

        return act

    analyzers = (
        Scripted(note("observer"), "observer"),
        Scripted(boom, "dead"),
        Verifier(note("verifier"), "verifier"),
    )
    with with_analyzers(silent_settings, *analyzers) as pipeline:
        pipeline.analyze(quiet_wav)
    assert seen == {"observer": 0, "verifier": 1}


def test_a_provider_call_is_announced_and_offline_refuses_it(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    """Promise 8."""

    async def call(context: RunContext) -> Assessment:
        question = Request(
            instructions="look", parts=(Part(data=b"1234", media_type="image/jpeg"),)
        )
        await context.providers["echo"].generate(question)
        return reply(runs="cloud")

    asker = Scripted(lambda e, c: call(c))
    with with_analyzers(silent_settings, asker, providers={"echo": EchoProvider()}) as pipeline:
        online = pipeline.analyze(quiet_wav)
        offline = pipeline.analyze(quiet_wav, offline=True)
    (record,) = online.egress
    assert (record.to, record.what, record.size_bytes) == ("echo", "image of a request", 8)
    assert offline.egress == ()
    assert offline.assessments[0].error is not None
    assert offline.assessments[0].error.type == "EgressError"


def test_a_named_provider_that_nobody_asked_is_reported_as_skipped(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    quiet = Scripted(lambda e, c: reply())
    with with_analyzers(silent_settings, quiet, providers={"echo": EchoProvider()}) as pipeline:
        report = pipeline.analyze(quiet_wav)
    skipped = [a for a in report.assessments if a.status == "skipped"]
    assert [(a.provider, a.error.type if a.error else "") for a in skipped] == [
        ("echo", "NotAsked")
    ]


def test_settings_reach_analyzers_without_secrets(quiet_wav: bytes) -> None:
    seen: list[str] = []

    def spy(_e: Any, context: RunContext) -> Assessment:
        seen.append(json.dumps(dict(context.settings), default=str))
        return reply()

    settings = Settings.model_validate(
        {
            "context": "a bakery",
            "providers": {"acme": {"api_key": "sk-very-secret"}},
            "analyzers": {"speech": {"enabled": False}},
        }
    )
    with with_analyzers(settings, Scripted(spy)) as pipeline:
        report = pipeline.analyze(quiet_wav)
    assert "a bakery" in seen[0]
    assert "sk-very-secret" not in seen[0] + report.to_json()


def test_every_log_record_of_a_run_carries_its_request_id(
    silent_settings: Settings, quiet_wav: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    context = RunContext(request_id="my-id", egress=None)  # type: ignore[arg-type]  # unused here
    with (
        caplog.at_level(logging.DEBUG, "mmcrime"),
        with_analyzers(silent_settings, Scripted(boom)) as pipeline,
    ):
        report = pipeline.analyze(quiet_wav, run=context)
    records = [r for r in caplog.records if r.name.startswith("mmcrime")]
    assert report.request_id == "my-id"
    assert records
    assert {getattr(r, "request_id", None) for r in records} == {"my-id"}


def test_wall_clock_time_is_kept_with_its_zone(
    pipeline: CrimeDetectionPipeline, quiet_wav: bytes
) -> None:
    when = datetime(2026, 5, 1, 22, 30, tzinfo=UTC)
    assert pipeline.analyze(quiet_wav, recorded_at=when).media.recorded_at == when


def test_a_deadline_that_passes_while_opening_is_a_budget_error(
    pipeline: CrimeDetectionPipeline, footage: Path
) -> None:
    with pytest.raises(BudgetExceededError, match="deadline=1e-09"):
        pipeline.analyze(footage, deadline=1e-9)


def test_a_truncated_file_is_one_typed_error_that_names_it(
    pipeline: CrimeDetectionPipeline, footage: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.mp4"
    half.write_bytes(footage.read_bytes()[:500])
    with pytest.raises(CorruptMediaError, match=r"half\.mp4"):
        pipeline.analyze(half)
