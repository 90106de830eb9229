"""What preprocessing makes of one Media, and lazy access to more of it.

Times are media time in seconds: ``t = pts * time_base - start of the earliest
selected stream``. Audio and video share that clock. Intervals are half-open.
The classes here hold plain data; decoding is done by the room ``media`` behind
the `MediaReader` protocol, so that importing this room loads nothing heavy.
"""

from __future__ import annotations

from mmcrime.evidence.coverage import (
    CUT_OFF,
    NO_STREAM,
    SILENT,
    Coverage,
    Gap,
    Interval,
    merge_intervals,
    subtract_intervals,
)
from mmcrime.evidence.media import (
    SAMPLE_RATE,
    AudioWindow,
    EncodedFrame,
    Evidence,
    Frame,
    Media,
    MediaKind,
    MediaReader,
)
from mmcrime.evidence.signals import (
    LoudnessCurve,
    MotionCurve,
    Reliability,
    SoundEvent,
    SoundLabel,
    Transcript,
    TranscriptSegment,
)

__all__ = [
    "CUT_OFF",
    "NO_STREAM",
    "SAMPLE_RATE",
    "SILENT",
    "AudioWindow",
    "Coverage",
    "EncodedFrame",
    "Evidence",
    "Frame",
    "Gap",
    "Interval",
    "LoudnessCurve",
    "Media",
    "MediaKind",
    "MediaReader",
    "MotionCurve",
    "Reliability",
    "SoundEvent",
    "SoundLabel",
    "Transcript",
    "TranscriptSegment",
    "merge_intervals",
    "subtract_intervals",
]
