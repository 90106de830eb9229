"""The short form of ``config.json`` that users of the original system have.

``{"openai": "KEY", "default_provider": "openai", "notification": {...}}`` becomes a
section of `providers` for each of the five names. A key alone enables nothing.
``notification`` is a section of its own and never a provider.
"""

from __future__ import annotations

from typing import Any

from mmcrime.errors import ConfigError

SHORT_NAMES = ("gemini", "openai", "anthropic", "replicate", "huggingface")
"""The provider names of the short form."""


def expand_short_form(data: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with short-form keys moved into ``providers``.

    Raises:
        ConfigError: If a key is no text, or a provider is set in both forms.
    """
    short = [name for name in SHORT_NAMES if name in data]
    if not short:
        return data
    providers = data.get("providers", {})
    if not isinstance(providers, dict):
        return data  # the types refuse it, with the right message
    sections = dict(providers)
    for name in short:
        if name in sections:
            raise ConfigError(
                f"The provider {name!r} is set twice: as {name!r} and as 'providers.{name}'.",
                next_step=f"Keep 'providers.{name}' and remove {name!r}.",
            )
        key = data[name]
        if key is not None and not isinstance(key, str):
            raise ConfigError(
                f"The key {name!r} holds a section, but in the short form it is the API key.",
                next_step=f"Move the section to 'providers.{name}'.",
            )
        sections[name] = {"enabled": False, "api_key": key or None}
    rest = {key: value for key, value in data.items() if key not in short}
    return {**rest, "providers": sections}
