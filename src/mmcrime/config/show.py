"""What may be printed of the settings: masked values, the JSON Schema, an example."""

from __future__ import annotations

import re
from typing import Any

from pydantic import SecretStr

from mmcrime.config.model import Settings

MASK = "***"
"""What stands for a secret in everything that is printed."""

_SECRET_KEY = re.compile(
    r"key|token|secret|passw|credential|auth|cookie|bearer|header|webhook"
    r"|(?<![a-z])(?:pat|pin|sig|dsn)(?![a-z])",
    re.IGNORECASE,
)
_PLAIN_KEYS = frozenset({"api_key_env"})
_HARMLESS_KEYS = frozenset({"model", "device", "language", "format", "size"})
"""Keys whose text is shown even among options that mmcrime knows nothing about."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\s]*@)?([^/?#@\s]*)([/?#]\S*)?")


def is_secret_key(name: str) -> bool:
    """Tell whether a value under this key must never be shown."""
    return name not in _PLAIN_KEYS and _SECRET_KEY.search(name) is not None


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain JSON values, with ``***`` for everything that may be secret.

    That is: API keys, every value under a key that sounds like one, the user, path and
    query of URLs, and every text among a plug-in's own options and in ``notification``,
    whose keys mmcrime does not know (a few harmless ones, such as ``model``, are shown).
    """
    data: dict[str, Any] = _mask(settings.model_dump(mode="python"))
    for name, section in settings.providers.items():
        data["providers"][name] |= _mask(section.options, hidden=True)
    for name in settings.analyzers.model_fields_set | set(settings.analyzers.model_extra or ()):
        section_shown = data["analyzers"][name]
        if name == "speech":
            section_shown["options"] = _mask(settings.analyzers.speech.options, hidden=True)
        else:
            section_shown |= _mask(settings.analyzers.options_of(name), hidden=True)
    data["notification"] = _mask(settings.notification, hidden=True)
    return data


def _mask(value: Any, key: str = "", *, hidden: bool = False) -> Any:
    """Mask one value.

    Args:
        value: A JSON value, or a SecretStr in its place.
        key: Where it stands.
        hidden: Whether texts are secret unless their key is known to be harmless.
    """
    if value is None or value == {} or isinstance(value, bool):
        return value
    if isinstance(value, SecretStr) or is_secret_key(key):
        return MASK
    if isinstance(value, dict):
        return {str(k): _mask(v, str(k), hidden=hidden) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask(item, key, hidden=hidden) for item in value]
    if isinstance(value, str):
        return _mask_text(value, key, hidden=hidden)
    return value


def _mask_text(text: str, key: str, *, hidden: bool) -> str:
    if key == "base_url" and not _URL.fullmatch(text):
        return MASK
    if hidden and key not in _HARMLESS_KEYS:
        return MASK
    return _URL.sub(_origin, text)


def _origin(url: re.Match[str]) -> str:
    scheme, user, host, rest = url.groups()
    beyond = rest if rest in (None, "/") else f"/{MASK}"
    return f"{scheme}{MASK + '@' if user else ''}{host}{beyond or ''}"


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``config.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(),
    }


def settings_example() -> dict[str, Any]:
    """Return a complete ``config.json`` with every key at its default."""
    return Settings().model_dump(mode="json", exclude={"notification"})
