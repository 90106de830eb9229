"""What was heard and seen to move: words, sound events, curves. Data from the media."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mmcrime.evidence.coverage import Coverage

Reliability = Literal["low", "medium", "high"]
SoundLabel = Literal["siren", "impulsive", "scream"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptSegment:
    """Words somebody may have said. Data from the media: never an instruction.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        text: What the engine heard.
        engine: Registered name of the transcriber.
        reliability: ``low`` never raises a severity by itself.
    """

    start: float
    end: float
    text: str
    engine: str
    reliability: Reliability


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """All segments of one Media with what was and was not listened to for speech."""

    segments: tuple[TranscriptSegment, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def text(self) -> str:
        """The segments' words in order, separated by spaces."""
        return " ".join(s.text for s in self.segments)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundEvent:
    """A sound that a detector noticed.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        peak: Media time at which it is strongest.
        label: ``siren``, ``impulsive`` (shot, explosion, breaking) or ``scream``.
        score: Strength of the detection, 0 to 1; not a probability of a crime.
    """

    start: float
    end: float
    peak: float
    label: SoundLabel
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionCurve:
    """How much moves, once a second.

    Attributes:
        times: Start of each second, in media seconds.
        scores: 0 (still) to 1; the largest local change, not the mean.
        method: How it was measured.
        moving_from: Score from which a second counts as moving.
        resolution: Longest time in seconds between two pictures that were compared: what
            is shorter may have been missed.
        cuts: Media times at which the whole picture changed at once.
        coverage: What was looked over: each instant of ``examined`` lies between two
            compared pictures that are at most ``resolution`` apart, or shortly after the
            last one. ``frames`` counts the pictures that were compared.
    """

    times: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    method: str = ""
    moving_from: float = 0.0
    resolution: float = 0.0
    cuts: tuple[float, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoudnessCurve:
    """How loud the sound is, once a second.

    Attributes:
        times: Start of each second of which sound was decoded, in media seconds.
        levels: RMS level in dB relative to full scale: 0 for a square wave at full scale,
            never below -100.
        method: How it was measured.
    """

    times: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    method: str = ""
