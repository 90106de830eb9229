"""Thumbnails: the frames a report carries, as data URIs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmcrime.reports.words import clock

_BASE64 = re.compile(r"/9j/[A-Za-z0-9+/]*={0,2}")
"""A JPEG in base64: its first three bytes are FF D8 FF."""


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

    What does not begin as a JPEG is no thumbnail of ours and is left out.
    """
    found = []
    for frame in (report.get("evidence") or {}).get("frames") or ():
        encoded = "".join((frame.get("thumbnail") or "").split())
        if _BASE64.fullmatch(encoded):
            found.append(
                Picture(
                    uri=f"data:image/jpeg;base64,{encoded}",
                    time=frame["time"],
                    width=frame["width"],
                    height=frame["height"],
                    caption=f"frame at {clock(frame['time'])}",
                )
            )
    return sorted(found, key=lambda picture: picture.time)


def nearest(shown: Sequence[Picture], time: float) -> Picture | None:
    """Return the picture nearest to a time."""
    return min(shown, key=lambda picture: abs(picture.time - time), default=None)


def spread(shown: Sequence[Picture], most: int) -> list[Picture]:
    """Return at most ``most`` pictures, evenly chosen, the first and the last among them."""
    if len(shown) <= most:
        return list(shown)
    return [shown[round(i * (len(shown) - 1) / (most - 1))] for i in range(most)]
