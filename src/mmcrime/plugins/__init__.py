"""The doors: what a provider, an analyzer and a transcriber must offer.

Each has one required method; variety lives in the data. Plug-ins are found through
the entry-point groups ``mmcrime.providers``, ``mmcrime.analyzers`` and
``mmcrime.transcribers``; ours use the same door as a stranger's.
"""

from __future__ import annotations

from mmcrime.plugins.batch import BatchLimits, BatchProvider, BatchState, BatchStatus
from mmcrime.plugins.doors import Analyzer, PluginOptions, Provider, RunContext, Transcriber
from mmcrime.plugins.exchange import (
    Capabilities,
    Part,
    RateStatus,
    Request,
    Response,
    Task,
    TokenEstimate,
    TokenUsage,
)
from mmcrime.plugins.labels import MOST_LABELS, read_labels
from mmcrime.results import EgressGate

__all__ = [
    "MOST_LABELS",
    "Analyzer",
    "BatchLimits",
    "BatchProvider",
    "BatchState",
    "BatchStatus",
    "Capabilities",
    "EgressGate",
    "Part",
    "PluginOptions",
    "Provider",
    "RateStatus",
    "Request",
    "Response",
    "RunContext",
    "Task",
    "TokenEstimate",
    "TokenUsage",
    "Transcriber",
    "read_labels",
]
