"""Draws seeded mixes of events and hard negatives over recorded backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.random import Generator

from soundscape.harmless import HARMLESS
from soundscape.incidents import INCIDENTS
from soundscape.mixing import FADE, Mix, Piece, long_background, made_harmless, made_incident, mix
from soundscape.parts import RATE, fade
from soundscape.recordings import STREET, events_of

__all__ = ["SECONDS", "Pool", "draw_mix", "pool_of"]

SECONDS = 14.0
"""Length of a mix."""
_BEHIND = ("speech", STREET)  # sources of recordings that go on all the time


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pool:
    """Recordings to draw from.

    Attributes:
        incidents: Events cut out of recordings.
        harmless: Labelled recordings of what is no incident, whole.
        backgrounds: Talk and streets.
    """

    incidents: tuple[Piece, ...]
    harmless: tuple[Piece, ...]
    backgrounds: tuple[Piece, ...]


def pool_of(recordings: Sequence[Piece]) -> Pool:
    """Sort recordings by their use."""
    labelled = [piece for piece in recordings if piece.label is not None]
    harmless = [p for p in recordings if p.label is None and p.source != STREET]
    return Pool(
        incidents=tuple(event for piece in labelled for event in events_of(piece)),
        harmless=tuple(harmless),
        backgrounds=tuple(piece for piece in recordings if piece.source in _BEHIND),
    )


def draw_mix(rng: Generator, pool: Pool, *, ratio: float, recorded: bool) -> Mix:
    """Draw `SECONDS` with three or four sounds, half of them incidents, over talk or a street.

    Labels, sources and recordings are drawn evenly, however many events or files each has.

    Args:
        rng: Decides everything.
        pool: Recordings to draw from; backgrounds are always recorded.
        ratio: Of every sound to the background, in dB.
        recorded: Whether the sounds are recordings or synthesised.
    """
    pieces = [
        _incident(rng, pool, recorded) if rng.random() < 0.5 else _harmless(rng, pool, recorded)
        for _ in range(rng.integers(3, 5))
    ]
    behind = _one_source(rng, pool.backgrounds)
    return mix(rng, long_background(rng, behind, SECONDS), pieces, ratio)


def _one_source(rng: Generator, pieces: Sequence[Piece]) -> list[Piece]:
    source = rng.choice(sorted({piece.source for piece in pieces}))
    return [piece for piece in pieces if piece.source == source]


def _incident(rng: Generator, pool: Pool, recorded: bool) -> Piece:
    if not recorded:
        label = rng.choice(sorted({heard for heard, _ in INCIDENTS.values()}))
        sources = [source for source, (heard, _) in INCIDENTS.items() if heard == label]
        return made_incident(rng, str(rng.choice(sources)))
    known = _one_source(rng, pool.incidents)
    group = rng.choice(sorted({piece.group for piece in known}))
    mine = [piece for piece in known if piece.group == group]
    return mine[int(rng.integers(len(mine)))]


def _harmless(rng: Generator, pool: Pool, recorded: bool) -> Piece:
    seconds = rng.uniform(1.0, 4.0)
    if not recorded:
        return made_harmless(rng, str(rng.choice(list(HARMLESS))), seconds)
    mine = _one_source(rng, pool.harmless)
    piece = mine[int(rng.integers(len(mine)))]
    count = min(len(piece.sound), round(seconds * RATE))
    start = int(rng.integers(len(piece.sound) - count + 1))
    return replace(piece, sound=fade(piece.sound[start : start + count], FADE))
