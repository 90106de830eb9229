"""Synthesised sounds that are mistaken for incidents and are none.

As with `soundscape.incidents`, made from simple physics and varied widely.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from soundscape.impacts import knocks, slams, steps
from soundscape.music import music, singing, tune
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
    silence,
    unit,
    voice,
)

__all__ = ["HARMLESS"]

Maker = Callable[[Generator, float], Sound]


def speech(rng: Generator, seconds: float) -> Sound:
    """Return something like speech, calm to shouted: vowels, hisses, stops and pauses."""
    track = silence(seconds)
    shouted = rng.random() < 0.35
    base = between(rng, 90.0, 260.0) * (rng.uniform(1.2, 2.2) if shouted else 1.0)
    at = rng.uniform(0.0, 0.5)
    while at < seconds:
        length = between(rng, 0.07, 0.6 if shouted else 0.3)
        pitch = base * contour(rng, length, 3, 0.8, rng.uniform(1.0, 1.4))
        throat = (rng.uniform(300, 900), rng.uniform(900, 2400), rng.uniform(2400, 3400))
        vowel = unit(formants(voice(pitch, rng.uniform(0.4, 1.0)), throat, 0.02))
        kind = rng.random()
        if kind < 0.35:  # a stop: silence, then a short burst before the vowel
            burst = noise(rng, 0.02) * np.exp(-np.arange(320) / between(rng, 20, 150))
            add(track, at, low_pass(burst, between(rng, 1500, 8000), 1), between(rng, 0.2, 2.0))
            at += rng.uniform(0.01, 0.06)
        elif kind < 0.6:
            hiss = fade(high_pass(noise(rng, 0.1), between(rng, 1500.0, 5000.0)), 0.02)
            add(track, at, hiss, between(rng, 0.1, 0.8))
            at += 0.08
        add(track, at, fade(vowel, 0.015), between(rng, 0.4, 1.2))
        at += 0.8 * length + (rng.uniform(0.2, 0.9) if rng.random() < 0.12 else 0.03)
    return track


def crying(rng: Generator, seconds: float) -> Sound:
    """Return a crying baby: a cry with each breath, 300 to 650 Hz, rich in partials."""
    track, at = silence(seconds), rng.uniform(0.0, 0.5)
    base = between(rng, 300.0, 650.0)
    while at < seconds:
        length = rng.uniform(0.3, 1.6)
        count = len(silence(length))
        arch = np.sin(np.pi * np.linspace(0.02, 0.98, count)) ** 0.4
        pitch = base * (0.75 + 0.35 * arch) * contour(rng, length, 5, 0.93, 1.07)
        cry = formants(voice(pitch, rng.uniform(0.2, 0.9)), (1100.0, 2800.0, 4200.0), 0.2)
        cry = unit(cry) + between(rng, 0.02, 0.5) * noise(rng, length, 2.0)
        add(track, at, cry * arch, rng.uniform(0.5, 1.0))
        at += length + rng.uniform(0.1, 0.6)
    return track


def animal(rng: Generator, seconds: float) -> Sound:
    """Return a dog, birds, geese or a cat."""
    track, at = silence(seconds), rng.uniform(0.0, 0.7)
    kind = rng.choice(["dog", "bird", "goose", "cat"], p=[0.45, 0.25, 0.15, 0.15])
    spans = {"dog": (0.08, 0.3), "bird": (0.05, 0.6), "goose": (0.1, 0.4), "cat": (0.4, 1.2)}
    bases = {"dog": (150, 800), "bird": (1500, 5500), "goose": (300, 900), "cat": (400, 900)}
    base = between(rng, *bases[str(kind)])
    noisy = {"dog": 0.8, "bird": 0.02, "goose": 0.4, "cat": 0.1}[str(kind)] * rng.uniform(0.3, 1.5)
    while at < seconds:
        length = between(rng, *spans[str(kind)])
        bend = 0.45 if kind == "bird" else 0.2
        pitch = base * contour(rng, length, 4, 1.0 - bend, 1.0 + bend)
        call = unit(voice(pitch, 2.5 if kind == "bird" else rng.uniform(0.2, 1.0)))
        call += noisy * noise(rng, length, 2.0)
        if kind != "bird":
            call = formants(call, (rng.uniform(600, 1200), rng.uniform(1500, 2600)), 0.1)
        arch = np.sin(np.pi * np.linspace(0, 1, len(call))) ** (0.3 if kind == "dog" else 0.7)
        add(track, at, unit(call) * arch, rng.uniform(0.5, 1.0))
        at += length + between(rng, 0.05, 1.5)
    return track


def thunder(rng: Generator, seconds: float) -> Sound:
    """Return thunder: rolling, with claps that rise over tens of milliseconds."""
    track = silence(seconds)
    times = np.arange(len(track)) / RATE
    for _ in range(rng.integers(2, 9)):
        late = times - abs(rng.normal(0.0, 1.0)) - 0.2
        rise = between(rng, 0.015, 0.6)
        swell = np.clip(late / rise, 0, 1) * np.exp(
            -np.maximum(late - rise, 0) / between(rng, 0.2, 2)
        )
        track += swell * noise(rng, seconds, rng.uniform(4.0, 9.0)) * rng.uniform(0.2, 1.0)
    return low_pass(track, between(rng, 250.0, 5000.0))


def signals(rng: Generator, seconds: float) -> Sound:
    """Return beeps, a telephone, a car horn or squealing brakes."""
    track = silence(seconds)
    times = np.arange(len(track)) / RATE
    kind = rng.choice(["beep", "phone", "horn", "brake", "whistle"])
    if kind == "beep":
        period = between(rng, 0.15, 1.5)
        on = times % period < period * rng.uniform(0.2, 0.8)
        return voice(np.full_like(times, between(rng, 600, 4000)), rng.uniform(0.5, 3), 8) * on
    if kind == "phone":
        low = between(rng, 400.0, 900.0)
        both = np.sin(2 * np.pi * low * times) + np.sin(2 * np.pi * low * 1.23 * times)
        return both * (times % between(rng, 2.0, 4.0) < rng.uniform(0.5, 1.5))
    at = rng.uniform(0.0, 1.0)
    base = between(rng, 330.0, 520.0) if kind == "horn" else between(rng, 1200.0, 3500.0)
    while at < seconds:
        length = between(rng, 0.15, 1.8)
        wander = 0.003 if kind == "horn" else 0.04
        pitch = base * contour(rng, length, 4, 1 - wander, 1 + wander)
        tone = voice(pitch, 0.5 if kind == "horn" else 1.8, 15)
        if kind == "horn":
            tone += voice(pitch * rng.uniform(1.18, 1.28), 0.5, 15)
        hiss = between(rng, 0.02, 0.5) * high_pass(noise(rng, length), 800.0)
        add(track, at, fade(unit(tone) + hiss, 0.02))
        at += length + between(rng, 0.2, 3.0)
    return track


HARMLESS: dict[str, Maker] = {
    "speech": speech,
    "crying": crying,
    "animal": animal,
    "thunder": thunder,
    "knocks": knocks,
    "steps": steps,
    "slams": slams,
    "signals": signals,
    "music": music,
    "tune": tune,
    "singing": singing,
}
"""Hard negatives, by name: what a detector must leave alone."""
