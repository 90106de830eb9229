"""One source through the whole pipeline, on real media."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import EchoProvider, Scripted, Verifier, reply
from PIL import Image

from mmcrime import CrimeDetectionPipeline, Report, Settings, analyze
from mmcrime.egress import Gate
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
from mmcrime.evidence import Coverage, Gap
from mmcrime.plugins import Part, Request, RunContext
from mmcrime.results import Assessment, Cost, ErrorRecord, Segment


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
        ({"name": 3}, "name=3"),
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
        offline = pipeline.analyze(quiet_wav, offline=True)
        online = pipeline.analyze(quiet_wav)
        stored = pipeline.analyze(quiet_wav, offline=True)
    assert stored.egress == ()  # a stored answer serves: nothing has to leave for it
    assert stored.assessments[0].status == "answered"
    assert stored.assessments[0].cached
    (record,) = online.egress
    assert (record.to, record.what, record.size_bytes) == ("echo", "image of a request", 8)
    assert offline.egress == ()
    assert offline.assessments[0].error is not None
    assert offline.assessments[0].error.type == "EgressError"


def test_a_named_provider_that_nobody_asked_is_a_missing_part(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    quiet = Scripted(lambda e, c: reply())
    with with_analyzers(silent_settings, quiet, providers={"echo": EchoProvider()}) as pipeline:
        report = pipeline.analyze(quiet_wav)
    dead = [a for a in report.assessments if a.status == "failed"]
    assert [(a.provider, a.error.type if a.error else "") for a in dead] == [("echo", "NotAsked")]
    assert report.verdict.votes_asked == 2


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


# -- hostile plug-ins ---------------------------------------------------------------


def lie(**fields: Any) -> Any:
    """An answer that no validation has seen."""
    return lambda e, c: reply("detected", 0.9).model_copy(update=fields)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def raises(error: BaseException) -> Any:
    def act(_e: Any, _c: Any) -> Assessment:
        raise error

    return act


@pytest.mark.parametrize(
    "act",
    [
        lie(status="failed"),
        lie(status="kinda"),
        lie(outcome="crime"),
        lie(probability=None),
        lie(probability=float("nan")),
        lie(probability=7.0),
        lie(probability=True),
        lie(card={"a": object()}),
        lie(evidence_description="\udce9"),
        lie(coverage=Coverage(frames="many")),  # type: ignore[arg-type]  # a lie
        lie(coverage=Coverage(frames=-3)),
        lie(coverage=Coverage(gaps=(Gap(start=float("nan"), end=1.0, reason="x"),))),
        raises(Unspeakable()),
        raises(GeneratorExit()),
        raises(KeyboardInterrupt()),
        raises(RuntimeError("\udce9\x1b[31m")),
    ],
)
def test_no_lie_and_no_raise_costs_the_others_their_answer(
    silent_settings: Settings, quiet_wav: bytes, act: Any
) -> None:
    """Promises 1 and 3: whatever one analyzer does, the report is whole and says so."""
    alive = Scripted(lambda e, c: reply("detected", 0.9), "alive")
    with with_analyzers(silent_settings, Scripted(act, "liar"), alive) as pipeline:
        report = pipeline.analyze(quiet_wav)
        assert pipeline.analyze(quiet_wav).verdict.outcome == "detected"
    assert {a.analyzer: a.status for a in report.assessments} == {
        "liar": "failed",
        "alive": "answered",
    }
    assert Report.from_json(report.to_json().encode()) == report


@pytest.mark.parametrize(
    "field",
    [
        {"stage": "verfy"},
        {"kind": "psychic"},
        {"modalities": None},
        {"modalities": frozenset()},
        {"modalities": frozenset({"smell"})},
        {"runs": "moon"},
        {"family": None},
        {"name": ""},
    ],
)
def test_an_analyzer_that_says_something_impossible_of_itself_is_refused_at_once(
    silent_settings: Settings, field: dict[str, Any]
) -> None:
    odd = Scripted(lambda e, c: reply())
    for name, value in field.items():
        setattr(odd, name, value)
    with pytest.raises(ConfigError, match=next(iter(field))):
        with_analyzers(silent_settings, odd)


def test_skipping_what_could_be_examined_is_failing(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    error = ErrorRecord(stage="analyze:x", type="Timeout", message="service timed out")
    shy = Scripted(
        lambda e, c: reply(
            status="skipped", outcome="undetermined", probability=None,
            probability_source=None, error=error,
        )
    )  # fmt: skip
    calm = Scripted(lambda e, c: reply(), "calm")
    with with_analyzers(silent_settings, shy, calm) as pipeline:
        report = pipeline.analyze(quiet_wav)
    assert report.assessments[0].status == "failed"
    assert [e.message for e in report.errors] == ["service timed out"]


def test_where_there_is_no_stream_is_not_for_an_analyzer_to_say(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    """Promise 4: a tenth of a second examined is no "nothing happened"."""
    sly = Coverage(examined=((0.0, 0.1),), gaps=(Gap(start=0.1, end=2.0, reason="no_stream"),))
    with with_analyzers(silent_settings, Scripted(lambda e, c: reply(coverage=sly))) as pipeline:
        report = pipeline.analyze(quiet_wav)
    assert [r.code for r in report.verdict.reasons] == ["low_coverage"]


def test_gaps_that_an_analyzer_states_are_cut_to_the_media(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    stated = Coverage(
        examined=((0.0, 1.0),),
        gaps=(
            Gap(start=1.0, end=2.4, reason="not_judged"),
            Gap(start=5.0, end=9.0, reason="not_judged"),
        ),
    )
    with with_analyzers(silent_settings, Scripted(lambda e, c: reply(coverage=stated))) as pipeline:
        (assessment,) = pipeline.analyze(quiet_wav).assessments
    assert [(g.start, g.end) for g in assessment.coverage.gaps] == [(1.0, pytest.approx(2.0))]


def test_of_a_picture_no_more_frames_were_seen_than_decoded(
    silent_settings: Settings, picture: bytes
) -> None:
    boast = Coverage(examined=((0.0, 1e9),), frames=99)
    with with_analyzers(silent_settings, Scripted(lambda e, c: reply(coverage=boast))) as pipeline:
        (assessment,) = pipeline.analyze(picture).assessments
    assert (assessment.coverage.frames, assessment.coverage.examined) == (1, ())


def test_a_blocking_analyzer_that_answers_late_did_not_answer(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    def block(_e: Any, _c: Any) -> Assessment:
        time.sleep(2.5)
        return reply()

    with with_analyzers(silent_settings, Scripted(block)) as pipeline:
        (assessment,) = pipeline.analyze(quiet_wav, deadline=1.0).assessments
    assert assessment.status == "failed"


def test_an_analyzer_that_ignores_its_cancellation_is_left_behind(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    async def stubborn() -> Any:
        for _ in range(100):
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                continue

    pipeline = with_analyzers(silent_settings, Scripted(lambda e, c: stubborn()))
    (assessment,) = pipeline.analyze(quiet_wav, deadline=1.0).assessments
    assert assessment.status == "failed"
    pipeline.close()


def test_threads_that_never_end_hold_up_neither_the_next_run_nor_the_closing(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    release = threading.Event()
    with with_analyzers(
        silent_settings, Scripted(lambda e, c: asyncio.to_thread(release.wait, 60))
    ) as pipeline:
        began = time.monotonic()
        for _ in range(8):
            pipeline.analyze(quiet_wav, deadline=0.5)
    assert time.monotonic() - began < 30
    release.set()


def test_offline_keeps_a_cloud_analyzer_shut_even_if_it_announces_nothing(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    asked: list[int] = []
    cloud = Scripted(lambda e, c: asked.append(1) or reply())  # type: ignore[func-returns-value]  # noted
    cloud.runs = "cloud"  # type: ignore[misc]  # one test instance
    with with_analyzers(silent_settings, cloud) as pipeline:
        (assessment,) = pipeline.analyze(quiet_wav, offline=True).assessments
    assert not asked
    assert assessment.error is not None
    assert assessment.error.type == "EgressError"


def test_a_callers_own_gate_is_honoured_and_told(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    async def call(context: RunContext) -> Assessment:
        question = Request(instructions=f"look: {context.request_id}", parts=())
        await context.providers["echo"].generate(question)
        return reply()

    asker, mine = Scripted(lambda e, c: call(c)), Gate(offline=False)
    with with_analyzers(silent_settings, asker, providers={"echo": EchoProvider()}) as pipeline:
        pipeline.analyze(quiet_wav, run=RunContext(request_id="a", egress=mine))
        shut = RunContext(request_id="b", egress=Gate(offline=True))
        refused = pipeline.analyze(quiet_wav, run=shut)
    assert [r.to for r in mine.records] == ["echo"]
    assert refused.egress == ()
    assert refused.assessments[0].status == "failed"


def test_analyzers_see_what_a_provider_can_take(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    seen: list[int | None] = []

    def look(_e: Any, context: RunContext) -> Assessment:
        seen.append(context.providers["echo"].capabilities.images)
        return reply()

    with with_analyzers(
        silent_settings, Scripted(look), providers={"echo": EchoProvider()}
    ) as pipeline:
        pipeline.analyze(quiet_wav)
    assert seen == [1]


def test_a_display_that_fails_does_not_cost_the_report(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    def broken(_share: float) -> None:
        raise ZeroDivisionError

    context = RunContext(request_id="a", egress=Gate(offline=False), progress=broken)
    with with_analyzers(silent_settings, Scripted(lambda e, c: reply())) as pipeline:
        assert pipeline.analyze(quiet_wav, run=context).verdict.outcome == "not_detected"


def test_what_an_analyzer_writes_into_the_evidence_stays_out_of_the_report(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    def scribble(evidence: Any, _c: Any) -> Assessment:
        evidence.media.metadata["hacked"] = "1"
        return reply()

    with with_analyzers(silent_settings, Scripted(scribble)) as pipeline:
        report = pipeline.analyze(quiet_wav, metadata={"case": "7"})
    assert report.media.metadata == {"case": "7"}


@pytest.mark.parametrize(
    "source",
    ["rtsp://admin:hunter2@10.0.0.5/x", "https:/bob:hunter2@h", " https://h/x?token=hunter2",
     "s3://b/x?sig=hunter2"],
)  # fmt: skip
def test_a_password_in_a_source_is_in_no_report(
    pipeline: CrimeDetectionPipeline, source: str
) -> None:
    (report,) = pipeline.analyze_many([source], offline=True)
    assert "hunter2" not in report.to_json()
    assert report.verdict.outcome == "undetermined"


class Distant(Scripted):
    """An analyzer that sends media away."""

    runs = "cloud"


@pytest.mark.parametrize(
    ("given", "total"),
    [
        (Cost(usd=0.0, source="local"), Cost()),
        (Cost(), Cost()),
        (Cost(usd=0.0, source="reported"), Cost(usd=0.0, source="reported")),
        (Cost(usd=0.25, source="price_table"), Cost(usd=0.25, source="price_table")),
    ],
)
def test_what_a_cloud_analyzer_cost_is_never_called_local(
    silent_settings: Settings, quiet_wav: bytes, given: Cost, total: Cost
) -> None:
    near = Scripted(lambda e, c: reply(cost=Cost(usd=0.0, source="local")), "near")
    far = Distant(lambda e, c: reply(cost=given), "far")
    with with_analyzers(silent_settings, near, far) as pipeline:
        report = pipeline.analyze(quiet_wav)
    assert report.cost == total
    flagged = "local_cost_of_a_cloud_analyzer" in report.assessments[1].flags
    assert flagged == (given.source == "local")
