"""Who works for a pipeline: analyzers, providers and the transcriber, built by name."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from mmcrime import registry
from mmcrime.config import ProviderSettings, Settings
from mmcrime.errors import ConfigError, UnknownProviderError
from mmcrime.evidence import MediaKind
from mmcrime.logs import get_logger
from mmcrime.pipeline.answers import Seat
from mmcrime.plugins import Analyzer, PluginOptions, Provider, Transcriber
from mmcrime.results import AssessmentKind

_log = get_logger("mmcrime.pipeline")
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
LLM = "llm"
"""Registered name of the analyzer that asks a language model: one for each provider."""
_NOT_DECIDING = frozenset({"api_key", "timeout", "model", "base_url"})
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


class Team:
    """Builds what the settings and the call name, once each, and closes it.

    Args:
        settings: The settings of the pipeline.
        analyzers: Instances that replace the configured analyzers.
        providers: Instances by name, used beside the configured ones.
        transcriber: Instance that replaces the configured transcriber.

    Raises:
        ConfigError: If something enabled cannot be built.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        analyzers: Sequence[Analyzer] | None = None,
        providers: Mapping[str, Provider] | None = None,
        transcriber: Transcriber | None = None,
    ) -> None:
        self._settings = settings
        self._allow = _allowed(settings)
        seats = [seated(a) for a in analyzers or ()]
        _no_twins(seats)
        self._injected = None if analyzers is None else {seat.name: seat for seat in seats}
        self._analyzers: dict[str, Seat] = dict(self._injected or {})
        # What an injected instance would answer to another process, or after it was changed,
        # nobody can know: its answers are stored for this pipeline only.
        unique = uuid.uuid4().hex
        self._given = tuple(providers or {})
        self._services: dict[str, Service] = {
            name: Service(
                name=name,
                provider=provider,
                section=settings.providers.get(name, ProviderSettings()),
                options=unique,
            )
            for name, provider in (providers or {}).items()
        }
        self.transcriber = transcriber or self._configured_transcriber()
        # Built now, so that a wrong setting is an error at the start and not in a run.
        self.analyzers(None)
        self.language_models(None, None)
        self.fallback()

    def analyzers(self, names: Sequence[str] | None) -> tuple[Seat, ...]:
        """Return the analyzers of these names, or the enabled ones; ``llm`` is none of them.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        if names is None:
            configured = self._settings.analyzers.enabled()
            names = tuple(configured if self._injected is None else self._injected)
        return tuple(self._analyzer(name) for name in dict.fromkeys(names) if name != LLM)

    def language_models(
        self, names: Sequence[str] | None, providers: Sequence[str] | None
    ) -> tuple[Seat, ...]:
        """Return one language-model analyzer for each provider that a run uses.

        There is none where analyzers were injected or named without ``llm``, unless the call
        names providers itself.

        Args:
            names: The analyzers that the call names; None for the enabled ones.
            providers: The providers that the call names; None for the configured ones.

        Raises:
            ConfigError: If a name is unknown, or its options are wrong.
        """
        enabled = self._settings.analyzers.llm.enabled and self._injected is None
        named = names is not None and LLM in names
        if not named and not (enabled and (names is None or providers is not None)):
            return ()
        services = self.providers(providers)
        if named and not services:
            raise ConfigError(
                f"The analyzer {LLM!r} asks a provider, and none is named or enabled.",
                next_step="Name one: providers=[...] in Python, --provider on the command line.",
            )
        return tuple(
            self._language_model(name)
            for name, service in services.items()
            if "answer" in service.provider.capabilities.tasks
        )

    def providers(self, names: Sequence[str] | None) -> Mapping[str, Service]:
        """Return the providers of these names, or those that are configured for use.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        if names is None:
            enabled = [n for n, s in self._settings.providers.items() if s.enabled]
            default = self._settings.default_provider
            names = (*self._given, *enabled, *((default,) if default else ()))
        return {name: self._service(name) for name in dict.fromkeys(names)}

    def fallback(self) -> Mapping[str, Service]:
        """Return the providers that may stand in for one that does not answer, in order.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        return {name: self._service(name) for name in self._settings.fallback}

    async def aclose(self) -> None:
        """Close everybody; one that fails to close stops nobody else."""
        analyzers = [seat.analyzer for seat in self._analyzers.values()]
        transcribers = [self.transcriber] if self.transcriber else []
        services = [service.provider for service in self._services.values()]
        for member in (*analyzers, *services, *transcribers):
            try:
                await member.aclose()
            except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001  # closing is a border: the others must be closed too
                _log.exception("closing %s failed", type(member).__name__)

    def _analyzer(self, name: str) -> Seat:
        if name not in self._analyzers:
            if self._injected is not None and name not in registry.available("analyzers"):
                raise UnknownProviderError(
                    f"No analyzer is called {name!r}.",
                    next_step=f"Injected: {', '.join(self._injected) or 'none'}.",
                )
            cls = registry.load_analyzer(name, allow=self._allow)
            options = self._settings.analyzers.options_of(name)
            self._analyzers[name] = replace(
                seated(_build(cls, f"analyzers.{name}", options)), name=name
            )
        return self._analyzers[name]

    def _language_model(self, provider: str) -> Seat:
        name = f"{LLM}:{provider}"
        if name not in self._analyzers:
            cls = registry.load_analyzer(LLM, allow=self._allow)
            options = {**self._settings.analyzers.options_of(LLM), "provider": provider}
            seat = seated(_build(cls, f"analyzers.{LLM}", options))
            self._analyzers[name] = replace(seat, gated=True)
        return self._analyzers[name]

    def _service(self, name: str) -> Service:
        if name not in self._services:
            self._services[name] = built(name, self._settings)
        return self._services[name]

    def _configured_transcriber(self) -> Transcriber | None:
        speech = self._settings.analyzers.speech
        if not speech.enabled:
            return None
        cls = registry.load_transcriber(speech.engine, allow=self._allow)
        return _build(cls, "analyzers.speech.options", speech.options)


def built(name: str, settings: Settings) -> Service:
    """Build a provider as it is configured.

    Raises:
        ConfigError: If nothing is called so, its options are wrong, or it has no key.
    """
    cls = registry.load_provider(name, allow=_allowed(settings))
    section = settings.providers.get(name, ProviderSettings())
    options = _provider_options(name, section, cls)
    return Service(
        name=name,
        provider=_build(cls, f"providers.{name}", options),
        section=section,
        options=_deciding(cls, options),
    )


def _allowed(settings: Settings) -> frozenset[str] | None:
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


def _no_twins(seats: Sequence[Seat]) -> None:
    names = [seat.name for seat in seats]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two injected analyzers are called {name!r}.",
                next_step="Give each analyzer a name of its own.",
            )


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
    checked = _validated(cls, "providers", options)
    return checked.model_dump_json(exclude=set(_NOT_DECIDING))


def _build(cls: type[_P], where: str, options: Mapping[str, Any]) -> _P:
    """Validate the options with the plug-in's own model, then construct it."""
    checked = _validated(cls, where, options)
    given = {name: getattr(checked, name) for name in cls.Options.model_fields}
    return cls(**given)


def _validated(
    cls: type[Analyzer] | type[Provider] | type[Transcriber], where: str, options: Mapping[str, Any]
) -> PluginOptions:
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
