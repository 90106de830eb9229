"""What may be printed of the settings: masked values, the JSON Schema, an example."""

from __future__ import annotations

import re
from typing import Any

from pydantic import SecretStr

from mmcrime.config.model import Settings

MASK = "***"
"""What stands for a secret in everything that is printed."""

_SECRET_KEY = re.compile(r"key|token|secret|passw|credential|auth|cookie", re.IGNORECASE)
_PLAIN_KEYS = frozenset({"api_key_env"})
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def is_secret_key(name: str) -> bool:
    """Tell whether a value under this key must never be shown."""
    return name not in _PLAIN_KEYS and _SECRET_KEY.search(name) is not None


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain JSON values, with ``***`` for every secret.

    Secret are API keys, every value under a key that sounds like one (also among a
    plug-in's own options and in ``notification``), and passwords inside URLs.
    """
    data: dict[str, Any] = _mask(settings.model_dump(mode="python"))
    return data


def _mask(value: Any, key: str = "") -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, SecretStr) or is_secret_key(key):
        return MASK
    if isinstance(value, dict):
        return {str(k): _mask(v, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask(item) for item in value]
    if isinstance(value, str):
        return _USERINFO.sub(MASK, value)
    return value


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``config.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(),
    }


def settings_example() -> dict[str, Any]:
    """Return a complete ``config.json`` with every key at its default."""
    return Settings().model_dump(mode="json", exclude={"notification"})
