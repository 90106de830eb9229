"""Synthesised sounds of incidents: shots, explosions, breaking glass, screams, sirens.

They are made from what is known of the physics (a shock wave and its reflections, the
partials of a plate, a rough voice, the sweeps that siren standards ask for) and varied
widely. They are no recordings: how well a detector does on them says little about how it
does on real sound, so figures on them are always given apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from mmcrime.evidence import SoundLabel
from soundscape.parts import (
    RATE,
    Sound,
    add,
    between,
    contour,
    fade,
    formants,
    high_pass,
    low_pass,
    noise,
    resonance,
    room,
    silence,
    unit,
    voice,
)

__all__ = ["INCIDENTS"]


def _shock(rng: Generator, length: float) -> Sound:
    """Return a Friedlander wave: a jump of pressure that falls below zero and recovers.

    Args:
        rng: Draws its steepness.
        length: Seconds of overpressure; 0.2 ms (pistol) to 10 ms (explosive).
    """
    times = np.arange(int(12.0 * length * RATE) + 2) / RATE / length
    wave: Sound = (1.0 - times) * np.exp(-rng.uniform(0.6, 2.0) * times)
    return wave


def _shot(rng: Generator) -> Sound:
    """Return one shot as a microphone at some distance records it, without its place."""
    track = silence(0.9)
    if rng.random() < 0.25:  # the bullet's own N-wave comes before the muzzle blast
        crack = np.linspace(1.0, -1.0, max(3, int(rng.uniform(2e-4, 6e-4) * RATE)))
        add(track, 0.0, crack, rng.uniform(0.2, 0.8))
    muzzle = rng.uniform(0.0, 0.03) if track[0] else 0.0
    add(track, muzzle, _shock(rng, between(rng, 2e-4, 3e-3)), rng.uniform(0.3, 1.5))
    tail = noise(rng, 0.8, rng.uniform(0.0, 7.0))
    times = np.arange(len(tail)) / RATE
    tail *= np.exp(-times / between(rng, 0.006, 0.09)) + rng.uniform(0.0, 0.2) * np.exp(
        -times / between(rng, 0.08, 0.3)
    )
    add(track, muzzle, tail, between(rng, 0.15, 1.2))
    if rng.random() < 0.2:  # a microphone that cannot follow: of the blast only a decay is left
        decay = np.exp(-times / between(rng, 0.02, 0.35))
        add(track, muzzle, noise(rng, 0.8, rng.uniform(0.0, 4.0)) * decay, between(rng, 0.5, 3.0))
    if rng.random() < 0.4:  # the boom of a large calibre
        boom = np.sin(2 * np.pi * between(rng, 50.0, 180.0) * times) * np.exp(
            -times / between(rng, 0.03, 0.15)
        )
        add(track, muzzle, boom, between(rng, 0.1, 1.0))
    add(track, muzzle + rng.uniform(0.001, 0.015), track.copy(), rng.uniform(-0.6, 0.6))  # ground
    return low_pass(track, between(rng, 1500.0, 12_000.0), int(rng.integers(1, 3)))


def gunshot(rng: Generator) -> Sound:
    """Return a single shot or a burst, indoors or outdoors."""
    shots = 1 if rng.random() < 0.65 else int(rng.integers(2, 9))
    gap = 1.0 / between(rng, 1.2, 13.0)
    shot = _shot(rng)
    onsets = tuple(float(at) for at in np.cumsum([0.0, *rng.normal(gap, 0.08 * gap, shots - 1)]))
    track = silence(onsets[-1] + 1.0)
    for at in onsets:
        add(track, at, shot, rng.uniform(0.7, 1.0))
    indoors = rng.random() < 0.4
    if rng.random() < 0.85:
        seconds = between(rng, 0.25, 1.0) if indoors else between(rng, 0.6, 2.5)
        late = 0.0 if indoors else rng.uniform(0.0, 0.12)
        track = room(rng, track, seconds=seconds, wet=between(rng, 0.05, 0.9), late=late)
    if rng.random() < 0.35:  # recorded too close, or made for a film: pressed against the limit
        track = np.tanh(between(rng, 1.5, 12.0) * track / np.abs(track).max())
    return track


def explosion(rng: Generator) -> Sound:
    """Return a blast and its rumble."""
    seconds = rng.uniform(1.5, 4.0)
    track = silence(seconds)
    add(track, 0.0, _shock(rng, between(rng, 0.003, 0.02)), rng.uniform(0.5, 2.0))
    times = np.arange(len(track)) / RATE
    rumble = noise(rng, seconds, rng.uniform(5.0, 9.0))
    rumble *= np.exp(-times / between(rng, 0.15, 1.0)) * contour(rng, seconds, 12, 0.4, 1.0)
    crash = noise(rng, seconds, rng.uniform(0.0, 5.0)) * np.exp(-times / between(rng, 0.03, 0.25))
    track += rumble * rng.uniform(0.4, 1.2) + crash * rng.uniform(0.2, 1.0)
    for at in rng.uniform(0.1, seconds, rng.integers(0, 20)):  # debris
        add(track, at, _shock(rng, 5e-4), rng.uniform(0.02, 0.15))
    track = room(rng, track, seconds=between(rng, 0.8, 3.0), wet=between(rng, 0.1, 0.8))
    blast: Sound = np.tanh(between(rng, 0.5, 4.0) * track / np.abs(track).max())
    return blast


def glass(rng: Generator) -> Sound:
    """Return a pane or a bottle that breaks: a blow, ringing partials, falling pieces."""
    seconds = rng.uniform(0.8, 2.2)
    track = silence(seconds)
    blow = noise(rng, 0.15, rng.uniform(0.0, 4.0))
    add(track, 0.0, blow * np.exp(-np.arange(len(blow)) / RATE / between(rng, 0.005, 0.04)))
    pieces = int(rng.integers(15, 70))
    for at in np.append(np.zeros(6), rng.exponential(seconds / 5.0, pieces)):
        times = np.arange(int(0.3 * RATE)) / RATE
        ring = np.zeros_like(times)
        for _ in range(rng.integers(2, 5)):
            hertz = between(rng, 1800.0, 7400.0)
            decay = np.exp(-times / between(rng, 0.004, 0.07))
            ring += np.sin(2 * np.pi * hertz * times + rng.uniform(0, 6.3)) * decay
        add(track, float(at), ring, 0.4 * rng.random() ** 2 * float(np.exp(-at)))
    hiss = high_pass(noise(rng, seconds), between(rng, 1500.0, 4000.0))
    track += 0.5 * hiss * np.exp(-np.arange(len(track)) / RATE / between(rng, 0.05, 0.4))
    return room(rng, track, seconds=between(rng, 0.2, 1.0), wet=between(rng, 0.03, 0.4))


def scream(rng: Generator) -> Sound:
    """Return a scream of a woman, a child or a man: high, loud, rough, 0.5 to 4 s.

    Roughness (amplitude modulated at 30 to 150 Hz) is what sets most screams apart from song
    and speech (Arnal et al., Current Biology 2015).
    """
    seconds = between(rng, 0.6, 4.0)
    count = len(silence(seconds))
    male = rng.random() < 0.3
    top = between(rng, 420.0, 900.0) if male else between(rng, 700.0, 2300.0)
    share = np.linspace(0.0, 1.0, count)
    rise, fall = rng.uniform(0.02, 0.3), rng.uniform(0.05, 0.6)
    arch = np.clip(share / rise, 0.0, 1.0) ** 0.5 * np.clip((1.0 - share) / fall, 0.0, 1.0) ** 0.5
    lowest = rng.uniform(0.45, 0.9)
    pitch = top * (lowest + (1.0 - lowest) * arch)
    pitch *= 2.0 ** (contour(rng, seconds, int(3 + 4 * seconds), -2.0, 2.0) / 12.0)
    times = np.arange(count) / RATE
    vibrato = rng.uniform(0.0, 0.6) * np.sin(2 * np.pi * rng.uniform(4.0, 9.0) * times)
    jitter = low_pass(noise(rng, seconds), between(rng, 30.0, 200.0)) * between(rng, 0.02, 0.5)
    pitch *= 2.0 ** ((vibrato + jitter) / 12.0)
    clean = rng.random() < 0.35  # a shriek: almost a whistle, without roughness or breath
    sung = voice(pitch, rng.uniform(0.8, 2.5) if clean else rng.uniform(0.2, 1.2))
    rough = between(rng, 0.01, 0.1) if clean else between(rng, 0.1, 1.0)
    beat = contour(rng, seconds, int(3 + 3 * seconds), 30.0, 150.0)
    sung *= 1.0 + rough * np.sin(2 * np.pi * np.cumsum(beat) / RATE)
    if not clean and rng.random() < 0.4:  # subharmonics: the folds swing at half the rate
        sung += rng.uniform(0.1, 0.7) * voice(pitch / 2.0, 0.7)
    breath = between(rng, 0.003, 0.05) if clean else between(rng, 0.03, 0.9)
    sung = unit(sung) + breath * high_pass(noise(rng, seconds), 800.0)
    throat = (rng.uniform(700, 1400), rng.uniform(1400, 2400), rng.uniform(2600, 3800))
    sung = formants(sung, throat, rest=rng.uniform(0.1, 0.6))
    envelope = np.minimum(share / rng.uniform(0.01, 0.12), 1.0) * np.minimum(
        (1.0 - share) / rng.uniform(0.03, 0.4), 1.0
    )
    sung = unit(sung) * envelope * contour(rng, seconds, int(2 + 3 * seconds), 0.5, 1.0)
    if rng.random() < 0.3:
        sung = np.tanh(between(rng, 0.5, 4.0) * sung)
    if rng.random() < 0.7:
        sung = room(rng, sung, seconds=between(rng, 0.15, 1.5), wet=between(rng, 0.05, 0.7))
    return sung


def _sweep(rng: Generator, times: Sound) -> Sound:
    """Return the pitch of one of the usual siren patterns, one value a sample."""
    low, high = between(rng, 450.0, 800.0), between(rng, 1100.0, 1800.0)
    kind = rng.choice(["wail", "yelp", "hilo", "phaser", "rise"], p=[0.3, 0.25, 0.3, 0.05, 0.1])
    if kind == "hilo":  # European two-tone horns: 360 to 700 Hz, a third to a sixth apart
        first = between(rng, 360.0, 620.0)
        second = first * 2.0 ** (rng.uniform(3.0, 7.5) / 12.0)
        half = between(rng, 0.3, 1.0)
        return np.where((times + rng.uniform(0, 2) * half) % (2 * half) < half, first, second)
    rates = {"wail": (0.1, 0.5), "yelp": (2.0, 4.5), "phaser": (8.0, 16.0), "rise": (0.12, 0.4)}
    turn = (between(rng, *rates[str(kind)]) * times + rng.random()) % 1.0
    up = rng.uniform(0.3, 0.7) if kind != "rise" else 0.9
    shape = np.where(turn < up, turn / up, (1.0 - turn) / (1.0 - up))
    if rng.random() < 0.5:
        shape = 0.5 - 0.5 * np.cos(np.pi * shape)
    swept: Sound = low * (high / low) ** shape
    return swept


def siren(rng: Generator) -> Sound:
    """Return 4 to 9 s of a siren that stands or drives by."""
    seconds = rng.uniform(4.0, 9.0)
    times = np.arange(len(silence(seconds))) / RATE
    pitch = _sweep(rng, times)
    if rng.random() < 0.3:  # it changes its tune
        pitch = np.where(times < seconds * rng.uniform(0.3, 0.7), pitch, _sweep(rng, times))
    metres = np.full_like(times, 20.0)
    if rng.random() < 0.6:  # it drives by: Doppler shift and the law of distance
        speed, passes = rng.uniform(5.0, 28.0), rng.uniform(-0.3, 1.3) * seconds
        along = speed * (times - passes)
        metres = np.hypot(along, between(rng, 8.0, 60.0))
        pitch = pitch / (1.0 + speed * along / metres / 343.0)
    tone = unit(voice(pitch, between(rng, 0.5, 2.5), 12)) * metres.min() / metres
    if rng.random() < 0.5:  # a horn in front of the loudspeaker
        tone += rng.uniform(0.3, 2.0) * resonance(tone, between(rng, 700.0, 2500.0), 2.0)
    if rng.random() < 0.8:
        tone = room(rng, tone, seconds=between(rng, 0.3, 2.5), wet=between(rng, 0.1, 0.9))
    return fade(tone, rng.uniform(0.01, 0.3))


INCIDENTS: dict[str, tuple[SoundLabel, Callable[[Generator], Sound]]] = {
    "gunshot": ("impulsive", gunshot),
    "explosion": ("impulsive", explosion),
    "glass": ("impulsive", glass),
    "scream": ("scream", scream),
    "siren": ("siren", siren),
}
"""Each synthesised source with what it should be heard as; all start at once."""
