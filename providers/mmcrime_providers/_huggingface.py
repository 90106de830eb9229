"""What the providers of Hugging Face share: its token, its models' names, its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pydantic import SecretStr

from mmcrime.errors import ConfigError
from mmcrime_providers._json import as_mapping, parsed
from mmcrime_providers._keys import host_of, service_key
from mmcrime_providers._openai_errors import OpenAIFailure

__all__ = ["HuggingFaceFailure", "RoutedFailure", "named_model", "token_for"]

_HOST = "huggingface.co"
_NOT_SERVED = "model_not_supported"  # the router's word for a model that no backend serves
_GENERATION = 424  # of text-generation-inference: it failed in the middle of an answer
_RETIRED = 410
_SCHEMA_WORDS = ("response_format", "json_schema", "grammar", "guided")
_LONGEST_WAIT = 86_400.0  # seconds


def token_for(given: SecretStr | None, *, provider: str, url: str) -> str:
    """Return the token to send; empty where there is none and none is needed.

    ``HF_TOKEN`` goes to Hugging Face itself and nowhere else. The token that ``hf auth login``
    stores is not looked for.

    Args:
        given: The key of the configuration.
        provider: Registered name of the provider.
        url: Where it would be sent.

    Raises:
        ConfigError: If a token is missing, is none, or would be sent where all can read it.
    """
    host = host_of(url, provider=provider)
    own = host == _HOST or host.endswith(f".{_HOST}")
    return service_key(given, provider=provider, variable="HF_TOKEN", own=own, needed=own, url=url)


def named_model(model: str | None, *, provider: str, example: str) -> str:
    """Return the model that the configuration names.

    Which models are served changes from day to day, so that none is suggested.

    Raises:
        ConfigError: If it names none.
    """
    if model is None or not model.strip():
        raise ConfigError(
            f"No model is named for {provider!r}.",
            next_step=f"Set providers.{provider}.model, such as to {example!r}.",
        )
    return model


@dataclass(frozen=True, kw_only=True)
class HuggingFaceFailure(OpenAIFailure):
    """An error as the router, a dedicated endpoint or text-generation-inference describes it."""

    later: ClassVar[frozenset[int]] = OpenAIFailure.later | {_GENERATION}

    @property
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there, or no longer."""
        return super().is_unknown_model or self.code == _NOT_SERVED or self.status == _RETIRED

    @property
    def is_maybe_done(self) -> bool:
        """Whether the work may have been done."""
        return super().is_maybe_done or self.status == _GENERATION

    @property
    def wait(self) -> float | None:
        """The seconds to wait, also those that a model still takes to load."""
        wait = super().wait
        said = as_mapping(parsed(self.text)).get("estimated_time") if wait is None else None
        if isinstance(said, bool) or not isinstance(said, int | float):
            return wait
        if isinstance(said, float) and not math.isfinite(said):
            return wait
        # A whole number of any size is JSON, and may be no float.
        return float(min(max(said, 0), _LONGEST_WAIT))

    def next_step(self, provider: str, model: str, endpoint: str) -> str:
        """Return what to do about a request that the service refused."""
        words = self.message.lower()
        if self.status in (400, 422) and any(word in words for word in _SCHEMA_WORDS):
            return (
                f"Set providers.{provider}.json_schema to false: whoever serves {model!r} may not "
                "be able to bind answers to a schema."
            )
        return super().next_step(provider, model, endpoint)


@dataclass(frozen=True, kw_only=True)
class RoutedFailure(HuggingFaceFailure):
    """The same where the model is part of the path, so that a wrong path is a wrong model."""

    @property
    def is_unknown_model(self) -> bool:
        """Whether the model is what is not there, or no longer."""
        return super().is_unknown_model or self.status == 404
