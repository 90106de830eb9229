"""The comparison with the baseline, and with the same clips recorded otherwise."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from motion_scenes import brawl, drawn, still

from mmcrime.analyzers.motion_window import FEATURES

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from mmcrime.analyzers.motion_model import Score
from mmcrime.training.motion_baseline import FIGURES, baseline_figures, baseline_logits
from mmcrime.training.motion_compare import RECORDINGS, compared, recorded, steadiness
from mmcrime.training.motion_figures import auc
from mmcrime.training.motion_fit import Clip, labels


def made_up(*, groups: int = 12) -> list[Clip]:
    """Six clips a group; the label is the parity of the group."""
    windows = np.zeros((1, len(FEATURES)))
    return [
        Clip(windows=windows, fight=bool(group % 2), group=f"g{group}")
        for group in range(groups)
        for _ in range(6)
    ]


def scored(clips: list[Clip], logits: np.ndarray) -> list[list[tuple[Score, ...]]]:
    return [[(Score(float(logit), "model"),) for logit in logits] for _ in range(2)]


def film(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for i in range(20):
            grey = np.kron(brawl(i / 20), np.ones((4, 4), np.uint8))
            frame = av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=-1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("way", RECORDINGS)
def test_another_recording_lasts_as_long_and_differs_as_it_says(tmp_path: Path, way: str) -> None:
    film(tmp_path / "old.mp4")
    recorded(tmp_path / "old.mp4", tmp_path / "new.mp4", RECORDINGS[way])
    with av.open(str(tmp_path / "new.mp4")) as container:
        frames = list(container.decode(video=0))
    step = RECORDINGS[way].step
    assert len(frames) == 20 // step
    assert frames[-1].time - frames[0].time == pytest.approx((20 - step) / 20, abs=0.01)
    assert frames[0].width == min(640, RECORDINGS[way].width)
    if way == "black bars":
        assert frames[0].height == 600
        assert frames[0].to_ndarray(format="gray")[:50].max() < 30


def test_the_baseline_has_its_figures_for_any_clip_and_zeros_for_a_short_one() -> None:
    moving = baseline_figures(drawn(brawl, 2.0).evidence())
    assert moving.shape == (FIGURES,)
    assert np.isfinite(moving).all()
    assert moving[0] > baseline_figures(drawn(still, 2.0).evidence())[0]
    assert not baseline_figures(drawn(still, 0.1).evidence()).any()


def test_the_baseline_finds_a_signal_in_unseen_groups_and_none_where_none_is() -> None:
    clips, rng = made_up(), np.random.default_rng(0)
    figures = rng.normal(0, 1, (len(clips), FIGURES))
    none = baseline_logits(clips, figures, seeds=1)[0]
    figures[:, 3] += 3 * labels(clips)
    assert auc(labels(clips), baseline_logits(clips, figures, seeds=1)[0]) > 0.8
    assert auc(labels(clips), none) < 0.7


def test_a_model_that_knows_is_better_than_a_baseline_that_guesses() -> None:
    clips, rng = made_up(), np.random.default_rng(1)
    guesses = rng.normal(0, 1, (2, len(clips)))
    found = compared(clips, scored(clips, 2.0 * labels(clips) - 1), guesses)
    assert found["model_auc"] == 1.0
    low, high = found["auc_difference_95"]  # type: ignore[misc]  # a list of two
    assert 0.2 < low < found["auc_difference"] < high  # type: ignore[operator]  # floats


def test_the_same_scores_do_not_differ() -> None:
    clips, rng = made_up(), np.random.default_rng(2)
    logits = rng.normal(labels(clips), 1)
    found = compared(clips, scored(clips, logits), np.stack([logits, logits]))
    assert found["auc_difference"] == 0.0
    assert found["auc_difference_95"] == [0.0, 0.0]


def test_a_shift_of_the_scores_is_measured_and_does_not_touch_the_ranking() -> None:
    clips, rng = made_up(), np.random.default_rng(3)
    logits = rng.normal(labels(clips), 1)
    usual, moved = scored(clips, logits), scored(clips, logits - 0.5)
    ((name, found),) = steadiness(clips, usual, {"darker": moved})
    assert name == "darker"
    assert found["mean_shift_of_log_odds"] == pytest.approx(-0.5)
    assert found["mean_absolute_shift_of_log_odds"] == pytest.approx(0.5)
    assert found["auc"] == pytest.approx(auc(labels(clips), logits))
