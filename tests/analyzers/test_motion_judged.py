"""What `motion` can judge and what it cannot: both end in an honest answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from motion_scenes import DrawnReader, Scene, drawn, flat, noisy, still, wild

from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.analyzers.motion_coverage import BLIND, STRANGE
from mmcrime.analyzers.motion_sight import DETAIL, detail
from mmcrime.egress import Gate
from mmcrime.errors import CorruptMediaError, UnsafeMediaError
from mmcrime.evidence import Coverage, Evidence, Gap
from mmcrime.media import open_media
from mmcrime.plugins import RunContext
from mmcrime.results import Assessment

ROWS, COLUMNS = np.mgrid[:120, :160]


def shade(_: float) -> np.ndarray:
    """What a covered lens shows with light from one side."""
    return (20 + 0.3 * COLUMNS + 0.2 * ROWS).astype(np.uint8)


def night(t: float) -> np.ndarray:
    """An empty place at a tenth of its contrast."""
    return still(t) // 10


def judge(evidence: Evidence) -> Assessment:
    context = RunContext(request_id="r", egress=Gate(offline=True))
    return asyncio.run(MotionAnalyzer().analyze(evidence, context))


def run(reader: DrawnReader) -> Assessment:
    return judge(reader.evidence())


BLANK: dict[str, Scene] = {
    "black": flat(0),
    "uniform grey": flat(128),
    "overexposed": flat(255),
    "black with noise": noisy(flat(0), 10),
    "black with much noise": noisy(flat(0), 20),
    "grey with much noise": noisy(flat(128), 20),
    "a shade": shade,
    "a shade with noise": noisy(shade, 5),
}


@pytest.mark.parametrize("what", BLANK)
def test_a_camera_that_shows_nothing_is_never_cleared(what: str) -> None:
    said = run(drawn(BLANK[what], 6.0))
    assert said.status == "failed"
    assert (said.outcome, said.probability) == ("undetermined", None)
    assert said.coverage.seconds == 0
    assert {gap.reason for gap in said.coverage.gaps} == {BLIND}
    assert said.error is not None
    assert "shows nothing" in said.error.message
    assert "camera" in said.error.next_step


PLACES: dict[str, Scene] = {
    "a still place": still,
    "with a little noise": noisy(still, 2),
    "with sensor noise": noisy(still, 5),
    "with much sensor noise": noisy(still, 10),
    "at night": night,
    "at night with noise": noisy(night, 2),
}


@pytest.mark.parametrize("what", PLACES)
def test_a_place_in_which_nothing_moves_holds_no_violent_motion(what: str) -> None:
    said = run(drawn(PLACES[what], 6.0))
    assert said.outcome == "not_detected"
    assert said.probability_source == "measured"
    assert said.coverage.gaps == ()


def test_a_camera_that_is_covered_half_way_is_not_cleared() -> None:
    said = run(drawn(lambda t: still(t) if t < 6 else np.zeros((120, 160), np.uint8), 12.0))
    assert said.status == "answered"
    assert said.outcome == "undetermined"
    (gap,) = said.coverage.gaps
    assert gap.reason == BLIND
    assert (gap.start, gap.end) == pytest.approx((6.0, 12.0), abs=0.2)


def test_what_comes_out_of_the_dark_is_no_motion() -> None:
    said = run(drawn(lambda t: still(t) if int(t) % 4 else np.zeros((120, 160), np.uint8), 12.0))
    assert [s.score for s in said.segments] == pytest.approx([0.047] * 3, abs=0.01)
    assert {gap.reason for gap in said.coverage.gaps} == {BLIND}


def test_a_single_dark_frame_is_no_gap() -> None:
    said = run(drawn(lambda t: still(t) if round(t / 0.16) != 19 else still(t) * 0, 8.0, fps=6.25))
    assert said.outcome == "not_detected"
    assert said.coverage.gaps == ()


def test_motion_unlike_the_training_clips_is_not_judged() -> None:
    said = run(drawn(wild, 4.0))
    assert said.status == "failed"
    assert said.probability is None
    assert {gap.reason for gap in said.coverage.gaps} == {STRANGE}
    assert said.error is not None
    assert "unlike" in said.error.message


def test_wild_motion_that_nobody_can_judge_does_not_vanish_in_a_gap() -> None:
    """The rest of the video is still and judged: nine tenths of it."""
    said = run(drawn(lambda t: wild(t) if 20 <= t < 24 else still(t), 60.0))
    assert said.coverage.seconds > 0.9 * 60
    assert STRANGE in {gap.reason for gap in said.coverage.gaps}
    assert said.outcome == "undetermined"
    assert said.probability_source == "measured"


def test_structure_is_what_noise_and_shades_have_not() -> None:
    assert detail(np.zeros((120, 160), np.uint8)) == 0.0
    for scene in BLANK.values():
        assert detail(scene(0.0)) < 0.85 * DETAIL
    for scene in PLACES.values():
        assert detail(scene(0.0)) > 1.3 * DETAIL


def test_structure_does_not_depend_on_the_size_of_the_frame() -> None:
    large = np.kron(night(0), np.ones((3, 3), np.uint8))
    assert detail(large) == pytest.approx(detail(night(0)), rel=0.1)


@pytest.mark.shared
def test_no_real_video_shows_nothing_and_a_road_is_judged_but_not_called_a_fight(
    shared: Path,
) -> None:
    folder = shared / "media" / "videos"
    seen = {}
    for name in ("intel_car-detection.mp4", "torchcodec_nasa_13013.mp4", "mmaction2_demo.mp4"):
        with open_media(folder / name) as handle:
            seen[name] = judge(Evidence(media=handle.media, reader=handle))
    reasons = {gap.reason for said in seen.values() for gap in said.coverage.gaps}
    assert reasons == {STRANGE}
    road = seen["intel_car-detection.mp4"]
    assert road.outcome == "undetermined"  # cars come close to the camera twice
    assert road.probability is not None
    assert road.probability < 0.5
    assert road.coverage.seconds > 0.85 * 30
    # Arm wrestling, close by: two windows score high amid motion that nobody can judge.
    demo = seen["mmaction2_demo.mp4"]
    assert demo.outcome == "undetermined"
    assert "could not be judged for it to count" in demo.evidence_description


@pytest.mark.parametrize("kind", [CorruptMediaError, UnsafeMediaError])
def test_an_error_in_the_middle_keeps_what_was_examined_before(
    kind: type[CorruptMediaError | UnsafeMediaError],
) -> None:
    said = run(drawn(still, 10.0, breaks_at=5.0, breaks_with=kind))
    assert said.status == "answered"
    assert said.outcome == "undetermined"
    assert said.coverage.seconds == pytest.approx(5.0, abs=0.2)
    (gap,) = said.coverage.gaps
    word = "damaged" if kind is CorruptMediaError else "over_limit"
    assert gap.reason.startswith(f"{word}: ")


def test_an_unsafe_video_of_which_nothing_was_seen_raises() -> None:
    with pytest.raises(UnsafeMediaError):
        run(drawn(still, 10.0, breaks_at=0.0, breaks_with=UnsafeMediaError))


def with_absent_pictures(reader: DrawnReader, start: float, end: float) -> Evidence:
    absent = Coverage(gaps=(Gap(start=start, end=end, reason="no_stream"),))
    return Evidence(media=reader.media, reader=reader, video=absent)


def test_sound_that_goes_on_after_the_pictures_is_nothing_missed() -> None:
    reader = drawn(still, 10.0, duration=40.0)
    said = judge(with_absent_pictures(reader, 10.0, 40.0))
    assert [gap.reason for gap in said.coverage.gaps] == ["no_stream"]
    assert said.outcome == "not_detected"
    assert run(drawn(still, 10.0, duration=40.0)).outcome == "undetermined"


def test_damage_beside_a_stretch_without_pictures_is_still_missed() -> None:
    reader = drawn(still, 10.0, duration=40.0, breaks_at=5.0)
    said = judge(with_absent_pictures(reader, 10.0, 40.0))
    first, last = said.coverage.gaps
    assert first.reason.startswith("damaged")
    assert (first.start, first.end) == pytest.approx((5.0, 10.0), abs=0.2)
    assert (last.start, last.end, last.reason) == (10.0, 40.0, "no_stream")
    assert said.outcome == "undetermined"
