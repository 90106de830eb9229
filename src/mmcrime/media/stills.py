"""The pictures of an image file: one, or the frames of an animation with their times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmcrime.config import Limits
from mmcrime.evidence import Coverage, EncodedFrame, Frame, Gap
from mmcrime.media.looked import FrameSampling, Looked
from mmcrime.media.pictures import probe_picture, read_picture
from mmcrime.media.source import Spooled

__all__ = ["Stills", "pictures_at", "read_stills"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stills:
    """All pictures of an image file that were decoded, kept as JPEG.

    Attributes:
        frames: In the file's order, the first at time 0.
        coverage: How many they are; pictures that are left out or damaged are gaps.
    """

    frames: tuple[EncodedFrame, ...]
    coverage: Coverage

    @classmethod
    def none(cls) -> Stills:
        """Return the stills of something that is no image file."""
        return cls(frames=(), coverage=Coverage())


def read_stills(spooled: Spooled, *, limits: Limits, max_side: int | None) -> Stills:
    """Decode the pictures of an image file, up to the limit of frames.

    Raises:
        UnsafeMediaError: If a picture has more pixels than the limit.
        CorruptMediaError: If not even the first picture decodes.
    """
    with spooled.open() as file:
        info = probe_picture(file, spooled.sniffed, limits=limits, source=spooled.name)
    with spooled.open() as file:
        pictures = read_picture(
            file, spooled.sniffed, limits=limits, source=spooled.name, max_side=max_side
        )
        frames = tuple(picture.encode() for picture in pictures)
        damaged = pictures.damaged
    end = frames[-1].time
    gaps = [Gap(start=end, end=end, reason="damaged")] if damaged else []
    if not damaged and info.frames > len(frames):
        gaps.append(
            Gap(start=end, end=end, reason=f"over_limit: only the first {len(frames)} pictures")
        )
    return Stills(frames=frames, coverage=Coverage(frames=len(frames), gaps=tuple(gaps)))


def pictures_at(
    spooled: Spooled, at: Sequence[float], *, limits: Limits, max_side: int | None
) -> FrameSampling:
    """Give the pictures shown at some times, each once, in time order.

    Returns:
        An iterator that also states how many there were and whether the file is damaged.
        While it runs it may raise MediaError, as `read_stills`.

    Raises:
        ValueError: If a time is not finite.
    """
    if not all(math.isfinite(time) for time in at):
        raise ValueError(f"times must be finite numbers, not {list(at)!r}")
    looked = Looked()
    return FrameSampling(_pictures(spooled, sorted(set(at)), limits, max_side, looked), looked)


def _pictures(
    spooled: Spooled, wanted: list[float], limits: Limits, max_side: int | None, looked: Looked
) -> Iterator[Frame]:
    with spooled.open() as file:
        held: Frame | None = None
        pictures = read_picture(
            file, spooled.sniffed, limits=limits, source=spooled.name, max_side=max_side
        )
        for picture in pictures:
            if held is not None and any(time < picture.time for time in wanted):
                looked.see((held.time, picture.time))
                yield held
                wanted = [time for time in wanted if time >= picture.time]
            if not wanted:
                return
            held = picture
        if held is not None and wanted:
            looked.see((held.time, held.time))
            if pictures.damaged:
                looked.miss((held.time, held.time), "damaged")
            yield held
