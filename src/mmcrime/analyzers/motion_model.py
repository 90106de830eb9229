"""The small logistic model behind `motion`: coefficients, calibration, thresholds, card.

It is data (JSON), made by ``python -m mmcrime.training.motion``. Anything missing or
malformed in it is a `ModelNotFoundError`: nothing votes without its weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmcrime.analyzers.motion_window import FEATURES, fastest
from mmcrime.errors import ModelNotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FAR",
    "RUN",
    "STILL",
    "Bar",
    "Basis",
    "MotionModel",
    "Score",
    "clip_logit",
    "load_model",
    "sigmoid",
]

RUN = 5
"""Windows (6 s) over which scores are averaged before the highest is taken: a fight lasts
longer than one window, a chance peak mostly does not. Clips of the training set are
shorter, so for them the result is the plain mean."""
LARGEST_MODEL = 200_000
"""Bytes; a model file above this is not one of ours."""
FAR = 4.0
"""Standard deviations at which a feature is cut off: further out the model knows nothing."""
STILL = -3.0
"""Log-odds of a window that is unlike the training clips because (almost) nothing moves in
it: a convention, not a calibrated figure. Of the training windows that are as slow none
shows a fight; three in a hundred to one leaves room for one that is far away."""
_FURTHEST = 1e6
"""Standard deviations that stand for any larger number, so that no square overflows."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]


Basis = Literal["model", "still", "strange"]


class Score(NamedTuple):
    """What is said of one window.

    Attributes:
        logit: Log-odds of a fight; of a strange window at most 0, and never a judgement.
        basis: ``model`` where the model knows such windows, ``still`` where it does not and
            nothing moves, ``strange`` where it does not and something moves.
    """

    logit: float
    basis: Basis

    @property
    def judged(self) -> bool:
        """Whether anything can be said of the window."""
        return self.basis != "strange"


class Bar(BaseModel):
    """What a video of some length must reach to be called a fight.

    Attributes:
        windows: Number of judged windows.
        logit: Log-odds from which it is called one.
        alarms_per_hour: False alarms to expect in an hour of ordinary footage if every
            stretch that reaches ``logit`` counted: simulated, the larger of two ways.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    windows: int = Field(ge=RUN)
    logit: Finite
    alarms_per_hour: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class MotionModel(BaseModel):
    """Coefficients and what is known about them.

    Attributes:
        id: Name of the model.
        version: Raised with every training whose result ships.
        features: Names of its inputs, in order; must be `FEATURES`.
        mean: Subtracted from each feature.
        scale: Divides each feature, above 0.
        coefficients: One weight a feature.
        intercept: Added to the weighted sum.
        slope: Platt calibration of the sum, fitted out of fold; above 0.
        offset: Platt calibration of the sum, fitted out of fold.
        familiar: Mean squared deviation of the features up to which a window is like those
            of the training clips.
        still: Picture widths a second; what is slower (`fastest`) than this is no fight.
        detected: Probability from which a clip is called a fight.
        not_detected: Probability below which it is called none.
        bars: Thresholds by length for what is longer than a clip: the highest of many scores
            is high by chance. The first is that of a clip (`RUN` windows); between two it is
            interpolated; beyond the last no data supports any.
        card: On what it was trained, under which licence, how measured, how well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    version: str = Field(min_length=1)
    features: list[str]
    mean: list[Finite]
    scale: list[Annotated[float, Field(gt=0.0, allow_inf_nan=False)]]
    coefficients: list[Finite]
    intercept: Finite
    slope: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    offset: Finite
    familiar: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    still: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    detected: Annotated[float, Field(ge=0.5, lt=1.0, allow_inf_nan=False)]
    not_detected: Share
    bars: list[Bar] = Field(min_length=1)
    card: dict[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_the_features(self) -> Self:
        if tuple(self.features) != FEATURES:
            raise ValueError("it was made for other features than this release computes")
        if {len(self.mean), len(self.scale), len(self.coefficients)} != {len(FEATURES)}:
            raise ValueError(f"not {len(FEATURES)} means, scales and coefficients")
        if self.not_detected >= self.detected:
            raise ValueError("the lower threshold is not below the upper one")
        return self

    @model_validator(mode="after")
    def _bars_rise(self) -> Self:
        if self.bars[0].windows != RUN or sigmoid(self.bars[0].logit) < self.detected - 1e-9:
            raise ValueError("the first bar is not that of a clip")
        for low, high in pairwise(self.bars):
            if high.windows <= low.windows or high.logit < low.logit:
                raise ValueError("the bars do not rise with the length")
        return self

    @cached_property
    def _numbers(self) -> NDArray[np.float64]:
        """The means, the scales and the coefficients, one row of each."""
        return np.array([self.mean, self.scale, self.coefficients])

    @property
    def label(self) -> str:
        """Name and version, as a report shows them."""
        return f"{self.id}/{self.version}"

    def judge(self, features: NDArray[np.float64]) -> Score | None:
        """Return the calibrated log-odds of a fight in one window, and what they rest on.

        The model knows nothing of a window unlike those of the training clips: a test
        pattern, a hand-held camera close to people, a place where nothing moves. Only of
        the last can something be said, because nothing moves in it.

        Args:
            features: Shape ``(len(FEATURES),)``.

        Returns:
            The score, or None when a feature is not finite.
        """
        if not np.isfinite(features).all():
            return None
        with np.errstate(over="ignore"):
            deviations = (features - self._numbers[0]) / self._numbers[1]
        np.clip(deviations, -_FURTHEST, _FURTHEST, out=deviations)
        strange = float(deviations @ deviations)
        known = np.clip(deviations, -FAR, FAR)
        total = self.intercept + float(known @ self._numbers[2])
        logit = self.slope * total + self.offset
        if strange <= self.familiar * len(FEATURES):
            return Score(logit, "model")
        if fastest(features) < self.still:
            return Score(STILL, "still")
        return Score(min(logit, 0.0), "strange")

    def bar(self, windows: int) -> Bar | None:
        """Return what a video of so many judged windows must reach; None if nothing is known."""
        first = self.bars[0]
        if windows <= first.windows:
            return first
        for low, high in pairwise(self.bars):
            if windows <= high.windows:
                share = math.log(windows / low.windows) / math.log(high.windows / low.windows)
                return Bar(
                    windows=windows,
                    logit=low.logit + share * (high.logit - low.logit),
                    alarms_per_hour=low.alarms_per_hour
                    + share * (high.alarms_per_hour - low.alarms_per_hour),
                )
        return None


def clip_logit(logits: Sequence[float]) -> float:
    """Return the log-odds of a video from those of its windows, in order (at least one).

    It is the highest mean over `RUN` successive windows, or over all if there are fewer.
    """
    width = min(RUN, len(logits))
    total = best = math.fsum(logits[:width])
    for i in range(width, len(logits)):
        total += logits[i] - logits[i - width]
        best = max(best, total)
    return best / width


def sigmoid(logit: float) -> float:
    """Return the probability that belongs to log-odds, without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    return math.exp(logit) / (1.0 + math.exp(logit))


def load_model(path: Path | None = None) -> MotionModel:
    """Read a model file; the shipped one when ``path`` is None.

    Raises:
        ModelNotFoundError: If it is missing, too large or malformed.
    """
    source = files("mmcrime.analyzers").joinpath("motion_model.json") if path is None else path
    again = "Reinstall mmcrime." if path is None else "Name a file that the training script wrote."
    try:
        with source.open("rb") as file:
            data = file.read(LARGEST_MODEL + 1)
    except OSError as error:
        raise ModelNotFoundError(
            f"The motion model {str(source)!r} cannot be read: {error.strerror}.", next_step=again
        ) from error
    try:
        if len(data) > LARGEST_MODEL:
            raise ModelNotFoundError(
                f"The motion model {str(source)!r} is larger than {LARGEST_MODEL!r} bytes.",
                next_step=again,
            )
        return MotionModel.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise ModelNotFoundError(
            f"The motion model {str(source)!r} is malformed: {where}: {first['msg']}.",
            next_step=again,
        ) from error
