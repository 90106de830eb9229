"""Finds bangs, screams and sirens in a stream of sound, by rules and without weights.

`SoundEventDetector` takes audio windows in time order and keeps about two seconds of sound
and ten seconds of tone frames, whatever the length of the recording. All decisions are
taken on a grid counted from the start of an unbroken run of sound, so that the way in
which the sound is cut into windows does not change the events.

The scores are strengths, not probabilities; ``benchmarks/sound_accuracy.py`` measures
what they are worth. What these rules cannot tell apart, by construction: a shot from a
clap, a firecracker or a slammed door close by; a scream of fear from one of joy, from a
high singing voice or from a flute; a siren in the street from one on television. Screams
below about 650 Hz (many men's) are missed, since crying babies live there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, SoundEvent
from mmcrime.perceive.sound_features import (
    ENVELOPE,
    FRAME,
    HOP,
    Array,
    burst,
    envelope,
    loudness,
    tones,
)
from mmcrime.perceive.sound_tones import ToneTracker, geometric_mean, ramp

IMPULSIVE_THRESHOLD = 0.85
"""Least score of a bang: between sharp consonants (0.81) and the least clear shot (0.94)."""

BLOCK = 16_384
"""Samples decided at once: about a second, whole in envelope steps and in tone frames."""
HISTORY = 4_096
"""Samples kept before a block: the 200 ms of background that a jump is measured against."""
AHEAD = 16_384
"""Samples needed after a block: the second in which a bang must die away and stay loudest."""
JOIN_SECONDS = 0.02
"""Windows this close are one run: rounding of time stamps, not a gap."""
FLOOR_DB = -55.0
"""Steps below this level are never a bang: room noise of a quiet recording."""
SILENCE = 1e-4
"""Amplitude (-80 dB of full scale) that the noise of any live microphone exceeds."""
FULL_SCALE = 16.0
"""Samples are limited to this; louder ones are damage, and their squares could overflow."""

_BEFORE = HISTORY // ENVELOPE
_STEPS = BLOCK // ENVELOPE
_REFRACTORY = 40  # 160 ms: echoes of one bang
_PAST_BLOCKS = 5  # about 5 s: how long what was loud before is remembered


class SoundEventDetector:
    """Streaming detector of impulsive sounds, screams and sirens.

    Windows come in time order. After a break in time the detector starts afresh; what
    overlaps with sound already heard is dropped. Samples that are not finite count as
    silence.

    Attributes:
        audible: Whether anything above `SILENCE` was heard so far. A track without a
            microphone behind it is silent, and hearing nothing in it proves nothing.
    """

    def __init__(self) -> None:
        self._run: _Run | None = None
        self.audible = False

    def feed(self, window: AudioWindow) -> list[SoundEvent]:
        """Listen to one window and return the events that are now certain.

        Args:
            window: Mono float samples at `SAMPLE_RATE`, of any length.

        Raises:
            ValueError: If the window has another rate or is not one-dimensional.
        """
        if window.rate != SAMPLE_RATE or window.samples.ndim != 1:
            raise ValueError(
                f"expected mono sound at {SAMPLE_RATE} Hz, got shape {window.samples.shape!r} "
                f"at {window.rate!r} Hz"
            )
        if not len(window.samples):
            return []
        samples = np.nan_to_num(window.samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        samples = np.clip(samples, -FULL_SCALE, FULL_SCALE)
        self.audible = self.audible or bool(np.any(np.abs(samples - samples.mean()) > SILENCE))
        events: list[SoundEvent] = []
        if self._run is not None and window.start > self._run.end + JOIN_SECONDS:
            events += self.finish()
        if self._run is None:
            self._run = _Run(window.start)
        elif window.start < self._run.end - JOIN_SECONDS:
            samples = samples[round((self._run.end - window.start) * SAMPLE_RATE) :]
        return events + self._run.push(samples)

    def finish(self) -> list[SoundEvent]:
        """Return what is still open. The detector can then be used for another recording."""
        run, self._run = self._run, None
        return [] if run is None else run.close()


class _Run:
    """An unbroken run of sound. Positions are samples since its start."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._received = 0
        self._position = 0  # first sample of the next block
        self._buffer: Array = np.zeros(HISTORY + 1)  # from _position - HISTORY - 1
        self._bangs = _BangFinder(start)
        self._tracker = ToneTracker(start)

    @property
    def end(self) -> float:
        """Media time just after the last sample received."""
        return self._start + self._received / SAMPLE_RATE

    def push(self, samples: Array) -> list[SoundEvent]:
        """Take samples and return the events of all blocks that they complete."""
        self._received += len(samples)
        self._buffer = np.concatenate([self._buffer, samples])
        return self._drain()

    def close(self) -> list[SoundEvent]:
        """Decide what is left; after the end there is silence, which proves nothing."""
        rest = self._received - self._position
        missing = -(-rest // BLOCK) * BLOCK + AHEAD - rest if rest else 0
        self._buffer = np.concatenate([self._buffer, np.zeros(missing)])
        events = self._drain() if rest else []
        return self._in_order(events + self._tracker.close())

    def _drain(self) -> list[SoundEvent]:
        events: list[SoundEvent] = []
        size, at = HISTORY + 1 + BLOCK + AHEAD, 0
        while len(self._buffer) - at >= size:
            view = self._buffer[at : at + size]
            left = self._received - self._position
            events += self._bangs.block(view, left)
            frames = min(BLOCK // HOP, -(-left // HOP))
            start = HISTORY + 1
            found = tones(view[start : start + BLOCK + FRAME], frames)
            events += self._tracker.block(found, self._position)
            self._position += BLOCK
            at += BLOCK
        self._buffer = self._buffer[at:].copy()
        return self._in_order(events)

    def _in_order(self, events: list[SoundEvent]) -> list[SoundEvent]:
        """Sort the events, and end none after the sound (steps and frames overlap it)."""
        inside = (replace(event, end=min(event.end, self.end)) for event in events)
        return sorted(inside, key=lambda event: (event.start, event.label))


class _BangFinder:
    """Finds sudden, broadband, decaying sounds block by block."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._block = 0
        self._free_from = 0  # step from which a new bang may begin
        self._loudest: deque[float] = deque([-120.0], maxlen=_PAST_BLOCKS)

    def block(self, view: Array, left: int) -> list[SoundEvent]:
        """Return the bangs whose onset lies in this block.

        Args:
            view: ``1 + HISTORY + BLOCK + AHEAD`` samples.
            left: Samples of real sound from the start of the block on.
        """
        levels, loud = envelope(view), loudness(view[1:])
        real = _BEFORE + left // ENVELOPE
        if real < len(levels):  # what follows the end is unknown: it neither decays nor rises
            for row in (levels, loud):
                row[real:] = row[real - 5 : real].mean()
        events: list[SoundEvent] = []
        first = self._block * _STEPS
        past = max(self._loudest)
        for k in _jumps(levels, min(_BEFORE + _STEPS, real)):
            step = first + k - _BEFORE
            if step < self._free_from:
                continue
            rise = levels[k : k + 5]
            peak = k + int(np.argmax(rise >= rise.max() - 3.0))  # the end of the attack
            heard = max(past, float(loud[_BEFORE : max(k - 15, _BEFORE + 1)].max()))
            score = _bang_score(levels, loud, peak, heard, view)
            if score >= IMPULSIVE_THRESHOLD:
                self._free_from = step + _REFRACTORY
                events.append(self._event(levels, k, peak, score))
        self._loudest.append(float(loud[_BEFORE : _BEFORE + _STEPS].max()))
        self._block += 1
        return events

    def _event(self, levels: Array, onset: int, peak: int, score: float) -> SoundEvent:
        quiet = np.flatnonzero(levels[peak : peak + 125] < levels[peak] - 20.0)
        last = peak + (int(quiet[0]) if len(quiet) else 125)
        base = self._block * _STEPS - _BEFORE
        start, top, end = (
            self._start + (base + step) * ENVELOPE / SAMPLE_RATE for step in (onset, peak, last)
        )
        return SoundEvent(start=start, end=end, peak=top, label="impulsive", score=score)


def _jumps(levels: Array, stop: int) -> list[int]:
    """Return the steps at which the level jumps to a peak of the next 160 ms."""
    k = np.arange(_BEFORE, stop)
    if not len(k):
        return []
    around = np.lib.stride_tricks.sliding_window_view
    before = around(levels, 3)[k - 6].max(axis=1)
    after = around(levels, 41)[k].max(axis=1)
    jump = (levels[k] - before >= 10.0) & (levels[k] >= after - 6.0) & (levels[k] > FLOOR_DB)
    return [int(step) for step in k[jump]]


def _bang_score(levels: Array, loud: Array, k: int, heard: float, view: Array) -> float:
    """Return how much a level jump is like a bang, 0 to 1.

    The bounds were set by eye on ten shots against some seventy recordings of speech,
    crying, thunder, geese, a horn and noise. Their geometric mean is taken, so that one
    property that the recording has spoilt does not decide alone.
    """
    level, top = float(levels[k]), float(loud[k : k + 5].max())
    power = 10.0 ** (levels[k - 50 : k - 5] / 10.0)
    background = 10.0 * float(np.log10(power.mean()))
    tail = np.convolve(levels[k + 10 : k + 75], np.full(5, 0.2), mode="valid")
    shape = burst(view, 1 + k * ENVELOPE)
    parts = (
        ramp(level - float(levels[k - 6 : k - 3].max()), 8.0, 20.0),  # attack within 20 ms
        ramp(level - background, 10.0, 24.0),  # stands out of the last 200 ms
        ramp(top - heard, -15.0, -3.0),  # and of the last five seconds
        ramp(top - float(loud[k + 5 : k + 245].max()), -9.0, -1.0),  # speech goes on louder
        ramp(level - float(tail.min()), 3.0, 9.0),  # dies away within 300 ms
        ramp(float(levels[k + 1 : k + 6].max()) - level, -30.0, -20.0),  # not a digital click
        ramp(shape.flatness, 0.04, 0.18),  # neither vowel nor thunder
        ramp(shape.spread, 0.35, 0.7),  # not only hiss ("s", "t") nor only rumble
        ramp(shape.grown, 0.7, 0.95),  # all frequencies at once
        ramp(shape.voiced, 0.5, 0.35),  # not a voiced sound
    )
    return geometric_mean(parts)
