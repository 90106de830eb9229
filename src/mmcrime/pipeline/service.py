"""Building plug-ins by name, each with its own options, and taking down what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from mmcrime import registry
from mmcrime.config import ProviderSettings, Settings
from mmcrime.errors import ConfigError
from mmcrime.evidence import MediaKind
from mmcrime.pipeline.answers import Seat
from mmcrime.plugins import Analyzer, PluginOptions, Provider, Transcriber
from mmcrime.results import AssessmentKind

_SAID: Mapping[str, tuple[str, ...]] = {
    "name": (),
    "family": (),
    "kind": get_args(AssessmentKind),
    "stage": ("observe", "verify"),
    "runs": ("local", "cloud"),
    "modalities": get_args(MediaKind),
}
"""What an analyzer says of itself, and the words it may use; none means any text."""
_P = TypeVar("_P", Analyzer, Provider, Transcriber)
_NOT_DECIDING = frozenset(
    {"api_key", "timeout", "boot_timeout", "upload_timeout", "model", "base_url"}
)
"""Options that decide no answer, or stand in the key of an answer by themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A provider that a run may ask.

    Attributes:
        name: The name the caller knows it by.
        provider: The provider as it is, without the call layer.
        section: Its configuration.
        options: What of its options decides an answer, as text; part of the key under which
            answers are stored.
    """

    name: str
    provider: Provider
    section: ProviderSettings
    options: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """A provider that is the speech engine.

    Attributes:
        service: The provider.
        model: The model that transcribes; None for the provider's own choice.
    """

    service: Service
    model: str | None


def built(name: str, settings: Settings) -> Service:
    """Build a provider as it is configured.

    Raises:
        ConfigError: If nothing is called so, its options are wrong, or it has no key.
    """
    cls = registry.load_provider(name, allow=allowed(settings))
    section = settings.providers.get(name, ProviderSettings())
    options = _provider_options(name, section, cls)
    return Service(
        name=name,
        provider=build(cls, f"providers.{name}", options),
        section=section,
        options=_deciding(cls, options),
    )


def allowed(settings: Settings) -> frozenset[str] | None:
    """Return the distributions that may provide plug-ins; None for all."""
    allowed = settings.plugins.allow
    return None if allowed is None else frozenset({*allowed, "mmcrime"})


def seated(analyzer: Analyzer) -> Seat:
    """Take down what an analyzer says of itself.

    Raises:
        ConfigError: If it is no analyzer, or says something that cannot be.
    """
    if not isinstance(analyzer, Analyzer):
        raise ConfigError(
            f"{type(analyzer).__name__!r} is no Analyzer.",
            next_step="Derive it from mmcrime.Analyzer.",
        )
    said: dict[str, Any] = {name: getattr(analyzer, name, None) for name in _SAID}
    for name, allowed in _SAID.items():
        value = said[name]
        values = value if name == "modalities" and isinstance(value, frozenset) else (value,)
        good = all(isinstance(v, str) and v and (not allowed or v in allowed) for v in values)
        if not good or not values:
            raise ConfigError(
                f"The analyzer {said['name']!r} has {name}={value!r}.",
                next_step=f"Use {' or '.join(map(repr, allowed)) or 'a text'}.",
            )
    return Seat(analyzer=analyzer, **said)


def _provider_options(name: str, section: ProviderSettings, cls: type[Provider]) -> dict[str, Any]:
    """Return the provider's own options, and of the shared keys those that it declares.

    Raises:
        ConfigError: If the user gave a shared key that this provider has no use for.
    """
    key = section.require_key(name)
    shared = {
        "api_key": key.get_secret_value() if key else None,
        "model": section.model,
        "base_url": section.base_url,
        "timeout": section.timeout,
    }
    declared = cls.Options.model_fields
    given = {k: v for k, v in shared.items() if v is not None}
    # The timeout has a default, so that nobody need have written it.
    unused = [k for k in given if k not in declared and k != "timeout"]
    if unused:
        raise ConfigError(
            f"providers.{name}.{unused[0]}: this provider has no such option.",
            next_step=f"Known options: {', '.join(declared) or 'none'}.",
        )
    return {k: v for k, v in given.items() if k in declared} | section.options


def _deciding(cls: type[Provider], options: Mapping[str, Any]) -> str:
    """Return the options that decide an answer as text, secrets masked."""
    checked = validated(cls, "providers", options)
    return checked.model_dump_json(exclude=set(_NOT_DECIDING))


def build(cls: type[_P], where: str, options: Mapping[str, Any]) -> _P:
    """Validate the options with the plug-in's own model, then construct it."""
    checked = validated(cls, where, options)
    given = {name: getattr(checked, name) for name in cls.Options.model_fields}
    return cls(**given)


def validated(
    cls: type[Analyzer] | type[Provider] | type[Transcriber], where: str, options: Mapping[str, Any]
) -> PluginOptions:
    """Validate the options of a plug-in with its own model.

    Raises:
        ConfigError: If one is wrong; `where` names the section it stands in.
    """
    try:
        return cls.Options.model_validate(dict(options))
    except ValidationError as error:
        # include_input stays off: an option may be a secret.
        problem: Any = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in (where, *problem["loc"]))
        raise ConfigError(
            f"{key!r}: {problem['msg']}.",
            next_step=f"Known options: {', '.join(cls.Options.model_fields) or 'none'}.",
        ) from error
