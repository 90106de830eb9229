"""Thumbnails: the frames a report carries, as data URIs."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmcrime.reports.html.figures import as_time
from mmcrime.reports.words import clock

LARGEST = 200_000
"""Bytes of a thumbnail; ours have a tenth of that, and a page shows one several times."""
_LARGEST_SIDE = 2048  # pixels
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_SAME = 1e-3
"""Seconds under which two times are the same frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One frame.

    Attributes:
        uri: The JPEG as a data URI.
        time: Media seconds.
        width: Pixels of the frame, for its shape.
        height: Pixels of the frame.
        caption: Its time in words.
    """

    uri: str
    time: float
    width: int
    height: int
    caption: str


def pictures(report: Mapping[str, Any]) -> list[Picture]:
    """Return the frames that come with a thumbnail, in order of time.

    What is no whole JPEG of a modest size is no thumbnail of ours and is left out.
    """
    found = []
    for frame in (report.get("evidence") or {}).get("frames") or ():
        encoded = _jpeg(frame.get("thumbnail") or "")
        if encoded:
            found.append(
                Picture(
                    uri=f"data:image/jpeg;base64,{encoded}",
                    time=as_time(frame["time"]),
                    width=_side(frame["width"]),
                    height=_side(frame["height"]),
                    caption=f"frame at {clock(frame['time'])}",
                )
            )
    return sorted(found, key=lambda picture: picture.time)


def _side(pixels: float) -> int:
    """Return a side that a picture can have, 0 for what is none."""
    return int(pixels) if 0 < pixels < 1e6 else 0


def left_out(report: Mapping[str, Any], shown: Sequence[Picture]) -> int:
    """Return how many thumbnails are not among the pictures."""
    frames = (report.get("evidence") or {}).get("frames") or ()
    return sum(bool(frame.get("thumbnail")) for frame in frames) - len(shown)


def _jpeg(thumbnail: str) -> str:
    """Return a thumbnail in base64, empty when it is no whole, modest JPEG."""
    if len(thumbnail) > 1.5 * LARGEST:
        return ""
    try:
        data = base64.b64decode("".join(thumbnail.split()), validate=True)
    except (binascii.Error, ValueError):
        return ""
    if len(data) > LARGEST or not (data.startswith(_START) and data.endswith(_END)):
        return ""
    return base64.b64encode(data).decode("ascii") if _decodes(data) else ""


def _decodes(data: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if max(image.size) > _LARGEST_SIDE:
                return False
            image.draft("L", (1, 1))  # an eighth of the size: the check costs little
            image.load()
    except Exception:  # noqa: BLE001  # Pillow raises almost anything on what is made to break it
        return False
    return True


def at_peak(shown: Sequence[Picture], incident: Mapping[str, Any]) -> Picture | None:
    """Return the picture of what was on the screen at the peak of an incident.

    That is the last of its own frames at or before its peak, else the nearest of them.
    Where none of them comes with a picture it is the nearest of all.
    """
    times, peak = [as_time(t) for t in incident.get("frames") or ()], as_time(incident["peak"])
    own = [p for p in shown if any(abs(p.time - time) < _SAME for time in times)]
    before = [p for p in own if p.time <= peak + _SAME]
    if before:
        return before[-1]
    return min(own or shown, key=lambda picture: abs(picture.time - peak), default=None)


def spread(shown: Sequence[Picture], most: int) -> list[Picture]:
    """Return at most ``most`` pictures, evenly chosen, the first and the last among them."""
    if len(shown) <= most:
        return list(shown)
    return [shown[round(i * (len(shown) - 1) / (most - 1))] for i in range(most)]
