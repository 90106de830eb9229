"""Where somebody may be speaking.

The check is the WebRTC voice-activity detector that PocketSphinx carries, with an
energy floor and smoothing around it. It saves the transcriber from silence and noise;
it does not tell speech from everything else: screams, crying, geese, horns and thunder
pass as speech too. That costs time, not truth, because the words come from the
transcriber. Steady noise (rain, fans), which the detector also takes for speech, is
told apart here, because its level hardly changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Vad

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, Interval

__all__ = ["MAX_SPEECH_WINDOW", "VoiceActivity", "pack_speech", "to_pcm16"]

MAX_SPEECH_WINDOW = 30.0
"""Longest stretch that a transcriber is given, in seconds (the context of Whisper)."""

_FRAME = 480  # samples: 30 ms, the longest frame the detector takes
_FRAME_SECONDS = _FRAME / SAMPLE_RATE
_FLOOR = 1e-3  # RMS, -60 dBFS: below it lie the hum and dither of an idle microphone
_JOIN = 0.5  # pauses between words are shorter (seconds)
_PAD = 0.25  # soft first and last sounds that the detector misses; at most half of _JOIN
_LEAST = 0.12  # voiced seconds in all; a click or a door is shorter, a spoken digit longer
_LIVELY = 2.0  # loudest frame over quietest, 6 dB; steady noise stays below, syllables do not
_ROUNDING = 1e-6  # seconds; less is left over where times of long media are added
_SAME_STRETCH = 1e-3  # windows whose times meet within this many seconds are one stretch


def to_pcm16(samples: NDArray[np.float32]) -> bytes:
    """Return samples in -1..1 as 16-bit little-endian PCM; NaN becomes silence."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return (np.clip(finite, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


@dataclass(slots=True)
class _Run:
    """A run of voiced frames with short pauses, and its extreme levels (RMS)."""

    start: float
    end: float
    quietest: float
    loudest: float
    voiced: float = 0.0

    @property
    def speech(self) -> bool:
        """Whether it is long enough and changes as speech does."""
        lively = self.loudest >= _LIVELY * max(self.quietest, _FLOOR / _LIVELY)
        return self.voiced >= _LEAST and lively


class VoiceActivity:
    """Finds stretches that sound like speech in a stream of audio windows.

    Windows come in time order; the cuts between them do not matter. A hole between two
    windows ends the stretch. Memory does not grow with the stream.
    """

    def __init__(self) -> None:
        self._detector: Vad
        self._rest: NDArray[np.float32]
        self._told_until: float
        self._heard_until: float
        self._run: _Run | None
        self._begin(0.0)

    def feed(self, window: AudioWindow) -> list[Interval]:
        """Listen to one window and return the speech that is over (media seconds)."""
        found: list[Interval] = []
        if abs(window.start - self._heard_until) > _SAME_STRETCH:
            found += self.finish()
            self._begin(window.start)
        samples = (
            np.concatenate((self._rest, window.samples)) if len(self._rest) else window.samples
        )
        whole = len(samples) // _FRAME * _FRAME
        at = window.start - len(self._rest) / SAMPLE_RATE
        for index, (level, voiced) in enumerate(self._frames(samples[:whole])):
            found += self._step(at + index * _FRAME_SECONDS, level, voiced=voiced)
        self._rest = samples[whole:].copy()
        self._heard_until = window.end
        return found

    def finish(self) -> list[Interval]:
        """End the stretch and return the speech that was still open."""
        return self._close()

    def _begin(self, start: float) -> None:
        # The detector adapts to its input: what lies behind a hole is a new input.
        self._detector = Vad(Vad.MEDIUM_STRICT, SAMPLE_RATE, _FRAME_SECONDS)
        self._rest = np.empty(0, np.float32)
        self._told_until = self._heard_until = start
        self._run = None

    def _frames(self, samples: NDArray[np.float32]) -> Iterator[tuple[float, bool]]:
        """Yield the level of each frame and whether it is voiced."""
        pcm = to_pcm16(samples)
        frames = np.frombuffer(pcm, "<i2").reshape(-1, _FRAME).astype(np.float32) / 32767.0
        size = 2 * _FRAME
        for index, level in enumerate(np.sqrt(np.mean(frames**2, axis=1)).tolist()):
            # The detector sees every frame, also quiet ones: it follows the background.
            speech = self._detector.is_speech(pcm[index * size : (index + 1) * size])
            yield level, bool(speech) and level >= _FLOOR

    def _step(self, at: float, level: float, *, voiced: bool) -> list[Interval]:
        self._heard_until = end = at + _FRAME_SECONDS
        closed: list[Interval] = []
        run = self._run
        # What goes on and on is judged in pieces, so that a bang makes no hour of rain lively.
        if run and (at - run.end > _JOIN or at - run.start >= MAX_SPEECH_WINDOW):
            closed, run = self._close(), None
        if run is None and voiced:
            run = _Run(start=at, end=end, quietest=level, loudest=level)
        if run:
            run.quietest, run.loudest = min(run.quietest, level), max(run.loudest, level)
            if voiced:
                run.end = end
                run.voiced += _FRAME_SECONDS
        self._run = run
        return closed

    def _close(self) -> list[Interval]:
        run, self._run = self._run, None
        if run is None or not run.speech:
            return []
        start = max(run.start - _PAD, self._told_until)
        self._told_until = min(run.end + _PAD, self._heard_until)
        return [(start, self._told_until)]


def pack_speech(
    speech: Iterable[Interval], *, longest: float = MAX_SPEECH_WINDOW, join: float = 2.0
) -> tuple[Interval, ...]:
    """Pack speech intervals into windows for a transcriber.

    Few longer windows are cheaper than many short ones and give the engine context.

    Args:
        speech: Sorted, disjoint intervals in media seconds.
        longest: Longest window, in seconds; longer speech is cut there.
        join: Neighbours at most this many seconds apart share a window.
    """
    windows: list[Interval] = []
    for start, end in speech:
        if windows and start - windows[-1][1] <= join and end - windows[-1][0] <= longest:
            windows[-1] = (windows[-1][0], end)
            continue
        at = start
        while end - at > longest + _ROUNDING:
            windows.append((at, at + longest))
            at += longest
        windows.append((at, end))
    return tuple(windows)
