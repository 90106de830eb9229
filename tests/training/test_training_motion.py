from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmcrime.analyzers.motion_features import FEATURES
from mmcrime.analyzers.motion_model import load_model
from mmcrime.errors import ConfigError

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from mmcrime.training import motion_figures as measuring
from mmcrime.training import motion_fit as fitting
from mmcrime.training.motion import main
from mmcrime.training.motion_fit import Clip
from mmcrime.training.motion_long import LENGTHS


def made_up(*, signal: float, groups: int = 12, scene: float = 0.0, seed: int = 0) -> list[Clip]:
    """Clips whose features hold the label with some strength and their scene with another."""
    rng = np.random.default_rng(seed)
    clips = []
    for group in range(groups):
        look = rng.normal(0, 1, len(FEATURES)) * scene
        for clip in range(6):
            fight = bool(group % 2)
            windows = rng.normal(0, 1, (1 + clip % 2, len(FEATURES))) + look
            windows[:, :24] += signal * fight / 4  # figures of motion overlap
            clips.append(Clip(windows=windows, fight=fight, group=f"g{group}"))
    return clips


def film(path: Path, *, rough: bool, seed: int) -> None:
    """Write two seconds of a square that drifts, or of one that jerks about."""
    rng = np.random.default_rng(seed)
    back = rng.integers(60, 120, (120, 160)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for i in range(26):
            picture = back.copy()
            x, y = rng.integers(20, 100, 2).tolist() if rough else (20 + 2 * i, 50)
            picture[y : y + 20, x : x + 20] = 240
            frame = av.VideoFrame.from_ndarray(np.stack([picture] * 3, axis=-1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    rows = ["file,label,group,licence"]
    for i in range(12):
        name = f"c{i}.mp4"
        film(folder / name, rough=i % 2 == 1, seed=i)
        rows.append(f"{name},{'fight' if i % 2 else 'noFight'},source{i // 2},MIT")
    (folder / "broken.mp4").write_bytes(b"no video at all")
    rows.append("broken.mp4,fight,source9,MIT")
    (folder / "labels.csv").write_text("\n".join(rows), "utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(
    clip_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The model that one training run wrote, and the figures that it printed."""
    out, said = tmp_path_factory.mktemp("trained") / "model.json", io.StringIO()
    args = ["--out", str(out), "--seeds", "1", "--name", "drawn clips", "--licence", "CC0"]
    with contextlib.redirect_stdout(said):
        assert main([str(clip_folder), *args]) == 0
    return out, json.loads(said.getvalue())


def test_training_prints_the_figures_of_a_folder_as_json(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    _, figures = trained
    assert figures["clips"] == 12
    assert figures["groups"] == 6
    assert figures["left_out"] == ["broken.mp4"]
    assert figures["auc"] > 0.9
    assert 0.0 < figures["not_detected"] < figures["detected"] < 1.0
    assert [length["seconds"] for length in figures["long_video"]] == list(LENGTHS)
    assert figures["fixed_alarms_per_hour"].keys() == {"one_scene", "many_scenes"}


def test_out_writes_a_model_that_loads_with_a_card_that_names_the_data(
    trained: tuple[Path, dict[str, Any]], clip_folder: Path
) -> None:
    out, figures = trained
    model = load_model(out)
    assert model.detected == figures["detected"]
    assert [bar.logit for bar in model.bars[1:]] == [n["bar"] for n in figures["long_video"]]
    assert model.card["licence"] == "CC0"
    assert "drawn clips: 6 fight and 6 other" in model.card["trained_on"]
    assert figures["data_blake3"] in model.card["trained_on"]
    assert str(clip_folder) not in out.read_text("utf-8")


def test_training_twice_gives_the_same_model() -> None:
    clips = made_up(signal=1.0)
    assert fitting.fit(clips) == fitting.fit(clips)


def test_a_folder_without_a_table_is_refused_with_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--evaluate"]) == 2
    assert "labels.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,label\na.mp4,fight\n", "'group'"),
        ("file,label,group\n../a.mp4,fight,g\n", "outside"),
        ("file,label,group\n/etc/hostname,fight,g\n", "outside"),
        ("file,label,group\n", "source groups"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, said: str
) -> None:
    (tmp_path / "labels.csv").write_text(table, "utf-8")
    assert main([str(tmp_path), "--evaluate"]) == 2
    assert said in capsys.readouterr().err


def test_without_scikit_learn_the_pip_line_is_given(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from mmcrime.training.motion import main\n"
        f"sys.exit(main([{str(tmp_path)!r}, '--evaluate']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "mmcrime[train]"' in done.stderr


def test_a_signal_in_the_features_is_found_in_unseen_groups() -> None:
    clips = made_up(signal=3.0)
    found = measuring.figures(clips, *fitting.out_of_fold(clips, seeds=1))
    assert found.auc > 0.85
    assert found.auc_95[0] <= found.auc <= found.auc_95[1]


def test_knowing_the_scene_does_not_count_as_skill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group has one look and one label: a split by clip would score near 1."""
    monkeypatch.setattr(fitting, "PENALTIES", fitting.PENALTIES[:1])
    aucs = []
    for seed in range(3):
        clips = made_up(signal=0.0, scene=3.0, seed=seed)
        aucs.append(measuring.figures(clips, *fitting.out_of_fold(clips, seeds=1)).auc)
    assert np.mean(aucs) < 0.75


def test_thresholds_keep_false_alarms_and_misses_in_their_bounds() -> None:
    clips = made_up(signal=1.5)
    (folds,) = fitting.out_of_fold(clips, seeds=1)
    found = measuring.figures(clips, folds)
    probabilities = measuring.ranks(folds)
    fights = np.array([clip.fight for clip in clips])
    assert (probabilities[:, ~fights] >= found.detected).mean() <= measuring.FALSE_ALARMS
    assert (probabilities[:, fights] < found.not_detected).mean() <= measuring.MISSES


def test_both_kinds_of_wrong_answers_are_counted() -> None:
    """Ordinary clips that are called fights, and fights that are called none."""
    clips = made_up(signal=0.3)
    (folds,) = fitting.out_of_fold(clips, seeds=1)
    found = measuring.figures(clips, folds)
    (probabilities,) = measuring.ranks(folds)
    fights = np.array([clip.fight for clip in clips])
    assert 0 < found.detected_fpr <= measuring.FALSE_ALARMS
    assert found.detected_fpr == (probabilities[~fights] >= found.detected).mean()
    assert 0 < found.not_detected_fnr <= measuring.MISSES
    assert found.not_detected_fnr == (probabilities[fights] < found.not_detected).mean()


def test_a_clip_that_is_not_judged_is_neither_detected_nor_cleared() -> None:
    clips = made_up(signal=1.5)
    (folds,) = fitting.out_of_fold(clips, seeds=1)
    plain = measuring.figures(clips, folds)
    unknown = [[tuple(s._replace(basis="strange") for s in clip) for clip in folds[0]]]
    found = measuring.figures(clips, unknown)
    assert (found.not_judged, found.undetermined) == (1.0, 1.0)
    assert (found.detected_tpr, found.not_detected_tnr) == (0.0, 0.0)
    assert found.auc == plain.auc  # a ranking of all clips


def test_one_source_only_cannot_be_measured() -> None:
    clips = made_up(signal=1.0, groups=2)
    with pytest.raises(ConfigError, match="source groups"):
        fitting.out_of_fold(clips, seeds=1)


@pytest.mark.slow
@pytest.mark.shared
def test_the_figure_on_the_shipped_card_is_what_evaluate_measures(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(shared / "media" / "fights"), "--evaluate", "--seeds", "2"]) == 0
    figures = json.loads(capsys.readouterr().out)
    card = load_model().card
    assert figures["data_blake3"] in card["trained_on"]
    stated = float(card["figures"].split()[1])
    assert figures["auc"] == pytest.approx(stated, abs=0.02)
    assert figures["auc"] > 0.8
    assert figures["detected"] == pytest.approx(load_model().detected, abs=0.02)
