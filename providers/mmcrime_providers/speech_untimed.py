"""Cloud speech engines that do not say when a word was spoken; see `mmcrime_providers.speech`.

Their words stand for the whole stretch of sound that they were sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import SecretStr

from mmcrime.errors import ConfigError, ProviderError
from mmcrime.plugins import Capabilities, Part, PluginOptions, Request
from mmcrime_providers._http import scrubbed
from mmcrime_providers._json import as_mapping, as_text, no_answer
from mmcrime_providers._speech_engine import OneCallEngine, SpeechOptions, takes
from mmcrime_providers._transcript import Segment, length, primary_language, told_text

__all__ = ["CohereSpeechProvider", "HoundifyProvider", "WitProvider"]


class WitProvider(OneCallEngine):
    """Asks wit.ai; the language is that of the app to which the key belongs."""

    name = "wit"
    variable = "WIT_AI_KEY"
    domain = "wit.ai"
    capabilities: ClassVar[Capabilities] = takes(20.0)
    Options: ClassVar[type[PluginOptions]] = SpeechOptions

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        super().__init__(api_key=api_key, url=base_url or "https://api.wit.ai", timeout=timeout)

    def _call(self, part: Part, request: Request) -> tuple[str, Mapping[str, Any]]:  # noqa: ARG002  # the app knows the language
        return "/speech", {
            "params": {"v": "20200513"},
            "headers": {
                **self._keyed("Authorization", f"Bearer {self._key}"),
                "Content-Type": "audio/wav",
            },
            "content": part.data,
        }

    def _segments(self, body: Mapping[str, Any], part: Part) -> list[Segment]:
        # Where nothing is said, the text may be null as well as empty.
        held = {**body, "text": ""} if body.get("text", "") is None else body
        return [(0.0, length(part), told_text(held, provider=self.name))]


class HoundifyOptions(SpeechOptions):
    """Options of the provider ``houndify``; ``api_key`` is the client key.

    Attributes:
        client_id: Id of the client to which the key belongs.
    """

    client_id: str


class HoundifyProvider(OneCallEngine):
    """Asks SoundHound's Houndify, which knows English only here."""

    name = "houndify"
    variable = "HOUNDIFY_CLIENT_KEY"
    domain = "houndify.com"
    Options: ClassVar[type[PluginOptions]] = HoundifyOptions

    def __init__(
        self,
        *,
        client_id: str,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        url = base_url or f"https://api.{self.domain}"
        super().__init__(api_key=api_key, url=url, timeout=timeout)
        self._id = client_id
        try:
            self._signing = base64.b64decode(self._key, altchars=b"-_", validate=True)
        except ValueError:
            raise ConfigError(
                f"The key for {self.name!r} is no client key: it is not base64.",
                next_step="Copy it again from the page of the client.",
            ) from None

    def _call(self, part: Part, request: Request) -> tuple[str, Mapping[str, Any]]:
        if primary_language(request.language) != "en":
            raise ProviderError(
                f"{self.name} knows English only, not {request.language!r}.",
                provider=self.name,
                next_step="Set language.speech to 'en', or analyzers.speech.engine to another.",
            )
        user, number, now = uuid.uuid4().hex, uuid.uuid4().hex, str(int(time.time()))
        signed = hmac.new(self._signing, f"{user};{number}{now}".encode(), hashlib.sha256)
        signature = base64.urlsafe_b64encode(signed.digest()).decode("ascii")
        return "/v1/audio", {
            "headers": {
                "Content-Type": "application/json",  # of the answer; the sound says what it is
                "Hound-Request-Info": json.dumps({"ClientID": self._id, "UserID": user}),
                "Hound-Request-Authentication": f"{user};{number}",
                "Hound-Client-Authentication": f"{self._id};{now};{signature}",
            },
            "content": part.data,
        }

    def _segments(self, body: Mapping[str, Any], part: Part) -> list[Segment]:
        status = body.get("Status")
        if isinstance(status, str) and status != "OK":
            words = scrubbed(as_text(body.get("ErrorMessage")), self._secrets())
            raise ProviderError(
                f"{self.name} failed with status {scrubbed(status)!r}: {words!r}.",
                provider=self.name,
                may_be_billed=True,
                next_step=f"Check the account and providers.{self.name}.",
            )
        if status != "OK" or "Disambiguation" not in body:
            raise no_answer(self.name, "it holds no transcription")
        if body["Disambiguation"] is None:  # which is how it says that nothing was said
            return []
        choices = as_mapping(body["Disambiguation"]).get("ChoiceData")
        best = as_mapping(choices[0]) if isinstance(choices, list) and choices else {}
        if not isinstance(best.get("Transcription"), str):
            raise no_answer(self.name, "a choice of it holds no transcription")
        return [(0.0, length(part), best["Transcription"])]


class CohereSpeechOptions(SpeechOptions):
    """Options of the provider ``cohere-speech``.

    Attributes:
        model: Model of Cohere that transcribes.
    """

    model: str = "cohere-transcribe-03-2026"


class CohereSpeechProvider(OneCallEngine):
    """Asks Cohere to transcribe."""

    name = "cohere-speech"
    variable = "CO_API_KEY"
    domain = "cohere.com"
    Options: ClassVar[type[PluginOptions]] = CohereSpeechOptions

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        model: str = "cohere-transcribe-03-2026",
    ) -> None:
        url = base_url or f"https://api.{self.domain}"
        super().__init__(api_key=api_key, url=url, timeout=timeout, model=model)

    def _call(self, part: Part, request: Request) -> tuple[str, Mapping[str, Any]]:
        return "/v2/audio/transcriptions", {
            "headers": self._keyed("Authorization", f"Bearer {self._key}"),
            "data": {"model": request.model, "language": primary_language(request.language)},
            "files": {"file": ("sound.wav", part.data, "audio/wav")},
        }

    def _segments(self, body: Mapping[str, Any], part: Part) -> list[Segment]:
        return [(0.0, length(part), told_text(body, provider=self.name))]
