"""Building blocks of synthesised sound: noise, filters, tones, rooms. Numpy only, seeded.

All sounds are mono float arrays at `RATE`; times are seconds, frequencies Hz.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mmcrime.evidence import SAMPLE_RATE as RATE

__all__ = [
    "RATE",
    "Sound",
    "add",
    "between",
    "contour",
    "db",
    "fade",
    "formants",
    "high_pass",
    "low_pass",
    "noise",
    "resonance",
    "room",
    "silence",
    "unit",
    "voice",
]

Sound = NDArray[np.float64]


def between(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is even between two positive bounds."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def db(level: float) -> float:
    """Return the amplitude factor of a level in dB."""
    return float(10.0 ** (level / 20.0))


def silence(seconds: float) -> Sound:
    """Return so many seconds of nothing, at least one sample."""
    return np.zeros(max(1, round(seconds * RATE)))


def unit(sound: Sound) -> Sound:
    """Return the sound with a root mean square of 1 (silence stays silent)."""
    level = float(np.sqrt(np.mean(sound**2)))
    return sound / level if level > 0.0 else sound


def add(track: Sound, at: float, part: Sound, gain: float = 1.0) -> None:
    """Add a part to a track in place, from second ``at`` on; what sticks out is cut off."""
    start = max(0, round(at * RATE))
    part = part[: max(0, len(track) - start)]
    track[start : start + len(part)] += gain * part


def fade(sound: Sound, seconds: float) -> Sound:
    """Return the sound with both ends faded, so that no cut clicks."""
    count = min(len(sound) // 2, round(seconds * RATE))
    result = sound.copy()
    if count:
        slope = np.linspace(0.0, 1.0, count)
        result[:count] *= slope
        result[-count:] *= slope[::-1]
    return result


def noise(rng: Generator, seconds: float, slope: float = 0.0) -> Sound:
    """Return noise of unit level whose spectrum falls by ``slope`` dB an octave from 40 Hz on."""
    white = rng.normal(size=len(silence(seconds)))
    if slope == 0.0:
        return white
    size = _size(len(white))
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 40.0)
    shaped = np.fft.irfft(np.fft.rfft(white, size) * (hertz / 40.0) ** (-slope / 6.02), size)
    return unit(shaped[: len(white)])


def low_pass(sound: Sound, hertz: float, order: int = 2) -> Sound:
    """Return the sound through ``order`` causal one-pole low passes: onsets stay sharp."""
    return _filtered(sound, lambda f: 1.0 / (1.0 + 1j * f / hertz) ** order)


def high_pass(sound: Sound, hertz: float, order: int = 2) -> Sound:
    """Return the sound through ``order`` causal one-pole high passes."""
    return _filtered(sound, lambda f: (1j * f / hertz / (1.0 + 1j * f / hertz)) ** order)


def resonance(sound: Sound, hertz: float, sharpness: float) -> Sound:
    """Return what a resonator of some quality factor lets through, 1 at its centre."""
    return _filtered(
        sound,
        lambda f: 1.0 / (1.0 + 1j * sharpness * (f / hertz - hertz / np.maximum(f, 1.0))),
    )


def formants(sound: Sound, centres: tuple[float, ...], rest: float = 0.1) -> Sound:
    """Return the sound shaped by a throat: resonances over a share of the sound itself."""
    centre = np.array(centres)[:, None]

    def response(f: Sound) -> NDArray[np.complex128]:
        away = 6.0 * (f / centre - centre / np.maximum(f, 1.0))
        heights = 1.0 / np.arange(1.0, len(centre) + 1.0)[:, None]
        shaped: NDArray[np.complex128] = rest + np.sum(heights / (1.0 + 1j * away), axis=0)
        return shaped

    return _filtered(sound, response)


def _filtered(sound: Sound, response: object) -> Sound:
    size = _size(len(sound))
    gain = response(np.fft.rfftfreq(size, 1 / RATE))  # type: ignore[operator]
    filtered: Sound = np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)]
    return filtered


def _size(count: int) -> int:
    """Return a length for a quick transform with a quarter second of room for tails."""
    step = RATE // 4
    return (count // step + 2) * step


def contour(rng: Generator, seconds: float, points: int, low: float, high: float) -> Sound:
    """Return a smooth random curve between two bounds, one value a sample."""
    count = len(silence(seconds))
    knots = rng.uniform(low, high, max(2, points))
    place = np.linspace(0.0, len(knots) - 1.0, count)
    left = np.minimum(place.astype(int), len(knots) - 2)
    share = place - left
    share = share * share * (3.0 - 2.0 * share)
    curve: Sound = knots[left] * (1.0 - share) + knots[left + 1] * share
    return curve


def voice(pitch: Sound, slope: float, count: int = 40) -> Sound:
    """Return partials over a pitch track, each ``1 / k ** slope``, none above 7.6 kHz.

    Args:
        pitch: Hz, one value a sample.
        slope: 0 for a buzz, 2 for nearly a sine.
        count: Most partials.
    """
    phase = 2.0 * np.pi * np.cumsum(pitch) / RATE
    total = np.zeros_like(pitch)
    for k in range(1, max(1, min(count, int(7600.0 / max(float(pitch.min()), 20.0)))) + 1):
        total += np.where(k * pitch < 7600.0, np.sin(k * phase) / k**slope, 0.0)
    return total


def room(rng: Generator, sound: Sound, *, seconds: float, wet: float, late: float = 0.0) -> Sound:
    """Return the sound with echoes and a diffuse tail.

    Args:
        rng: Draws the reflections.
        sound: What is played in the room.
        seconds: Time in which the tail falls by 60 dB.
        wet: Amplitude of the tail's start against the direct sound.
        late: Seconds after which the tail begins.
    """
    tail = rng.normal(size=len(silence(min(seconds, 3.0))))
    times = np.arange(len(tail)) / RATE
    tail *= np.exp(-6.9 * times / seconds)
    tail = low_pass(tail, between(rng, 1200.0, 7000.0), 1)
    tail *= wet / max(float(np.sqrt((tail**2).sum())), 1e-9)
    response = np.zeros(len(tail) + round(late * RATE) + 1)
    response[0] = 1.0
    response[-len(tail) :] += tail
    for _ in range(rng.integers(0, 6)):
        response[rng.integers(1, max(2, len(response) // 3))] += rng.normal() * wet * 0.3
    count = len(sound) + len(response)
    size = 1 << (count - 1).bit_length()
    played: Sound = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)
    return played[:count]
