"""Fitting and measuring the motion model. Needs scikit-learn (extra ``train``).

Everything that is chosen is chosen inside the training part of a fold: the strength of
the penalty and the calibration by an inner split, both by source group, so that the
figures hold for scenes the model has not seen. Clips are scored by the code that runs in
production (`MotionModel.judge`, `clip_logit`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmcrime.analyzers.motion_model import FAR, RUN, Bar, MotionModel, Score, clip_logit
from mmcrime.analyzers.motion_window import FEATURES, fastest
from mmcrime.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.training.motion_figures import Figures

    Floats = NDArray[np.float64]

try:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingDependencyError(
        "Training the motion model needs scikit-learn.", pip='pip install "mmcrime[train]"'
    ) from error

__all__ = ["Clip", "fit", "labels", "out_of_fold", "splits", "with_thresholds"]

FOLDS = 5
SEEDS = 10
"""Repetitions of the split into folds; 24 scenes can be split well or badly by chance."""
PENALTIES = (0.01, 0.03, 0.1)
"""Inverse strengths of the L2 penalty that an inner split chooses from."""
FAMILIAR = 0.975
"""Share of the training windows that count as familiar; of stranger ones that move nothing
is said."""
STILL_MARGIN = 0.75
"""What is slower than this share of the slowest training window of a fight is still. At 1.0
one in a hundred windows of fights in unseen scenes would be called still, at 0.75 none was."""
_NEVER = 1e-9
"""A speed nothing stays below: calibration is fitted on what the coefficients say."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """A labelled clip, measured.

    Attributes:
        windows: Features of its windows in order, shape ``(n, len(FEATURES))``, n >= 1.
        fight: Its label.
        group: Its source; clips of one group show one scene.
    """

    windows: Floats
    fight: bool
    group: str


def fit(clips: Sequence[Clip], *, seed: int = 0) -> MotionModel:
    """Fit coefficients and calibration on some clips; thresholds and card are provisional.

    Raises:
        ConfigError: If there are not at least two groups with fights and two without.
    """
    best_loss, best_penalty, best_logits = np.inf, PENALTIES[0], np.zeros(len(clips))
    truth = labels(clips)
    for penalty in PENALTIES:
        logits = np.zeros(len(clips))
        for train, test in splits(clips, seed):
            part = _linear([clips[i] for i in train], penalty)
            logits[test] = [_logit(part, clips[i]) for i in test]
        loss = float(np.logaddexp(0.0, np.where(truth == 1, -logits, logits)).mean())
        if loss < best_loss:
            best_loss, best_penalty, best_logits = loss, penalty, logits
    platt = LogisticRegression(C=1e3).fit(best_logits[:, None], truth)
    model = _linear(clips, best_penalty)
    # Labels without any signal give a slope around 0; calibration must never turn scores over.
    slope = max(float(platt.coef_[0, 0]), 1e-3)
    slowest = min(fastest(window) for clip in clips if clip.fight for window in clip.windows)
    still = max(STILL_MARGIN * slowest, _NEVER)
    update = {"slope": slope, "offset": float(platt.intercept_[0]), "still": still}
    return model.model_copy(update=update)


def out_of_fold(
    clips: Sequence[Clip], *others: Sequence[Clip], seeds: int = SEEDS
) -> list[list[list[tuple[Score, ...]]]]:
    """Return the scores of each clip's windows from models that did not see its group.

    Args:
        clips: The clips to fit on and to score.
        others: The same clips in the same order, recorded otherwise: only scored.
        seeds: Repetitions of the split.

    Returns:
        ``[recording][seed][clip]``; the first recording is ``clips``.
    """
    recordings = (clips, *others)
    found: list[list[list[tuple[Score, ...]]]] = [
        [[()] * len(clips) for _ in range(seeds)] for _ in recordings
    ]
    for seed in range(seeds):
        for train, test in splits(clips, seed):
            model = fit([clips[i] for i in train], seed=seed)
            for scored, recording in zip(found, recordings, strict=True):
                for i in test:
                    scored[seed][i] = _scores(model, recording[i])
    return found


def with_thresholds(
    model: MotionModel, found: Figures, bars: Sequence[Bar], card: dict[str, str]
) -> MotionModel:
    """Return the model with the thresholds of its figures and its card, checked again."""
    data = model.model_dump() | {"bars": [bar.model_dump() for bar in bars], "card": card}
    data |= {"detected": found.detected, "not_detected": found.not_detected}
    return MotionModel.model_validate(data)


def labels(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """Return 1 for every fight and 0 for every other clip."""
    return np.array([clip.fight for clip in clips], dtype=np.int64)


def splits(clips: Sequence[Clip], seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split by group, with like shares of fights; fewer folds when there are few groups."""
    truth = labels(clips)
    groups = [clip.group for clip in clips]
    fewest = min(len({c.group for c in clips if c.fight is side}) for side in (True, False))
    if fewest < 2:
        raise ConfigError(
            f"Only {fewest!r} source groups hold one of the two labels; a split needs 2.",
            next_step="Add clips of other sources.",
        )
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    splits = list(folds.split(truth, truth, groups))
    if any(len(set(truth[train].tolist())) < 2 for train, _ in splits):
        raise ConfigError(
            "The groups cannot be split so that every part holds both labels.",
            next_step="Add clips of other sources.",
        )
    return splits


def _linear(clips: Sequence[Clip], penalty: float) -> MotionModel:
    """Fit the coefficients; every clip weighs the same, however many windows it has."""
    windows = np.concatenate([clip.windows for clip in clips])
    counts = np.array([len(clip.windows) for clip in clips])
    mean, scale = windows.mean(axis=0), windows.std(axis=0)
    scale[scale < 1e-9] = 1.0
    deviations = (windows - mean) / scale
    inputs = np.clip(deviations, -FAR, FAR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a fit that did not converge is no model
        regression = LogisticRegression(C=penalty, max_iter=5000).fit(
            inputs, np.repeat(labels(clips), counts), sample_weight=np.repeat(1 / counts, counts)
        )
    return MotionModel(
        id="mmcrime-motion",
        version="3",
        features=list(FEATURES),
        mean=mean.tolist(),
        scale=scale.tolist(),
        coefficients=regression.coef_[0].tolist(),
        intercept=float(regression.intercept_[0]),
        slope=1.0,
        offset=0.0,
        familiar=float(np.quantile((deviations**2).mean(axis=1), FAMILIAR)),
        still=_NEVER,
        detected=0.75,
        not_detected=0.25,
        bars=[Bar(windows=RUN, logit=math.log(3.0), alarms_per_hour=0.0)],
        card={"state": "provisional"},
    )


def _scores(model: MotionModel, clip: Clip) -> tuple[Score, ...]:
    scores = (model.judge(window) for window in clip.windows)
    return tuple(score for score in scores if score is not None)


def _logit(model: MotionModel, clip: Clip) -> float:
    return clip_logit([score.logit for score in _scores(model, clip)])
