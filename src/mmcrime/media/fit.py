"""The one place where media is fitted to what a provider takes.

Only plans are made here: what has to be encoded is encoded when it is needed (`Part.load`),
so that a stored answer costs no work. What cannot fit is refused before anything is sent,
and the message names the limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from mmcrime.errors import MediaError, UnfitMediaError
from mmcrime.evidence import (
    Coverage,
    EncodedFrame,
    Evidence,
    Gap,
    SoundEvent,
    TranscriptSegment,
)
from mmcrime.media.fit_pictures import LABEL, choose
from mmcrime.media.fit_room import RECIPE, Room, most
from mmcrime.media.fit_seen import REACH, seen, spans
from mmcrime.media.fit_sound import hear, no_sound
from mmcrime.plugins import Capabilities, Part

__all__ = ["LABEL", "REACH", "RECIPE", "Fitted", "fit"]

_COPIED = frozenset({"mp4", "mov", "matroska"})  # whose packets have true times, as MP4 needs
_LARGEST_COPY = 1_000_000_000  # bytes; a copy is held in memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """What of the media goes to a provider.

    Attributes:
        parts: Pictures in the order of their times, then sound; or the video.
        words: Speech, where sound is not sent itself.
        sounds: Sound events, where sound is not sent itself.
        coverage: What the provider gets to see or hear.
        summary: The same in words.
        native: Whether the video itself is sent. Making the copy may fail, where pictures
            of it still can be sent.
    """

    parts: tuple[Part, ...]
    words: tuple[TranscriptSegment, ...] = ()
    sounds: tuple[SoundEvent, ...] = ()
    coverage: Coverage
    summary: str
    native: bool = False


def fit(
    evidence: Evidence,
    capabilities: Capabilities,
    *,
    provider: str,
    max_frames: int | None = None,
    reserved: float = 0.0,
    native: bool = True,
) -> Fitted:
    """Choose and plan what of the media a provider gets.

    A video goes as it is where the service takes video and it fits, else as pictures with
    their times; sound as it is where the service takes sound and it fits, else as words and
    sound events. Blocks shortly: use a thread.

    Args:
        evidence: What preprocessing made of the media.
        capabilities: What the provider takes.
        provider: Its name, for messages.
        max_frames: Most pictures; None for as many as were sampled and fit.
        reserved: Tokens of the request that the question and the answer take.
        native: Whether the video itself may be sent.

    Raises:
        UnfitMediaError: If nothing of it fits; the message names the limit.
    """
    room = Room.of(capabilities, reserved=reserved)
    if room.tokens <= 0:
        raise UnfitMediaError(
            f"The question alone fills a request to {provider!r} "
            f"(limit: {capabilities.context_tokens} tokens, of which {reserved:.0f} are taken).",
            provider=provider,
            next_step="Lower analyzers.llm.max_output_tokens, or ask another provider.",
        )
    if evidence.media.kind == "audio":
        return _sound(evidence, capabilities, room, provider)
    if native and evidence.media.kind == "video" and _video_fits(evidence, capabilities, room):
        return _video(evidence, capabilities, provider)
    return _pictures(evidence, capabilities, room, provider, max_frames)


def _video_fits(evidence: Evidence, able: Capabilities, room: Room) -> bool:
    media = evidence.media
    takes = able.video and "video/mp4" in able.video_formats and media.format in _COPIED
    if not takes or media.duration is None or not evidence.video.examined:
        return False
    return (
        media.duration <= most(able.video_seconds)
        and media.size_bytes <= _LARGEST_COPY
        and room.holds(size=media.size_bytes, tokens=media.duration * able.tokens.video_per_second)
    )


def _video(evidence: Evidence, able: Capabilities, provider: str) -> Fitted:
    media, seen = evidence.media, evidence.video
    most_bytes = int(min(most(able.media_bytes), _LARGEST_COPY))
    part = Part(
        media_type="video/mp4",
        time=0.0,
        width=media.width,
        height=media.height,
        seconds=media.duration,
        id=f"{RECIPE}/{media.content_id}/copy",
        load=partial(_copied, evidence, most_bytes, provider),
    )
    rate = min(able.video_fps, media.fps or able.video_fps)  # no more than there are
    return Fitted(
        parts=(part,),
        coverage=Coverage(
            examined=seen.examined, frames=max(1, math.floor(seen.seconds * rate)), gaps=seen.gaps
        ),
        summary=f"the video, of which the service looks at {able.video_fps:g} pictures a second",
        native=True,
    )


def _copied(evidence: Evidence, most_bytes: int, provider: str) -> bytes:
    try:
        return evidence.reader.copy(most_bytes=most_bytes)
    except MediaError as error:
        raise UnfitMediaError(
            f"The video cannot be sent to {provider!r}: {error.message}",
            provider=provider,
            next_step="Ask a provider that takes pictures, or convert the video to MP4.",
        ) from error


def _pictures(
    evidence: Evidence, able: Capabilities, room: Room, provider: str, max_frames: int | None
) -> Fitted:
    if not evidence.stills:
        raise UnfitMediaError(
            f"No picture of the media could be decoded, so that there is none for {provider!r}.",
            provider=provider,
            next_step="See the coverage of the report for why.",
        )
    timed = evidence.media.kind == "video"
    heard = hear(evidence, able, room.half(), provider=provider) if timed else None
    if heard is not None:
        room = room.less(size=heard.size, tokens=heard.tokens)
    pictures = choose(
        evidence.stills, able, room, provider=provider, timed=timed, max_frames=max_frames
    )
    if heard is None:
        coverage = _looked_at(len(pictures.parts), evidence)
        return Fitted(parts=pictures.parts, coverage=coverage, summary=pictures.summary)
    return Fitted(
        parts=(*pictures.parts, *((heard.part,) if heard.part else ())),
        words=heard.words,
        sounds=heard.sounds,
        coverage=_seen(pictures.stills, evidence),
        summary="; ".join(filter(None, (pictures.summary, heard.summary))),
    )


def _looked_at(count: int, evidence: Evidence) -> Coverage:
    """Return the coverage of an image file, which has no times."""
    left, gaps = len(evidence.stills) - count, evidence.video.gaps
    if left:
        gaps = (*gaps, Gap(start=0.0, end=0.0, reason=f"over_limit: {left} pictures did not fit"))
    return Coverage(frames=count, gaps=gaps)


def _seen(stills: Sequence[EncodedFrame], evidence: Evidence) -> Coverage:
    end = evidence.media.duration or 0.0
    return seen(spans([still.time for still in stills], end=end), evidence)


def _sound(evidence: Evidence, able: Capabilities, room: Room, provider: str) -> Fitted:
    heard = hear(evidence, able, room, provider=provider)
    if heard.empty:
        raise no_sound(evidence, able, provider)
    return Fitted(
        parts=(heard.part,) if heard.part else (),
        words=heard.words,
        sounds=heard.sounds,
        coverage=heard.coverage,
        summary=heard.summary,
    )
