from __future__ import annotations

import asyncio
import json
import math
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from motion_scenes import DrawnReader, brawl, drawn, pan, still

from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.analyzers.motion_coverage import coverage
from mmcrime.analyzers.motion_features import FEATURES
from mmcrime.analyzers.motion_model import RUN, STILL, Score, clip_logit, load_model, sigmoid
from mmcrime.analyzers.motion_pass import examine
from mmcrime.egress import Gate
from mmcrime.errors import BudgetExceededError, CorruptMediaError, ModelNotFoundError
from mmcrime.evidence import Coverage, Evidence, Gap
from mmcrime.plugins import RunContext
from mmcrime.results import Assessment

SHIPPED = files("mmcrime.analyzers").joinpath("motion_model.json").read_text("utf-8")


def model_file(folder: Path, **changes: Any) -> Path:
    """The shipped model with some entries changed."""
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(SHIPPED) | changes), "utf-8")
    return path


def always(folder: Path, logit: float) -> MotionAnalyzer:
    """An analyzer whose model says the same of every window."""
    changes = {
        "coefficients": [0.0] * len(FEATURES),
        "intercept": logit,
        "slope": 1.0,
        "familiar": 1e6,
    }
    return MotionAnalyzer(model=model_file(folder, **changes, offset=0.0))


def run(
    reader: DrawnReader, analyzer: MotionAnalyzer | None = None, *, seconds: float | None = None
) -> Assessment:
    return run_evidence(reader.evidence(), analyzer, seconds=seconds)


def run_evidence(
    evidence: Evidence, analyzer: MotionAnalyzer | None = None, *, seconds: float | None = None
) -> Assessment:
    async def go() -> Assessment:
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        context = RunContext(request_id="r", egress=Gate(offline=True), deadline=deadline)
        return await (analyzer or MotionAnalyzer()).analyze(evidence, context)

    return asyncio.run(go())


def test_an_empty_place_is_said_to_hold_no_violent_motion() -> None:
    said = run(drawn(still, 4.0))
    assert said.status == "answered"
    assert said.outcome == "not_detected"
    assert said.probability is not None
    assert said.probability < 0.1
    assert said.severity == "none"
    assert said.crime_type is None


def test_a_brawl_scores_far_above_a_camera_that_pans() -> None:
    rough, calm = run(drawn(brawl, 3.0)), run(drawn(pan, 3.0))
    assert rough.probability is not None
    assert calm.probability is not None
    assert rough.probability > calm.probability + 0.3


def test_an_answer_names_its_model_its_card_and_what_it_cannot_see() -> None:
    said = run(drawn(still, 3.0))
    assert said.provider == "embedded"
    assert said.model == load_model().label
    assert {"trained_on", "licence", "measured", "figures", "limits"} <= said.card.keys()
    assert "theft" in said.evidence_description
    assert said.alternative_interpretations
    assert said.cost.usd == 0.0


def test_a_high_score_is_detected_as_fighting_with_its_default_severity(tmp_path: Path) -> None:
    said = run(drawn(still, 3.0), always(tmp_path, 3.0))
    assert (said.outcome, said.crime_type, said.severity) == ("detected", "fighting", "high")
    assert said.probability == pytest.approx(sigmoid(3.0))
    assert {s.crime_type for s in said.segments} == {"fighting"}


def test_a_score_between_the_thresholds_is_undetermined_but_stated(tmp_path: Path) -> None:
    said = run(drawn(still, 3.0), always(tmp_path, 0.0))
    assert said.status == "answered"
    assert said.outcome == "undetermined"
    assert said.probability == pytest.approx(0.5)
    assert said.crime_type is None


def test_the_probability_of_a_long_video_is_not_called_calibrated() -> None:
    """Calibration was measured on clips of a few seconds."""
    assert run(drawn(brawl, 4.0)).probability_source == "calibrated"
    assert run(drawn(brawl, 12.0)).probability_source == "measured"


def test_stillness_is_a_measurement_and_was_never_calibrated() -> None:
    said = run(drawn(still, 4.0))
    assert said.probability == pytest.approx(sigmoid(STILL))
    assert said.probability_source == "measured"


def test_a_fight_is_found_inside_a_long_quiet_video() -> None:
    def scene(t: float) -> np.ndarray:
        return brawl(t) if 12 <= t < 19 else still(t)

    said = run(drawn(scene, 30.0))
    quiet = run(drawn(still, 30.0))
    assert said.probability is not None
    assert quiet.probability is not None
    assert said.probability > quiet.probability + 0.3
    best = max(said.segments, key=lambda s: s.score)
    assert 11.0 <= best.start < best.end <= 20.5


def test_the_same_video_gives_the_same_answer() -> None:
    first, second = run(drawn(brawl, 5.0)), run(drawn(brawl, 5.0))
    assert first.probability == second.probability
    assert first.segments == second.segments


def test_coverage_is_what_was_decoded_and_ends_with_the_video() -> None:
    said = run(drawn(still, 6.0))
    ((start, end),) = said.coverage.examined
    assert start == 0.0
    assert end == pytest.approx(6.0, abs=0.16)
    assert said.coverage.frames == 38
    assert said.coverage.gaps == ()


def test_a_video_that_breaks_off_is_not_cleared() -> None:
    said = run(drawn(still, 10.0, breaks_at=5.0))
    assert said.outcome == "undetermined"
    ((start, end),) = said.coverage.examined
    assert (start, end) == pytest.approx((0.0, 5.0), abs=0.2)
    (gap,) = said.coverage.gaps
    assert gap.reason.startswith("damaged")
    assert gap.end == 10.0


def test_a_hole_in_the_middle_is_a_gap() -> None:
    reader = drawn(still, 12.0)
    reader.times = [t for t in reader.times if not 4.0 <= t < 6.0]
    said = run(reader)
    (gap,) = said.coverage.gaps
    assert (gap.start, gap.end) == pytest.approx((4.0, 6.0), abs=0.2)
    assert gap.reason == "damaged"


def test_a_gap_that_a_limit_made_keeps_that_reason() -> None:
    reader = drawn(still, 20.0)
    reader.times = [t for t in reader.times if t < 8.0]
    limit = Coverage(gaps=(Gap(start=8.0, end=20.0, reason="over_limit: duration"),))
    said = run_evidence(Evidence(media=reader.media, reader=reader, video=limit))
    assert [gap.reason for gap in said.coverage.gaps] == ["over_limit: duration"]


def test_windows_that_cannot_be_judged_are_gaps() -> None:
    evidence = drawn(still, 10.0).evidence()
    found = examine(evidence, lambda w: None if w.end > 5.5 else Score(0.0, "model"))
    seen = coverage(found, evidence)
    assert found.spoiled
    assert [gap.reason for gap in seen.gaps] == ["damaged: motion could not be measured"]
    assert seen.gaps[0].start == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_feature_that_is_not_finite_gives_no_score(bad: float) -> None:
    features = np.zeros(len(FEATURES))
    features[3] = bad
    assert load_model().judge(features) is None


def test_far_out_features_cannot_make_the_score_explode() -> None:
    model = load_model()
    most = sum(abs(w) for w in model.coefficients) * 4 + abs(model.intercept)
    for value in (1e300, -1e300):
        score = model.judge(np.full(len(FEATURES), value))
        assert score is not None
        assert abs(score.logit) <= model.slope * most + abs(model.offset)


def test_a_moving_window_unlike_the_training_clips_is_not_judged_in_either_direction() -> None:
    model = load_model()
    usual = np.array(model.mean)
    towards = np.sign(model.coefficients) * np.array(model.scale)
    near = model.judge(usual + 0.9 * towards)
    assert near is not None
    assert near.judged
    assert near.logit > 1.0
    for far in (5.0, -5.0):
        features = usual + far * towards
        features[FEATURES.index("layout.fastest")] = 1.5  # something moves
        strange = model.judge(features)
        assert strange is not None
        assert not strange.judged
        assert strange.logit <= 0.0


def test_a_window_unlike_the_training_clips_in_which_nothing_moves_is_judged_still() -> None:
    model = load_model()
    features = np.array(model.mean) + 5.0 * np.array(model.scale)
    features[FEATURES.index("layout.fastest")] = 0.01
    assert model.judge(features) == Score(STILL, "still")


def test_too_few_frames_are_a_failed_vote_with_a_reason() -> None:
    for reader in (drawn(still, 0.3), drawn(still, 20.0, fps=1.0), drawn(still, 0.0)):
        said = run(reader)
        assert said.status == "failed"
        assert said.probability is None
        assert said.error is not None
        assert said.error.next_step


def test_a_picture_is_skipped() -> None:
    assert run(drawn(still, 0.0, kind="image")).status == "skipped"


def test_a_video_of_which_nothing_decodes_raises() -> None:
    with pytest.raises(CorruptMediaError):
        run(drawn(still, 10.0, breaks_at=0.0))


def test_at_the_deadline_the_rest_is_a_gap() -> None:
    said = run(drawn(still, 60.0, delay=0.02), seconds=0.6)
    assert said.status == "answered"
    assert said.outcome == "undetermined"
    assert [gap.reason for gap in said.coverage.gaps] == ["deadline"]
    assert said.coverage.gaps[0].end == 60.0


def test_a_deadline_before_anything_was_judged_is_an_error_not_an_answer() -> None:
    with pytest.raises(BudgetExceededError, match="deadline"):
        run(drawn(still, 60.0), seconds=-1.0)


def test_cancelling_stops_the_decoding_soon() -> None:
    reader = drawn(still, 600.0, delay=0.01)

    async def go() -> int:
        started = asyncio.Event()
        context = RunContext(
            request_id="r", egress=Gate(offline=True), progress=lambda share: started.set()
        )
        task = asyncio.create_task(MotionAnalyzer().analyze(reader.evidence(), context))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return reader.given

    at_cancel = asyncio.run(go())  # waits for the thread to end
    assert reader.given <= at_cancel + 2


def test_progress_is_told_in_the_event_loop() -> None:
    shares: list[float] = []

    async def go() -> None:
        context = RunContext(request_id="r", egress=Gate(offline=True), progress=shares.append)
        await MotionAnalyzer().analyze(drawn(still, 6.0).evidence(), context)

    asyncio.run(go())
    assert shares == sorted(shares)
    assert 0.0 < shares[0] <= shares[-1] <= 1.0


def test_a_missing_model_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"absent\.json"):
        MotionAnalyzer(model=tmp_path / "absent.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": [math.nan] * len(FEATURES)},
        {"coefficients": [0.0]},
        {"scale": [0.0] * len(FEATURES)},
        {"features": list(FEATURES[::-1])},
        {"slope": -1.0},
        {"detected": 0.4},
        {"familiar": 0.0},
        {"detected": 0.2, "not_detected": 0.3},
        {"card": {}},
        {"surprise": 1},
        {"intercept": "0"},
    ],
)
def test_a_malformed_model_refuses_to_start(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelNotFoundError, match="malformed"):
        MotionAnalyzer(model=model_file(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "{", SHIPPED[: len(SHIPPED) // 2], "\x00", "[]"])
def test_a_model_file_that_is_no_model_refuses_to_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ModelNotFoundError):
        MotionAnalyzer(model=path)


def test_a_huge_model_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(SHIPPED + " " * 200_000, "utf-8")
    with pytest.raises(ModelNotFoundError, match="larger"):
        MotionAnalyzer(model=path)


def test_the_shipped_model_is_small_and_states_its_origin() -> None:
    card = load_model().card
    assert len(SHIPPED) < 200_000
    assert "MIT" in card["licence"]
    assert "AUC" in card["figures"]


logits = st.lists(st.floats(-30, 30), min_size=1, max_size=40)


@given(logits)
def test_the_score_of_a_clip_lies_between_those_of_its_windows(values: list[float]) -> None:
    assert min(values) - 1e-6 <= clip_logit(values) <= max(values) + 1e-6
    if len(values) <= RUN:
        assert clip_logit(values) == pytest.approx(np.mean(values), abs=1e-6)


@given(logits, st.floats(0, 10))
def test_a_rise_of_any_window_never_lowers_the_score_of_the_clip(
    values: list[float], rise: float
) -> None:
    for i in range(len(values)):
        raised = [*values[:i], values[i] + rise, *values[i + 1 :]]
        assert clip_logit(raised) >= clip_logit(values) - 1e-6


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_log_odds_give_a_probability(logit: float) -> None:
    assert 0.0 <= sigmoid(logit) <= 1.0


def test_segments_follow_each_other_and_cover_what_was_judged() -> None:
    def scene(t: float) -> np.ndarray:
        return brawl(t) if 6 <= t < 10 else still(t)

    reader = drawn(scene, 20.0)
    reader.times = [t for t in reader.times if not 13.0 <= t < 15.0]
    said = run(reader)
    edges = [(s.start, s.end) for s in said.segments]
    assert all(a[1] <= b[0] for a, b in pairwise(edges))
    assert all(start < end for start, end in edges)
    assert sum(end - start for start, end in edges) == pytest.approx(said.coverage.seconds, abs=0.5)
    assert not any(start < 14.0 < end for start, end in edges)
