"""How well the motion model does on scenes it has not seen: figures and thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmcrime.analyzers.motion_model import Score, clip_logit, sigmoid
from mmcrime.training.motion_fit import labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.training.motion_fit import Clip

    Floats = NDArray[np.float64]
    Folds = Sequence[Sequence[Sequence[Score]]]

__all__ = [
    "FALSE_ALARMS",
    "MISSES",
    "Figures",
    "auc",
    "figures",
    "judged_logits",
    "ranks",
    "resampled",
    "tpr_at",
]

FALSE_ALARMS = 0.05
"""Share of ordinary clips that may reach the upper threshold, out of fold."""
MISSES = 0.10
"""Share of fights that may fall below the lower threshold, out of fold."""
RESAMPLES = 2000
"""Bootstrap resamples, of whole groups, for the interval of the AUC."""
_BINS = 10


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
        detected_fpr: Share of ordinary clips that reach it: the false alarms.
        not_detected_tnr: Share of ordinary clips that fall below the lower one.
        not_detected_fnr: Share of fights that fall below it: fights that are called none.
            Both thresholds were set on these very scores, so both shares flatter.
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
    detected_fpr: float
    not_detected_tnr: float
    not_detected_fnr: float
    undetermined: float
    not_judged: float


def figures(clips: Sequence[Clip], folds: Folds) -> Figures:
    """Return the figures that belong to out-of-fold scores."""
    truth = labels(clips)
    probabilities, said = ranks(folds), _said(folds)
    aucs = [auc(truth, row) for row in probabilities]
    no, yes = probabilities[:, truth == 0], probabilities[:, truth == 1]
    high = float(np.clip(_above(no, FALSE_ALARMS), 0.5, 0.99))
    low = float(np.clip(np.quantile(yes, MISSES, method="lower"), 0.005, high - 0.005))
    # Comparisons with NaN are false: what is not judged is neither.
    doubt = _doubt(folds)
    detected, cleared = (said >= high) & (doubt >= high), (said < low) & (doubt < low)
    return Figures(
        auc=float(np.mean(aucs)),
        auc_std=float(np.std(aucs)),
        auc_95=_interval(clips, probabilities),
        tpr_at_10_fpr=float(np.mean([tpr_at(truth, row) for row in probabilities])),
        ece=float(np.mean([_ece(truth, row) for row in probabilities])),
        brier=float(((probabilities - truth) ** 2).mean()),
        detected=high,
        not_detected=low,
        detected_tpr=float(detected[:, truth == 1].mean()),
        detected_fpr=float(detected[:, truth == 0].mean()),
        not_detected_tnr=float(cleared[:, truth == 0].mean()),
        not_detected_fnr=float(cleared[:, truth == 1].mean()),
        undetermined=float((~detected & ~cleared).mean()),
        not_judged=float(np.isnan(said).mean()),
    )


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


def _doubt(folds: Folds) -> Floats:
    """Return what must hold for either answer, too: strange windows at even odds."""
    return np.array(
        [
            [sigmoid(clip_logit([s.logit if s.judged else 0.0 for s in clip])) for clip in row]
            for row in folds
        ]
    )


def auc(truth: NDArray[np.int64], scores: Floats) -> float:
    """Return the chance that a fight scores above an ordinary clip; ties count half."""
    ahead = scores[truth == 1][:, None] - scores[truth == 0]
    return float((ahead > 0).mean() + (ahead == 0).mean() / 2)


def _above(scores: Floats, share: float) -> float:
    """Return the lowest threshold that at most ``share`` of the scores reach."""
    falling = np.sort(scores, axis=None)[::-1]
    return float(np.nextafter(falling[int(share * falling.size)], 2.0))


def _ece(truth: NDArray[np.int64], row: Floats) -> float:
    bins = np.minimum((row * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(row[bins == b].mean() - truth[bins == b].mean()) * (bins == b).mean()
        for b in range(_BINS)
        if (bins == b).any()
    ]
    return float(np.sum(gaps))


def tpr_at(truth: NDArray[np.int64], scores: Floats, share: float = 0.10) -> float:
    """Return the share of fights above the threshold that ``share`` of the others reach."""
    return float((scores[truth == 1] >= _above(scores[truth == 0], share)).mean())


def resampled(clips: Sequence[Clip], seeds: int) -> Iterator[tuple[int, list[int]]]:
    """Yield a seed and the clips of groups drawn with replacement, `RESAMPLES` times at most.

    Draws in which one of the labels is missing are left out.
    """
    truth = labels(clips)
    rng = np.random.default_rng(0)
    members: dict[str, list[int]] = {}
    for i, clip in enumerate(clips):
        members.setdefault(clip.group, []).append(i)
    groups = list(members.values())
    for _ in range(RESAMPLES):
        drawn = [i for g in rng.integers(len(groups), size=len(groups)) for i in groups[g]]
        if 0 < truth[drawn].sum() < len(drawn):
            yield int(rng.integers(seeds)), drawn


def _interval(clips: Sequence[Clip], probabilities: Floats) -> tuple[float, float]:
    truth = labels(clips)
    aucs = [
        auc(truth[drawn], probabilities[seed][drawn])
        for seed, drawn in resampled(clips, len(probabilities))
    ]
    low, high = np.quantile(aucs, (0.025, 0.975))
    return float(low), float(high)
