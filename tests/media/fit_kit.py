"""Evidence of real media for the tests of what is sent to a provider."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from footage import clicks, steady, write_clip

from mmcrime.config import Settings
from mmcrime.egress import Gate
from mmcrime.evidence import (
    Coverage,
    Evidence,
    Frame,
    Media,
    SoundEvent,
    Transcript,
    TranscriptSegment,
)
from mmcrime.media import open_media
from mmcrime.perceive import gather

H264 = {"preset": "ultrafast", "bf": "3", "g": "25"}


@contextmanager
def evidence_of(source: Any, *, interval: float = 1.0, **settings: Any) -> Iterator[Evidence]:
    """Open media and look at it, as the pipeline does; ``settings`` are those of media."""
    with open_media(source) as handle:
        gathered = asyncio.run(
            gather(
                handle,
                settings=Settings.model_validate({"media": settings}),
                frame_interval=interval,
                transcriber=None,
                gate=Gate(offline=True),
                deadline=None,
            )
        )
        yield gathered.evidence


def clip(seconds: float = 4.0, *, sound: bool = True, **fields: Any) -> bytes:
    """Return a video with numbered pictures and clicks."""
    buffer = io.BytesIO()
    fields = {"times": steady(seconds), "options": H264} | fields
    write_clip(buffer, sound=clicks(seconds, [0.5, 1.5]) if sound else None, **fields)
    return buffer.getvalue()


def sound_file(seconds: float = 4.0, at: Sequence[float] = (1.0, 2.5)) -> bytes:
    """Return a WAV file with clicks."""
    buffer = io.BytesIO()
    write_clip(buffer, sound=clicks(seconds, at), container="wav", sound_codec="pcm_s16le")
    return buffer.getvalue()


class NoReader:
    """Decodes nothing: for evidence that is all there is."""

    def __init__(self, media: Media) -> None:
        self.media = media

    def frames(self, at: Sequence[float], *, max_side: int | None = None) -> Iterator[Frame]:
        """Give nothing."""
        return iter(())

    def clip(self, start: float, end: float, **_: Any) -> Iterator[Frame]:
        """Give nothing."""
        return iter(())

    def audio(self, start: float, end: float, *, seconds: float = 30.0) -> Iterator[Any]:
        """Give nothing."""
        return iter(())

    def copy(self, *, most_bytes: int | None = None) -> bytes:
        """Give a file that is too large for most."""
        raise AssertionError("nobody asked for a copy")


def noise(width: int, height: int, seed: int) -> Frame:
    """Return a picture that compresses badly, so that limits of bytes are felt."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Frame(time=0.0, pixels=pixels)


def made_up(
    sizes: Sequence[tuple[int, int]],
    *,
    kind: Any = "video",
    every: float = 5.0,
    examined: Sequence[tuple[float, float]] | None = None,
    words: Sequence[TranscriptSegment] = (),
    sounds: Sequence[SoundEvent] = (),
    sound: Sequence[tuple[float, float]] = (),
    listened: Sequence[tuple[float, float]] = (),
    name: str = "clip",
) -> Evidence:
    """Return evidence with noisy pictures of some sizes, one every few seconds."""
    end = every * max(1, len(sizes))
    media = Media(
        kind=kind,
        name=name,
        content_id="blake3:00",
        format="mp4" if kind == "video" else "wav" if kind == "audio" else "png",
        size_bytes=1000,
        duration=None if kind == "image" else end,
        fps=25.0 if kind == "video" else None,
    )
    frames = [Frame(time=i * every, pixels=noise(*size, i).pixels) for i, size in enumerate(sizes)]
    whole = ((0.0, end),) if kind == "video" else ()
    return Evidence(
        media=media,
        reader=NoReader(media),
        stills=tuple(frame.encode() for frame in frames),
        transcript=Transcript(segments=tuple(words), coverage=Coverage(examined=tuple(listened))),
        sounds=tuple(sounds),
        video=Coverage(examined=whole if examined is None else tuple(examined), frames=len(sizes)),
        sound=Coverage(examined=tuple(sound)),
    )


def word(start: float, text: str) -> TranscriptSegment:
    """Return two seconds of speech."""
    return TranscriptSegment(start=start, end=start + 2.0, text=text, engine="e", reliability="low")
