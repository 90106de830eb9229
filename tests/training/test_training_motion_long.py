"""The simulation of long video from short clips."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmcrime.analyzers.motion_features import FEATURES
from mmcrime.analyzers.motion_model import RUN, sigmoid
from mmcrime.errors import ConfigError

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from mmcrime.training.motion_fit import Clip
from mmcrime.training.motion_long import ALARMS, LENGTHS, WAYS, LongVideo, simulate

SCENES = 30
DETECTED = 0.75
Logits = list[list[np.ndarray]]


def drawn_logits() -> tuple[list[Clip], Logits]:
    """Ordinary clips around -0.8 (scenes differ), fights around +1.5."""
    rng = np.random.default_rng(3)
    clips, logits = [], []
    for scene in range(SCENES):
        own = rng.normal(0, 0.3)
        for number in range(8):
            fight = number % 2 == 1
            clips.append(Clip(windows=np.zeros((2, len(FEATURES))), fight=fight, group=f"g{scene}"))
            logits.append(rng.normal((1.5 if fight else -0.8) + own, 1.2, 2))
    return clips, [logits]


@pytest.fixture(scope="module")
def simulated() -> LongVideo:
    clips, logits = drawn_logits()
    return simulate(clips, logits, detected=DETECTED)


def test_with_one_threshold_false_alarms_grow_with_the_length(simulated: LongVideo) -> None:
    for way in WAYS:
        shares = [length.fixed[way] for length in simulated.lengths]
        assert shares == sorted(shares)
    assert simulated.lengths[-1].fixed["many_scenes"] > 0.5
    assert simulated.lengths[0].fixed["many_scenes"] < 0.1


def test_the_bars_keep_false_alarms_a_video_in_bounds_at_every_length(
    simulated: LongVideo,
) -> None:
    for length in simulated.lengths:
        assert max(length.reached.values()) <= ALARMS
        assert length.unseen < 2.5 * ALARMS  # scenes it was not set on: more, but no other world
    assert max(simulated.lengths[-1].reached.values()) > ALARMS / 2  # and not by never alarming


def test_the_bars_start_with_that_of_a_clip_and_rise(simulated: LongVideo) -> None:
    first = simulated.bars[0]
    assert first.windows == RUN
    assert sigmoid(first.logit) == pytest.approx(DETECTED)
    assert [bar.windows for bar in simulated.bars[1:]] == [s - 1 for s in LENGTHS]
    for low, high in pairwise(simulated.bars):
        assert low.logit <= high.logit
        assert low.alarms_per_hour >= high.alarms_per_hour


def test_fights_get_harder_to_find_with_the_length_and_short_ones_most(
    simulated: LongVideo,
) -> None:
    for length in simulated.lengths:
        assert length.found_clip <= length.found_fight
    assert simulated.lengths[0].found_fight > 0.5
    assert simulated.lengths[-1].found_fight < simulated.lengths[0].found_fight


def test_the_same_seed_gives_the_same_bars() -> None:
    clips, logits = drawn_logits()
    one, two = (simulate(clips, logits, detected=DETECTED, seed=4) for _ in range(2))
    assert one == two


def test_a_camera_that_stays_shows_one_scene_only() -> None:
    """One scene of thirty always scores high: no more than its share of cameras alarm."""
    clips, _ = drawn_logits()
    flat = [[np.full(2, 4.0 if c.group == "g0" else -4.0) for c in clips]]
    found = simulate(clips, flat, detected=DETECTED)
    for length in found.lengths:
        assert length.fixed["one_scene"] == pytest.approx(1 / SCENES, abs=0.03)
    assert found.lengths[-1].fixed["many_scenes"] > 0.5  # twice in a row by chance, in an hour


def test_alarms_are_counted_in_stretches_not_in_windows() -> None:
    clips, _ = drawn_logits()
    always = [[np.full(2, 2.0) for _ in clips]]
    found = simulate(clips, always, detected=DETECTED)
    assert found.fixed_alarms_per_hour == {"one_scene": 1.0, "many_scenes": 1.0}
    assert found.lengths[-1].bar > 2.0


def test_clips_of_which_nothing_is_judged_cannot_be_chained() -> None:
    clips, logits = drawn_logits()
    none = [[np.zeros(0) if not c.fight else w for c, w in zip(clips, logits[0], strict=True)]]
    with pytest.raises(ConfigError, match="fight=False"):
        simulate(clips, none, detected=DETECTED)
