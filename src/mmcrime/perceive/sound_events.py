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

from dataclasses import replace

import numpy as np

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, SoundEvent
from mmcrime.perceive.sound_bangs import AHEAD, BLOCK, HISTORY, BangFinder
from mmcrime.perceive.sound_features import FRAME, HOP, Array, tones
from mmcrime.perceive.sound_tones import ToneTracker

JOIN_SECONDS = 0.02
"""Windows this close are one run: rounding of time stamps, not a gap."""
SILENCE = 1e-4
"""Amplitude (-80 dB of full scale) that the noise of any live microphone exceeds."""
FULL_SCALE = 16.0
"""Samples are limited to this; louder ones are damage, and their squares could overflow."""


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

        An event that goes on is held back, so a later one may come before it.

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
        self._bangs = BangFinder(start)
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
        return self._in_order(events + self._bangs.close() + self._tracker.close())

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
