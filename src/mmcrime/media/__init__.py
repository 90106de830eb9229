"""Media in: open anything safely, decode frames and sound on demand.

The public names are resolved when they are first used: importing this room loads
neither PyAV nor numpy nor Pillow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcrime.media.choose import Choice, choose_times
    from mmcrime.media.handle import MediaHandle, open_media
    from mmcrime.media.looked import FrameSampling
    from mmcrime.media.sampling import audio_windows, motion_curve, sample_frames
    from mmcrime.media.select import DroppedFrame, FrameSelection, SelectedFrame, select_frames
    from mmcrime.media.similar import Look
    from mmcrime.media.source import Source
    from mmcrime.media.stills import Stills

_HOMES = {
    "Choice": "choose",
    "DroppedFrame": "select",
    "FrameSampling": "looked",
    "FrameSelection": "select",
    "Look": "similar",
    "MediaHandle": "handle",
    "SelectedFrame": "select",
    "Source": "source",
    "Stills": "stills",
    "audio_windows": "sampling",
    "choose_times": "choose",
    "motion_curve": "sampling",
    "open_media": "handle",
    "sample_frames": "sampling",
    "select_frames": "select",
}

__all__ = [
    "Choice",
    "DroppedFrame",
    "FrameSampling",
    "FrameSelection",
    "Look",
    "MediaHandle",
    "SelectedFrame",
    "Source",
    "Stills",
    "audio_windows",
    "choose_times",
    "motion_curve",
    "open_media",
    "sample_frames",
    "select_frames",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
