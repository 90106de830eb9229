"""Synthesised music: drums, chords, tunes and song. Hard negatives for a sound detector."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from soundscape.parts import (
    RATE,
    Sound,
    add,
    between,
    fade,
    formants,
    high_pass,
    low_pass,
    noise,
    silence,
    unit,
    voice,
)

__all__ = ["music", "singing", "tune"]

_SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])


def _drum(rng: Generator, kind: str) -> Sound:
    times = np.arange(int(0.4 * RATE)) / RATE
    if kind == "kick":
        pitch = 45.0 + between(rng, 60.0, 250.0) * np.exp(-times / 0.03)
        wave = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(
            -times / between(rng, 0.05, 0.2)
        )
        return np.asarray(wave + 0.2 * noise(rng, 0.4) * np.exp(-times / 0.004))
    if kind == "hat":
        return high_pass(noise(rng, 0.4), 5000.0) * np.exp(-times / between(rng, 0.01, 0.1))
    body = np.sin(2 * np.pi * between(rng, 140.0, 260.0) * times) * np.exp(-times / 0.06)
    wires = low_pass(noise(rng, 0.4, rng.uniform(0, 3)), between(rng, 3000, 9000), 1)
    return np.asarray(body + wires * np.exp(-times / between(rng, 0.02, 0.12)))


def _drums(rng: Generator, seconds: float) -> Sound:
    track, beat = silence(seconds), 60.0 / between(rng, 70.0, 170.0)
    kit = {kind: _drum(rng, kind) for kind in ("kick", "snare", "hat")}
    swing = rng.random(8) < 0.5
    start = rng.uniform(0.0, beat)
    for step in range(int(seconds / (beat / 2)) + 1):
        at = start + step * beat / 2
        add(track, at, kit["hat"], 0.25 * rng.uniform(0.5, 1.0))
        if step % 8 in (0, 4) or (swing[step % 8] and step % 4 == 3):
            add(track, at, kit["kick"], rng.uniform(0.8, 1.0))
        if step % 8 in (2, 6):
            add(track, at, kit["snare"], rng.uniform(0.7, 1.0))
    return track


def tune(rng: Generator, seconds: float) -> Sound:
    """Return a melody: flute to violin, plucked or bowed, with or without vibrato."""
    track, at = silence(seconds), 0.0
    root, beat = between(rng, 180.0, 900.0), between(rng, 0.12, 0.6)
    slope, depth = rng.uniform(0.7, 3.0), rng.choice([0.0, rng.uniform(0.1, 0.6)])
    plucked = rng.random() < 0.4
    degree = int(rng.integers(0, 7))
    while at < seconds:
        length = beat * int(rng.choice([1, 1, 2, 4]))
        times = np.arange(len(silence(length))) / RATE
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 9))
        wobble = depth * np.sin(2 * np.pi * 5.5 * times) * np.minimum(times / 0.3, 1.0)
        note = voice(root * 2.0 ** ((_SCALE[degree] + wobble) / 12.0), slope, 12)
        note *= np.exp(-times / rng.uniform(0.1, 0.8)) if plucked else 1.0
        add(track, at, fade(note, 0.004 if plucked else 0.03), rng.uniform(0.6, 1.0))
        at += length
    return track


def singing(rng: Generator, seconds: float) -> Sound:
    """Return a high voice that sings: held notes with vibrato and small slides."""
    track, at = silence(seconds), 0.0
    root = between(rng, 220.0, 750.0)
    while at < seconds:
        length = between(rng, 0.3, 1.8)
        times = np.arange(len(silence(length))) / RATE
        step = float(rng.choice(_SCALE[:6])) - rng.uniform(0.0, 2.0) * np.exp(-times / 0.05)
        wobble = rng.uniform(0.2, 0.7) * np.sin(2 * np.pi * rng.uniform(5.0, 6.5) * times)
        note = voice(root * 2.0 ** ((step + wobble) / 12.0), rng.uniform(0.7, 1.5), 20)
        throat = (rng.uniform(350, 900), rng.uniform(900, 2200), 2900.0)
        add(track, at, fade(unit(formants(note, throat, 0.05)), 0.05), rng.uniform(0.5, 1.0))
        at += length + rng.choice([0.0, 0.2])
    return track


def music(rng: Generator, seconds: float) -> Sound:
    """Return any mixture of drums, pads and a tune."""
    track = silence(seconds)
    if rng.random() < 0.7:
        track += unit(_drums(rng, seconds)) * rng.uniform(0.3, 1.5)
    if rng.random() < 0.7:
        root, at = between(rng, 90.0, 300.0), 0.0
        slope, bar = rng.uniform(0.7, 2.5), between(rng, 0.8, 3.0)
        while at < seconds:
            low = root * 2.0 ** (float(rng.choice(_SCALE[:7])) / 12.0)
            for third in (1.0, 2.0 ** (rng.integers(3, 5) / 12.0), 1.498):
                pad = voice(np.full(len(silence(bar)), low * third), slope, 15)
                add(track, at, fade(pad, rng.uniform(0.005, 0.2)), 0.3)
            at += bar
    if rng.random() < 0.6 or not track.any():
        track += unit(tune(rng, seconds)) * rng.uniform(0.3, 1.2)
    return track
