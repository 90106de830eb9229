"""The one place where media is fitted to what a provider takes.

Only plans are made here: what has to be encoded is encoded when it is needed (`Part.load`),
so that a stored answer costs no work. What cannot fit is refused before anything is sent,
and the message names the limit.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from mmcrime.errors import MediaError, UnfitMediaError
from mmcrime.evidence import (
    Coverage,
    EncodedFrame,
    Evidence,
    SoundEvent,
    TranscriptSegment,
    merge_intervals,
)
from mmcrime.plugins import Capabilities, Part

__all__ = ["RECIPE", "Fitted", "fit"]

RECIPE = "fit-1"
"""Version of what is made of media here; part of the key under which answers are stored."""
REACH = 10.0
"""Seconds that one picture of a video may stand for; what is further from it was not seen."""
_JPEG = "image/jpeg"
_QUALITIES = (85, 70, 55)
_TOKENS_FOR_MEDIA = 0.8  # share of the largest request that media may fill
_COPIED = frozenset({"mp4", "mov", "matroska", "webm"})  # what MP4 can hold without decoding
_SMALLEST_SIDE = 64  # pixels below which a smaller picture shows nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """What of the media goes to a provider.

    Attributes:
        parts: Pictures, sound or video, in the order of their times.
        words: Speech, where sound is not sent itself.
        sounds: Sound events, where sound is not sent itself.
        coverage: What the provider gets to see or hear.
        summary: The same in words.
    """

    parts: tuple[Part, ...]
    words: tuple[TranscriptSegment, ...] = ()
    sounds: tuple[SoundEvent, ...] = ()
    coverage: Coverage
    summary: str


def fit(
    evidence: Evidence,
    capabilities: Capabilities,
    *,
    provider: str,
    max_frames: int | None = None,
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

    Raises:
        UnfitMediaError: If nothing of it fits; the message names the limit.
    """
    kind = evidence.media.kind
    if kind == "audio":
        return _sound(evidence, capabilities, provider)
    if kind == "video" and _video_fits(evidence, capabilities):
        return _video(evidence, capabilities, provider)
    return _pictures(evidence, capabilities, provider, max_frames)


def _video_fits(evidence: Evidence, able: Capabilities) -> bool:
    media = evidence.media
    if not able.video or "video/mp4" not in able.video_formats or media.format not in _COPIED:
        return False
    seconds = media.duration or math.inf
    tokens = seconds * able.tokens.video_per_second
    return (
        seconds <= (able.video_seconds or math.inf)
        and media.size_bytes <= (able.media_bytes or math.inf)
        and tokens <= _TOKENS_FOR_MEDIA * (able.context_tokens or math.inf)
    )


def _video(evidence: Evidence, able: Capabilities, provider: str) -> Fitted:
    media = evidence.media
    seconds = media.duration or 0.0
    part = Part(
        media_type="video/mp4",
        time=0.0,
        width=media.width,
        height=media.height,
        seconds=seconds,
        id=f"{media.content_id}/{RECIPE}/copy",
        load=partial(_copied, evidence, able.media_bytes, provider),
    )
    seen = evidence.video.examined
    return Fitted(
        parts=(part,),
        coverage=Coverage(
            examined=seen,
            frames=max(1, math.floor(seconds * able.video_fps)),
            gaps=evidence.video.gaps,
        ),
        summary=f"the video, of which the service looks at {able.video_fps:g} pictures a second",
    )


def _copied(evidence: Evidence, most_bytes: int | None, provider: str) -> bytes:
    try:
        return evidence.reader.copy(most_bytes=most_bytes)
    except MediaError as error:
        raise UnfitMediaError(
            f"The video cannot be sent to {provider!r}: {error.message}",
            provider=provider,
            next_step="Ask a provider that takes pictures, or convert the video to MP4.",
        ) from error


def _pictures(
    evidence: Evidence, able: Capabilities, provider: str, max_frames: int | None
) -> Fitted:
    if able.images == 0:
        raise UnfitMediaError(
            f"{provider!r} takes no pictures (limit: 0 images in a request).",
            provider=provider,
            next_step="Ask a provider that does; `mmcrime providers` lists what each takes.",
        )
    if not evidence.stills:
        raise UnfitMediaError(
            "No picture of the media could be decoded, so that there is none to send.",
            provider=provider,
            next_step="See the coverage of the report for why.",
        )
    planned = [_planned(still, able) for still in evidence.stills]
    most = _most_pictures(planned, able, provider, max_frames)
    chosen = _spread(len(planned), most)
    parts = tuple(
        _picture(evidence.stills[i], planned[i], evidence.media.content_id, able, provider)
        for i in chosen
    )
    if evidence.media.kind == "image":
        return Fitted(
            parts=tuple(_timeless(part) for part in parts),
            coverage=Coverage(frames=len(parts), gaps=evidence.video.gaps),
            summary=_counted(parts, len(planned)),
        )
    extra = _heard(evidence, able)
    return Fitted(
        parts=(*parts, *extra.parts),
        words=extra.words,
        sounds=extra.sounds,
        coverage=_seen(parts, evidence),
        summary=f"{_counted(parts, len(planned))}; {extra.summary}",
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    width: int
    height: int
    as_it_is: bool
    bytes_at_most: int


def _planned(still: EncodedFrame, able: Capabilities) -> _Plan:
    """Say how a picture goes: as it is, or smaller."""
    scale = 1.0
    if able.image_side is not None:
        scale = min(scale, able.image_side / max(still.width, still.height))
    if able.image_pixels is not None:
        scale = min(scale, math.sqrt(able.image_pixels / (still.width * still.height)))
    most = able.image_bytes or math.inf
    size = len(still.jpeg)
    as_it_is = scale >= 1.0 and size <= most
    width, height = (max(1, math.floor(n * scale)) for n in (still.width, still.height))
    return _Plan(width, height, as_it_is, int(min(size, most)))


def _most_pictures(
    planned: Sequence[_Plan], able: Capabilities, provider: str, max_frames: int | None
) -> int:
    """Return how many pictures fit into one request.

    Raises:
        UnfitMediaError: If not even one does.
    """
    most = min(len(planned), max_frames or len(planned), able.images or len(planned))
    largest = max(plan.bytes_at_most for plan in planned)
    if able.media_bytes is not None:
        most = min(most, able.media_bytes // max(1, largest))
    if able.context_tokens is not None:
        tokens = max(able.tokens.of_picture(plan.width, plan.height) for plan in planned)
        most = min(most, int(_TOKENS_FOR_MEDIA * able.context_tokens / max(1.0, tokens)))
    if most < 1:
        raise UnfitMediaError(
            f"A picture of {largest} bytes does not fit into a request to {provider!r} "
            f"(limits: {able.media_bytes} bytes, {able.context_tokens} tokens).",
            provider=provider,
            next_step="Lower media.max_side.",
        )
    return most


def _spread(count: int, most: int) -> list[int]:
    """Return ``most`` of ``count`` positions, evenly spread, the first and last among them."""
    if most >= count:
        return list(range(count))
    if most == 1:
        return [count // 2]
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def _picture(
    still: EncodedFrame, plan: _Plan, content_id: str, able: Capabilities, provider: str
) -> Part:
    common = f"{content_id}/{RECIPE}/{still.time:.6f}/{still.width}x{still.height}"
    if plan.as_it_is and _JPEG in able.image_formats:
        return Part(
            data=still.jpeg,
            media_type=_JPEG,
            time=still.time,
            width=still.width,
            height=still.height,
            id=f"{common}/{len(still.jpeg)}",
        )
    form = _JPEG if _JPEG in able.image_formats else "image/png"
    return Part(
        media_type=form,
        time=still.time,
        width=plan.width,
        height=plan.height,
        id=f"{common}/{plan.width}x{plan.height}/{form}/{able.image_bytes}",
        load=partial(_smaller, still, plan, form, able.image_bytes, provider),
    )


def _smaller(
    still: EncodedFrame, plan: _Plan, form: str, most_bytes: int | None, provider: str
) -> bytes:
    """Return the picture in a smaller size, and in fewer bytes if it must be."""
    from PIL import Image

    most = math.inf if most_bytes is None else most_bytes
    width, height = plan.width, plan.height
    with Image.open(io.BytesIO(still.jpeg), formats=["JPEG"]) as opened:
        image = opened.convert("RGB")
    while max(width, height) >= _SMALLEST_SIDE:
        resized = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
        for quality in _QUALITIES if form == _JPEG else (0,):
            buffer = io.BytesIO()
            if form == _JPEG:
                resized.save(buffer, "JPEG", quality=quality)
            else:
                resized.save(buffer, "PNG")
            if buffer.tell() <= most:
                return buffer.getvalue()
        width, height = max(1, width // 2), max(1, height // 2)
    raise UnfitMediaError(
        f"A picture cannot be made small enough for {provider!r} (limit: {most_bytes} bytes).",
        provider=provider,
        next_step="Ask another provider.",
    )


def _timeless(part: Part) -> Part:
    return Part(
        data=part.data,
        media_type=part.media_type,
        width=part.width,
        height=part.height,
        id=part.id,
        load=part.load,
    )


def _counted(parts: Sequence[Part], sampled: int) -> str:
    side = max(max(p.width or 0, p.height or 0) for p in parts)
    of = "" if len(parts) == sampled else f" of the {sampled} that were sampled"
    noun = "picture" if len(parts) == 1 else "pictures"
    return f"{len(parts)} {noun}{of}, at most {side} pixels a side"


def _seen(parts: Sequence[Part], evidence: Evidence) -> Coverage:
    """Return what pictures of a video stand for: each until the next, but not for long."""
    end = evidence.media.duration or 0.0
    times = [part.time or 0.0 for part in parts]
    spans = [
        (time, min(after, time + REACH))
        for time, after in zip(times, [*times[1:], end], strict=True)
    ]
    return Coverage.from_intervals(
        merge_intervals(spans),
        frames=len(parts),
        whole=(0.0, end),
        reason="not_requested: no picture of it was sent",
    )


def _sound(evidence: Evidence, able: Capabilities, provider: str) -> Fitted:
    heard = _heard(evidence, able)
    if not heard.parts and not heard.words and not heard.sounds:
        listened = evidence.transcript.coverage.examined or evidence.sounds
        if not able.audio and not listened:
            raise UnfitMediaError(
                f"{provider!r} takes no sound, and no speech was recognised to send instead.",
                provider=provider,
                next_step="Enable analyzers.speech, or ask a provider that takes sound.",
            )
    return heard


def _heard(evidence: Evidence, able: Capabilities) -> Fitted:
    """Return the sound as it is, or what was recognised in it."""
    media = evidence.media
    form = next((f for f in ("audio/mpeg", "audio/wav") if f in able.audio_formats), None)
    seconds = media.duration or 0.0
    fits = (
        able.audio
        and form is not None
        and bool(evidence.sound.examined)
        and seconds <= (able.audio_seconds or math.inf)
        and _sound_bytes(form, seconds) <= (able.media_bytes or math.inf)
    )
    if fits and form is not None:
        part = Part(
            media_type=form,
            time=0.0,
            seconds=seconds,
            id=f"{media.content_id}/{RECIPE}/{form}",
            load=partial(_encoded, evidence, form),
        )
        return Fitted(parts=(part,), coverage=evidence.sound, summary="the sound itself")
    return Fitted(
        parts=(),
        words=evidence.transcript.segments,
        sounds=evidence.sounds,
        coverage=evidence.transcript.coverage,
        summary="speech and sounds only as far as they were recognised on this machine",
    )


def _sound_bytes(form: str, seconds: float) -> float:
    return seconds * (6_000 if form == "audio/mpeg" else 32_000) + 1_000


def _encoded(evidence: Evidence, form: str) -> bytes:
    from mmcrime.media.export import encode_sound

    end = evidence.media.duration or 0.0
    windows = evidence.audio(0.0, end)
    return encode_sound(windows, form="mp3" if form == "audio/mpeg" else "wav")
