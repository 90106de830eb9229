"""Settings: ``config.json``, ``.env`` and the environment ``MMCRIME_…``.

`load_settings` is the way in; the types are in ``model``, what is printed of them in
``show``. Secrets are masked in everything that is printed.
"""

from __future__ import annotations

from mmcrime.config.load import find_config, load_settings
from mmcrime.config.model import (
    AnalyzerSettings,
    AnalyzersSettings,
    BudgetSettings,
    CacheSettings,
    LanguageSettings,
    Limits,
    MediaSettings,
    PluginSettings,
    Price,
    ProviderSettings,
    Section,
    Settings,
    SpeechSettings,
    TelemetrySettings,
)
from mmcrime.config.show import masked, settings_example, settings_schema

__all__ = [
    "AnalyzerSettings",
    "AnalyzersSettings",
    "BudgetSettings",
    "CacheSettings",
    "LanguageSettings",
    "Limits",
    "MediaSettings",
    "PluginSettings",
    "Price",
    "ProviderSettings",
    "Section",
    "Settings",
    "SpeechSettings",
    "TelemetrySettings",
    "find_config",
    "load_settings",
    "masked",
    "settings_example",
    "settings_schema",
]
