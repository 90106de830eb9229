"""Pictures for a provider: as they are where they fit, else smaller, and as many as fit."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from blake3 import blake3

from mmcrime.errors import UnfitMediaError
from mmcrime.evidence import EncodedFrame
from mmcrime.media.fit_room import RECIPE, Room, most
from mmcrime.plugins import Capabilities, Part

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LABEL", "Pictures", "choose"]

LABEL = "Picture at {:.3f} s:"
"""What stands before a picture of a video; its time is `Part.time`."""
_JPEG, _PNG = "image/jpeg", "image/png"
_QUALITIES = (85, 70, 55)
_SMALLEST_SIDE = 64  # pixels below which a smaller picture shows nothing
_HEAD = 2_000  # bytes of a file without its pixels
_DIGITS = 3  # of the times that a service is told, in seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Which pictures go to a provider.

    Attributes:
        parts: In the order of their times.
        stills: What they were made of, one each.
        summary: How many they are and how large, in words.
    """

    parts: tuple[Part, ...]
    stills: tuple[EncodedFrame, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a picture goes.

    Attributes:
        width: Pixels.
        height: Pixels.
        form: MIME type.
        as_it_is: Whether it is not encoded anew.
        most_bytes: What it must not exceed.
    """

    width: int
    height: int
    form: str
    as_it_is: bool
    most_bytes: int


def choose(
    stills: Sequence[EncodedFrame],
    able: Capabilities,
    room: Room,
    *,
    provider: str,
    timed: bool,
    max_frames: int | None,
) -> Pictures:
    """Plan as many pictures as fit, evenly spread.

    Args:
        stills: What was sampled, in the order of their times; at least one.
        able: What the provider takes.
        room: What of the request may be filled.
        provider: Its name, for messages.
        timed: Whether their times mean anything.
        max_frames: Most pictures; None for as many as fit.

    Raises:
        UnfitMediaError: If not even one fits; the message names the limit.
    """
    form = next((mime for mime in (_JPEG, _PNG) if mime in able.image_formats), None)
    if able.images == 0 or form is None:
        limit = "0 images in a request" if form else f"formats {', '.join(able.image_formats)}"
        raise UnfitMediaError(
            f"{provider!r} takes no pictures that could be sent (limit: {limit}).",
            provider=provider,
            next_step="Ask a provider that does; `mmcrime providers` lists what each takes.",
        )
    planned = [_planned(still, able, room, form) for still in stills]
    count = min(len(stills), most(max_frames), most(able.images), _fitting(planned, able, room))
    if count < 1:
        raise UnfitMediaError(
            f"A picture of {planned[0].width} x {planned[0].height} pixels does not fit into a "
            f"request to {provider!r} (limits: {able.media_bytes} bytes, "
            f"{able.context_tokens} tokens).",
            provider=provider,
            next_step="Lower media.max_side.",
        )
    chosen = _spread(len(stills), int(count))
    side = max(max(planned[i].width, planned[i].height) for i in chosen)
    of = "" if len(chosen) == len(stills) else f" of the {len(stills)} that were sampled"
    return Pictures(
        parts=tuple(_part(stills[i], planned[i], provider, timed=timed) for i in chosen),
        stills=tuple(stills[i] for i in chosen),
        summary=f"{len(chosen)} picture{'s' if len(chosen) > 1 else ''}{of}, "
        f"at most {side} pixels a side",
    )


def _planned(still: EncodedFrame, able: Capabilities, room: Room, form: str) -> _Plan:
    width, height = _within(still.width, still.height, able)
    size = len(still.jpeg)
    limit = min(most(able.image_bytes), room.bytes)
    if form == _JPEG and (width, height) == (still.width, still.height) and size <= limit:
        return _Plan(width, height, form, as_it_is=True, most_bytes=size)
    # Encoded anew, a smaller JPEG takes no more bytes; a PNG at most what its pixels take.
    largest = size if form == _JPEG else int(1.01 * (3 * width + 1) * height)
    return _Plan(width, height, form, as_it_is=False, most_bytes=int(min(largest + _HEAD, limit)))


def _within(width: int, height: int, able: Capabilities) -> tuple[int, int]:
    """Return the size of a picture within the limits of sides and pixels."""
    side, pixels = most(able.image_side), most(able.image_pixels)
    if max(width, height) <= side and width * height <= pixels:
        return width, height
    scale = min(1.0, side / max(width, height), math.sqrt(pixels / (width * height)))
    short, long = (max(1, math.floor(n * scale)) for n in sorted((width, height)))
    if short * long > pixels:  # a line of pixels, which cannot become thinner
        long = max(1, math.floor(pixels / short))
    return (short, long) if width <= height else (long, short)


def _fitting(planned: Sequence[_Plan], able: Capabilities, room: Room) -> float:
    """Return how many of the most expensive picture fit into the room."""
    label = able.tokens.of_text(LABEL.format(86_400.0))
    size = max(plan.most_bytes for plan in planned)
    tokens = label + max(able.tokens.of_picture(plan.width, plan.height) for plan in planned)
    return min(_times(room.bytes, max(1, size)), _times(room.tokens, tokens))


def _times(free: float, each: float) -> float:
    """Return how often something fits; as often as one likes where there is no limit."""
    return free if math.isinf(free) else free // each


def _spread(count: int, chosen: int) -> list[int]:
    """Return positions evenly spread, the first and the last among them."""
    if chosen >= count:
        return list(range(count))
    if chosen == 1:
        return [count // 2]
    return [round(i * (count - 1) / (chosen - 1)) for i in range(chosen)]


def _part(still: EncodedFrame, plan: _Plan, provider: str, *, timed: bool) -> Part:
    known = f"{RECIPE}/{blake3(still.jpeg).hexdigest()}"
    made = "" if plan.as_it_is else f"/{plan.width}x{plan.height}/{plan.form}/{plan.most_bytes}"
    return Part(
        data=still.jpeg if plan.as_it_is else b"",
        media_type=plan.form,
        time=round(still.time, _DIGITS) if timed else None,
        width=plan.width,
        height=plan.height,
        id=known + made,
        load=None if plan.as_it_is else partial(_smaller, still, plan, provider),
    )


def _smaller(still: EncodedFrame, plan: _Plan, provider: str) -> bytes:
    """Return the picture in a smaller size, and in fewer bytes if it must be.

    Raises:
        UnfitMediaError: If it would have to be too small to show anything.
    """
    from PIL import Image

    width, height = plan.width, plan.height
    with Image.open(io.BytesIO(still.jpeg), formats=["JPEG"]) as opened:
        image = opened.convert("RGB")
    while True:
        resized = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
        for data in _encodings(resized, plan.form):
            if len(data) <= plan.most_bytes:
                return data
        if max(width, height) // 2 < _SMALLEST_SIDE:
            raise UnfitMediaError(
                f"A picture cannot be made small enough for {provider!r} "
                f"(limit: {plan.most_bytes} bytes).",
                provider=provider,
                next_step="Ask another provider.",
            )
        width, height = max(1, width // 2), max(1, height // 2)


def _encodings(image: Image.Image, form: str) -> Iterator[bytes]:
    """Yield the encodings that are tried, the best first."""
    for quality in _QUALITIES if form == _JPEG else (None,):
        buffer = io.BytesIO()
        if quality is None:
            image.save(buffer, "PNG")
        else:
            image.save(buffer, "JPEG", quality=quality)
        yield buffer.getvalue()
