"""Who works for a pipeline: analyzers, providers and the transcriber, built by name."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mmcrime import registry
from mmcrime.config import ProviderSettings, Settings
from mmcrime.config.explain import nearest
from mmcrime.errors import ConfigError, UnknownProviderError
from mmcrime.logs import get_logger
from mmcrime.perceive.provider_transcriber import ProviderTranscriber
from mmcrime.pipeline.answers import Seat
from mmcrime.pipeline.service import Service, Speech, allowed, build, built, seated, validated
from mmcrime.plugins import Analyzer, Provider, Task, Transcriber

_log = get_logger("mmcrime.pipeline")
_ASKS: Mapping[str, Task] = {"llm": "answer", "labels": "label"}
"""What the analyzers ask for of which there is one for each provider, by registered name."""


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
        self._allow = allowed(settings)
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
        engine = transcriber or self._configured_engine()
        self.speech = engine if isinstance(engine, Speech) else None
        self.transcriber = None if isinstance(engine, Speech) else engine
        # Built now, so that a wrong setting is an error at the start and not in a run.
        self.analyzers(None)
        self.voices(None, None)
        self.fallback()

    def analyzers(self, names: Sequence[str] | None) -> tuple[Seat, ...]:
        """Return the analyzers of these names, or the enabled ones.

        Those that ask a provider are none of them; see `voices`.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        if names is None:
            configured = self._settings.analyzers.enabled()
            names = tuple(configured if self._injected is None else self._injected)
        return tuple(self._analyzer(name) for name in dict.fromkeys(names) if name not in _ASKS)

    def voices(
        self, names: Sequence[str] | None, providers: Sequence[str] | None
    ) -> Mapping[str, tuple[Seat, ...]]:
        """Return, for each provider that a run uses, the analyzers that ask it.

        That is ``llm`` for one that answers and ``labels`` for one that labels. There is none
        where analyzers were injected or named without them, unless the call names providers
        itself.

        Args:
            names: The analyzers that the call names; None for the enabled ones.
            providers: The providers that the call names; None for the configured ones.

        Raises:
            ConfigError: If a name is unknown, or its options are wrong.
        """
        named = [name for name in _ASKS if names is not None and name in names]
        also = self._injected is None and (names is None or providers is not None)
        wanted = [
            name
            for name in _ASKS
            if name in named or (also and self._settings.analyzers.is_enabled(name))
        ]
        services = self.providers(providers) if wanted else {}
        seats = {
            provider: tuple(
                self._voice(name, service)
                for name in wanted
                if _ASKS[name] in service.provider.capabilities.tasks
            )
            for provider, service in services.items()
        }
        for name in named:
            _somebody_sits(name, seats)
        return seats

    def providers(self, names: Sequence[str] | None) -> Mapping[str, Service]:
        """Return the providers of these names, or those that are configured for use.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        if names is None:
            enabled = [n for n, s in self._settings.providers.items() if s.enabled]
            default = self._settings.default_provider
            named = (*self._given, *enabled, *((default,) if default else ()))
            names = [name for name in named if not self._only_hears(name)]
        return {name: self._voter(name) for name in dict.fromkeys(names)}

    def fallback(self) -> Mapping[str, Service]:
        """Return the providers that may stand in for one that does not answer, in order.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        services = {name: self._voter(name) for name in self._settings.fallback}
        for name, service in services.items():
            if "answer" not in service.provider.capabilities.tasks:
                raise ConfigError(
                    f"fallback names {name!r}, which answers no questions.",
                    next_step="Name a provider that asks a language model.",
                )
        return services

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
                seated(build(cls, f"analyzers.{name}", options)), name=name
            )
        return self._analyzers[name]

    def _voice(self, analyzer: str, service: Service) -> Seat:
        name = f"{analyzer}:{service.name}"
        if name not in self._analyzers:
            cls = registry.load_analyzer(analyzer, allow=self._allow)
            options = {**self._settings.analyzers.options_of(analyzer), "provider": service.name}
            if _ASKS[analyzer] == "label":
                options["hears"] = service.provider.capabilities.images == 0
            seat = seated(build(cls, f"analyzers.{analyzer}", options))
            self._analyzers[name] = replace(seat, gated=True)
        return self._analyzers[name]

    def _service(self, name: str) -> Service:
        if name not in self._services:
            self._services[name] = built(name, self._settings)
        return self._services[name]

    def _only_hears(self, name: str) -> bool:
        """Whether it is the speech engine and nothing else, so that nobody means it to vote."""
        speech = self.speech and self.speech.service
        return bool(
            speech and speech.name == name and speech.provider.capabilities.tasks == {"transcribe"}
        )

    def _voter(self, name: str) -> Service:
        """Return a provider that can be asked for an opinion."""
        service = self._service(name)
        if service.provider.capabilities.tasks == {"transcribe"}:
            raise ConfigError(
                f"The provider {name!r} only transcribes: it has no opinion, and no picture to "
                "be checked with.",
                next_step="Name it as analyzers.speech.engine; it needs no other place. Analyzing "
                "a recording with speech shows whether its key is right.",
            )
        return service

    def _configured_engine(self) -> Transcriber | Speech | None:
        """Build the speech engine: a transcriber, or else a provider that transcribes."""
        speech, where = self._settings.analyzers.speech, "analyzers.speech.options"
        if not speech.enabled:
            return None
        name, local = speech.engine, registry.available("transcribers")
        if name in local:
            cls = registry.load_transcriber(name, allow=self._allow)
            return build(cls, where, speech.options)
        service = self._speech_service(name, local)
        model = validated(ProviderTranscriber, where, speech.options).model_dump()["model"]
        if model and "model" not in type(service.provider).Options.model_fields:
            raise ConfigError(
                f"{where}.model is {model!r}, and {name!r} has no models to choose from.",
                next_step=f"Leave it out; what {name!r} can be told stands in providers.{name}.",
            )
        return Speech(service=service, model=model)

    def _speech_service(self, name: str, local: Sequence[str]) -> Service:
        """Return the provider that is named as the speech engine."""
        if name not in self._services:
            known = registry.available("providers")
            if name not in known:
                close = nearest(name, (*local, *known))
                raise UnknownProviderError(
                    f"analyzers.speech.engine: no transcriber is called {name!r}. {close}".rstrip(),
                    next_step=f"Installed: {', '.join(local)}; a provider that transcribes will do "
                    "as well, see: mmcrime providers.",
                )
            # Before it is built, which may want a key that is of no use here.
            _transcribes(name, registry.load_provider(name, allow=self._allow), local)
        service = self._service(name)
        _transcribes(name, service.provider, local)
        return service


def _transcribes(name: str, provider: Provider | type[Provider], local: Sequence[str]) -> None:
    if "transcribe" not in provider.capabilities.tasks:
        raise ConfigError(
            f"analyzers.speech.engine: the provider {name!r} does not transcribe.",
            next_step=f"Use one that does, or one of: {', '.join(local)}.",
        )


def _somebody_sits(analyzer: str, seats: Mapping[str, Sequence[Seat]]) -> None:
    names = [seat.name for held in seats.values() for seat in held]
    if not any(name.startswith(f"{analyzer}:") for name in names):
        raise ConfigError(
            f"The analyzer {analyzer!r} asks a provider, and none is named or enabled that can "
            f"{_ASKS[analyzer]}.",
            next_step="Name one: providers=[...] in Python, --provider on the command line.",
        )


def _no_twins(seats: Sequence[Seat]) -> None:
    names = [seat.name for seat in seats]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two injected analyzers are called {name!r}.",
                next_step="Give each analyzer a name of its own.",
            )
