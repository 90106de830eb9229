"""Train and measure the model of the `motion` analyzer from a folder of labelled clips.

```
python -m mmcrime.training.motion CLIPS_DIR --evaluate            # figures as JSON
python -m mmcrime.training.motion CLIPS_DIR --evaluate --compare  # and beside the baseline
python -m mmcrime.training.motion CLIPS_DIR --out model.json      # figures, then the model
```

The folder holds ``labels.csv`` with the columns ``file`` (a path inside the folder),
``label`` (``fight`` or anything else) and ``group``: the source of the clip. Clips of one
source show one scene, so all splits are by group. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from mmcrime.analyzers.motion_features import FEATURES, FPS, MAX_SIDE
from mmcrime.analyzers.motion_model import Score, sigmoid
from mmcrime.analyzers.motion_pass import examine
from mmcrime.errors import ConfigError, MediaError, MmcrimeError
from mmcrime.evidence import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.analyzers.motion_features import Window
    from mmcrime.training.motion_figures import Figures
    from mmcrime.training.motion_fit import Clip
    from mmcrime.training.motion_long import LongVideo

    Floats = NDArray[np.float64]

__all__ = ["Folder", "main", "read_folder"]

_SEED = 0
_FIGHT = "fight"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Folder:
    """A measured clip folder.

    Attributes:
        clips: The clips that could be judged, in the order of the table.
        names: Their paths inside the folder.
        left_out: Names of those that could not.
        digest: BLAKE3 over table entries and contents: the identity of the data.
    """

    clips: tuple[Clip, ...]
    names: tuple[str, ...]
    left_out: tuple[str, ...]
    digest: str


def read_folder(folder: Path) -> Folder:
    """Measure every clip of a labelled folder with the code that runs in production.

    Raises:
        ConfigError: If ``labels.csv`` is missing, lacks a column or names a file outside.
        MissingDependencyError: If scikit-learn is not installed.
    """
    from mmcrime.media import open_media
    from mmcrime.training.motion_fit import Clip

    clips, names, left_out, digest = [], [], [], blake3()
    for name, label, group in _table(folder):
        try:
            with open_media(folder / name) as handle:
                digest.update(f"{name}\0{label}\0{group}\0{handle.media.content_id}\n".encode())
                windows = _windows(Evidence(media=handle.media, reader=handle))
        except MediaError:
            windows = []
        if windows:
            clips.append(Clip(windows=np.stack(windows), fight=label == _FIGHT, group=group))
            names.append(name)
        else:
            left_out.append(name)
    return Folder(
        clips=tuple(clips),
        names=tuple(names),
        left_out=tuple(left_out),
        digest=digest.hexdigest(),
    )


def _windows(evidence: Evidence) -> list[Floats]:
    found: list[Floats] = []

    def keep(window: Window) -> Score | None:
        if not np.isfinite(window.features).all():
            return None
        found.append(window.features)
        return Score(0.0, "model")

    examine(evidence, keep)
    return found


def _table(folder: Path) -> list[tuple[str, str, str]]:
    path = folder / "labels.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(row["file"], row["label"], row["group"]) for row in csv.DictReader(file)]
    except OSError as error:
        raise ConfigError(
            f"The table {str(path)!r} cannot be read: {error.strerror}.",
            next_step="Name a folder that holds labels.csv.",
        ) from error
    except KeyError as error:
        raise ConfigError(
            f"The table {str(path)!r} has no column {error.args[0]!r}.",
            next_step="It needs the columns file, label and group.",
        ) from error
    for name, _, _ in rows:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"The table {str(path)!r} names {name!r}, which is outside the folder.",
                next_step="Remove that line.",
            )
    return rows


def _card(
    data: Folder, found: Figures, long: LongVideo, args: argparse.Namespace
) -> dict[str, str]:
    """Return the facts about the model that every report shows beside its vote."""
    from mmcrime.training import motion_figures as measuring
    from mmcrime.training import motion_fit as fitting

    fights = sum(clip.fight for clip in data.clips)
    groups = len({clip.group for clip in data.clips})
    libraries = ("numpy", "opencv-python-headless", "scikit-learn", "av")
    return {
        "trained_on": f"{args.name}: {fights} fight and {len(data.clips) - fights} other "
        f"surveillance clips of {groups} sources ({len(data.left_out)} left out), "
        f"blake3 of table and contents {data.digest}",
        "licence": args.licence,
        "method": f"{len(FEATURES)} statistics of median-compensated optical flow (dense inverse "
        f"search, {MAX_SIDE} pixels wide, {FPS} frames/s) over the whole picture and "
        "around the place that moves most, standardised, logistic regression with L2 penalty, "
        "Platt calibration",
        "measured": f"out of fold, {fitting.FOLDS} folds by source x {fitting.SEEDS} seeds; "
        "penalty, calibration and familiarity from inside the folds; flow preset, frame rate and "
        "regions were chosen outside them, while looking at the figures of more than ten variants "
        "on the same clips, so that the figures flatter the model",
        "figures": f"AUC {found.auc:.3f} (95 % by source {found.auc_95[0]:.3f} to "
        f"{found.auc_95[1]:.3f}); TPR {found.tpr_at_10_fpr:.2f} at 10 % FPR; ECE "
        f"{found.ece:.3f}; Brier {found.brier:.3f}",
        "thresholds": f"detected from {found.detected:.3f} ({found.detected_tpr:.0%} of fights, "
        f"{measuring.FALSE_ALARMS:.0%} of others); not detected below {found.not_detected:.3f} "
        f"({found.not_detected_tnr:.0%} of others, {measuring.MISSES:.0%} of fights); "
        f"{found.undetermined:.0%} of all clips stay undetermined; {found.not_judged:.1%} of all "
        "clips do so because they are unlike the training clips",
        "limits": "judges motion like that of physical fights only; calibrated on clips of two "
        "to four seconds of which half are fights, real footage holds far fewer; across "
        "domains such models fall to about .70; a fight that fills less than a hundredth of the "
        "picture may count as stillness; " + _long_limits(long),
        "command": f"python -m mmcrime.training.motion CLIPS_DIR --out FILE "
        f"--name {args.name!r} --licence {args.licence!r} (seed {_SEED})",
        "libraries": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in libraries),
    }


def _long_limits(long: LongVideo) -> str:
    """Say in words what becomes of the figures in long video."""
    minute, hour = (next(n for n in long.lengths if n.seconds == s) for s in (60, 3600))
    fixed = max(long.fixed_alarms_per_hour.values())
    return (
        f"long video was only simulated, from chained clips: at a clip's threshold about "
        f"{fixed:.0f} false alarms an hour, so that the threshold rises with the length "
        f"(to {sigmoid(minute.bar):.2f} at a minute, {sigmoid(hour.bar):.2f} at an hour, beyond "
        f"which nothing is called detected) and {max(hour.reached.values()):.0%} of ordinary "
        f"hours reach it ({hour.unseen:.0%} in scenes it was not set on); of fights of 6 s "
        f"{minute.found_fight:.0%} are then found in a minute and {hour.found_fight:.0%} in an "
        f"hour, of those of 2 s {minute.found_clip:.0%} and {hour.found_clip:.0%}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mmcrime.training.motion",
        description="Fit and measure the motion model from a folder of labelled clips.",
    )
    parser.add_argument("folder", type=Path, help="folder with labels.csv (file, label, group)")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--evaluate", action="store_true", help="print the figures only")
    wanted.add_argument("--out", type=Path, help="also fit on all clips and write the model here")
    parser.add_argument("--name", default="unnamed clips", help="what the clips are, for the card")
    parser.add_argument("--licence", default="unknown", help="their licence, for the card")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also measure the baseline and the clips recorded otherwise (minutes)",
    )
    parser.add_argument("--seeds", type=int, help="repetitions of the folds (default 10)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 with the reason on stderr."""
    args = _parser().parse_args(argv)
    try:
        _run(args)
    except MmcrimeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _comparison(folder: Path, data: Folder, seeds: int) -> dict[str, object]:
    """Measure the baseline on the same folds, and the model on the clips recorded otherwise."""
    from mmcrime.media import open_media
    from mmcrime.training import motion_baseline as baseline
    from mmcrime.training import motion_compare as comparing
    from mmcrime.training import motion_fit as fitting

    figures = []
    others: dict[str, list[Clip]] = {way: [] for way in comparing.RECORDINGS}
    for clip, name in zip(data.clips, data.names, strict=True):
        with open_media(folder / name) as handle:
            evidence = Evidence(media=handle.media, reader=handle)
            figures.append(baseline.baseline_figures(evidence))
        for way, recording in comparing.RECORDINGS.items():
            with tempfile.TemporaryDirectory() as scratch:
                again = Path(scratch) / "clip.mp4"
                comparing.recorded(folder / name, again, recording)
                with open_media(again) as handle:
                    windows = _windows(Evidence(media=handle.media, reader=handle))
            nothing = np.zeros_like(clip.windows[0])  # where no window can be measured any more
            others[way].append(dataclasses.replace(clip, windows=np.stack(windows or [nothing])))
    folds, *rest = fitting.out_of_fold(data.clips, *others.values(), seeds=seeds)
    logits = baseline.baseline_logits(data.clips, np.stack(figures), seeds=seeds)
    steady = comparing.steadiness(data.clips, folds, dict(zip(others, rest, strict=True)))
    return {"paired": comparing.compared(data.clips, folds, logits), "recordings": dict(steady)}


def _run(args: argparse.Namespace) -> None:
    from mmcrime.training import motion_figures as measuring
    from mmcrime.training import motion_fit as fitting
    from mmcrime.training.motion_long import simulate

    data = read_folder(args.folder)
    seeds = fitting.SEEDS if args.seeds is None else args.seeds
    (folds,) = fitting.out_of_fold(data.clips, seeds=seeds)
    found = measuring.figures(data.clips, folds)
    long = simulate(data.clips, measuring.judged_logits(folds), detected=found.detected, seed=_SEED)
    if args.out is not None:
        model = fitting.fit(data.clips, seed=_SEED)
        model = fitting.with_thresholds(model, found, long.bars, _card(data, found, long, args))
        args.out.write_text(model.model_dump_json(indent=1) + "\n", encoding="utf-8")
    figures = {
        "clips": len(data.clips),
        "groups": len({clip.group for clip in data.clips}),
        "left_out": list(data.left_out),
        "data_blake3": data.digest,
        "seeds": seeds,
        **dataclasses.asdict(found),
        "fixed_alarms_per_hour": long.fixed_alarms_per_hour,
        "long_video": [dataclasses.asdict(length) for length in long.lengths],
        **(_comparison(args.folder, data, seeds) if args.compare else {}),
    }
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
