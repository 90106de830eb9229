"""The state of the installed plug-ins, for ``doctor`` and ``providers``."""

from __future__ import annotations

from mmcrime import registry
from mmcrime.config import Settings


def speech_provider(settings: Settings) -> str:
    """Return the provider that is the speech engine; empty if the engine runs on this machine."""
    speech = settings.analyzers.speech
    local = registry.available("transcribers")
    return speech.engine if speech.enabled and speech.engine not in local else ""


def statuses(group: registry.Group, settings: Settings) -> tuple[registry.PluginStatus, ...]:
    """Return how loading every plug-in of a group went; our own are always allowed."""
    allow = settings.plugins.allow
    return registry.status(group, allow=None if allow is None else frozenset({*allow, "mmcrime"}))
