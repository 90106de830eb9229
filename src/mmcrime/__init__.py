"""mmcrime: footage in, an honest incident report out.

```python
from mmcrime import analyze

report = analyze("clip.mp4")
print(report.verdict.outcome, report.verdict.reasons)
```

The public names are resolved when they are first used, so that importing mmcrime
loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcrime.config import Settings
    from mmcrime.errors import ConfigError, MediaError, MmcrimeError, ProviderError
    from mmcrime.evidence import Evidence, Frame, Media
    from mmcrime.pipeline import CrimeDetectionPipeline, analyze
    from mmcrime.plugins import Analyzer, Provider, RunContext, Transcriber
    from mmcrime.results import Assessment, Incident, Report, Segment, Verdict

__version__ = "0.1.0"

_HOMES = {
    "Analyzer": "plugins",
    "Assessment": "results",
    "ConfigError": "errors",
    "CrimeDetectionPipeline": "pipeline",
    "Evidence": "evidence",
    "Frame": "evidence",
    "Incident": "results",
    "Media": "evidence",
    "MediaError": "errors",
    "MmcrimeError": "errors",
    "Provider": "plugins",
    "ProviderError": "errors",
    "Report": "results",
    "RunContext": "plugins",
    "Segment": "results",
    "Settings": "config",
    "Transcriber": "plugins",
    "Verdict": "results",
    "analyze": "pipeline",
}

__all__ = [
    "Analyzer",
    "Assessment",
    "ConfigError",
    "CrimeDetectionPipeline",
    "Evidence",
    "Frame",
    "Incident",
    "Media",
    "MediaError",
    "MmcrimeError",
    "Provider",
    "ProviderError",
    "Report",
    "RunContext",
    "Segment",
    "Settings",
    "Transcriber",
    "Verdict",
    "__version__",
    "analyze",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
