"""The motion model beside its baseline, and on the same clips recorded otherwise.

A model for cameras it has never met must not care how a recording was made. So every clip
is encoded again (smaller, worse, with half the frames, with black bars) and scored by the
models that have not seen its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from mmcrime.training.motion_figures import auc, ranks, resampled, tpr_at
from mmcrime.training.motion_fit import labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.training.motion_figures import Folds
    from mmcrime.training.motion_fit import Clip

    Floats = NDArray[np.float64]

__all__ = ["RECORDINGS", "Recording", "compared", "recorded", "steadiness"]

_CLOCK = 90_000
_WIDEST = 640
"""Pixels; larger pictures are encoded at this width."""
_PRESET = "veryfast"
"""Of x264, as cameras encode: about a quarter of the work of its default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """Another way to record a clip.

    Attributes:
        width: Most pixels across.
        crf: Constant rate factor of x264; higher is worse.
        step: Every how many frames one is kept.
        bars: Share of the height that is added above and below in black.
    """

    width: int = _WIDEST
    crf: int = 23
    step: int = 1
    bars: float = 0.0


RECORDINGS = {
    "320 wide": Recording(width=320),
    "crf 35": Recording(crf=35),
    "half the frame rate": Recording(step=2),
    "black bars": Recording(bars=0.125),
}


def recorded(source: Path, target: Path, way: Recording) -> None:
    """Encode a clip again as H.264 in MP4, without sound.

    Raises:
        av.error.FFmpegError: If it cannot be decoded or encoded.
    """
    reformatter = VideoReformatter()
    options = {"crf": str(way.crf), "preset": _PRESET}
    with av.open(str(source), metadata_errors="replace") as old, av.open(str(target), "w") as new:
        stream = None
        for number, picture in enumerate(old.decode(video=0)):
            if number % way.step or picture.pts is None or picture.time_base is None:
                continue
            width = min(picture.width, way.width) // 2 * 2
            height = round(picture.height * width / picture.width) // 2 * 2
            bar = round(height * way.bars)
            if stream is None:
                stream = new.add_stream("libx264", rate=25, options=options)
                stream.width, stream.height = width, height + 2 * bar
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = Fraction(1, _CLOCK)
            rgb = reformatter.reformat(
                picture, width=width, height=height, format="rgb24", interpolation="AREA"
            ).to_ndarray()
            shown = np.pad(np.asarray(rgb, np.uint8), ((bar, bar), (0, 0), (0, 0)))
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts = round(picture.pts * picture.time_base * _CLOCK)
            frame.time_base = Fraction(1, _CLOCK)
            new.mux(stream.encode(frame))
        if stream is not None:
            new.mux(stream.encode())


def steadiness(
    clips: Sequence[Clip], folds: Folds, others: dict[str, Folds]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield for each other recording how well the model does and how far scores move."""
    truth, usual = labels(clips), ranks(folds)
    for name, other in others.items():
        here = ranks(other)
        moved = _logit(here) - _logit(usual)
        yield (
            name,
            {
                "auc": float(np.mean([auc(truth, row) for row in here])),
                "tpr_at_10_fpr": float(np.mean([tpr_at(truth, row) for row in here])),
                "mean_shift_of_log_odds": float(moved.mean()),
                "mean_absolute_shift_of_log_odds": float(np.abs(moved).mean()),
                "mean_absolute_shift_of_probability": float(np.abs(here - usual).mean()),
            },
        )


def compared(clips: Sequence[Clip], folds: Folds, baseline: Floats) -> dict[str, object]:
    """Return the figures of the baseline and the paired differences of the model to it.

    Intervals (95 %) are from resampling whole sources, the same ones for both.
    """
    truth, model = labels(clips), ranks(folds)
    pairs = [
        [
            [measure(truth[drawn], rows[seed][drawn]) for measure in (auc, tpr_at)]
            for rows in (model, baseline)
        ]
        for seed, drawn in resampled(clips, len(model))
    ]
    drawn = np.array(pairs)
    differences = drawn[:, 0] - drawn[:, 1]
    found: dict[str, object] = {}
    for i, (name, measure) in enumerate((("auc", auc), ("tpr_at_10_fpr", tpr_at))):
        ours, theirs = (
            float(np.mean([measure(truth, row) for row in rows])) for rows in (model, baseline)
        )
        found[f"model_{name}"], found[f"baseline_{name}"] = ours, theirs
        found[f"{name}_difference"] = ours - theirs
        found[f"{name}_difference_95"] = np.quantile(differences[:, i], (0.025, 0.975)).tolist()
        found[f"{name}_model_95"] = np.quantile(drawn[:, 0, i], (0.025, 0.975)).tolist()
        found[f"{name}_better_share"] = float((differences[:, i] > 0).mean())
    return found


def _logit(probabilities: Floats) -> Floats:
    inside = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside) - np.log1p(-inside))
