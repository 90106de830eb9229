"""The baseline that the motion model has to beat: 50 figures of the whole picture.

Dense Farneback flow at 160 x 120 and 12.5 frames a second, minus its median, summarised
over the whole picture for each pair of frames (12 figures) and over the clip (mean, spread,
highest, change), the mean and spread of the camera's own speed, and a logistic regression.
The sizes are those of the published comparison; it is measured on the same folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmcrime.training.motion_fit import PENALTIES, labels, splits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.evidence import Evidence
    from mmcrime.training.motion_fit import Clip

    Floats = NDArray[np.float64]

__all__ = ["FIGURES", "baseline_figures", "baseline_logits"]

FIGURES = 50
_FPS = 12.5
_SIZE = (160, 120)
_CELL = 20
_FAST = 0.3
"""Widths a second."""
_LEAST = 0.02
"""Added before a logarithm."""


def baseline_figures(evidence: Evidence) -> Floats:
    """Return the `FIGURES` of a clip; zeros if it has fewer than three pairs of frames.

    Raises:
        MediaError: If nothing of the clip can be decoded.
    """
    rows: list[Floats] = []
    speed_before: NDArray[np.float32] | None = None
    picture_before: NDArray[np.uint8] | None = None
    since = 0.0
    for frame in evidence.clip(0.0, float("inf"), _FPS, max_side=_SIZE[0], grey=True):
        picture = np.asarray(
            cv2.resize(frame.pixels, _SIZE, interpolation=cv2.INTER_AREA), np.uint8
        )
        if picture_before is not None and frame.time > since:
            flow = np.asarray(
                cv2.calcOpticalFlowFarneback(
                    picture_before, picture, None, 0.5, 3, 15, 3, 5, 1.2, 0
                )  # type: ignore[call-overload]  # cv2's stub forgets that None means "allocate"
            )
            row, speed_before = _pair(flow, frame.time - since, speed_before)
            rows.append(row)
        picture_before, since = picture, frame.time
    if len(rows) < 3:
        return np.zeros(FIGURES)
    table = np.stack(rows)
    stats = table[:, :-1]
    change = np.abs(np.diff(stats, axis=0)).mean(axis=0) * _FPS
    return np.concatenate(
        [
            stats.mean(axis=0),
            np.log(stats.std(axis=0) + _LEAST),
            stats.max(axis=0),
            np.log(change + _LEAST),
            [table[:, -1].mean(), table[:, -1].std()],
        ]
    )


def _pair(
    flow: NDArray[np.float32], seconds: float, before: NDArray[np.float32] | None
) -> tuple[Floats, NDArray[np.float32]]:
    """Summarise one pair of frames: 12 figures and the camera's speed; and the speed map."""
    velocity = flow / np.float32(seconds * _SIZE[0])
    camera = np.median(velocity.reshape(-1, 2), axis=0)
    x, y = np.moveaxis(velocity - camera, -1, 0)
    speed = np.hypot(x, y)
    cells, along = _cells(speed), np.hypot(_cells(x), _cells(y))
    total = cells.sum() + 1e-6
    rows, columns = np.indices(cells.shape)
    row, column = (cells * rows).sum() / total, (cells * columns).sum() / total
    away = (cells * ((rows - row) ** 2 + (columns - column) ** 2)).sum() / total
    octants = ((np.arctan2(y, x) + np.pi) * (8 / (2 * np.pi))).astype(np.intp) % 8
    turns = np.bincount(octants.ravel(), weights=speed.ravel(), minlength=8) + 1e-9
    share = turns / turns.sum()
    x_dy, x_dx = np.gradient(x * _SIZE[0])
    y_dy, y_dx = np.gradient(y * _SIZE[0])
    acceleration = 0.0 if before is None else float(np.abs(speed - before).mean()) / seconds
    figures = [
        *np.log1p(10 * np.array([speed.mean(), speed.std(), *np.quantile(speed, (0.9, 0.99))])),
        (speed > _FAST).mean(),
        np.sort(cells, axis=None)[-5:].sum() / total,
        np.sqrt(away) / cells.shape[1],
        -(share * np.log(share)).sum() / np.log(8),
        along.sum() / total,
        np.log1p(10 * np.abs(x_dx + y_dy).mean()),
        np.log1p(10 * np.abs(y_dx - x_dy).mean()),
        np.log1p(10 * acceleration),
        np.log1p(10 * np.hypot(*camera)),
    ]
    return np.array(figures, dtype=np.float64), speed


def _cells(values: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = _SIZE[1] // _CELL, _SIZE[0] // _CELL
    return np.asarray(values.reshape(rows, _CELL, columns, _CELL).mean(axis=(1, 3)))


def baseline_logits(clips: Sequence[Clip], figures: Floats, *, seeds: int) -> Floats:
    """Return out-of-fold log-odds ``[seed][clip]`` on the folds of the motion model.

    The penalty is chosen by an inner split by source, as it is for the model.
    """
    truth = labels(clips)
    found = np.zeros((seeds, len(clips)))
    for seed in range(seeds):
        for train, test in splits(clips, seed):
            search = GridSearchCV(
                make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
                {"logisticregression__C": PENALTIES},
                scoring="neg_log_loss",
                cv=splits([clips[i] for i in train], seed),
            ).fit(figures[train], truth[train])
            found[seed, test] = search.decision_function(figures[test])
    return found
