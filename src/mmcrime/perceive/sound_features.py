"""What a stretch of sound is like, in numbers: pure functions of samples.

Everything is a ratio, a frequency or a decibel, so that the gain of the recording
does not matter. The numbers are chosen for three questions only: is a frame a
high-pitched tone (siren, scream), does the level jump, and is what jumped a bang.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmcrime.evidence import SAMPLE_RATE

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ENVELOPE = 64
"""Samples of one envelope step: 4 ms, short against the attack of a bang (under 10 ms)."""
HOP = 512
"""Samples between two tone frames: 32 ms, ten of them in the shortest scream."""
FRAME = 1024
"""Samples of one tone frame: 64 ms, at least 24 periods of the lowest siren."""

_FLOOR = 1e-12  # -120 dB: below the rounding of 16-bit audio, keeps logarithms finite
_WINDOW = np.hanning(FRAME)
_FREQUENCIES = np.fft.rfftfreq(2 * FRAME, 1 / SAMPLE_RATE)
_POWER_SCALE = 2.0 / float((_WINDOW**2).sum()) / (2 * FRAME)
# Rumble below 300 Hz (traffic, wind) hides tones; above 5 kHz there is mostly hiss.
_TONE_BAND = (_FREQUENCIES >= 300) & (_FREQUENCIES <= 5000)
_HEARD_BAND = (_FREQUENCIES >= 100) & (_FREQUENCIES <= 7800)
_LOW_BAND = (_FREQUENCIES >= 100) & (_FREQUENCIES < 500)
_SHORTEST_LAG, _LONGEST_LAG = SAMPLE_RATE // 3200, SAMPLE_RATE // 80
# Periodicity of the window itself; dividing by it makes a steady tone reach 1 at every lag.
_WINDOW_CORRELATION = np.fft.irfft(np.abs(np.fft.rfft(_WINDOW, 2 * FRAME)) ** 2)[:FRAME]
_WINDOW_CORRELATION = _WINDOW_CORRELATION / _WINDOW_CORRELATION[0]

_LINE_SIDE = 10  # bins (16 Hz each) on both sides that a line must stand out of
_LINE_RISE = 8.0  # by how much, in power: 9 dB over their median
_LINE_FRAMES = 6  # how many frames in a row
_LINE_STOP = 310  # lines judged: those up to 5 kHz
_LINE_FLOOR = 1e-9  # power of a frame: far below the noise of any microphone

_BURST = 512
_BURST_WINDOW = np.hanning(_BURST)
_BURST_FREQUENCIES = np.fft.rfftfreq(_BURST, 1 / SAMPLE_RATE)
# Up to 3.5 kHz only, so that telephone and 8 kHz recordings are judged alike.
_BURST_BAND = (_BURST_FREQUENCIES > 300) & (_BURST_FREQUENCIES < 3500)
_OCTAVES = ((60, 250), (250, 500), (500, 1000), (1000, 2000), (2000, 3900))


def decibels(power: Array) -> Array:
    """Return ``10 log10`` of a mean square, at least -120."""
    result: Array = 10.0 * np.log10(np.maximum(power, _FLOOR))
    return result


def envelope(samples: Array) -> Array:
    """Return the level of each 4 ms step in dB, low frequencies weakened.

    The first difference (zero at DC, +6 dB an octave) makes rumble and thunder small
    against the crack of a bang.

    Args:
        samples: Shape ``(ENVELOPE * n + 1,)``: one sample before the first step, then the steps.

    Returns:
        Shape ``(n,)``.
    """
    slope = np.diff(samples)
    return decibels(np.mean(slope.reshape(-1, ENVELOPE) ** 2, axis=1))


def loudness(samples: Array) -> Array:
    """Return the level of each 4 ms step in dB, only what is below 125 Hz weakened.

    Vowels are louder here than the consonants that start them, which `envelope` hides.

    Args:
        samples: Shape ``(ENVELOPE * n,)``.

    Returns:
        Shape ``(n,)``.
    """
    return decibels(np.var(samples.reshape(-1, ENVELOPE), axis=1))


def mean_level(levels: Array) -> float:
    """Return the dB of the mean power of steps in dB."""
    return 10.0 * float(np.log10(np.mean(10.0 ** (levels / 10.0))))


def steadiness(samples: Array) -> float:
    """Return how much of a sound is held notes, 0 (none, or silence) to 1.

    Counted is the share of the energy from 150 Hz to 5 kHz, high frequencies weighed up, that
    lies in narrow lines which stay in place for 220 ms. Notes do; voices glide.

    Args:
        samples: At least ``FRAME + 5 * HOP`` samples.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * _WINDOW))[:, : _LINE_STOP + 2 * _LINE_SIDE] ** 2
    power += _LINE_FLOOR
    around = np.lib.stride_tricks.sliding_window_view(power, 2 * _LINE_SIDE + 1, axis=1)
    middle = np.partition(around, _LINE_SIDE, axis=2)[:, :, _LINE_SIDE]
    inner = power[:, _LINE_SIDE:-_LINE_SIDE]
    lines: Mask = inner > _LINE_RISE * middle
    runs: Mask = np.all(
        np.lib.stride_tricks.sliding_window_view(lines, _LINE_FRAMES, axis=0), axis=2
    )
    held = np.zeros_like(lines)
    for shift in range(_LINE_FRAMES):
        held[shift : shift + len(runs)] |= runs
    weighed = inner * np.arange(_LINE_SIDE, _LINE_SIDE + _LINE_STOP)
    shares = (weighed * held).sum(axis=1) / weighed.sum(axis=1)
    return float(shares.mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class Tones:
    """Tone frames as columns, each of shape ``(n,)``.

    Attributes:
        level: dB of a full-scale sine's mean square, all frequencies from 100 Hz.
        pitch: Fundamental in Hz of what is periodic between 300 and 5000 Hz.
        periodic: 0 (noise) to 1 (strictly periodic).
        low: Share of the energy below 500 Hz, 0 to 1.
    """

    level: Array
    pitch: Array
    periodic: Array
    low: Array


def tones(samples: Array, count: int) -> Tones:
    """Measure ``count`` frames of `FRAME` samples, `HOP` apart.

    Args:
        samples: At least ``HOP * (count - 1) + FRAME`` samples.
        count: Number of frames.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP][:count]
    power = np.abs(np.fft.rfft(frames * _WINDOW, 2 * FRAME)) ** 2
    heard = power[:, _HEARD_BAND].sum(axis=1)
    band = np.where(_TONE_BAND, power, 0.0)
    pitch, periodic = _pitch(band)
    return Tones(
        level=decibels(heard * _POWER_SCALE),
        pitch=pitch,
        periodic=periodic,
        low=power[:, _LOW_BAND].sum(axis=1) / np.maximum(heard, _FLOOR),
    )


def _pitch(band: Array) -> tuple[Array, Array]:
    """Return the fundamental and how periodic each frame is, by autocorrelation."""
    correlation = np.fft.irfft(band)[:, :FRAME] / _WINDOW_CORRELATION
    zero = correlation[:, :1]
    scaled = correlation / np.maximum(zero, _FLOOR)
    inner = scaled[:, _SHORTEST_LAG : _LONGEST_LAG + 1]
    peaks = (inner >= scaled[:, _SHORTEST_LAG - 1 : _LONGEST_LAG]) & (
        inner >= scaled[:, _SHORTEST_LAG + 1 : _LONGEST_LAG + 2]
    )
    height = np.where(peaks, inner, 0.0)
    best = height.max(axis=1)
    # The shortest lag nearly as good as the best one: multiples of the period also peak.
    first = np.argmax(height >= 0.85 * np.maximum(best, 1e-3)[:, None], axis=1)
    coarse = SAMPLE_RATE / (first + _SHORTEST_LAG)
    # A lag is a whole number of samples (8 % at 1.3 kHz); the strongest partial is exact.
    strongest = _exact_peak(band)
    partial = np.maximum(np.round(strongest / coarse), 1.0)
    return strongest / partial, np.clip(best, 0.0, 1.0)


def _exact_peak(band: Array) -> Array:
    """Return the frequency of each row's strongest partial, between the bins."""
    top = np.argmax(band, axis=1)
    rows = np.arange(len(band))
    left, mid, right = (decibels(band[rows, np.maximum(top + d, 0)]) for d in (-1, 0, 1))
    curve = left - 2.0 * mid + right
    shift = np.where(curve < 0.0, 0.5 * (left - right) / np.minimum(curve, -_FLOOR), 0.0)
    exact: Array = (top + np.clip(shift, -0.5, 0.5)) * float(_FREQUENCIES[1])
    return exact


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """What the first 32 ms of a level jump are like.

    Attributes:
        flatness: Geometric over arithmetic mean of the spectrum, 300 to 3500 Hz;
            0 for a tone, 0.56 for white noise.
        spread: Entropy of the energy over five octaves, 0 (one octave) to 1 (even).
        grown: Share of the frequencies that rose by at least 10 dB against shortly before.
        voiced: Highest autocorrelation at 50 to 500 Hz over 80 ms; near 1 for a vowel.
    """

    flatness: float
    spread: float
    grown: float
    voiced: float


def burst(samples: Array, at: int) -> Burst:
    """Describe a level jump.

    Args:
        samples: Sound around it, at least 1024 samples before and 1280 after ``at``.
        at: Index of the loudest envelope step.
    """
    start = at - ENVELOPE
    spectrum = _spectrum(samples[start : start + _BURST])
    before = _spectrum(samples[start - 2 * _BURST : start - _BURST])
    power, earlier = spectrum[_BURST_BAND], before[_BURST_BAND]
    octaves = _octaves(spectrum)
    shares = octaves / octaves.sum()
    return Burst(
        flatness=float(np.exp(np.log(power).mean()) / power.mean()),
        spread=float(-(shares * np.log(shares)).sum() / np.log(len(shares))),
        grown=float(np.mean(power >= 10.0 * earlier)),
        voiced=_voicing(samples[at : at + 1280]),
    )


def colour(samples: Array, at: int) -> Array:
    """Return the level of the five octaves in the first 32 ms of a level jump.

    Args:
        samples: Sound around it, at least 64 samples before and 448 after ``at``.
        at: Index of the loudest envelope step.

    Returns:
        dB around their mean, so that the distance does not matter.
    """
    start = at - ENVELOPE
    levels = decibels(_octaves(_spectrum(samples[start : start + _BURST])))
    return levels - float(levels.mean())


def _octaves(spectrum: Array) -> Array:
    hertz = _BURST_FREQUENCIES
    return np.array([spectrum[(low <= hertz) & (hertz < high)].sum() for low, high in _OCTAVES])


def _spectrum(samples: Array) -> Array:
    power: Array = np.abs(np.fft.rfft(samples * _BURST_WINDOW)) ** 2 + _FLOOR
    return power


def _voicing(samples: Array) -> float:
    centred = samples - samples.mean()
    power = np.abs(np.fft.rfft(centred, 4096)) ** 2
    correlation = np.fft.irfft(power)
    lags = correlation[SAMPLE_RATE // 500 : SAMPLE_RATE // 50]
    return float(np.clip(lags.max() / max(float(correlation[0]), _FLOOR), 0.0, 1.0))
