"""Lets a told bang last as long as blows like it follow.

Of a burst only the first shots are told, since steps, knocks and music come in series, too
(`sound_bangs`). What follows a bang that was told is no news, but not quiet either: its event
ends with the last blow of the series. Nothing is told here, so no alarm is added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mmcrime.evidence import SoundEvent
from mmcrime.perceive.sound_features import Array

FOLLOW_SECONDS = 1.6
"""How long after a blow the next one may come: single shots a second and a half apart are one
series, and beyond that each of them is told."""

_ECHO_SECONDS = 0.16  # what comes sooner after the told bang is an echo of it
_LEVEL_DB = 6.0  # a like blow is as loud as the told bang to within this
_COLOUR_DB = 3.0  # and so are its octaves, on average; shots of one gun in a room reach 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Blow:
    """A sudden sound.

    Attributes:
        peak: Media time of the end of its attack.
        end: Media time at which it has died away.
        level: Its level in dB at ``peak``.
        colour: Level of its octaves in dB around their mean (`sound_features.colour`).
        told: The event, if it is a bang that is told.
    """

    peak: float
    end: float
    level: float
    colour: Array
    told: SoundEvent | None = None


class BangSeries:
    """Holds told bangs back until no further blow can follow them.

    A blow prolongs the oldest event it is like, so that a burst is whole in the event of its
    first shot; the events of the shots told after it lie within. What is held stays few: each
    event needs a blow of its own within `FOLLOW_SECONDS`.
    """

    def __init__(self) -> None:
        self._held: list[_Series] = []

    @property
    def empty(self) -> bool:
        """Whether no told bang is waiting for blows."""
        return not self._held

    def add(self, blow: Blow) -> None:
        """Take the next blow in time."""
        for series in self._held:
            if series.is_followed_by(blow):
                series.grow(blow)
                break
        if blow.told is not None:
            self._held.append(_Series(blow, blow.told))

    def settled(self, now: float = np.inf) -> list[SoundEvent]:
        """Return and forget the events that nothing after ``now`` (media time) can prolong."""
        done = [s.event for s in self._held if s.last + FOLLOW_SECONDS < now]
        self._held = [s for s in self._held if s.last + FOLLOW_SECONDS >= now]
        return done


class _Series:
    """A told bang and where the blows like it have come to."""

    def __init__(self, first: Blow, event: SoundEvent) -> None:
        self._first = first
        self._strongest = first.level
        self.event = event
        self.last = first.peak

    def is_followed_by(self, blow: Blow) -> bool:
        return (
            blow.peak - self._first.peak >= _ECHO_SECONDS
            and blow.peak - self.last <= FOLLOW_SECONDS
            and abs(blow.level - self._first.level) <= _LEVEL_DB
            and float(np.abs(blow.colour - self._first.colour).mean()) <= _COLOUR_DB
        )

    def grow(self, blow: Blow) -> None:
        peak = self.event.peak
        if blow.level > self._strongest:
            self._strongest, peak = blow.level, blow.peak
        self.last = blow.peak
        self.event = replace(self.event, end=max(self.event.end, blow.end), peak=peak)
