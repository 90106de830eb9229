"""The table of the providers that come with mmcrime, from their records of what they take."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from _marked import ROOT

from mmcrime.plugins import Capabilities, Provider

_UNKNOWN = "no limit known"
Meanings = Callable[[Any], Mapping[str, str]]


def provider_table(meanings: Meanings) -> str:
    """Return one column for each provider, and from which day its model is suggested.

    Args:
        meanings: Returns what the docstring of a class says of each attribute.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {
        name: cls for name, cls in _classes(project) if cls.capabilities.tasks != {"transcribe"}
    }
    models = json.loads(
        (ROOT / "providers/mmcrime_providers/models.json").read_text(encoding="utf-8")
    )
    rows: dict[str, Callable[[str, type[Provider]], str]] = {
        "install": lambda name, _: _install(name, project["optional-dependencies"]),
        "key in the environment": lambda _, cls: _variables(meanings(cls.Options)["api_key"]),
        f"suggested model, {models['updated']}": lambda name, _: _model(models, name),
        "can be asked to": lambda _, cls: ", ".join(sorted(cls.capabilities.tasks)),
        "most pictures in a request": lambda _, cls: _count(cls.capabilities.images),
        "largest picture": lambda _, cls: _picture(cls.capabilities),
        "longest sound": lambda _, cls: _sound(cls),
        "transcribes speech": lambda _, cls: _transcribes(cls.capabilities),
        "longest video": lambda _, cls: _video(cls.capabilities),
        "most media of a request": lambda _, cls: _size(cls.capabilities.media_bytes),
        "largest request": lambda _, cls: _tokens(cls.capabilities.context_tokens),
        "bound to a JSON schema": lambda _, cls: "yes" if cls.capabilities.json_schema else "no",
    }
    head = f"| | {' | '.join(f'`{name}`' for name in found)} |"
    body = [
        f"| {what} | {' | '.join(said(name, cls) for name, cls in found.items())} |"
        for what, said in rows.items()
    ]
    return "\n".join([head, "| --- |" + " --- |" * len(found), *body])


def installed_apart(project: Mapping[str, Any]) -> frozenset[str]:
    """Return the extras that fit into no environment with the others, nor so into this one.

    Their plug-ins cannot be imported here; a section of the page describes each.
    """
    extras = project["optional-dependencies"]
    together = set(re.findall(r"[\w-]+", " ".join(extras["all"])))
    return frozenset(extras) - together - {"all", "dev", "docs"}


def speech_table() -> str:
    """Return one row for each provider that transcribes and does nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = [
        "| name | sends to | key in the environment | longest sound | model |",
        "| --- " * 5 + "|",
    ]
    for name, cls in _classes(project):
        if cls.capabilities.tasks != {"transcribe"}:
            continue
        field = cls.Options.model_fields.get("model")
        model = (
            "one" if field is None else f"`{field.default}`" if field.default else "of the language"
        )
        longest = f"{cls.capabilities.audio_seconds:g} s"
        rows.append(f"| `{name}` | `{cls.domain}` | `{cls.variable}` | {longest} | {model} |")
    return "\n".join(rows)


def _transcribes(able: Capabilities) -> str:
    if "transcribe" not in able.tasks:
        return "no"
    return f"with `{able.speech_model}`" if able.speech_model else "with any model that listens"


def _classes(project: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and class of each provider that can be imported here."""
    apart = installed_apart(project)
    for name, value in project["entry-points"]["mmcrime.providers"].items():
        if name not in apart:
            module, _, attribute = value.partition(":")
            yield name, getattr(import_module(module), attribute)


def _install(name: str, extras: Mapping[str, Any]) -> str:
    return f'`pip install ".[{name}]"`' if name in extras else "comes with the base"


def _model(models: Mapping[str, Any], name: str) -> str:
    suggested = models["suggested"].get(name)
    return f"`{suggested}`" if suggested else "none: name one"


def _variables(said: str) -> str:
    """Return the variables that the docstring of the option names, first the one that wins."""
    return ", else ".join(f"`{name}`" for name in re.findall(r"``(\w+_(?:API_KEY|TOKEN))``", said))


def _picture(able: Capabilities) -> str:
    parts = []
    if able.image_side is not None:
        parts.append(f"{able.image_side:,} pixels a side")
    if able.image_pixels is not None:
        parts.append(f"{able.image_pixels / 1e6:.0f} megapixels")
    if able.image_bytes is not None:
        parts.append(_size(able.image_bytes))
    return ", ".join(parts) or _UNKNOWN


def _sound(cls: type[Provider]) -> str:
    if cls.capabilities.audio:
        return _length(cls.capabilities.audio_seconds)
    options = cls.Options.model_fields
    named = next((name for name in ("audio", "modality") if name in options), None)
    return f"with the option `{named}`" if named else "no"


def _video(able: Capabilities) -> str:
    if not able.video:
        return "no"
    pace = "once" if able.video_fps == 1 else f"{able.video_fps:g} times"
    return f"{_length(able.video_seconds)}, looked at {pace} a second"


def _count(most: int | None) -> str:
    return _UNKNOWN if most is None else f"{most:,}"


def _size(most: int | None) -> str:
    return _UNKNOWN if most is None else f"{most / 1e6:,.12g} MB"


def _tokens(most: int | None) -> str:
    return _UNKNOWN if most is None else f"{most:,} tokens"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return f"{seconds / 3600:g} hours" if seconds >= 3600 else f"{seconds / 60:g} minutes"
