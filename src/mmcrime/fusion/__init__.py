"""From many assessments to one verdict. Pure functions: no input, no output, no clock."""

from __future__ import annotations

from mmcrime.fusion.fuse import Fused, fuse

__all__ = ["Fused", "fuse"]
