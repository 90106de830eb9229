"""The one orchestrator: a source in, a report out."""

from __future__ import annotations

from mmcrime.pipeline.core import CrimeDetectionPipeline, analyze

__all__ = ["CrimeDetectionPipeline", "analyze"]
