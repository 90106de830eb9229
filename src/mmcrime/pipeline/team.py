"""Who works for a pipeline: analyzers, providers and the transcriber, built by name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from mmcrime import registry
from mmcrime.config import ProviderSettings, Settings
from mmcrime.errors import ConfigError, UnknownProviderError
from mmcrime.plugins import (
    Analyzer,
    EgressGate,
    Provider,
    Request,
    Response,
    Transcriber,
)

_log = logging.getLogger("mmcrime.pipeline")
_P = TypeVar("_P", Analyzer, Provider, Transcriber)


class Announced(Provider):
    """A provider around a provider: every call passes the egress gate first.

    Args:
        name: The name the caller knows it by.
        inner: The provider that does the work; closed by whoever made it.
        gate: The gate of this run.
    """

    def __init__(self, name: str, inner: Provider, gate: EgressGate) -> None:
        self.name = name
        self.calls = 0
        self._inner = inner
        self._gate = gate

    async def generate(self, request: Request) -> Response:
        """Announce the request, then pass it on."""
        size = sum(len(p.data) + len(p.text.encode()) for p in request.parts)
        kinds = sorted({p.media_type.partition("/")[0] or "text" for p in request.parts})
        self._gate.announce(
            what=f"{' and '.join(kinds) or 'instructions'} of a request",
            to=self.name,
            purpose="provider",
            size_bytes=size + len(request.instructions.encode()),
        )
        self.calls += 1
        return await self._inner.generate(request)


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
        allowed = settings.plugins.allow
        self._allow = None if allowed is None else frozenset({*allowed, "mmcrime"})
        _no_twins(analyzers or ())
        self._injected = None if analyzers is None else {a.name: a for a in analyzers}
        self._analyzers: dict[str, Analyzer] = dict(self._injected or {})
        self._given = dict(providers or {})
        self._providers: dict[str, Provider] = dict(self._given)
        self.transcriber = transcriber or self._configured_transcriber()
        # Built now, so that a wrong setting is an error at the start and not in a run.
        self.analyzers(None)
        self.providers(None)

    def analyzers(self, names: Sequence[str] | None) -> tuple[Analyzer, ...]:
        """Return the analyzers of these names, or the enabled ones.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        if names is None:
            configured = self._settings.analyzers.enabled()
            names = tuple(configured if self._injected is None else self._injected)
        return tuple(self._analyzer(name) for name in dict.fromkeys(names))

    def providers(self, names: Sequence[str] | None) -> Mapping[str, Provider]:
        """Return the providers of these names, or those that are configured for use.

        Raises:
            ConfigError: If a name is unknown or its options are wrong.
        """
        if names is None:
            enabled = [n for n, s in self._settings.providers.items() if s.enabled]
            default = self._settings.default_provider
            names = (*self._given, *enabled, *((default,) if default else ()))
        return {name: self._provider(name) for name in dict.fromkeys(names)}

    async def aclose(self) -> None:
        """Close everybody; one that fails to close stops nobody else."""
        members = [*self._analyzers.values(), *self._providers.values()]
        for member in [*members, *([self.transcriber] if self.transcriber else [])]:
            try:
                await member.aclose()
            except Exception:  # noqa: BLE001  # closing is a border: the others must be closed too
                _log.exception("closing %s failed", type(member).__name__)

    def _analyzer(self, name: str) -> Analyzer:
        if name not in self._analyzers:
            if self._injected is not None and name not in registry.available("analyzers"):
                raise UnknownProviderError(
                    f"No analyzer is called {name!r}.",
                    next_step=f"Injected: {', '.join(self._injected) or 'none'}.",
                )
            cls = registry.load_analyzer(name, allow=self._allow)
            options = self._settings.analyzers.options_of(name)
            self._analyzers[name] = _build(cls, f"analyzers.{name}", options)
        return self._analyzers[name]

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            cls = registry.load_provider(name, allow=self._allow)
            section = self._settings.providers.get(name, ProviderSettings())
            self._providers[name] = _build(
                cls, f"providers.{name}", _provider_options(name, section)
            )
        return self._providers[name]

    def _configured_transcriber(self) -> Transcriber | None:
        speech = self._settings.analyzers.speech
        if not speech.enabled:
            return None
        cls = registry.load_transcriber(speech.engine, allow=self._allow)
        return _build(cls, "analyzers.speech.options", speech.options)


def _no_twins(analyzers: Sequence[Analyzer]) -> None:
    names = [a.name for a in analyzers]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two injected analyzers are called {name!r}.",
                next_step="Give each analyzer a name of its own.",
            )


def _provider_options(name: str, section: ProviderSettings) -> dict[str, Any]:
    key = section.require_key(name)
    shared = {
        "api_key": key.get_secret_value() if key else None,
        "model": section.model,
        "base_url": section.base_url,
        "timeout": section.timeout,
    }
    return {k: v for k, v in shared.items() if v is not None} | section.options


def _build(cls: type[_P], where: str, options: Mapping[str, Any]) -> _P:
    """Validate the options with the plug-in's own model, then construct it."""
    try:
        checked = cls.Options.model_validate(dict(options))
    except ValidationError as error:
        # include_input stays off: an option may be a secret.
        problem: Any = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in (where, *problem["loc"]))
        raise ConfigError(
            f"{key!r}: {problem['msg']}.",
            next_step=f"Known options: {', '.join(cls.Options.model_fields) or 'none'}.",
        ) from error
    given = {name: getattr(checked, name) for name in cls.Options.model_fields}
    return cls(**given)
