"""Synthesised blows that are no incident: knocks, steps, a scuffle, doors.

A step or a slammed door over near silence jumps as steeply as a shot; what tells them apart
is that they are duller, shorter, or die without the tail that a shot leaves in its place.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from soundscape.parts import (
    RATE,
    Sound,
    add,
    between,
    low_pass,
    noise,
    resonance,
    room,
    silence,
)

__all__ = ["knocks", "slams", "steps"]


def knocks(rng: Generator, seconds: float) -> Sound:
    """Return slammed doors, knocks, steps, things that fall, typing, claps: dull or short."""
    track = silence(seconds)
    kind = rng.choice(["door", "step", "key", "clap", "drop"])
    every = {"door": 3.0, "step": 0.55, "key": 0.16, "clap": 0.3, "drop": 1.5}[str(kind)]
    at = rng.uniform(0.0, min(every, 0.6))
    modes = [between(rng, 60.0, 400.0), between(rng, 200.0, 1500.0), between(rng, 800.0, 5000.0)]
    while at < seconds:
        times = np.arange(int(0.5 * RATE)) / RATE
        if kind == "door":
            knock = low_pass(noise(rng, 0.5, 5.0), between(rng, 150.0, 900.0))
            knock *= np.exp(-times / between(rng, 0.02, 0.12))
            knock = knock / np.abs(knock).max() + np.roll(knock, int(0.02 * RATE)) * 0.2
        elif kind == "clap":
            knock = resonance(noise(rng, 0.5), between(rng, 700.0, 2600.0), rng.uniform(1.5, 5))
            knock *= np.exp(-times / between(rng, 0.003, 0.02))
        else:
            knock = np.zeros_like(times)
            for hertz in modes[(kind == "key") :]:
                ring = np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * times)
                knock += ring * np.exp(-times / between(rng, 0.003, 0.05)) * rng.random()
            dull = low_pass(noise(rng, 0.5), between(rng, 300.0, 4000.0))
            knock += dull * np.exp(-times / between(rng, 0.003, 0.04)) * rng.uniform(0.0, 0.6)
        add(track, at, knock / max(float(np.abs(knock).max()), 1e-9), rng.uniform(0.3, 1.0))
        at += every * rng.uniform(0.6, 1.6)
    return room(rng, track, seconds=between(rng, 0.1, 0.8), wet=between(rng, 0.03, 0.4))


def steps(rng: Generator, seconds: float) -> Sound:
    """Return steps of a walk or a run, or the thuds of a scuffle; sometimes only one thud."""
    track = silence(seconds)
    kind = rng.choice(["walk", "scuffle", "single"], p=[0.5, 0.35, 0.15])
    every = {"walk": between(rng, 0.28, 0.7), "scuffle": between(rng, 0.2, 1.2)}.get(
        str(kind), 2.0 * seconds
    )
    irregular = 0.08 if kind == "walk" else 0.6
    length, attack = between(rng, 0.03, 0.25), between(rng, 0.0005, 0.012)
    dull = between(rng, 250.0, 5000.0)
    at = rng.uniform(0.05, 0.5)
    while at < seconds - 0.05:
        part = low_pass(noise(rng, length * rng.uniform(0.8, 1.2), rng.uniform(0.0, 4.0)), dull)
        times = np.arange(len(part)) / RATE
        part *= np.minimum(times / attack, 1.0) * (1.0 - times / times[-1]) ** rng.uniform(1.5, 4.0)
        if rng.random() < 0.3:  # a heel: a click before the sole
            add(part, 0.0, noise(rng, 0.004), rng.uniform(0.1, 0.6))
        add(track, at, part / np.abs(part).max(), between(rng, 0.2, 1.0))
        at += every * (1.0 + irregular * rng.uniform(-1.0, 1.0))
    if rng.random() < 0.6:
        track = room(rng, track, seconds=between(rng, 0.1, 0.6), wet=between(rng, 0.02, 0.3))
    return track


def slams(rng: Generator, seconds: float) -> Sound:
    """Return a door or a drawer that falls shut: a dull blow, a latch, a rattle."""
    track = silence(seconds)
    at = rng.uniform(0.05, max(0.1, seconds - 0.8))
    times = np.arange(int(0.6 * RATE)) / RATE
    blow = low_pass(noise(rng, 0.6, rng.uniform(2.0, 6.0)), between(rng, 120.0, 1500.0))
    blow *= np.exp(-times / between(rng, 0.02, 0.12))
    panel = np.sin(2 * np.pi * between(rng, 50.0, 220.0) * times)
    blow = blow / np.abs(blow).max() + rng.random() * panel * np.exp(-times / 0.08)
    add(track, at, blow)
    for late in (-rng.uniform(0.0, 0.06), *rng.uniform(0.01, 0.3, rng.integers(0, 5))):  # latch
        ring = resonance(noise(rng, 0.03), between(rng, 900.0, 5000.0), rng.uniform(2.0, 8.0))
        ring *= np.exp(-np.arange(len(ring)) / RATE / between(rng, 0.002, 0.01))
        add(track, max(at + late, 0.0), ring / np.abs(ring).max(), between(rng, 0.02, 0.3))
    return room(rng, track, seconds=between(rng, 0.15, 0.9), wet=between(rng, 0.03, 0.35))
