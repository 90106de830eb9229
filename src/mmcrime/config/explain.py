"""Says in our words what is wrong with a setting, without quoting a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from mmcrime.config.model import Settings
from mmcrime.config.show import is_secret_key
from mmcrime.errors import ConfigError

_SHOWN = 3  # problems named in one message


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean …?" for the closest known name; empty when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def explain(
    error: ValidationError, name: str, variables: Mapping[tuple[str, ...], str]
) -> ConfigError:
    """Return the error to raise for settings that pydantic refused.

    Args:
        error: What pydantic says.
        name: The configuration, as it is quoted in a message.
        variables: The environment variables that set something, by the key they set.
    """
    found = error.errors(include_url=False, include_context=False)
    texts, steps, blamed = [], [], []
    for problem in found[:_SHOWN]:
        location = problem["loc"]
        path = ".".join(str(part) for part in location) or "the whole"
        variable = _variable(location, variables)
        blamed.append(variable)
        origin = f" (set by {variable!r})" if variable else ""
        if problem["type"] == "extra_forbidden":
            known = _known_keys(location[:-1])
            texts.append(f"unknown key {path!r}{origin}")
            steps.append(
                nearest(str(location[-1]), known) or f"Known keys: {', '.join(sorted(known))}."
            )
        else:
            message = problem["msg"][:1].lower() + problem["msg"][1:]
            texts.append(f"{path!r}{origin}: {message}, not {_quoted(location, problem['input'])}")
            if location[:1] == ("providers",) and len(location) == 2:
                steps.append(f'Write "{location[1]}": {{"api_key": "..."}}.')
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ConfigError(
        f"In {'the environment' if all(blamed) else name}: {'; '.join(texts)}{more}.",
        next_step=steps[0] if steps else "Correct the value.",
    )


def _variable(
    location: tuple[int | str, ...], variables: Mapping[tuple[str, ...], str]
) -> str | None:
    """Return the environment variable that set this key, or a section around it."""
    parts = tuple(str(part) for part in location)
    lengths = range(len(parts), 0, -1)
    return next((variables[parts[:n]] for n in lengths if parts[:n] in variables), None)


def _quoted(location: tuple[int | str, ...], value: Any) -> str:
    if any(is_secret_key(str(part)) for part in location):
        return "what is there"
    if isinstance(value, (dict, list, tuple)):
        return "a section" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, (int, float)):
        return repr(value)
    # A key may stand in any wrong place, so no text is quoted.
    return "the text that is there" if isinstance(value, str) else f"a {type(value).__name__}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Settings
    for part in location:
        field = section.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    return list(section.model_fields)
