"""Reads configuration text: JSON files, ``.env`` files, values of the environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcrime.config.show import is_secret_key
from mmcrime.errors import ConfigError

_MAX_BYTES = 1024 * 1024  # a configuration is a few kilobytes; more is the wrong file


def read_file(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        ConfigError: If it cannot be read, is no JSON object, or names a key twice.
    """
    text = _read_text(path)
    problem: str
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    except ValueError as error:
        problem = f"cannot be used: {error}"
    except RecursionError:
        problem = "is nested too deeply"
    else:
        if isinstance(value, dict):
            return value
        problem = f"must hold a JSON object, not {_kind(value)}"
    # Raised outside of the handler: the decoder's error holds the whole text, keys included.
    raise ConfigError(
        f"The configuration {str(path)!r} {problem}.",
        next_step="Correct it; `mmcrime config init` writes a fresh one.",
    )


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"The configuration {str(path)!r} cannot be read: {error.strerror or error}.",
            next_step="Name another file, or write one with `mmcrime config init`.",
        ) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(
            f"The configuration {str(path)!r} is larger than {_MAX_BYTES} bytes.",
            next_step="Is it the right file?",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    raise ConfigError(
        f"The configuration {str(path)!r} is not UTF-8 text (byte {at}).",
        next_step="Save it as UTF-8.",
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a single value"


def read_dotenv(path: Path | None) -> dict[str, str]:
    """Return the variables of a ``.env`` file; none when there is no such file."""
    if path is None or not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
    else:
        return {name: value for name, value in values.items() if value is not None}
    raise ConfigError(
        f"The file {str(path)!r} cannot be read ({reason}).",
        next_step="Correct or remove it.",
    )


def parse_value(key: str, text: str) -> Any:
    """Return the value of an environment variable: a text, or JSON's list, object, null."""
    if is_secret_key(key):
        return text
    if text == "null":
        return None
    if text[:1] in ("{", "["):
        try:
            return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return text  # refused later where an object is needed; a plain text may start so
    return text


def merged(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    """Return both joined key by key; where both are sections, inside of them too."""
    joined = dict(weak)
    for key, value in strong.items():
        held = joined.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            joined[key] = merged(held, value)
        else:
            joined[key] = value
    return joined
