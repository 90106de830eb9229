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

from mmcrime.analyzers.motion_features import FEATURES, fastest
from mmcrime.analyzers.motion_model import FAR, RUN, Bar, MotionModel, Score, clip_logit, sigmoid
from mmcrime.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Folds = Sequence[Sequence[Sequence[Score]]]

try:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingDependencyError(
        "Training the motion model needs scikit-learn.", pip='pip install "mmcrime[train]"'
    ) from error

__all__ = [
    "Clip",
    "Figures",
    "figures",
    "fit",
    "judged_logits",
    "out_of_fold",
    "ranks",
    "with_thresholds",
]

FOLDS = 5
SEEDS = 10
"""Repetitions of the split into folds; 24 scenes can be split well or badly by chance."""
PENALTIES = (0.03, 0.1, 0.3)
"""Inverse strengths of the L2 penalty that an inner split chooses from."""
FALSE_ALARMS = 0.05
"""Share of ordinary clips that may reach the upper threshold, out of fold."""
MISSES = 0.10
"""Share of fights that may fall below the lower threshold, out of fold."""
FAMILIAR = 0.975
"""Share of the training windows that count as familiar; of stranger ones that move nothing
is said."""
STILL_MARGIN = 0.75
"""What is slower than this share of the slowest training window of a fight is still. At 1.0
one in a hundred windows of fights in unseen scenes would be called still, at 0.75 none was."""
RESAMPLES = 2000
"""Bootstrap resamples, of whole groups, for the interval of the AUC."""
_BINS = 10
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """How well a model does on scenes it has not seen.

    Attributes:
        auc: Area under the ROC curve, mean over the seeds. All clips are ranked, those that
            are not judged by their clamped scores.
        auc_std: Its standard deviation over the seeds.
        auc_95: Interval of the AUC from resampling groups.
        tpr_at_10_fpr: Share of fights found at 10 % false alarms.
        ece: Expected calibration error in 10 equal bins.
        brier: Mean squared error of the probability.
        detected: Upper threshold: at most `FALSE_ALARMS` of ordinary clips reach it.
        not_detected: Lower threshold: at most `MISSES` of the fights fall below it.
        detected_tpr: Share of fights that reach the upper threshold.
        not_detected_tnr: Share of ordinary clips that fall below the lower one.
        undetermined: Share of all clips between the two, or not judged.
        not_judged: Share of all clips of which no window is judged.
    """

    auc: float
    auc_std: float
    auc_95: tuple[float, float]
    tpr_at_10_fpr: float
    ece: float
    brier: float
    detected: float
    not_detected: float
    detected_tpr: float
    not_detected_tnr: float
    undetermined: float
    not_judged: float


def fit(clips: Sequence[Clip], *, seed: int = 0) -> MotionModel:
    """Fit coefficients and calibration on some clips; thresholds and card are provisional.

    Raises:
        ConfigError: If there are not at least two groups with fights and two without.
    """
    best_loss, best_penalty, best_logits = np.inf, PENALTIES[0], np.zeros(len(clips))
    labels = _labels(clips)
    for penalty in PENALTIES:
        logits = np.zeros(len(clips))
        for train, test in _splits(clips, seed):
            part = _linear([clips[i] for i in train], penalty)
            logits[test] = [_logit(part, clips[i]) for i in test]
        loss = float(np.logaddexp(0.0, np.where(labels == 1, -logits, logits)).mean())
        if loss < best_loss:
            best_loss, best_penalty, best_logits = loss, penalty, logits
    platt = LogisticRegression(C=1e3).fit(best_logits[:, None], labels)
    model = _linear(clips, best_penalty)
    # Labels without any signal give a slope around 0; calibration must never turn scores over.
    slope = max(float(platt.coef_[0, 0]), 1e-3)
    fights = (clip.windows for clip in clips if clip.fight)
    still = STILL_MARGIN * min(fastest(window) for windows in fights for window in windows)
    update = {"slope": slope, "offset": float(platt.intercept_[0]), "still": still}
    return model.model_copy(update=update)


def out_of_fold(clips: Sequence[Clip], *, seeds: int = SEEDS) -> list[list[tuple[Score, ...]]]:
    """Return the scores of each clip's windows from models that did not see its group.

    Returns:
        ``[seed][clip]``.
    """
    found: list[list[tuple[Score, ...]]] = [[()] * len(clips) for _ in range(seeds)]
    for seed in range(seeds):
        for train, test in _splits(clips, seed):
            model = fit([clips[i] for i in train], seed=seed)
            for i in test:
                found[seed][i] = _scores(model, clips[i])
    return found


def ranks(folds: Folds) -> Floats:
    """Return a probability for every clip, the clamped one where none is judged."""
    return np.array(
        [[sigmoid(clip_logit([s.logit for s in clip])) for clip in row] for row in folds]
    )


def judged_logits(folds: Folds) -> list[list[Floats]]:
    """Return the log-odds of the windows of which something can be said, ``[seed][clip]``."""
    return [
        [np.array([score.logit for score in clip if score.judged]) for clip in row] for row in folds
    ]


def _said(folds: Folds) -> Floats:
    """Return what production says of every clip: its probability, NaN if it is not judged."""
    return np.array(
        [
            [sigmoid(clip_logit(logits.tolist())) if len(logits) else np.nan for logits in row]
            for row in judged_logits(folds)
        ]
    )


def figures(clips: Sequence[Clip], folds: Folds) -> Figures:
    """Return the figures that belong to out-of-fold scores."""
    labels = _labels(clips)
    probabilities, said = ranks(folds), _said(folds)
    aucs = [_auc(labels, row) for row in probabilities]
    no, yes = probabilities[:, labels == 0], probabilities[:, labels == 1]
    high = float(np.clip(_above(no, FALSE_ALARMS), 0.5, 0.99))
    low = float(np.clip(np.quantile(yes, MISSES, method="lower"), 0.005, high - 0.005))
    # Comparisons with NaN are false: what is not judged is neither.
    detected, cleared = said >= high, np.fmax(said, probabilities) < low
    cleared &= ~np.isnan(said)
    return Figures(
        auc=float(np.mean(aucs)),
        auc_std=float(np.std(aucs)),
        auc_95=_interval(clips, probabilities),
        tpr_at_10_fpr=float(
            np.mean(
                [(y >= _above(n, 0.10)).mean() for n, y in zip(no, yes, strict=True)],
            )
        ),
        ece=float(np.mean([_ece(labels, row) for row in probabilities])),
        brier=float(((probabilities - labels) ** 2).mean()),
        detected=high,
        not_detected=low,
        detected_tpr=float(detected[:, labels == 1].mean()),
        not_detected_tnr=float(cleared[:, labels == 0].mean()),
        undetermined=float((~detected & ~cleared).mean()),
        not_judged=float(np.isnan(said).mean()),
    )


def with_thresholds(
    model: MotionModel, found: Figures, bars: Sequence[Bar], card: dict[str, str]
) -> MotionModel:
    """Return the model with the thresholds of its figures and its card, checked again."""
    data = model.model_dump() | {"bars": [bar.model_dump() for bar in bars], "card": card}
    data |= {"detected": found.detected, "not_detected": found.not_detected}
    return MotionModel.model_validate(data)


def _labels(clips: Sequence[Clip]) -> NDArray[np.int64]:
    return np.array([clip.fight for clip in clips], dtype=np.int64)


def _splits(clips: Sequence[Clip], seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split by group, with like shares of fights; fewer folds when there are few groups."""
    labels = _labels(clips)
    groups = [clip.group for clip in clips]
    fewest = min(len({c.group for c in clips if c.fight is side}) for side in (True, False))
    if fewest < 2:
        raise ConfigError(
            f"Only {fewest!r} source groups hold one of the two labels; a split needs 2.",
            next_step="Add clips of other sources.",
        )
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    splits = list(folds.split(labels, labels, groups))
    if any(len(set(labels[train].tolist())) < 2 for train, _ in splits):
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
            inputs, np.repeat(_labels(clips), counts), sample_weight=np.repeat(1 / counts, counts)
        )
    return MotionModel(
        id="mmcrime-motion",
        version="2",
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


def _auc(labels: NDArray[np.int64], scores: Floats) -> float:
    """Return the chance that a fight scores above an ordinary clip; ties count half."""
    ahead = scores[labels == 1][:, None] - scores[labels == 0]
    return float((ahead > 0).mean() + (ahead == 0).mean() / 2)


def _above(scores: Floats, share: float) -> float:
    """Return the lowest threshold that at most ``share`` of the scores reach."""
    falling = np.sort(scores, axis=None)[::-1]
    return float(np.nextafter(falling[int(share * falling.size)], 2.0))


def _ece(labels: NDArray[np.int64], row: Floats) -> float:
    bins = np.minimum((row * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(row[bins == b].mean() - labels[bins == b].mean()) * (bins == b).mean()
        for b in range(_BINS)
        if (bins == b).any()
    ]
    return float(np.sum(gaps))


def _interval(clips: Sequence[Clip], probabilities: Floats) -> tuple[float, float]:
    labels = _labels(clips)
    rng = np.random.default_rng(0)
    members: dict[str, list[int]] = {}
    for i, clip in enumerate(clips):
        members.setdefault(clip.group, []).append(i)
    groups = list(members.values())
    aucs = []
    for _ in range(RESAMPLES):
        drawn = [i for g in rng.integers(len(groups), size=len(groups)) for i in groups[g]]
        if 0 < labels[drawn].sum() < len(drawn):
            row = probabilities[rng.integers(len(probabilities))]
            aucs.append(_auc(labels[drawn], row[drawn]))
    low, high = np.quantile(aucs, (0.025, 0.975))
    return float(low), float(high)
