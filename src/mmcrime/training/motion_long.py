"""False alarms in long video, simulated from short clips, and the bars that follow.

The score of a video is the highest mean over `RUN` windows, so with one threshold false
alarms grow with its length. There is no long labelled footage here; what there is are
the out-of-fold scores of ordinary clips. They are chained at random into videos, in two
ways: all of one scene (a camera that stays where it is) and each clip of another scene,
every scene equally often. Neither is a real day of a camera: the first repeats a few
clips, the second has no calm stretches. The bar of each length is set by the worse one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmcrime.analyzers.motion_features import HOP, WINDOW
from mmcrime.analyzers.motion_model import RUN, Bar
from mmcrime.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.training.motion_fit import Clip

    Floats = NDArray[np.float64]
    Bank = dict[str, list[Floats]]

__all__ = ["ALARMS", "LENGTHS", "Length", "LongVideo", "simulate"]

LENGTHS = (10, 60, 300, 600, 1800, 3600)
"""Seconds for which bars are set."""
ALARMS = 0.075
"""Share of simulated ordinary videos of any length that may reach the bar."""
VIDEOS = 600
"""Simulated hours in each of the two ways."""
FIGHTS = 1000
"""Simulated fights of each kind, with ordinary windows before and after."""
HALVES = 40
"""Random halvings of the scenes, for bars set on one half and tried on the other."""

Way = Literal["one_scene", "many_scenes"]
WAYS: tuple[Way, ...] = ("one_scene", "many_scenes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """What happens in ordinary video of one length.

    Attributes:
        seconds: The length.
        windows: Windows in it.
        fixed: Share that the threshold of a clip calls a fight, by way of chaining.
        bar: Log-odds to reach at this length.
        reached: Share that reaches it all the same, by way.
        unseen: The same for scenes on which the bar was not set (one scene a video): the
            mean over random halves, which have half the scenes to set it from.
        alarms_per_hour: Stretches an hour that reach the bar, the larger of both ways.
        found_clip: Share of fight clips (about 2 s) whose stretch reaches the bar.
        found_fight: The same for a fight of `RUN` windows (6 s), chained from one scene.
    """

    seconds: int
    windows: int
    fixed: dict[str, float]
    bar: float
    reached: dict[str, float]
    unseen: float
    alarms_per_hour: float
    found_clip: float
    found_fight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LongVideo:
    """The simulation.

    Attributes:
        fixed_alarms_per_hour: Stretches an hour that reach the threshold of a clip, by way.
        lengths: One entry for each of `LENGTHS`.
        bars: The bars of a model, that of a clip first.
    """

    fixed_alarms_per_hour: dict[str, float]
    lengths: tuple[Length, ...]
    bars: tuple[Bar, ...]


def simulate(
    clips: Sequence[Clip], logits: Sequence[Sequence[Floats]], *, detected: float, seed: int = 0
) -> LongVideo:
    """Chain clips to long videos and set the bars.

    Args:
        clips: All clips.
        logits: Out-of-fold log-odds of the judged windows, ``[seed][clip]``.
        detected: Probability from which a clip is called a fight.
        seed: Of the chains.

    Raises:
        ConfigError: If no clip of one of the two labels could be judged.
    """
    rng = np.random.default_rng(seed)
    ordinary = [_bank(clips, row, fight=False) for row in logits]
    fights = [_bank(clips, row, fight=True) for row in logits]
    first = math.log(detected / (1 - detected))
    counts = [round((seconds - WINDOW) / HOP) + 1 for seconds in LENGTHS]
    hours = {way: _hours(ordinary, way, counts[-1], rng) for way in WAYS}
    peaks = {
        way: np.stack([np.maximum.accumulate(row)[[n - RUN for n in counts]] for row in rows])
        for way, (_, rows) in hours.items()
    }
    bars = _bars(np.stack([peaks[way] for way in WAYS]), first)
    scenes = hours["one_scene"][0]
    unseen = _unseen(scenes, peaks["one_scene"], first, rng)
    clip_peaks, fight_peaks = (
        _fight_peaks(ordinary, fights, whole=whole, rng=rng) for whole in (False, True)
    )
    rates = [{way: _alarms(rows, bar) for way, (_, rows) in hours.items()} for bar in bars]
    fixed: dict[str, float] = {way: _alarms(rows, first) for way, (_, rows) in hours.items()}
    lengths = tuple(
        Length(
            seconds=LENGTHS[i],
            windows=counts[i],
            fixed={way: float((peaks[way][:, i] >= first).mean()) for way in WAYS},
            bar=float(bars[i]),
            reached={way: float((peaks[way][:, i] >= bars[i]).mean()) for way in WAYS},
            unseen=float(unseen[i]),
            alarms_per_hour=max(rates[i].values()),
            found_clip=float((clip_peaks >= bars[i]).mean()),
            found_fight=float((fight_peaks >= bars[i]).mean()),
        )
        for i in range(len(LENGTHS))
    )
    return LongVideo(
        fixed_alarms_per_hour=fixed,
        lengths=lengths,
        bars=(
            Bar(windows=RUN, logit=first, alarms_per_hour=max(fixed.values())),
            *(
                Bar(windows=n.windows, logit=n.bar, alarms_per_hour=n.alarms_per_hour)
                for n in lengths
            ),
        ),
    )


def _bank(clips: Sequence[Clip], row: Sequence[Floats], *, fight: bool) -> Bank:
    """Return the judged windows of the clips of one label by scene."""
    bank: Bank = {}
    for clip, logits in zip(clips, row, strict=True):
        if clip.fight is fight and len(logits):
            bank.setdefault(clip.group, []).append(logits)
    if not bank:
        raise ConfigError(
            f"No clip with fight={fight!r} could be judged, so that nothing can be simulated.",
            next_step="Add clips that are like each other.",
        )
    return bank


def _chain(bank: Bank, scenes: Sequence[str], count: int, rng: np.random.Generator) -> Floats:
    """Return ``count`` windows of clips drawn at random, every scene equally often."""
    drawn = rng.integers(len(scenes), size=count).tolist()
    shares = rng.random(count).tolist()
    parts: list[Floats] = []
    length = 0
    for scene, share in zip(drawn, shares, strict=True):
        choice = bank[scenes[scene]]
        parts.append(choice[int(share * len(choice))])
        length += len(parts[-1])
        if length >= count:
            break
    return np.concatenate(parts)[:count]


def _hours(
    banks: Sequence[Bank], way: Way, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.str_], list[Floats]]:
    """Return the scene (empty for many) and the means over `RUN` windows of each video."""
    names, rows = [], []
    for video in range(VIDEOS):
        bank = banks[video % len(banks)]
        scenes = sorted(bank)
        name = scenes[int(rng.integers(len(scenes)))] if way == "one_scene" else ""
        rows.append(_means(_chain(bank, [name] if name else scenes, count, rng)))
        names.append(name)
    return np.array(names), rows


def _means(logits: Floats) -> Floats:
    return np.convolve(logits, np.full(RUN, 1.0 / RUN), mode="valid")


def _bars(peaks: Floats, first: float) -> Floats:
    """Return the bar of each length from the peaks ``(ways, videos, lengths)``.

    It is reached by at most `ALARMS` of the videos of either way, and never falls.
    """
    level = np.quantile(peaks, 1 - ALARMS, axis=1, method="higher").max(axis=0)
    bars: Floats = np.nextafter(np.maximum.accumulate(np.maximum(level, first)), np.inf)
    return bars


def _unseen(
    names: NDArray[np.str_], peaks: Floats, first: float, rng: np.random.Generator
) -> Floats:
    """Return the share of videos of some scenes that reach the bar set on the others."""
    scenes = np.unique(names)
    shares = []
    for _ in range(HALVES):
        half = rng.permutation(scenes)[: len(scenes) // 2]
        here = np.isin(names, half)
        shares.append((peaks[~here] >= _bars(peaks[here][None], first)).mean(axis=0))
    return np.asarray(np.mean(shares, axis=0))


def _alarms(rows: Sequence[Floats], bar: float) -> float:
    """Return the mean number of separate stretches a video in which the bar is reached."""
    above = np.stack([np.concatenate([[False], row >= bar]) for row in rows])
    return float((above[:, 1:] & ~above[:, :-1]).sum(axis=1).mean())


def _fight_peaks(
    ordinary: Sequence[Bank], fights: Sequence[Bank], *, whole: bool, rng: np.random.Generator
) -> Floats:
    """Return the highest mean that holds a window of a fight, for many fights.

    Args:
        ordinary: Banks of what lies before and after.
        fights: Banks of fight clips.
        whole: A fight of `RUN` windows, instead of one clip.
        rng: Draws them.
    """
    found = []
    for number in range(FIGHTS):
        calm, bank = ordinary[number % len(ordinary)], fights[number % len(fights)]
        scene = sorted(bank)[int(rng.integers(len(bank)))]
        clips = bank[scene]
        fight = clips[int(rng.integers(len(clips)))]
        if whole:
            fight = _chain(bank, [scene], RUN, rng)
        beside = _chain(calm, sorted(calm), 2 * (RUN - 1), rng)
        found.append(_means(np.concatenate([beside[: RUN - 1], fight, beside[RUN - 1 :]])).max())
    return np.array(found)
