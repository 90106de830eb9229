"""What is heard in the scene: a street, steps, a scuffle, one bang, a siren that comes near."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmcrime.testing.footage.script import BANG, RATE, RUNNING, SECONDS, SIREN, STRUGGLE, WALKERS

_SEED = 20_240_603
_STEP = 0.525  # seconds between two steps of a walk


def sound() -> NDArray[np.float32]:
    """Return the sound of the whole scene, -1 to 1, at `RATE`."""
    rng = np.random.default_rng(_SEED)
    track = _street(rng)
    for start, end in WALKERS:
        for at in np.arange(start + 0.8, end - 0.4, _STEP):
            _add(track, at, _thud(rng, 0.022, seconds=0.05))
    for at in rng.uniform(STRUGGLE[0], STRUGGLE[1] - 0.2, 11):
        _add(track, at, _thud(rng, rng.uniform(0.01, 0.05), seconds=0.11))
    for at in np.arange(RUNNING[0] + 0.2, RUNNING[1], 0.31):
        _add(track, at, _thud(rng, 0.05, seconds=0.05))
    _add(track, BANG, _bang(rng))
    _add(track, SIREN[0], _siren())
    return np.clip(track, -0.98, 0.98).astype(np.float32)


def _add(track: NDArray[np.float64], at: float, part: NDArray[np.float64]) -> None:
    start = round(at * RATE)
    part = part[: len(track) - start]
    track[start : start + len(part)] += part


def _street(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the hum of a town far away: soft noise with more low tones than high ones."""
    white = rng.normal(0.0, 1.0, SECONDS * RATE)
    spectrum = np.fft.rfft(white)
    pitch = np.fft.rfftfreq(len(white), 1.0 / RATE)
    spectrum *= 1.0 / np.sqrt(1.0 + (pitch / 180.0) ** 2)
    hum = np.fft.irfft(spectrum, len(white))
    slow = 1.0 + 0.25 * np.sin(2.0 * np.pi * np.arange(len(white)) / RATE / 17.0)
    heard: NDArray[np.float64] = 0.004 * slow * hum / hum.std() + 0.0015 * white
    return heard


def _thud(rng: np.random.Generator, level: float, *, seconds: float) -> NDArray[np.float64]:
    """Return a dull knock, such as a sole on stone."""
    count = int(seconds * RATE)
    noise = np.convolve(rng.normal(0.0, 1.0, count), np.full(9, 1 / 3), mode="same")
    share = np.linspace(0.0, 1.0, count)
    return level * noise * np.minimum(share / 0.08, 1.0) * (1.0 - share) ** 2


def _bang(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return one impulse that decays in 0.4 s, and its weak echo from across the street."""
    times = np.arange(int(0.7 * RATE)) / RATE
    direct = rng.normal(0.0, 0.42, len(times)) * np.exp(-times / 0.05)
    echo = rng.normal(0.0, 0.05, len(times)) * np.exp(-times / 0.12) * (times > 0.09)
    return direct + echo


def _siren() -> NDArray[np.float64]:
    """Return a wail, 600 to 1300 Hz in four seconds, of a car that comes from far away.

    It drives straight here at 60 km/h, from 260 m to 25 m, and sounds louder by the law of
    distance alone.
    """
    times = np.arange(int((SIREN[1] - SIREN[0]) * RATE)) / RATE
    pitch = 950.0 - 350.0 * np.cos(2.0 * np.pi * times / 4.0)
    phase = 2.0 * np.pi * np.cumsum(pitch) / RATE
    tone = np.sin(phase) + 0.35 * np.sin(2.0 * phase) + 0.15 * np.sin(3.0 * phase)
    metres = np.linspace(260.0, 25.0, len(times))
    return 5.0 / metres * tone * np.minimum(times / 0.5, 1.0)
