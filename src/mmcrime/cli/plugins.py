"""The state of the installed plug-ins, for ``doctor`` and ``providers``."""

from __future__ import annotations

from mmcrime import registry
from mmcrime.config import Settings


def statuses(group: registry.Group, settings: Settings) -> tuple[registry.PluginStatus, ...]:
    """Return how loading every plug-in of a group went; our own are always allowed."""
    allow = settings.plugins.allow
    return registry.status(group, allow=None if allow is None else frozenset({*allow, "mmcrime"}))
