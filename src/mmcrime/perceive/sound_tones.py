"""Follows high-pitched tones and tells sirens from screams.

A stretch is a sequence of periodic frames with a fundamental above ordinary speech; it goes
on through rough frames as long as the level holds. It is judged once: its unbroken parts as
sirens (the pitch swings to and fro at a steady level), and what is left above 700 Hz as
screams, first across rough frames and then without. An event starts where the level rises.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from mmcrime.evidence import SAMPLE_RATE, SoundEvent, SoundLabel
from mmcrime.perceive.sound_features import HOP, Array, Tones

SIREN_THRESHOLD = 0.6
"""Least score of a siren: every property is well beyond half-way to a textbook siren."""
SCREAM_THRESHOLD = 0.7
"""Least score of a scream: below it, crying babies and street noise are taken for screams."""

PERIODIC = 0.7
"""A frame is a tone from here on; voices reach 0.8 to 1, noise at most about 0.5."""
LOWEST_PITCH, HIGHEST_PITCH = 380.0, 2400.0
"""Hz. European two-tone horns start near 400; above are birds and electronic beeps."""
SCREAM_PITCH = 700.0
"""Hz. Crying babies lie at 350 to 600, speech below 350, screams at 700 to 1800."""
RANGE_DB = 20.0
"""A tone this far below the loudest of the last seconds is background."""
FADE_DB = 0.1
"""How much of that loudness is forgotten with each frame (3 dB a second)."""
FLOOR_DB = -65.0
"""Frames below this level are silence."""
MOST_FRAMES = 320
"""A stretch is judged after at most this many frames (10 s), to bound memory and delay."""

_MISSED = 3  # frames (96 ms) that may be lost inside a stretch
_BRIDGED = 12  # frames (384 ms) that may be rough instead of a tone inside a scream
_BRIDGE_DB = 6.0  # as long as they are no quieter than this below the tone before them
_RISE_DB = 6.0  # a sound starts where the level comes to within this of its first tones
_RISE_FRAMES = 32  # a second: how far before its first tone that is looked for
_JOIN_FRAMES = 15  # half a second: breaths between screams, fades of a siren
_FRAME_SECONDS = HOP / SAMPLE_RATE


def ramp(value: float, zero: float, one: float) -> float:
    """Return 0 at ``zero``, 1 at ``one``, straight between them and flat outside."""
    return float(np.clip((value - zero) / (one - zero), 0.0, 1.0))


class ToneTracker:
    """Turns tone frames into scream and siren events.

    Args:
        start: Media time of frame 0's first sample.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._loud = FLOOR_DB
        self._stretch: list[tuple[float, float, float, float]] = []
        self._pending: dict[SoundLabel, SoundEvent] = {}
        self._levels: deque[float] = deque(maxlen=MOST_FRAMES + 2 * _RISE_FRAMES)
        self._frames = 0  # so many came so far; `_levels` are those of the last ones

    def block(self, frames: Tones, position: int) -> list[SoundEvent]:
        """Take consecutive frames and return the events that are now certain.

        Args:
            frames: The frames.
            position: Sample at which the first one starts.
        """
        events: list[SoundEvent] = []
        first = position // HOP
        rows = zip(
            frames.level.tolist(), frames.pitch.tolist(), frames.periodic.tolist(), strict=True
        )
        for frame, (level, pitch, periodic) in enumerate(rows, first):
            self._loud = max(level, self._loud - FADE_DB)
            self._levels.append(level)
            self._frames = frame + 1
            if (
                periodic >= PERIODIC
                and LOWEST_PITCH <= pitch <= HIGHEST_PITCH
                and level >= max(self._loud - RANGE_DB, FLOOR_DB)
            ):
                self._stretch.append((frame, level, pitch, periodic))
            if self._stretch and (
                self._is_over(frame, level) or frame - self._stretch[0][0] >= MOST_FRAMES
            ):
                events += self._judge()
        return events + self._release(first + len(frames.level))

    def _is_over(self, frame: int, level: float) -> bool:
        """Return whether a frame that is no tone ends the stretch."""
        last, loud = self._stretch[-1][:2]
        missed = frame - last
        return missed > _BRIDGED or (missed > _MISSED and level < loud - _BRIDGE_DB)

    def close(self) -> list[SoundEvent]:
        """Judge what is open and return all events left."""
        events = self._judge()
        events += self._pending.values()
        self._pending.clear()
        return events

    def _judge(self) -> list[SoundEvent]:
        """Judge the open stretch; return pending events that the new ones leave behind."""
        if not self._stretch:
            return []
        stretch, self._stretch = np.array(self._stretch), []
        events: list[SoundEvent] = []
        others: list[Array] = []
        for part in _split(stretch, _MISSED):
            score = siren_score(part)
            if score >= SIREN_THRESHOLD:
                events += self._add("siren", part, score)
            else:
                others.append(part[part[:, 2] >= SCREAM_PITCH])
        for whole in _split(np.concatenate(others), _BRIDGED) if others else ():
            is_scream = scream_score(whole) >= SCREAM_THRESHOLD
            for part in [whole] if is_scream else _split(whole, _MISSED):
                score = scream_score(part)
                if score >= SCREAM_THRESHOLD:
                    events += self._add("scream", part, score)
        return events

    def _rise(self, part: Array) -> int:
        """Return the frame at which the sound starts that a tone belongs to.

        A scream can be rough, and a siren drowned, before its pitch is clear. Where the level
        does not rise within the last second, the first frame of the tone is returned.
        """
        first = int(part[0, 0])
        least = float(np.median(part[:10, 1])) - _RISE_DB
        known = self._frames - len(self._levels)
        stop = max(first - _RISE_FRAMES, known)
        for frame in range(first - 1, stop - 1, -1):
            if self._levels[frame - known] < least:
                return frame + 1
        return 0 if stop == 0 else first

    def _add(self, label: SoundLabel, part: Array, score: float) -> list[SoundEvent]:
        """Make an event pending, joined with the one before if that is close."""
        start, end = self._time(self._rise(part)), self._time(part[-1, 0] + 1)
        peak = self._time(part[np.argmax(part[:, 1]), 0] + 0.5)
        event = SoundEvent(start=start, end=end, peak=peak, label=label, score=score)
        earlier = self._pending.get(label)
        if earlier is not None and start - earlier.end <= _JOIN_FRAMES * _FRAME_SECONDS:
            stronger = event if score > earlier.score else earlier
            event = SoundEvent(
                start=earlier.start, end=end, peak=stronger.peak, label=label, score=stronger.score
            )
            earlier = None
        self._pending[label] = event
        return [] if earlier is None else [earlier]

    def _release(self, frame: int) -> list[SoundEvent]:
        """Return pending events that nothing can join any more."""
        open_from = self._time(self._stretch[0][0] if self._stretch else frame)
        done = [
            event
            for event in self._pending.values()
            if open_from - event.end > _JOIN_FRAMES * _FRAME_SECONDS
        ]
        for event in done:
            del self._pending[event.label]
        return done

    def _time(self, frame: float) -> float:
        # A frame is two hops long; its middle hop is what it stands for.
        return self._start + (float(frame) + 0.5) * _FRAME_SECONDS


def _split(rows: Array, missed: int) -> list[Array]:
    """Cut rows of frames where more than ``missed`` frames are absent."""
    return np.split(rows, np.flatnonzero(np.diff(rows[:, 0]) > missed + 1) + 1)


def scream_score(part: Array) -> float:
    """Return how much a high tone is like a scream, 0 to 1.

    Args:
        part: Rows of frame number, level in dB, pitch in Hz, periodicity.
    """
    if len(part) < 2:
        return 0.0
    span = float(part[-1, 0] - part[0, 0] + 1)
    seconds, tonal = span * _FRAME_SECONDS, len(part) / span
    semitones = 12.0 * np.log2(part[:, 2])
    parts = (
        ramp(seconds, 0.25, 0.7),  # squeals of babies and laughter are shorter
        ramp(float(np.median(part[:, 2])), 650.0, 900.0),
        ramp(float(np.median(part[:, 3])), 0.65, 0.85),
        ramp(_gliding(semitones), 0.2, 0.5),  # beeps and notes stand still, voices do not
        # A scream that is mostly rough holds its level; a crying baby does not.
        max(ramp(tonal, 0.5, 0.7), ramp(float(part[:, 1].std()), 6.0, 3.0)),
    )
    return geometric_mean(parts)


def siren_score(part: Array) -> float:
    """Return how much a tone is like a siren, 0 to 1.

    Args:
        part: Rows of frame number, level in dB, pitch in Hz, periodicity.
    """
    seconds = (part[-1, 0] - part[0, 0] + 1) * _FRAME_SECONDS
    semitones = 12.0 * np.log2(part[:, 2])
    low, high = np.percentile(semitones, [10, 90])
    leaps = float(np.mean(np.abs(np.diff(semitones)) > 7.0)) if len(part) > 1 else 1.0
    span = float(high - low)
    parts = (
        ramp(seconds, 1.25, 2.5),
        ramp(span, 3.0, 4.5),  # two-tone horns span a fourth: 5 semitones
        ramp(float(part[:, 1].std()), 6.0, 2.0),  # a machine holds its level, a voice does not
        ramp(leaps, 0.2, 0.04),  # octave errors: the pitch of a voice is not that clear
        ramp(float(_swings(semitones)), 0.5, 2.0),  # up and down again
        # Regular, or a glide wider than a voice in one breath (a slow wail shows one period).
        max(
            ramp(_regularity(part[:, 0], semitones), 0.5, 0.8),
            min(ramp(span, 6.0, 9.0), ramp(_gliding(semitones), 0.2, 0.5)),
        ),
    )
    return geometric_mean(parts)


def _gliding(semitones: Array) -> float:
    """Return the share of frames whose pitch moves: not held, and not leapt to."""
    change = np.abs(np.diff(semitones))
    return float(np.mean((change >= 0.05) & (change <= 3.0))) if len(change) else 0.0


def _swings(semitones: Array) -> int:
    """Count changes of direction that are at least three semitones large."""
    swings, direction = 0, 0
    low = high = float(semitones[0])
    for value in semitones.tolist():
        low, high = min(low, value), max(high, value)
        if direction >= 0 and value <= high - 3.0:
            swings, direction, low, high = swings + 1, -1, value, value
        elif direction <= 0 and value >= low + 3.0:
            swings, direction, low, high = swings + 1, 1, value, value
    return swings


def _regularity(frames: Array, semitones: Array) -> float:
    """Return how well the pitch repeats itself after some period, at most 1."""
    track = np.interp(np.arange(frames[0], frames[-1] + 1), frames, semitones)
    if len(track) >= 3:  # a single frame on a jump of the pitch can read an octave off
        track = np.median(np.lib.stride_tricks.sliding_window_view(track, 3), axis=1)
    track = track - track.mean()
    best, half = 0.0, len(track) // 2
    dipped = False
    for lag in range(3, half + 1):
        early, late = track[:-lag], track[lag:]
        power = float(np.sqrt((early**2).sum() * (late**2).sum()))
        value = float((early * late).sum()) / power if power > 0.0 else 0.0
        dipped = dipped or value < 0.0  # near lag 0 every track resembles itself
        best = max(best, value) if dipped else best
    return best


def geometric_mean(parts: tuple[float, ...]) -> float:
    """Return the geometric mean: one property that is absent excludes the whole."""
    return 0.0 if min(parts) <= 0.0 else float(np.exp(np.mean(np.log(parts))))
