"""Finds bangs: sudden, broadband sounds that stand alone and linger.

A step, a knock or a drum beat jumps as steeply as a shot. Two things set a shot apart: its
energy is still there after 50 ms, since blast and echoes outlast most blows on wood or soil;
and it does not come as the fourth of its kind or in the middle of held chords. So of a burst
the first shots are told, and none that follows three like it within three seconds; blows like
them only prolong the event (`sound_series`).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from mmcrime.evidence import SAMPLE_RATE, SoundEvent
from mmcrime.perceive.sound_features import (
    ENVELOPE,
    Array,
    burst,
    colour,
    envelope,
    loudness,
    mean_level,
    steadiness,
)
from mmcrime.perceive.sound_series import BangSeries, Blow
from mmcrime.perceive.sound_tones import geometric_mean, ramp

IMPULSIVE_THRESHOLD = 0.84
"""Least score of a bang, chosen on mixes at 10 dB: below it alarms rise and few shots are won."""
BLOCK = 16_384
"""Samples decided at once: about a second, whole in envelope steps and in tone frames."""
HISTORY = 24_576
"""Samples kept before a block: the second and a half in which held notes are looked for."""
AHEAD = 16_384
"""Samples needed after a block: the second in which a bang must die away and stay loudest."""
FLOOR_DB = -55.0
"""Steps below this level are never a bang: room noise of a quiet recording."""

_BEFORE = 768  # envelope steps kept before a block: the three seconds in which blows are counted
_STEPS = BLOCK // ENVELOPE
_REFRACTORY = 40  # 160 ms: echoes of one bang
_PAST_BLOCKS = 5  # about 5 s: how long what was loud before is remembered
_SILENT = -120.0
_PROPERTIES = 15  # of a bang
_JUMP_DB = 10.0  # least rise of a bang within 20 ms
_BLOW_DB = 8.0  # and of a blow, which may come out of the echoes of the one before it
_LINGER_DB = -18.0  # a shot is still this loud after 25 to 100 ms, most steps are not


class BangFinder:
    """Finds bangs block by block.

    Args:
        start: Media time of the first sample.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._block = 0
        self._free_from = 0  # step from which a new bang may begin
        self._loudest: deque[float] = deque([_SILENT], maxlen=_PAST_BLOCKS)
        # Rows: `envelope` and `loudness` of what was measured with earlier blocks.
        self._measured: Array = np.full((2, _BEFORE), _SILENT)
        self._series = BangSeries()

    def block(self, view: Array, left: int) -> list[SoundEvent]:
        """Judge a block and return the bangs that no later blow can prolong.

        Args:
            view: ``1 + HISTORY + BLOCK + AHEAD`` samples.
            left: Samples of real sound from the start of the block on.
        """
        levels, loud = self._measure(view)
        real = _BEFORE + left // ENVELOPE
        if real < len(levels):  # what follows the end is unknown: it neither decays nor rises
            for row in (levels, loud):
                row[real:] = row[real - 5 : real].mean()
        stop = min(_BEFORE + _STEPS, real)
        told = self._told(levels, loud, view, stop)
        if told or not self._series.empty:
            self._follow(levels, loud, view, told, stop)
        self._loudest.append(float(loud[_BEFORE : _BEFORE + _STEPS].max()))
        self._block += 1
        return self._series.settled(self._time(_BEFORE))

    def close(self) -> list[SoundEvent]:
        """Return the bangs that are still held back, at the end of the sound."""
        return self._series.settled()

    def _told(self, levels: Array, loud: Array, view: Array, stop: int) -> dict[int, SoundEvent]:
        """Return the bangs whose onset lies in this block by the step of their peak."""
        told: dict[int, SoundEvent] = {}
        first = self._block * _STEPS
        past, refused = max(self._loudest), -1
        for k in _jumps(levels, stop, _JUMP_DB):
            step = first + k - _BEFORE
            if step < self._free_from:
                continue
            peak = _attack_end(levels, k)
            if peak == refused:  # the same attack, one step later
                continue
            heard = max(past, float(loud[_BEFORE : max(k - 15, _BEFORE + 1)].max()))
            score = _bang_score(levels, loud, peak, heard, view)
            if score >= IMPULSIVE_THRESHOLD:
                self._free_from = step + _REFRACTORY
                told[peak] = self._event(levels, k, peak, score)
            else:
                refused = peak
        return told

    def _follow(
        self, levels: Array, loud: Array, view: Array, told: dict[int, SoundEvent], stop: int
    ) -> None:
        """Pass the blows of this block on to the series, the told ones among them."""
        peaks = {_attack_end(levels, k) for k in _jumps(levels, stop, _BLOW_DB)}
        for peak in sorted(peaks | set(told)):
            at = 1 + HISTORY + (peak - _BEFORE) * ENVELOPE
            lingers = mean_level(loud[peak + 6 : peak + 25]) - float(loud[peak : peak + 5].max())
            if peak in told or (lingers >= _LINGER_DB and _free_of_notes(view, at) >= 0.5):
                blow = Blow(
                    peak=self._time(peak),
                    end=self._time(_faded(levels, peak)),
                    level=float(levels[peak]),
                    colour=colour(view, at),
                    told=told.get(peak),
                )
                self._series.add(blow)

    def _time(self, k: int) -> float:
        """Return the media time of a step of the levels of this block."""
        return self._start + (self._block * _STEPS - _BEFORE + k) * ENVELOPE / SAMPLE_RATE

    def _measure(self, view: Array) -> tuple[Array, Array]:
        """Return both levels of ``_BEFORE`` steps, the block and what is ahead of it."""
        known = self._measured.shape[1] - _BEFORE
        fresh = view[HISTORY + known * ENVELOPE :]
        rows = np.array([envelope(fresh), loudness(fresh[1:])])
        whole = np.concatenate([self._measured, rows], axis=1)
        self._measured = whole[:, _STEPS:].copy()
        return whole[0], whole[1]

    def _event(self, levels: Array, onset: int, peak: int, score: float) -> SoundEvent:
        start, top, end = (self._time(k) for k in (onset, peak, _faded(levels, peak)))
        return SoundEvent(start=start, end=end, peak=top, label="impulsive", score=score)


def _jumps(levels: Array, stop: int, rise: float) -> list[int]:
    """Return the steps at which the level jumps to a peak of the next 160 ms."""
    k = np.arange(_BEFORE, stop)
    if not len(k):
        return []
    around = np.lib.stride_tricks.sliding_window_view
    before = around(levels, 3)[k - 6].max(axis=1)
    after = around(levels, 41)[k].max(axis=1)
    jump = (levels[k] - before >= rise) & (levels[k] >= after - 6.0) & (levels[k] > FLOOR_DB)
    return [int(step) for step in k[jump]]


def _attack_end(levels: Array, onset: int) -> int:
    rise = levels[onset : onset + 5]
    return onset + int(np.argmax(rise >= rise.max() - 3.0))


def _faded(levels: Array, peak: int) -> int:
    """Return the step at which a bang is 20 dB down, half a second later at most."""
    quiet = np.flatnonzero(levels[peak : peak + 125] < levels[peak] - 20.0)
    return peak + (int(quiet[0]) if len(quiet) else 125)


def _bang_score(levels: Array, loud: Array, k: int, heard: float, view: Array) -> float:
    """Return how much a level jump is like a bang, 0 to 1.

    The bounds were set by eye on ten shots against some seventy recordings of speech,
    crying, thunder, geese, a horn and noise, and on synthesised steps, knocks and music. The
    geometric mean is taken, so that one property that the recording has spoilt does not
    decide alone.
    """
    at = 1 + HISTORY + (k - _BEFORE) * ENVELOPE
    level, top = float(levels[k]), float(loud[k : k + 5].max())
    tail = np.convolve(levels[k + 10 : k + 75], np.full(5, 0.2), mode="valid")
    parts = [
        ramp(level - float(levels[k - 6 : k - 3].max()), 8.0, 20.0),  # attack within 20 ms
        ramp(level - mean_level(levels[k - 50 : k - 5]), 10.0, 24.0),  # out of the last 200 ms
        ramp(level - float(levels[k - 250 : k - 8].max()), -2.0, 6.0),  # of the last second
        ramp(top - heard, -15.0, -3.0),  # and of the last five seconds
        ramp(top - float(loud[k + 5 : k + 245].max()), -9.0, -1.0),  # speech goes on louder
        ramp(level - float(levels[k + 60 : k + 240].max()), -6.0, 4.0),  # beats come again
        ramp(level - float(tail.min()), 3.0, 9.0),  # dies away within 300 ms
        ramp(mean_level(loud[k + 6 : k + 25]) - top, -22.0, -14.0),  # but not as a step does
        ramp(float(levels[k + 1 : k + 6].max()) - level, -30.0, -20.0),  # not a digital click
        ramp(float(_blows(levels[: k - 30], level)), 3.0, 1.0),  # not one of many
    ]
    if _bound(parts) < IMPULSIVE_THRESHOLD:
        return 0.0
    shape = burst(view, at)
    parts += [
        ramp(shape.flatness, 0.04, 0.18),  # neither vowel nor thunder
        ramp(shape.spread, 0.35, 0.7),  # not only hiss ("s", "t") nor only rumble
        ramp(shape.grown, 0.7, 0.95),  # all frequencies at once
        ramp(shape.voiced, 0.5, 0.35),  # not a voiced sound
    ]
    if _bound(parts) < IMPULSIVE_THRESHOLD:
        return 0.0
    return _bound([*parts, _free_of_notes(view, at)])


def _free_of_notes(view: Array, at: int) -> float:
    """Return 0 for a blow among notes that are held before it and after it, else up to 1."""
    after = ramp(steadiness(view[at + 3_200 : at + 16_000]), 0.5, 0.3)
    if after == 1.0:
        return after
    return max(after, ramp(steadiness(view[at - 24_000 : at - 600]), 0.5, 0.3))


def _bound(parts: list[float]) -> float:
    """Return the score if all further properties are perfect; spares most jumps the costly ones."""
    return geometric_mean((*parts, *[1.0] * (_PROPERTIES - len(parts))))


def _blows(levels: Array, level: float) -> int:
    """Count the jumps to within 6 dB of a level or above, those closer than 50 ms as one."""
    before = np.lib.stride_tricks.sliding_window_view(levels, 3)[2:-4].max(axis=1)
    late = levels[8:]
    sudden = np.flatnonzero((late - before >= 8.0) & (late >= level - 6.0))
    return int(len(sudden) > 0) + int(np.sum(np.diff(sudden) > 12))
