"""How loud the sound is, once a second: the curve on which a person finds a bang again."""

from __future__ import annotations

import math

import numpy as np

from mmcrime.evidence import AudioWindow, LoudnessCurve

__all__ = ["QUIETEST", "LoudnessMeter"]

QUIETEST = -100.0
"""The lowest level in dBFS: below the dither of 16 bit (-98)."""
_METHOD = "RMS of each second of mono sound at 16 kHz, in dBFS"


class LoudnessMeter:
    """Listens to a stream of sound and keeps one number for each second.

    A second of which only a part was decoded has the level of that part.
    """

    def __init__(self) -> None:
        self._energy: dict[int, float] = {}
        self._samples: dict[int, int] = {}

    def feed(self, window: AudioWindow) -> tuple[()]:
        """Measure the next window; there is nothing to return before the end."""
        samples = window.samples.astype(np.float64)
        seconds = np.floor(window.start + np.arange(len(samples)) / window.rate).astype(np.int64)
        if not len(seconds):
            return ()
        first = int(seconds[0])
        energies = np.bincount(seconds - first, weights=samples * samples)
        counts = np.bincount(seconds - first)
        for offset, (energy, count) in enumerate(zip(energies, counts, strict=True)):
            second = first + offset
            self._energy[second] = self._energy.get(second, 0.0) + float(energy)
            self._samples[second] = self._samples.get(second, 0) + int(count)
        return ()

    def finish(self) -> tuple[()]:
        """End the stream."""
        return ()

    @property
    def curve(self) -> LoudnessCurve:
        """What was measured; empty when there was no sound."""
        seconds = sorted(second for second, count in self._samples.items() if count)
        return LoudnessCurve(
            times=tuple(float(second) for second in seconds),
            levels=tuple(_level(self._energy[s] / self._samples[s]) for s in seconds),
            method=_METHOD if seconds else "",
        )


def _level(power: float) -> float:
    """Return a mean square as dBFS to a tenth, between `QUIETEST` and 0."""
    if not power > 0:
        return QUIETEST
    return min(0.0, max(QUIETEST, round(10 * math.log10(power), 1)))
