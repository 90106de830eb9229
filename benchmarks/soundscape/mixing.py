"""Mixes sounds with backgrounds at a stated ratio.

The signal-to-noise ratio of a sound is its active level over the level of the background:
active is every 16 ms within `ACTIVE_DB` of the loudest 16 ms of the sound, and the level is
the mean power of these; the level of the background is its mean power over the whole mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from mmcrime.evidence import SoundLabel
from soundscape.harmless import HARMLESS
from soundscape.incidents import INCIDENTS
from soundscape.parts import RATE, Sound, db, fade, silence

__all__ = [
    "FADE",
    "MADE",
    "PEAK",
    "Mix",
    "Piece",
    "Truth",
    "active_level",
    "long_background",
    "made_harmless",
    "made_incident",
    "mix",
]

ACTIVE_DB = 20.0
"""A part this far below the loudest part of a sound is no longer active."""
MADE = "made"
"""Group of what is synthesised."""
FADE = 0.1
"""Seconds: a steeper cut through a sound would be a bang of the mixer's own."""
PEAK = 0.7
"""Of the loudest sample of every mix, so that none is clipped."""
_STEP = 256  # samples: 16 ms


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Piece:
    """A sound to be mixed.

    Attributes:
        sound: Samples at `RATE`.
        label: What it should be heard as; None for a harmless sound.
        source: Kind of sound: ``gunshot``, ``music`` and so on.
        group: Recording or ``made`` that it comes from.
        onset: Second at which a bang starts in it.
    """

    sound: Sound
    label: SoundLabel | None
    source: str
    group: str
    onset: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Where a piece lies in a mix.

    Attributes:
        start: Seconds at which it starts (a bang: its onset; all else: its first active part).
        end: Seconds at which its last active part ends.
        label: As of the piece.
        source: As of the piece.
        group: As of the piece.
    """

    start: float
    end: float
    label: SoundLabel | None
    source: str
    group: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mix:
    """A mix and what is in it.

    Attributes:
        samples: Float samples at `RATE`.
        truths: What was mixed in, in order; harmless pieces too.
        background: What was behind it.
    """

    samples: Sound
    truths: tuple[Truth, ...]
    background: str


def active_level(sound: Sound) -> tuple[float, float, float]:
    """Return the active level in dB, and the seconds at which the active part starts and ends."""
    count = max(1, len(sound) // _STEP)
    steps = np.resize(sound, count * _STEP) if len(sound) < _STEP else sound[: count * _STEP]
    power = np.mean(steps.reshape(count, _STEP) ** 2, axis=1)
    active = np.flatnonzero(power >= power.max() * db(-ACTIVE_DB) ** 2)
    level = 10.0 * float(np.log10(power[active].mean() + 1e-12))
    return level, active[0] * _STEP / RATE, (active[-1] + 1) * _STEP / RATE


def made_incident(rng: Generator, source: str) -> Piece:
    """Return a synthesised incident sound; ``source`` is a key of `INCIDENTS`."""
    label, maker = INCIDENTS[source]
    return Piece(sound=maker(rng), label=label, source=source, group=MADE)


def made_harmless(rng: Generator, source: str, seconds: float) -> Piece:
    """Return a synthesised harmless sound; ``source`` is a key of `HARMLESS`."""
    sound = fade(HARMLESS[source](rng, seconds), FADE)
    return Piece(sound=sound, label=None, source=source, group=MADE)


def long_background(rng: Generator, pieces: Sequence[Piece], seconds: float) -> Piece:
    """Return one of some pieces, repeated with cross-fades until it lasts ``seconds``."""
    piece = pieces[int(rng.integers(len(pieces)))]
    part = fade(piece.sound, 0.03)
    over = min(len(part) // 3, round(0.03 * RATE))
    track = silence(seconds)
    at = -int(rng.integers(len(part)))
    while at < len(track):
        low, high = max(at, 0), min(at + len(part), len(track))
        track[low:high] += part[low - at : high - at]
        at += len(part) - over
    return Piece(sound=track, label=None, source=piece.source, group=piece.group)


def mix(rng: Generator, background: Piece, pieces: Sequence[Piece], ratio: float) -> Mix:
    """Mix pieces one after the other into a background.

    Args:
        rng: Draws the places.
        background: As long as the mix will be.
        pieces: In order; those for which no room is left are left out.
        ratio: Of each piece to the background, in dB.
    """
    track = background.sound.copy()
    behind = 10.0 * float(np.log10(np.mean(track**2) + 1e-12))
    seconds = len(track) / RATE
    spare = seconds - sum(len(piece.sound) / RATE + 1.0 for piece in pieces)
    at, truths = rng.uniform(0.3, 1.5), []
    for piece in pieces:
        level, first, last = active_level(piece.sound)
        at += rng.uniform(0.0, max(spare, 0.0) / len(pieces))
        if at + last > seconds - 0.2:
            continue
        start = round(at * RATE)
        part = piece.sound[: len(track) - start]
        track[start : start + len(part)] += part * db(behind + ratio - level)
        truths.append(
            Truth(
                start=at + (piece.onset if piece.label == "impulsive" else first),
                end=at + last,
                label=piece.label,
                source=piece.source,
                group=piece.group,
            )
        )
        at += last + rng.uniform(0.7, 1.3)
    return Mix(
        samples=track * (PEAK / max(float(np.abs(track).max()), 1e-9)),
        truths=tuple(truths),
        background=background.source,
    )
