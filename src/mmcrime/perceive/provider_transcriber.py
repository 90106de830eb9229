"""A provider as the speech engine: sound goes through the call layer, words are read strictly."""

from __future__ import annotations

import asyncio
import io
import json
import math
import wave
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from mmcrime import prompts
from mmcrime.errors import InvalidResponseError, ProviderError
from mmcrime.evidence import AudioWindow, Reliability, TranscriptSegment
from mmcrime.perceive.voice import to_pcm16
from mmcrime.plugins import Part, PluginOptions, Provider, Request, Response, Transcriber

__all__ = ["ProviderTranscriber"]

_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "start": {"type": "number", "minimum": 0},
            "end": {"type": "number", "minimum": 0},
            "text": {"type": "string"},
        },
        "required": ["start", "end", "text"],
        "additionalProperties": False,
    },
}
_FIELDS = frozenset({"start", "end", "text"})
_MOST = 500  # utterances; nobody says more in a window of 30 s
_BESIDE = 1.0  # seconds past the end that a rounded time may lie
_ROUNDING = 1e-6  # seconds
_ENDLESS = 1e6  # seconds; a number from here on is no time of a window, and NaN is none either


class ProviderTranscriber(Transcriber):
    """Asks a provider that can ``transcribe``, as it would be asked for an opinion.

    The provider comes wrapped by the call layer of a run, so that stored answers, limits,
    retries, budget and the egress gate hold for sound that is transcribed. Times that a
    service gives are what it claims; one that lies outside the sound makes the whole answer
    void, since its words may then belong anywhere.

    Args:
        provider: The provider, already wrapped.
        name: Its registered name.
        model: The model to ask; None for the provider's own choice.
    """

    class Options(PluginOptions):
        """Options of an engine that is a provider; its key and address are the provider's.

        Attributes:
            model: Model that transcribes; None for the provider's own choice.
        """

        model: str | None = None

    name: ClassVar[str] = ""
    remote: ClassVar[bool] = True
    reliability: ClassVar[Reliability] = "medium"

    def __init__(self, provider: Provider, *, name: str, model: str | None = None) -> None:
        self.name = name  # type: ignore[misc]  # of this instance
        self._provider = provider
        self._model = model or provider.capabilities.speech_model

    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        """Return what is said in the window, as the provider wrote it down.

        Raises:
            ProviderError: If the service did not answer, or will not.
            InvalidResponseError: If its answer is no list of words with times inside the sound.
            BudgetExceededError: If a cap of the run or the day does not allow it.
            EgressError: If ``offline`` is set and no stored answer serves.
        """
        said: list[TranscriptSegment] = []
        for piece in _pieces(window, self._provider.capabilities.audio_seconds):
            request = await asyncio.to_thread(self._request, piece, language)
            response = await self._provider.generate(request)
            said += (
                TranscriptSegment(
                    start=piece.start + start,
                    end=piece.start + end,
                    text=text,
                    engine=self.name,
                    reliability=self.reliability,
                )
                for start, end, text in self._words(response, _length(piece))
            )
        return said

    def _request(self, sound: AudioWindow, language: str) -> Request:
        seconds = _length(sound)
        prompt = prompts.transcription(language=language)
        return Request(
            instructions=prompt.text,
            parts=(
                Part(
                    data=_wav(sound),
                    media_type="audio/wav",
                    time=sound.start,
                    seconds=seconds,
                ),
            ),
            task="transcribe",
            language=language,
            model=self._model,
            schema=_SCHEMA,
            schema_name="transcript",
            recipe=prompt.version,
            usable=lambda text: _read(text, seconds) is not None,
        )

    def _words(self, response: Response, seconds: float) -> list[tuple[float, float, str]]:
        if response.status == "refused":
            raise ProviderError(
                f"{self.name} refused to write down what is said ({response.reason!r}).",
                provider=self.name,
                next_step="Set analyzers.speech.engine to another engine.",
            )
        words = _read(response.text, seconds) if response.status == "answered" else None
        if words is None:
            raise InvalidResponseError(
                f"{self.name} sent something that is no transcript of {seconds:.1f} s of sound.",
                provider=self.name,
                next_step="Set analyzers.speech.options.model to another model, or "
                "analyzers.speech.engine to another engine.",
            )
        return words


def _pieces(window: AudioWindow, longest: float | None) -> Iterator[AudioWindow]:
    """Cut a window into pieces that the service takes."""
    if longest is None or _length(window) <= longest + _ROUNDING:
        yield window
        return
    # As long as each other, so that no word is left alone in a last one.
    step = math.ceil(len(window.samples) / math.ceil(_length(window) / longest))
    for first in range(0, len(window.samples), step):
        samples = window.samples[first : first + step]
        yield AudioWindow(
            start=window.start + first / window.rate, samples=samples, rate=window.rate
        )


def _length(sound: AudioWindow) -> float:
    return len(sound.samples) / sound.rate


def _wav(sound: AudioWindow) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes(to_pcm16(sound.samples))
    return buffer.getvalue()


def _read(text: str, seconds: float) -> list[tuple[float, float, str]] | None:
    """Return the utterances in an answer; None unless each of them is whole and inside."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(listed, list) or len(listed) > _MOST:
        return None
    said = []
    for one in listed:
        if not isinstance(one, dict) or one.keys() != _FIELDS or not isinstance(one["text"], str):
            return None
        start, end = _time(one["start"]), _time(one["end"])
        if start is None or end is None or not 0 <= start <= end <= seconds + _BESIDE:
            return None
        said.append((min(start, seconds), min(end, seconds), one["text"]))
    return said


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # A whole number of any size is JSON, and may be no float.
    return float(value) if abs(value) < _ENDLESS else None
