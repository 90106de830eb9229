"""Media in: open anything safely, decode frames and sound on demand.

The public names are resolved when they are first used: importing this room loads
neither PyAV nor numpy nor Pillow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcrime.media.handle import MediaHandle, open_media
    from mmcrime.media.looked import FrameSampling
    from mmcrime.media.sampling import audio_windows, motion_curve, sample_frames
    from mmcrime.media.source import Source, spool
    from mmcrime.media.stills import Stills

_HOMES = {
    "FrameSampling": "looked",
    "MediaHandle": "handle",
    "Source": "source",
    "Stills": "stills",
    "audio_windows": "sampling",
    "motion_curve": "sampling",
    "open_media": "handle",
    "sample_frames": "sampling",
    "spool": "source",
}

__all__ = [
    "FrameSampling",
    "MediaHandle",
    "Source",
    "Stills",
    "audio_windows",
    "motion_curve",
    "open_media",
    "sample_frames",
    "spool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
