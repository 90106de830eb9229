"""What is in the media before anybody judges it: words, sounds, frames, motion.

Names are resolved when they are first used, so that importing the room loads nothing
heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcrime.perceive.assemble import Gathered, gather
    from mmcrime.perceive.sound_events import SoundEventDetector
    from mmcrime.perceive.transcribe import transcribe_speech
    from mmcrime.perceive.voice import VoiceActivity, pack_speech

_HOMES = {
    "Gathered": "assemble",
    "SoundEventDetector": "sound_events",
    "VoiceActivity": "voice",
    "gather": "assemble",
    "pack_speech": "voice",
    "transcribe_speech": "transcribe",
}

__all__ = [
    "Gathered",
    "SoundEventDetector",
    "VoiceActivity",
    "gather",
    "pack_speech",
    "transcribe_speech",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
