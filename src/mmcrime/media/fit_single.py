"""Media for a provider that takes one picture, or one stretch of sound, in a request."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from mmcrime.errors import UnfitMediaError
from mmcrime.evidence import Coverage, Evidence, Gap, Interval
from mmcrime.media.fit_pictures import choose
from mmcrime.media.fit_room import RECIPE, Room, most
from mmcrime.media.fit_seen import heard, seen, spans
from mmcrime.media.fit_sound import FORMS, encoded_sound
from mmcrime.plugins import Capabilities, Part

__all__ = ["WINDOW", "Single", "covered", "single_pictures", "single_sounds"]

WINDOW = 10.0
"""Longest stretch of sound in a request, in seconds: what sound classifiers are trained on."""
_ENDLESS = Room(bytes=math.inf, tokens=math.inf)


@dataclass(frozen=True, kw_only=True, slots=True)
class Single:
    """What goes into one request.

    Attributes:
        part: A picture or a stretch of sound.
        span: What it stands for, in media seconds; without a length for a picture file.
    """

    part: Part
    span: Interval


def single_pictures(
    evidence: Evidence, able: Capabilities, *, provider: str, max_frames: int | None
) -> tuple[Single, ...]:
    """Plan the sampled pictures, each for a request of its own. Blocks shortly: use a thread.

    Args:
        evidence: What preprocessing made of the media.
        able: What the provider takes.
        provider: Its name, for messages.
        max_frames: Most pictures, evenly spread; None for all.

    Raises:
        UnfitMediaError: If there is none, or none that fits; the message names the limit.
    """
    if not evidence.stills:
        raise UnfitMediaError(
            f"No picture of the media could be decoded, so that there is none for {provider!r}.",
            provider=provider,
            next_step="See the coverage of the report for why.",
        )
    limits = [limit for limit in (able.image_bytes, able.media_bytes) if limit is not None]
    alone = replace(
        able, images=0 if able.images == 0 else None, image_bytes=min(limits, default=None)
    )
    timed = evidence.media.kind == "video"
    pictures = choose(
        evidence.stills, alone, _ENDLESS, provider=provider, timed=timed, max_frames=max_frames
    )
    times = [still.time for still in pictures.stills]
    end = evidence.media.duration or 0.0
    stood_for = spans(times, end=end) if timed else ((0.0, 0.0),) * len(times)
    return tuple(
        Single(part=part, span=span) for part, span in zip(pictures.parts, stood_for, strict=True)
    )


def single_sounds(evidence: Evidence, able: Capabilities, *, provider: str) -> tuple[Single, ...]:
    """Plan all that can be heard, in stretches of at most `WINDOW`.

    Args:
        evidence: What preprocessing made of the media.
        able: What the provider takes.
        provider: Its name, for messages.

    Raises:
        UnfitMediaError: If nothing can be heard, or nothing that the provider takes.
    """
    form = next((mime for mime in FORMS if able.audio and mime in able.audio_formats), None)
    if form is None:
        raise UnfitMediaError(
            f"{provider!r} takes no sound as {' or '.join(FORMS)}.",
            provider=provider,
            next_step="Ask a provider that takes sound.",
        )
    if not evidence.sound.examined:
        raise UnfitMediaError(
            f"No sound of the media could be heard, so that there is none to send to {provider!r}.",
            provider=provider,
            next_step="See the coverage of the report for why.",
        )
    longest = min(WINDOW, most(able.audio_seconds))
    return tuple(
        Single(part=_sound(evidence, window, form, provider), span=window)
        for whole in evidence.sound.examined
        for window in _windows(whole, longest)
    )


def covered(judged: tuple[Single, ...], failed: tuple[Single, ...], evidence: Evidence) -> Coverage:
    """Return the coverage of what was sent: what was judged of it, and what was not.

    Args:
        judged: All pictures, or all stretches of sound, of which something was said.
        failed: Those of which nothing was.
        evidence: What they were made of.
    """
    looked, lost = [one.span for one in judged], [one.span for one in failed]
    if any(one.part.kind == "audio" for one in (*judged, *failed)):
        return heard(looked, evidence, failed=lost)
    if evidence.media.kind == "video":
        return seen(looked, evidence, failed=lost)
    left = len(evidence.stills) - len(judged)
    gaps = evidence.video.gaps
    if left:
        gaps = (*gaps, Gap(start=0.0, end=0.0, reason=f"not_judged: {left} pictures"))
    return Coverage(frames=len(judged), gaps=gaps)


def _windows(whole: Interval, longest: float) -> Iterator[Interval]:
    """Yield equal parts of an interval, so that no sliver is left at its end."""
    start, end = whole
    count = max(1, math.ceil((end - start) / longest - 1e-9))
    borders = [start + (end - start) * i / count for i in range(count)] + [end]
    yield from pairwise(borders)


def _sound(evidence: Evidence, window: Interval, form: str, provider: str) -> Part:
    start, end = window
    return Part(
        media_type=form,
        time=start,
        seconds=end - start,
        id=f"{RECIPE}/{evidence.media.content_id}/{form}/{start!r}-{end!r}",
        load=partial(encoded_sound, evidence, start, end, form, provider),
    )
