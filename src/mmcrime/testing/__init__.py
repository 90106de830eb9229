"""For those who test against mmcrime: the contract of analyzers, and made-up footage.

Names are resolved when they are first used, so that importing the room loads nothing
heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcrime.testing.contract import AnalyzerContract
    from mmcrime.testing.footage import write_footage

_HOMES = {"AnalyzerContract": "contract", "write_footage": "footage"}

__all__ = ["AnalyzerContract", "write_footage"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
