"""What the motion model sees of a window: how the busiest places in it move.

Maps of cells (one for each pair of frames) become numbers for three regions: the whole
picture, the surroundings of the place that moves most, and its core. A fight fills a part
of the picture only, so that figures of the whole mostly say how near the camera is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Map = NDArray[np.float32]

__all__ = ["CHANNELS", "FEATURES", "fastest", "window_features"]

CHANNELS = (
    "x",  # velocity, after the camera's own motion was taken off
    "y",
    "speed",
    "square",  # of the speed
    "fourth",  # power of the speed: what moves fastest counts most
    "fast",  # share of fast samples
    "divergence",
    "curl",
    "boundary",  # how sharply velocity differs between neighbours
    "turn",  # change of velocity since the pair before
    "jerk",  # change of speed since the pair before
    "persistence",  # product of the velocities of both pairs
    *(f"octant{i}" for i in range(8)),  # speed by direction
)
"""What is measured in each cell for each pair of frames, as means over the cell."""

_STATS = (
    "speed",
    "rms",
    "peak",
    "fast",
    "divergence",
    "curl",
    "boundary",
    "turn",
    "jerk",
    "entropy",  # of directions, 0 (one way) to 1 (all ways)
    "coherence",  # 1 where the region moves as one
)
_AGGREGATES = ("mean", "std", "max", "change")
_RELATIVE = ("divergence", "curl", "boundary", "turn", "jerk")
_OVER_TIME = (
    *(f"{name}.relative" for name in _RELATIVE),  # to the speed
    "persistence",  # 1 where all goes on as before, below 0 where it turns back
    "net",  # share of the region's path that leads somewhere
    "directions",  # entropy over all pairs
    "burst",  # the highest speed against the usual one
    "variation",  # of the speed
)
_REGIONS = {"all": None, "near": 2.4, "core": 1.2}
"""Standard deviations, in cells (twentieths of the long side), of the weights around the
place that moves most; None weighs the whole picture alike."""
_LAYOUT = (
    "share",  # of the picture over which motion is spread evenly
    "half",  # share of the cells with at least half of the highest mean speed
    "fifth",
    "moving",  # share of the cells that move at all
    "spread",  # how far from its centre motion reaches
    "rate",  # highest mean speed against the size of what moves
    "highest",
    "peaks.mean",  # of the highest speed in each pair
    "peaks.max",
    "peaks.variation",
    "fastest",  # that a hundredth of the picture reached
)
FEATURES = (
    *(
        f"{region}.{name}"
        for region in _REGIONS
        for name in (*(f"{s}.{how}" for s in _STATS for how in _AGGREGATES), *_OVER_TIME)
    ),
    *(f"layout.{name}" for name in _LAYOUT),
)
"""Names of the numbers the model sees, in order. The camera's own speed is left out on
purpose: people film fights by hand, and a model that is told so takes every moving camera
for one."""
_FASTEST = FEATURES.index("layout.fastest")

_COMPRESSION = 10.0  # rates of a tenth and more are compressed by `_log`
_FLOOR = 0.02
"""Added before a logarithm, so that a still picture has one."""
_SLOW = 0.01
"""Long sides a second added to what divides: below it motion is sensor noise."""
_NOISE = 1e-3
"""Long sides a second below which motion has no direction."""
_TINY = 1e-12  # keeps a logarithm and a quotient of zeros finite
_MOVING = 0.1
"""Long sides a second from which a cell counts as moving."""


def fastest(features: Array) -> float:
    """Return the long sides a second that a hundredth of the picture reached at the most."""
    logarithm = min(float(features[_FASTEST]), 100.0)  # far beyond any speed, and no overflow
    return math.expm1(logarithm) / _COMPRESSION


def window_features(cells: Map, times: Array, fast: Array) -> Array:
    """Return the `FEATURES` of some pairs of frames in time order.

    Args:
        cells: Shape ``(pairs, len(CHANNELS), rows, columns)``, two pairs at least.
        times: Middles of the pairs in seconds, rising.
        fast: For each pair, the speed that a hundredth of the picture reached.
    """
    mean = cells[:, 2].mean(axis=0)
    gap = float(_median(np.diff(times)))
    flat = cells.reshape(*cells.shape[:2], -1)
    series = (flat @ _weights(mean).T).astype(np.float64)
    return np.concatenate([_regions(series, gap), _layout(mean, cells[:, 2], fast)])


def _median(values: Array) -> Array:
    """Return the median along the first axis; the first `np.median` imports for 30 ms."""
    ranked = np.sort(values, axis=0)
    return np.asarray((ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2)


def _weights(mean: Map) -> Map:
    """Return the weight of each cell in each region ``(regions, cells)``; rows sum to 1."""
    rows, columns = np.ogrid[: mean.shape[0], : mean.shape[1]]
    found = []
    for sigma in _REGIONS.values():
        if sigma is None:
            weights = np.ones(mean.shape)
        else:
            smooth = cv2.GaussianBlur(mean, (0, 0), sigma / 2)
            row, column = divmod(int(smooth.argmax()), mean.shape[1])
            down = np.exp(-((rows - row) ** 2) / (2 * sigma**2))
            weights = down * np.exp(-((columns - column) ** 2) / (2 * sigma**2))
        found.append((weights / weights.sum()).reshape(-1))
    return np.array(found, dtype=np.float32)


def _regions(series: Array, gap: float) -> Array:
    """Summarise the regions from their channels over time ``(pairs, channels, regions)``."""
    x, y, speed, square, fourth = series.swapaxes(0, 1)[:5]
    octants = series[:, 12:]
    path = np.hypot(x, y)
    logs = np.stack([speed, np.sqrt(square), np.sqrt(np.sqrt(fourth))], axis=1)
    stats = np.concatenate(
        [
            _log(logs),
            series[:, 5:6],
            _log(series[:, 6:11]),
            _entropy(octants)[:, None],
            (path / np.maximum(speed, _NOISE))[:, None],
        ],
        axis=1,
    )
    # The first pair of all has none before it, from which it could differ.
    stats[0, 7:9] = stats[1, 7:9]
    change = np.abs(np.diff(stats, axis=0)).mean(axis=0) / gap
    # Spread and change are ratios by nature: their logarithm is what differs evenly.
    aggregates = (
        stats.mean(axis=0),
        np.log(stats.std(axis=0) + _FLOOR),
        stats.max(axis=0),
        np.log(change + _FLOOR),
    )
    usual = speed.mean(axis=0) + _SLOW
    rates = np.concatenate([series[:, 6:9].mean(axis=0), series[1:, 9:11].mean(axis=0)])
    over_time = (
        *np.log(rates / usual + _FLOOR),
        series[1:, 11].mean(axis=0) / (square.mean(axis=0) + _SLOW**2),
        np.hypot(x.mean(axis=0), y.mean(axis=0)) / (path.mean(axis=0) + _NOISE),
        _entropy(octants.sum(axis=0)[None])[0],
        np.log(speed.max(axis=0) / (_median(speed) + _SLOW) + _FLOOR),
        speed.std(axis=0) / usual,
    )
    found = np.concatenate([np.stack(aggregates, axis=1).reshape(-1, len(_REGIONS)), over_time])
    return np.asarray(found.T.reshape(-1))


def _layout(mean: Map, speeds: Map, fast: Array) -> Array:
    """Return where in the picture things move, and how large it is."""
    smooth = cv2.GaussianBlur(mean, (0, 0), 0.6).astype(np.float64)
    highest, total = smooth.max(), smooth.sum() + _NOISE * smooth.size
    share = smooth / total
    rows, columns = np.ogrid[: mean.shape[0], : mean.shape[1]]
    row, column = (share * rows).sum(), (share * columns).sum()
    away = (share * ((rows - row) ** 2 + (columns - column) ** 2)).sum()
    long = max(mean.shape)
    size = math.sqrt((smooth >= 0.4 * highest).sum()) / long
    layers = np.ascontiguousarray(np.moveaxis(speeds, 0, -1))  # blurs all pairs in one call
    peaks = cv2.GaussianBlur(layers, (0, 0), 1.0).max(axis=(0, 1)).astype(np.float64)
    return np.array(
        [
            -math.log((share**2).sum() * share.size + _NOISE),
            (smooth >= 0.5 * highest).mean(),
            (smooth >= 0.2 * highest).mean(),
            (smooth > _MOVING).mean(),
            math.sqrt(away) / long,
            math.log(highest / (size + 0.03) + _FLOOR),
            math.log(highest + _FLOOR),
            math.log1p(_COMPRESSION * peaks.mean()),
            math.log1p(_COMPRESSION * peaks.max()),
            peaks.std() / (peaks.mean() + _SLOW),
            math.log1p(_COMPRESSION * fast.max()),
        ]
    )


def _entropy(octants: Array) -> Array:
    """Return the entropy of directions ``(n, 8, regions)`` over the 8; 0 where nothing moves."""
    total = octants.sum(axis=1)
    share = octants / np.maximum(total, _TINY)[:, None]
    entropy = -(share * np.log(np.maximum(share, _TINY))).sum(axis=1) / math.log(8)
    return np.asarray(np.where(total > _NOISE, entropy, 0.0))


def _log(value: Array) -> Array:
    """Compress a rate, so that one violent jerk does not drown the rest."""
    return np.asarray(np.log1p(_COMPRESSION * value))
