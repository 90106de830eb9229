"""Finds, reads and joins the sources of the settings.

From weakest to strongest: defaults, the configuration file (or mapping), ``.env``, the
environment, the caller's overrides. Environment names are ``MMCRIME_`` plus the key in
capitals, with ``__`` between levels: ``MMCRIME_MEDIA__FRAME_INTERVAL=2``. Lists and
objects are written as JSON; an empty variable counts as unset.

Nothing is ignored silently: an unknown key or ``MMCRIME_…`` variable is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmcrime.config.explain import explain, nearest
from mmcrime.config.legacy import expand_short_form
from mmcrime.config.model import Settings
from mmcrime.config.read import merged, parse_value, read_dotenv, read_file
from mmcrime.errors import ConfigError

DEFAULT_FILE = Path("config.json")
"""Looked for in the working directory when nothing else is named."""

_PREFIX = "MMCRIME_"
_CONFIG_VARIABLE = "MMCRIME_CONFIG"
# Ours, but no settings: the two others are for the tests of mmcrime.
_NOT_SETTINGS = frozenset({_CONFIG_VARIABLE, "MMCRIME_SHARED", "MMCRIME_STRICT"})
_LATER = frozenset({"mode", "panel", "alerts", "store"})


def load_settings(
    config: str | os.PathLike[str] | Mapping[str, Any] | Settings | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
    **overrides: Any,
) -> Settings:
    """Return the settings of a file or mapping, the environment and the overrides.

    Args:
        config: A file; or its content as a mapping; or finished settings, to which only
            the overrides are applied; or None for `find_config`.
        environ: The environment; None for that of this process.
        dotenv: File of environment variables that the real environment wins over; it
            may be absent. None for no such file.
        **overrides: Top-level keys that win over everything; sections are joined key by
            key.

    Raises:
        ConfigError: If anything is unreadable, unknown, out of range or not supported by
            this release. The message names the key and never holds a secret.
    """
    if isinstance(config, Settings):
        # What nobody set stays unset: messages say of a value that it is the default.
        given = config.model_dump(exclude_unset=True)
        return _validated(merged(given, overrides), "the given settings", {})
    variables = {**read_dotenv(dotenv), **(os.environ if environ is None else environ)}
    if isinstance(config, Mapping):
        data, name = expand_short_form(dict(config)), "the given configuration"
    else:
        path = find_config(config, environ=variables, dotenv=None)
        data = {} if path is None else expand_short_form(read_file(path))
        name = "the environment" if path is None else repr(str(path))
        _refuse_later_keys(data)
        # JSON has numbers and booleans; only variables have to write them as text.
        _validated_strictly(data, name)
    given, names = _from_environment(variables)
    data = merged(merged(data, given), overrides)
    _refuse_later_keys(data)
    data = _with_headers(_with_keys(data, variables), variables)
    settings = _validated(data, name, names)
    for provider, section in settings.providers.items():
        if section.enabled or provider == settings.default_provider:
            section.require_key(provider)
    return settings


def find_config(
    config: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
) -> Path | None:
    """Return the configuration file that is used: named, ``$MMCRIME_CONFIG``, ./config.json.

    Returns:
        The path, or None when nothing is named and there is no ./config.json.
    """
    if config is not None:
        return Path(config)
    variables = {**read_dotenv(dotenv), **(os.environ if environ is None else environ)}
    named = variables.get(_CONFIG_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _from_environment(
    variables: Mapping[str, str],
) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    """Return what the variables set, and which variable set what."""
    data: dict[str, Any] = {}
    names: dict[tuple[str, ...], str] = {}
    for name in sorted(variables):
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS or variables[name] == "":
            continue
        *sections, key = name.removeprefix(_PREFIX).lower().split("__")
        top = sections[0] if sections else key
        if top not in Settings.model_fields and top not in _LATER:
            raise ConfigError(
                f"The environment variable {name!r} is no setting of mmcrime.",
                next_step=nearest(name, [_PREFIX + f.upper() for f in Settings.model_fields])
                or "Unset it.",
            )
        branch = data
        for part in sections:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                raise ConfigError(
                    f"The environment variable {name!r} sets a key inside of what another "
                    "variable sets whole.",
                    next_step="Unset one of them.",
                )
        value = parse_value(key, variables[name])
        held = branch.get(key)
        branch[key] = merged(value, held) if isinstance(held, dict) else value
        names[*sections, key] = name
    return data, names


def _refuse_later_keys(data: Mapping[str, Any]) -> None:
    keys = [key for key in data if key in _LATER]
    if keys:
        raise ConfigError(
            f"Not supported by this release: {', '.join(repr(key) for key in sorted(keys))}.",
            next_step="Remove it; nothing is ignored silently.",
        )


def _with_keys(data: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Turn ``"env:NAME"`` into the key that the variable holds, where it is set."""
    providers = data.get("providers")
    if not isinstance(providers, Mapping):
        return data
    resolved: dict[str, Any] = {}
    for name, section in providers.items():
        if isinstance(section, Mapping):
            section = dict(section)  # noqa: PLW2901  # the caller's mapping stays as it is
            key = section.get("api_key")
            if isinstance(key, str) and key.startswith("env:"):
                section["api_key"], section["api_key_env"] = None, key.removeprefix("env:").strip()
            variable = section.get("api_key_env")
            if not section.get("api_key") and isinstance(variable, str):
                section["api_key"] = variables.get(variable) or None
        resolved[name] = section
    return {**data, "providers": resolved}


def _with_headers(data: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Turn a header ``"env:NAME"`` of the collector into what the variable holds.

    Raises:
        ConfigError: If it is not set.
    """
    telemetry = data.get("telemetry")
    headers = telemetry.get("headers") if isinstance(telemetry, Mapping) else None
    if not isinstance(telemetry, Mapping) or not isinstance(headers, Mapping):
        return data
    resolved = dict(headers)
    for header, value in headers.items():
        if isinstance(value, str) and value.startswith("env:"):
            variable = value.removeprefix("env:").strip()
            if not variables.get(variable):
                raise ConfigError(
                    f"telemetry.headers.{header} names the environment variable {variable!r}, "
                    "which is not set.",
                    next_step="Set the variable, or leave this header out.",
                )
            resolved[header] = variables[variable]
    return {**data, "telemetry": {**telemetry, "headers": resolved}}


def _validated(
    data: Mapping[str, Any], name: str, variables: Mapping[tuple[str, ...], str]
) -> Settings:
    problem: ConfigError
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        problem = explain(error, name, variables)
    # Raised outside of the handler: pydantic's error quotes the input, secrets included.
    raise problem


def _validated_strictly(data: Mapping[str, Any], name: str) -> None:
    problem: ConfigError
    try:
        Settings.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problem = explain(error, name, {})
    else:
        return
    raise problem  # outside of the handler, as in `_validated`
