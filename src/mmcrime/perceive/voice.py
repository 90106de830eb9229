"""Where somebody may be speaking.

The check is the WebRTC voice-activity detector that PocketSphinx carries, with an
energy floor and smoothing around it. It saves the transcriber from silence and noise;
it does not tell speech from everything else: screams, crying, geese, horns and thunder
pass as speech too. That costs time, not truth, because the words come from the
transcriber.
"""

from __future__ import annotations

from collections.abc import Iterable
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
_SAME_STRETCH = 1e-3  # windows whose times meet within this many seconds are one stretch


def to_pcm16(samples: NDArray[np.float32]) -> bytes:
    """Return samples in -1..1 as 16-bit little-endian PCM; NaN becomes silence."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return (np.clip(finite, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


@dataclass(slots=True)
class _Run:
    """A run of voiced frames with short pauses."""

    start: float
    end: float
    voiced: float


class VoiceActivity:
    """Finds stretches that sound like speech in a stream of audio windows.

    Windows come in time order; the cuts between them do not matter. A hole between two
    windows ends the stretch. Memory does not grow with the stream.
    """

    def __init__(self) -> None:
        self._detector: Vad
        self._rest: NDArray[np.float32]
        self._stretch_start: float
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
        for index, voiced in enumerate(self._voiced(samples[:whole])):
            found += self._step(at + index * _FRAME_SECONDS, voiced=voiced)
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
        self._stretch_start = self._heard_until = start
        self._run = None

    def _voiced(self, samples: NDArray[np.float32]) -> list[bool]:
        pcm = to_pcm16(samples)
        levels = np.frombuffer(pcm, "<i2").reshape(-1, _FRAME).astype(np.float32) / 32767.0
        loud = np.sqrt(np.mean(levels**2, axis=1)) >= _FLOOR
        size = 2 * _FRAME
        # The detector sees every frame, also quiet ones: it follows the background.
        heard = (self._detector.is_speech(pcm[i * size : (i + 1) * size]) for i in range(len(loud)))
        return [bool(speech and above) for speech, above in zip(heard, loud, strict=True)]

    def _step(self, at: float, *, voiced: bool) -> list[Interval]:
        end = at + _FRAME_SECONDS
        self._heard_until = end
        run = self._run
        if run is not None and at - run.end > _JOIN:
            closed = self._close()
            self._run = _Run(at, end, _FRAME_SECONDS) if voiced else None
            return closed
        if voiced:
            if run is None:
                self._run = _Run(at, end, _FRAME_SECONDS)
            else:
                run.end = end
                run.voiced += _FRAME_SECONDS
        return []

    def _close(self) -> list[Interval]:
        run, self._run = self._run, None
        if run is None or run.voiced < _LEAST:
            return []
        start = max(run.start - _PAD, self._stretch_start)
        return [(start, min(run.end + _PAD, self._heard_until))]


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
        while end - at > longest:
            windows.append((at, at + longest))
            at += longest
        windows.append((at, end))
    return tuple(windows)
