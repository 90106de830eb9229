"""Sound for a provider: as it is where the service takes it, else what was recognised in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, TypeVar

from mmcrime.errors import MediaError, UnfitMediaError
from mmcrime.evidence import (
    Coverage,
    Evidence,
    Gap,
    SoundEvent,
    TranscriptSegment,
    subtract_intervals,
)
from mmcrime.media.fit_room import RECIPE, Room, most
from mmcrime.plugins import Capabilities, Part

__all__ = ["FORMS", "Heard", "encoded_sound", "hear", "no_sound"]

FORMS: dict[str, Literal["mp3", "wav"]] = {"audio/mpeg": "mp3", "audio/wav": "wav"}
"""MIME types that sound is sent as, the smallest first, and what FFmpeg calls them."""
_BYTES_A_SECOND = {"mp3": 6_000, "wav": 32_000}
_HEAD = 2_000  # bytes of a file without its sound
_FRAMED = '{"start": 00000.00, "end": 00000.00, "text": ""}, '  # what surrounds a quoted text

_Heard = TypeVar("_Heard", TranscriptSegment, SoundEvent)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What of the sound goes to a provider.

    Attributes:
        part: The sound itself.
        words: Speech, where the sound is not sent.
        sounds: Sound events, where the sound is not sent.
        coverage: What the provider gets to hear or to read of.
        size: Bytes of media, at most.
        tokens: At most.
        summary: The same in words.
    """

    part: Part | None = None
    words: tuple[TranscriptSegment, ...] = ()
    sounds: tuple[SoundEvent, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    size: float = 0.0
    tokens: float = 0.0
    summary: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return self.part is None and not self.words and not self.sounds


def hear(evidence: Evidence, able: Capabilities, room: Room, *, provider: str) -> Heard:
    """Plan the sound itself, or the words and sound events of it that fit.

    Args:
        evidence: What preprocessing made of the media.
        able: What the provider takes.
        room: What of the request may be filled.
        provider: Its name, for messages.
    """
    form = next((mime for mime in FORMS if able.audio and mime in able.audio_formats), None)
    end = max((until for _, until in evidence.sound.examined), default=0.0)
    if form is not None and 0.0 < end <= most(able.audio_seconds):
        size = end * _BYTES_A_SECOND[FORMS[form]] + _HEAD
        tokens = end * able.tokens.audio_per_second
        if room.holds(size=size, tokens=tokens):
            return Heard(
                part=Part(
                    media_type=form,
                    time=0.0,
                    seconds=end,
                    # How much of it was decoded may depend on limits and a deadline.
                    id=f"{RECIPE}/{evidence.media.content_id}/{form}/{end!r}",
                    load=partial(encoded_sound, evidence, 0.0, end, form, provider),
                ),
                coverage=evidence.sound,
                size=size,
                tokens=tokens,
                summary="the sound itself",
            )
    return _recognised(evidence, able, room)


def _recognised(evidence: Evidence, able: Capabilities, room: Room) -> Heard:
    sounds, tokens = _that_fit(
        evidence.sounds, [s.label for s in evidence.sounds], able, room.half()
    )
    left = room.less(tokens=tokens)
    segments = evidence.transcript.segments
    words, more = _that_fit(segments, [w.text for w in segments], able, left)
    coverage = evidence.transcript.coverage
    if len(words) < len(segments):
        coverage = _until(coverage, segments[len(words)].start)
    return Heard(
        words=words,
        sounds=sounds,
        coverage=coverage,
        tokens=tokens + more,
        summary="speech and sounds only as far as they were recognised on this machine",
    )


def _that_fit(
    heard: Sequence[_Heard], texts: Sequence[str], able: Capabilities, room: Room
) -> tuple[tuple[_Heard, ...], float]:
    """Return the first ones, as many as fit, and their tokens."""
    total = 0.0
    for count, text in enumerate(texts):
        tokens = able.tokens.of_text(_FRAMED) + able.tokens.of_text(
            json.dumps(text, ensure_ascii=False)
        )
        if total + tokens > room.tokens:
            return tuple(heard[:count]), total
        total += tokens
    return tuple(heard), total


def _until(coverage: Coverage, end: float) -> Coverage:
    """Cut a coverage off where the words stop that fit."""
    kept = [(start, min(until, end)) for start, until in coverage.examined if start < end]
    lost = [part for whole in coverage.examined for part in subtract_intervals(whole, kept)]
    gaps = [
        *coverage.gaps,
        *(Gap(start=s, end=e, reason="over_limit: its words did not fit") for s, e in lost),
    ]
    return Coverage(examined=tuple(kept), gaps=tuple(sorted(gaps, key=lambda gap: gap.start)))


def no_sound(evidence: Evidence, able: Capabilities, provider: str) -> UnfitMediaError:
    """Return the error that says why nothing of a sound recording can be sent."""
    if not evidence.sound.examined:
        return UnfitMediaError(
            f"No sound of the media could be heard, so that there is none to send to {provider!r}.",
            provider=provider,
            next_step="See the coverage of the report for why.",
        )
    limits = (
        f"takes no sound as {' or '.join(FORMS)}"
        if not able.audio or not set(FORMS) & set(able.audio_formats)
        else f"cannot take so much sound (limits: {able.audio_seconds} s, "
        f"{able.media_bytes} bytes, {able.context_tokens} tokens)"
    )
    listened = evidence.transcript.coverage.examined
    return UnfitMediaError(
        f"{provider!r} {limits}, and no speech and no sound event that fits was recognised "
        "to send instead.",
        provider=provider,
        next_step="Ask a provider that takes sound."
        if listened
        else "Enable analyzers.speech, or ask a provider that takes sound.",
    )


def encoded_sound(evidence: Evidence, start: float, end: float, form: str, provider: str) -> bytes:
    """Return a stretch of sound as a file that begins with it. Blocks.

    Raises:
        UnfitMediaError: If it cannot be decoded.
    """
    from mmcrime.media.export import encode_sound

    try:
        windows = (
            replace(window, start=window.start - start) for window in evidence.audio(start, end)
        )
        return encode_sound(windows, form=FORMS[form])
    except MediaError as error:
        raise UnfitMediaError(
            f"The sound cannot be sent to {provider!r}: {error.message}",
            provider=provider,
            next_step="Ask a provider that takes words.",
        ) from error
