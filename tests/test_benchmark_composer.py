"""The composer of the benchmarks: what it says lies where does lie there."""

import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmcrime.media import open_media

pytestmark = pytest.mark.shared


@pytest.fixture
def composer(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import composer

    yield composer
    sys.modules.pop("composer")


@pytest.mark.parametrize("camera", ["many", "one"])
@pytest.mark.parametrize("seed", range(5))
def test_harmless_splices_are_as_many_and_as_long_as_harmful_ones(
    composer: Any, shared: Path, camera: str, seed: int
) -> None:
    plan = composer.plan(shared, seed=seed, camera=camera)
    lengths = {
        label: sorted(s.seconds for s in plan.splices if s.label == label)
        for label in ("harmful", "harmless")
    }
    assert lengths == {"harmful": [2, 5, 15, 30], "harmless": [2, 5, 15, 30]}
    edges = [0.0, *(t for s in plan.splices for t in (s.start, s.end)), plan.seconds]
    assert all(b - a >= composer.APART - 1e-9 for a, b in list(pairwise(edges))[::2])
    assert sum(seconds for _, seconds in plan.background) >= plan.seconds


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_behind_and_spliced_in_at_once(composer: Any, shared: Path, seed: int) -> None:
    plan = composer.plan(shared, seed=seed)
    clips = composer.Clips.read(shared)
    spliced = {splice.group for splice in plan.splices}
    behind = {name for name, _ in plan.background}
    assert not behind & {clip for group in spliced for clip in clips.calm.get(group, ())}


def test_one_seed_is_one_plan(composer: Any, shared: Path) -> None:
    assert composer.plan(shared, seed=3) == composer.plan(shared, seed=3)
    assert composer.plan(shared, seed=3) != composer.plan(shared, seed=4)


def test_what_does_not_fit_is_refused(composer: Any, shared: Path) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        composer.plan(shared, seed=1, seconds=60.0)


@pytest.mark.parametrize("sound", [False, True])
def test_the_video_changes_where_the_plan_says_and_has_no_keyframe_there(
    composer: Any, shared: Path, tmp_path: Path, sound: bool
) -> None:
    how = {"size": (160, 120), "fps": 8, "gop": 16, "sound": sound}
    plan = composer.plan(shared, seed=2, seconds=24.0, lengths=(4.0,), **how)
    composer.write(plan, tmp_path / "composed.mp4")
    with open_media(tmp_path / "composed.mp4") as handle:
        assert handle.media.duration == pytest.approx(24.0, abs=0.2)
        assert (handle.media.width, handle.media.height) == (160, 120)
        assert handle.media.has_audio is sound
        frames = list(handle.clip(0.0, math.inf, grey=True))
        looks = handle.looks()
    assert [look.time for look in looks] == [pytest.approx(2.0 * k) for k in range(12)]
    assert len(frames) == 24 * 8
    changes = np.array(
        [np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in pairwise(frames)]
    )
    for splice in plan.splices:
        for edge in (splice.start, splice.end):
            assert changes[math.ceil(edge * 8 - 1e-9) - 1] > 3 * np.median(changes) + 2
