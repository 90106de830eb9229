"""Names to classes, through entry points.

What is registered is a name and a way to get the class; the class is imported when it
is asked for. A plug-in that needs a package which is not installed gives the exact pip
line, worked out from the plug-in's own metadata.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, metadata
from typing import Literal, TypeVar

from mmcrime.errors import ConfigError, MissingDependencyError, UnknownProviderError
from mmcrime.plugins import Analyzer, Provider, Transcriber

Group = Literal["providers", "analyzers", "transcribers"]
_BASES: Mapping[Group, type[Analyzer] | type[Provider] | type[Transcriber]] = {
    "providers": Provider,
    "analyzers": Analyzer,
    "transcribers": Transcriber,
}
_API_VERSION = 1
_P = TypeVar("_P", Analyzer, Provider, Transcriber)


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginStatus:
    """One registered name, for ``doctor`` and ``providers``.

    Attributes:
        name: The registered name.
        group: Which door it uses.
        distribution: The distribution that registers it.
        problem: Why it cannot be used; empty when it loads.
        next_step: What brings it; empty when it loads.
    """

    name: str
    group: Group
    distribution: str
    problem: str = ""
    next_step: str = ""


def available(group: Group) -> tuple[str, ...]:
    """Return the registered names of a group, sorted; imports no plug-in."""
    return tuple(sorted({point.name for point in _points(group)}))


def load_analyzer(name: str, *, allow: frozenset[str] | None = None) -> type[Analyzer]:
    """Return the analyzer class registered as ``name``.

    Args:
        name: The registered name.
        allow: Distributions that may be loaded; None for all.

    Raises:
        UnknownProviderError: If nothing installed has this name.
        MissingDependencyError: If it needs a package that is not installed.
        ConfigError: If the plug-in is broken, claimed twice or not allowed.
    """
    return _load("analyzers", name, Analyzer, allow)  # type: ignore[type-abstract]  # only the class is passed


def load_provider(name: str, *, allow: frozenset[str] | None = None) -> type[Provider]:
    """Return the provider class registered as ``name``; see `load_analyzer`."""
    return _load("providers", name, Provider, allow)  # type: ignore[type-abstract]  # only the class is passed


def load_transcriber(name: str, *, allow: frozenset[str] | None = None) -> type[Transcriber]:
    """Return the transcriber class registered as ``name``; see `load_analyzer`."""
    return _load("transcribers", name, Transcriber, allow)  # type: ignore[type-abstract]  # only the class is passed


def status(group: Group, *, allow: frozenset[str] | None = None) -> tuple[PluginStatus, ...]:
    """Try to load every registered name of a group and say how it went."""
    found = []
    for name in available(group):
        owners = ", ".join(sorted(_owner(p) for p in _points(group) if p.name == name))
        try:
            _load(group, name, _BASES[group], allow)  # type: ignore[type-var]  # one base per group
        except ConfigError as error:
            found.append(
                PluginStatus(
                    name=name,
                    group=group,
                    distribution=owners,
                    problem=error.message,
                    next_step=error.next_step,
                )
            )
        else:
            found.append(PluginStatus(name=name, group=group, distribution=owners))
    return tuple(found)


def _points(group: Group) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=f"mmcrime.{group}"))


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown"


def _load(group: Group, name: str, base: type[_P], allow: frozenset[str] | None) -> type[_P]:
    points = {(_owner(p), p.value): p for p in _points(group) if p.name == name}
    if not points:
        raise UnknownProviderError(
            f"No {group[:-1]} is called {name!r}.",
            next_step=_instead(group),
        )
    if len(points) > 1:
        owners = " and ".join(sorted(f"{owner!r}" for owner, _ in points))
        raise ConfigError(
            f"The name {name!r} is claimed by {owners}.", next_step="Uninstall one of them."
        )
    ((owner, _),) = points
    (point,) = points.values()
    if allow is not None and owner not in allow:
        raise ConfigError(
            f"The plug-in {name!r} of {owner!r} is not in plugins.allow.",
            next_step=f"Add {owner!r} to plugins.allow to use it.",
        )
    loaded = _import(point, owner)
    if not (inspect.isclass(loaded) and issubclass(loaded, base)) or inspect.isabstract(loaded):
        raise ConfigError(
            f"The plug-in {name!r} of {owner!r} is not a complete {base.__name__}.",
            next_step="Report this to its author.",
        )
    if loaded.api_version != _API_VERSION:
        raise ConfigError(
            f"The plug-in {name!r} speaks API version {loaded.api_version!r}, "
            f"this release speaks {_API_VERSION!r}.",
            next_step=f"Install a release of {owner!r} that fits.",
        )
    return loaded


def _instead(group: Group) -> str:
    names = ", ".join(available(group))
    if names:
        return f"Installed: {names}."
    return f"No {group[:-1]} is installed; install a plug-in that brings one, or leave it out."


def _import(point: EntryPoint, owner: str) -> object:
    try:
        return point.load()
    except MissingDependencyError:
        raise  # it knows better than we do what to install, and where
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        own = {"mmcrime", "mmcrime_providers", point.module.partition(".")[0], ""}
        if missing in own:
            # A broken plug-in must look broken, not absent.
            raise ConfigError(
                f"The plug-in {point.name!r} of {owner!r} fails to import: {error}.",
                next_step="Report this to its author.",
            ) from error
        raise MissingDependencyError(
            f"{point.name!r} needs the package {missing!r}, which is not installed or too old.",
            pip=_pip_line(owner, point.name, missing),
        ) from error
    except Exception as error:
        raise ConfigError(
            f"The plug-in {point.name!r} of {owner!r} fails to import: {error!r}.",
            next_step="Report this to its author.",
        ) from error


def _pip_line(owner: str, name: str, missing: str) -> str:
    """Return the pip line: the owner's extra of that name, if it has one."""
    try:
        extras = set(metadata(owner).get_all("Provides-Extra") or ())
    except PackageNotFoundError:
        extras = set()
    extra = re.sub(r"[-_.]+", "-", name).lower()
    return f'pip install "{owner}[{extra}]"' if extra in extras else f"pip install {missing}"
