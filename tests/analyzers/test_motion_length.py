"""The longer a video, the more it takes to be called a fight."""

from __future__ import annotations

import asyncio
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from motion_scenes import drawn, still

from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.analyzers.motion_features import FEATURES
from mmcrime.analyzers.motion_model import RUN, load_model, sigmoid
from mmcrime.egress import Gate
from mmcrime.errors import ModelNotFoundError
from mmcrime.plugins import RunContext
from mmcrime.results import Assessment

SHIPPED = json.loads(files("mmcrime.analyzers").joinpath("motion_model.json").read_text("utf-8"))


def said_always(folder: Path, logit: float, seconds: float, **changes: Any) -> Assessment:
    """What is said of a video of some seconds by a model that scores all windows alike."""
    flat = {"coefficients": [0.0] * len(FEATURES), "intercept": logit, "slope": 1.0, "offset": 0.0}
    path = folder / "model.json"
    path.write_text(json.dumps(SHIPPED | flat | {"familiar": 1e6} | changes), "utf-8")
    context = RunContext(request_id="r", egress=Gate(offline=True))
    evidence = drawn(still, seconds, fps=6.25).evidence()
    return asyncio.run(MotionAnalyzer(model=path).analyze(evidence, context))


def test_a_clip_has_the_threshold_of_clips() -> None:
    model = load_model()
    for windows in (1, RUN):
        bar = model.bar(windows)
        assert bar is not None
        assert sigmoid(bar.logit) == pytest.approx(model.detected, abs=1e-12)


def test_the_bar_rises_with_the_length_and_false_alarms_an_hour_fall() -> None:
    bars = [load_model().bar(n) for n in range(1, 3600, 7)]
    logits = [bar.logit for bar in bars if bar is not None]
    alarms = [bar.alarms_per_hour for bar in bars if bar is not None]
    assert len(logits) == len(bars)
    assert logits == sorted(logits)
    assert alarms == sorted(alarms, reverse=True)
    assert sigmoid(logits[-1]) > load_model().detected + 0.05


def test_a_score_that_is_a_fight_in_a_clip_may_be_chance_in_a_minute(tmp_path: Path) -> None:
    clip, minute = (said_always(tmp_path, 1.38, seconds) for seconds in (4.0, 60.0))
    assert clip.outcome == "detected"
    assert minute.outcome == "undetermined"
    assert minute.crime_type is None
    assert minute.probability == pytest.approx(sigmoid(1.38))
    assert {s.crime_type for s in minute.segments} == {"fighting"}  # visible all the same
    assert "may be chance" in minute.evidence_description


def test_a_detection_says_how_many_false_alarms_to_expect(tmp_path: Path) -> None:
    said = said_always(tmp_path, 3.0, 60.0)
    assert said.outcome == "detected"
    assert "about 6 false alarms an hour" in said.evidence_description


def test_beyond_the_longest_simulated_video_nothing_is_detected(tmp_path: Path) -> None:
    bars = [bar for bar in SHIPPED["bars"] if bar["windows"] <= 9]
    assert said_always(tmp_path, 3.0, 9.0, bars=bars).outcome == "detected"
    said = said_always(tmp_path, 3.0, 15.0, bars=bars)
    assert said.outcome == "undetermined"
    assert "longer than the 9" in said.evidence_description


@pytest.mark.parametrize(
    "bars",
    [
        [],
        SHIPPED["bars"][1:],
        SHIPPED["bars"][::-1],
        [SHIPPED["bars"][0], SHIPPED["bars"][0]],
        [SHIPPED["bars"][0] | {"logit": 0.0}],
        [SHIPPED["bars"][0], SHIPPED["bars"][1] | {"logit": 1.0}],
        [SHIPPED["bars"][0] | {"alarms_per_hour": math.nan}],
    ],
)
def test_bars_that_make_no_sense_refuse_to_start(tmp_path: Path, bars: list[Any]) -> None:
    with pytest.raises(ModelNotFoundError, match="malformed"):
        said_always(tmp_path, 0.0, 4.0, bars=bars)


def test_the_card_states_what_long_video_costs() -> None:
    limits = load_model().card["limits"]
    assert "false alarms an hour" in limits
    assert "only simulated" in limits
