"""Says in our words what is wrong with a setting, without quoting a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from mmcrime.config.model import Settings
from mmcrime.config.show import is_secret_key
from mmcrime.errors import ConfigError

_SHOWN = 3  # problems named in one message
_SECRET_SECTIONS = frozenset({"providers", "notification"})


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean …?" for the closest known name; empty when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def explain(error: ValidationError, name: str) -> ConfigError:
    """Return the error to raise for settings that pydantic refused.

    Args:
        error: What pydantic says.
        name: The configuration, as it is quoted in a message.
    """
    found = error.errors(include_url=False, include_context=False)
    texts, steps = [], []
    for problem in found[:_SHOWN]:
        location = problem["loc"]
        path = ".".join(str(part) for part in location) or "the whole"
        if problem["type"] == "extra_forbidden":
            known = _known_keys(location[:-1])
            texts.append(f"unknown key {path!r}")
            steps.append(
                nearest(str(location[-1]), known) or f"Known keys: {', '.join(sorted(known))}."
            )
        else:
            message = problem["msg"][:1].lower() + problem["msg"][1:]
            texts.append(f"{path!r}: {message}, not {_quoted(location, problem['input'])}")
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ConfigError(
        f"In {name}: {'; '.join(texts)}{more}.",
        next_step=steps[0] if steps else "Correct the value.",
    )


def _quoted(location: tuple[int | str, ...], value: Any) -> str:
    parts = [str(part) for part in location]
    if any(is_secret_key(part) for part in parts):
        return "what is there"
    if parts[:1] and parts[0] in _SECRET_SECTIONS and not isinstance(value, (int, float)):
        # A key may stand in the wrong place of these, so no text of theirs is quoted.
        return "what is there"
    if isinstance(value, (dict, list, tuple)):
        return "a section" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, (str, int, float, bool)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:60]}…"
    return f"a {type(value).__name__}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Settings
    for part in location:
        field = section.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    return list(section.model_fields)
