"""Cloud speech engines that say when each phrase was spoken; they have no opinion.

With `mmcrime_providers.speech_untimed` and `mmcrime_providers.assemblyai` these are the engines
of SpeechRecognition that are alive and need no SDK. OpenAI and Groq are asked by the provider
``openai``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr

from mmcrime.errors import ConfigError, InvalidResponseError
from mmcrime.plugins import Part, PluginOptions, Request
from mmcrime_providers._failures import Failure
from mmcrime_providers._gemini_errors import GeminiFailure
from mmcrime_providers._json import as_mapping, as_text, mappings, no_answer
from mmcrime_providers._locale import locale
from mmcrime_providers._speech_engine import OneCallEngine, SpeechOptions
from mmcrime_providers._transcript import Segment, agreed, length, phrases, seconds_in

__all__ = [
    "AzureSpeechProvider",
    "GoogleSpeechProvider",
    "IBMSpeechProvider",
]

_TICK = 1e-7  # seconds of one unit in which Azure tells times
_UNHEARD = 1.0  # seconds at the end that need not have been listened to
_NOTHING_SAID = frozenset({"NoMatch", "InitialSilenceTimeout", "BabbleTimeout"})


class AzureSpeechOptions(SpeechOptions):
    """Options of the provider ``azure-speech``.

    Attributes:
        region: Region of the Speech resource, such as ``westeurope``.
        profanity: What becomes of swear words; ``raw`` leaves them as they were said.
    """

    region: str | None = Field(default=None, pattern=r"^[a-z0-9]{2,40}$")
    profanity: Literal["raw", "masked", "removed"] = "raw"


class AzureSpeechProvider(OneCallEngine):
    """Asks Azure's speech service through its REST interface for short sound."""

    name = "azure-speech"
    variable = "AZURE_SPEECH_KEY"
    domain = "speech.microsoft.com"
    Options: ClassVar[type[PluginOptions]] = AzureSpeechOptions

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        region: str | None = None,
        profanity: Literal["raw", "masked", "removed"] = "raw",
    ) -> None:
        if base_url is None and region is None:
            raise ConfigError(
                f"The region of {self.name!r} is not known.",
                next_step=f"Set providers.{self.name}.region to that of the Speech resource.",
            )
        url = base_url or f"https://{region}.stt.{self.domain}"
        super().__init__(api_key=api_key, url=url, timeout=timeout)
        self._profanity = profanity

    def _call(self, part: Part, request: Request) -> tuple[str, Mapping[str, Any]]:
        return "/speech/recognition/conversation/cognitiveservices/v1", {
            "params": {
                "language": locale(request.language),
                "format": "detailed",
                "profanity": self._profanity,
            },
            "headers": {
                **self._keyed("Ocp-Apim-Subscription-Key", self._key),
                "Content-Type": "audio/wav; codecs=audio/pcm; samplerate=16000",
                "Accept": "application/json",
            },
            "content": part.data,
        }

    def _segments(self, body: Mapping[str, Any], part: Part) -> list[Segment]:
        status = as_text(body.get("RecognitionStatus"))
        start = seconds_in(body, "Offset", unit=_TICK)
        lasts = seconds_in(body, "Duration", unit=_TICK)
        text = ""
        if status not in _NOTHING_SAID:
            listed = body.get("NBest")
            best = as_mapping(listed[0]) if isinstance(listed, list) and listed else {}
            text = best.get("Display", body.get("DisplayText"))
            if status != "Success" or not isinstance(text, str):
                raise no_answer(self.name, f"its status is {status!r}")
        if start is None or lasts is None:
            raise no_answer(self.name, "it does not say how far it listened")
        # It writes down one utterance, and does not listen to what comes after it.
        if start + lasts < length(part) - _UNHEARD:
            raise InvalidResponseError(
                f"{self.name} listened to {start + lasts:.1f} s of {length(part):.1f} s of sound.",
                provider=self.name,
                next_step="Set analyzers.speech.engine to another engine.",
            )
        return [(start, start + lasts, text)]


class GoogleSpeechOptions(SpeechOptions):
    """Options of the provider ``google-speech``.

    Attributes:
        model: Model of Google Cloud's speech service.
    """

    model: str = "latest_long"


class GoogleSpeechProvider(OneCallEngine):
    """Asks Google Cloud's speech service, version 1, with a key."""

    name = "google-speech"
    variable = "GOOGLE_SPEECH_API_KEY"
    domain = "googleapis.com"
    failure: ClassVar[type[Failure]] = GeminiFailure
    Options: ClassVar[type[PluginOptions]] = GoogleSpeechOptions

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        model: str = "latest_long",
    ) -> None:
        url = base_url or f"https://speech.{self.domain}"
        super().__init__(api_key=api_key, url=url, timeout=timeout, model=model)

    def _call(self, part: Part, request: Request) -> tuple[str, Mapping[str, Any]]:
        settings = {
            "languageCode": locale(request.language),
            "model": request.model,
            "enableWordTimeOffsets": True,
            "enableAutomaticPunctuation": True,
        }
        sound = {"content": base64.b64encode(part.data).decode("ascii")}
        return "/v1/speech:recognize", {
            "headers": self._keyed("X-Goog-Api-Key", self._key),
            "json": {"config": settings, "audio": sound},
        }

    def _segments(self, body: Mapping[str, Any], part: Part) -> list[Segment]:
        # Where nothing is said there are no results; the other fields are there all the same.
        if not body.keys() & {"results", "totalBilledTime", "requestId"}:
            raise no_answer(self.name, "it holds no results")
        said = []
        for best, transcript in _alternatives(body.get("results", []), provider=self.name):
            words = list(mappings(best.get("words")))
            start = _seconds(words[0].get("startTime")) if words else None
            end = _seconds(words[-1].get("endTime")) if words else None
            if start is not None and end is not None and start > end:
                start = end = None
            whole = length(part)
            said.append((start or 0.0, whole if end is None else end, transcript))
        return said


class IBMSpeechOptions(SpeechOptions):
    """Options of the provider ``ibm-speech``.

    Attributes:
        base_url: Address of the instance, from its credentials; required.
        model: Model to ask; None for the large one of the language.
    """

    model: str | None = None


class IBMSpeechProvider(OneCallEngine):
    """Asks IBM's Speech to Text."""

    name = "ibm-speech"
    variable = "SPEECH_TO_TEXT_APIKEY"
    domain = "watson.cloud.ibm.com"
    Options: ClassVar[type[PluginOptions]] = IBMSpeechOptions

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        model: str | None = None,
    ) -> None:
        if base_url is None:
            raise ConfigError(
                f"The address of {self.name!r} is not known: each instance has its own.",
                next_step=f"Set providers.{self.name}.base_url to the URL of its credentials.",
            )
        super().__init__(api_key=api_key, url=base_url, timeout=timeout, model=model)

    def _secrets(self) -> tuple[str, ...]:
        return (self._key, self._login) if self._key else ()

    @property
    def _login(self) -> str:
        return base64.b64encode(f"apikey:{self._key}".encode()).decode("ascii")

    def _model_for(self, request: Request) -> str:
        return super()._model_for(request) or locale(request.language)

    def _call(self, part: Part, request: Request) -> tuple[str, Mapping[str, Any]]:
        return "/v1/recognize", {
            "params": {"model": request.model, "timestamps": "true"},
            "headers": {
                **self._keyed("Authorization", f"Basic {self._login}"),
                "Content-Type": "audio/wav",
            },
            "content": part.data,
        }

    def _segments(self, body: Mapping[str, Any], part: Part) -> list[Segment]:
        said: list[Segment] = []
        for best, transcript in _alternatives(body.get("results"), provider=self.name):
            timed = phrases(_stamped(best.get("timestamps")), provider=self.name)
            said += agreed(transcript, timed, part, provider=self.name)
        return said


def _alternatives(results: object, *, provider: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the best alternative of each result, and what it says.

    Raises:
        InvalidResponseError: If one is no result, or tells no words.
    """
    if not isinstance(results, list):
        raise no_answer(provider, "it holds no results")
    for result in results:
        listed = as_mapping(result).get("alternatives")
        best = as_mapping(listed[0]) if isinstance(listed, list) and listed else {}
        if not isinstance(best.get("transcript"), str):
            raise no_answer(provider, "a result of it holds no transcript")
        yield best, best["transcript"]


def _seconds(value: object) -> float | None:
    """Read a time as Google writes it, such as ``1.300s``."""
    number = as_text(value).removesuffix("s")
    plain = number.isascii() and number.replace(".", "", 1).isdigit() and len(number) < 20
    return float(number) if plain else None


def _stamped(words: object) -> Iterator[Segment]:
    """Yield the words of lists such as ``["word", 0.1, 0.4]``; those of another form are not."""
    for word in words if isinstance(words, list) else ():
        if isinstance(word, list) and len(word) == 3 and isinstance(word[0], str):
            held = {"start": word[1], "end": word[2]}
            start, end = seconds_in(held, "start"), seconds_in(held, "end")
            if start is not None and end is not None:
                yield start, end, word[0]
