"""The program that hears one window with PocketSphinx. It is run, not imported.

It reads 16-bit mono PCM at 16 kHz from standard input and writes a JSON list of
``[start, end, text]`` to standard output, in seconds from the first sample. It is a
process of its own because PocketSphinx holds the interpreter lock for seconds while it
decodes: in the caller's process that would freeze the event loop, every other input
and every deadline. It imports nothing of mmcrime, so that it starts in 0.1 s.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable

import speech_recognition
from pydub import AudioSegment
from pydub.effects import normalize

_RATE = 16_000
_FRAMES_PER_SECOND = 100.0  # of PocketSphinx, its default `frate`
_PAUSE = 0.6  # seconds without a word that end a phrase
_VARIANT = re.compile(r"\(\d+\)$")  # "read(2)" is the second pronunciation of "read"


def hear(pcm: bytes) -> list[tuple[float, float, str]]:
    """Return the phrases in the sound, with times from its first sample.

    Raises:
        speech_recognition.RequestError: If the engine or its English model is missing.
    """
    sound = AudioSegment(data=pcm, sample_width=2, frame_rate=_RATE, channels=1)
    data = speech_recognition.AudioData(normalize(sound).raw_data, _RATE, 2)
    # show_all gives the decoder, which knows the time of each word.
    decoder = speech_recognition.Recognizer().recognize_sphinx(data, show_all=True)
    if decoder.hyp() is None:
        return []
    return _phrases((s.start_frame, s.end_frame, s.word) for s in decoder.seg())


def _phrases(words: Iterable[tuple[int, int, str]]) -> list[tuple[float, float, str]]:
    phrases: list[tuple[float, float, str]] = []
    for first, last, word in words:
        if word.startswith(("<", "[", "+")):  # silence, breath and noise
            continue
        start, end = first / _FRAMES_PER_SECOND, (last + 1) / _FRAMES_PER_SECOND
        text = _VARIANT.sub("", word)
        if phrases and start - phrases[-1][1] < _PAUSE:
            phrases[-1] = (phrases[-1][0], end, f"{phrases[-1][2]} {text}")
        else:
            phrases.append((start, end, text))
    return phrases


if __name__ == "__main__":
    json.dump(hear(sys.stdin.buffer.read()), sys.stdout)
