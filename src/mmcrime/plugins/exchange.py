"""What goes to a provider and what comes back: plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mmcrime.results import Cost

__all__ = [
    "Capabilities",
    "Part",
    "RateStatus",
    "Request",
    "Response",
    "Task",
    "TokenEstimate",
    "TokenUsage",
]

Task = Literal["answer", "label", "transcribe"]
"""What a provider is asked to do.

``answer``: put the question in words and answer in words. ``label``: sort one picture or one
stretch of sound into the model's own classes; the text of the response is a JSON list of
``{"label": str, "score": float}``. ``transcribe``: write down what is said in one stretch of
sound; the text is a JSON list of ``{"start": float, "end": float, "text": str}`` with seconds
from the beginning of that sound, empty where nothing is said.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenEstimate:
    """How to estimate the tokens of a request before the service counts them.

    An estimate is what the budget reserves, so that it must err on the high side.

    Attributes:
        bytes_per_token: UTF-8 bytes of text that make one token, at the least.
        image_tokens: Tokens of any picture, whatever its size.
        tile: Side in pixels of the squares that a picture is counted in; None when the size
            does not matter.
        tile_tokens: Tokens of each square, the partly covered ones included.
        image_most: Tokens that no picture exceeds; None when there is no such bound.
        audio_per_second: Tokens of a second of sound.
        video_per_second: Tokens of a second of video, its sound included.
    """

    bytes_per_token: float = 2.5
    image_tokens: float = 0.0
    tile: int | None = None
    tile_tokens: float = 0.0
    image_most: int | None = None
    audio_per_second: float = 0.0
    video_per_second: float = 0.0

    def of_text(self, text: str) -> float:
        """Return the tokens of some words."""
        return len(text.encode("utf-8", "replace")) / self.bytes_per_token

    def of_picture(self, width: int, height: int) -> float:
        """Return the tokens of a picture of so many pixels."""
        tokens = self.image_tokens
        if self.tile is not None:
            tiles = math.ceil(width / self.tile) * math.ceil(height / self.tile)
            tokens += tiles * self.tile_tokens
        return tokens if self.image_most is None else min(tokens, self.image_most)


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a provider accepts. Data, not methods; None means no limit is known.

    Attributes:
        tasks: What it can be asked to do.
        images: Most pictures in one request; 0 for none.
        image_bytes: Most bytes of one picture, as the service counts them.
        image_side: Longest side of a picture in pixels.
        image_pixels: Most pixels of one picture.
        image_formats: MIME types of pictures that are taken.
        audio: Whether sound is taken natively.
        audio_formats: MIME types of sound that are taken.
        audio_seconds: Longest sound in one request.
        video: Whether video is taken natively.
        video_formats: MIME types of video that are taken.
        video_seconds: Longest video in one request.
        video_fps: Pictures a second of it that the service looks at.
        media_bytes: Most bytes of all media of a request together, before base64.
        json_schema: Whether the answer can be bound to a JSON schema.
        speech_model: The model that is asked to transcribe when nobody named one; None for
            that of the provider, which then does both.
        context_tokens: Largest request.
        tokens: How to estimate the tokens of a request.
    """

    tasks: frozenset[Task] = frozenset({"answer"})
    images: int | None = 0
    image_bytes: int | None = None
    image_side: int | None = None
    image_pixels: int | None = None
    image_formats: tuple[str, ...] = ("image/jpeg", "image/png")
    audio: bool = False
    audio_formats: tuple[str, ...] = ("audio/wav", "audio/mpeg")
    audio_seconds: float | None = None
    video: bool = False
    video_formats: tuple[str, ...] = ("video/mp4",)
    video_seconds: float | None = None
    video_fps: float = 1.0
    media_bytes: int | None = None
    json_schema: bool = False
    speech_model: str | None = None
    context_tokens: int | None = None
    tokens: TokenEstimate = field(default_factory=TokenEstimate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of a request: text, or media with its type and time.

    Media may be left to be made until it is needed: a part with `load` and no ``data`` is
    filled in by the call layer when no stored answer serves, so that a provider always gets
    ``data``.

    Attributes:
        text: Words; empty for media.
        data: Media bytes; empty for text, and for media that is not made yet.
        media_type: MIME type of ``data``; empty for text.
        time: Media time of a picture, or at which sound or video begins, in seconds.
        width: Pixels of a picture, where known.
        height: Pixels of a picture, where known.
        seconds: Length of sound or video, where known.
        id: Says which bytes these are without having them: content, time, size and recipe.
            Empty where only the bytes can say so.
        load: Makes the bytes; blocks, so that it is called in a thread.
    """

    text: str = ""
    data: bytes = field(default=b"", repr=False)
    media_type: str = ""
    time: float | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    id: str = ""
    load: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)

    @property
    def kind(self) -> str:
        """``text``, ``image``, ``audio`` or ``video``."""
        return self.media_type.partition("/")[0] or "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One question to a provider.

    Attributes:
        instructions: The fixed part, the same for every Media; services may keep it.
        parts: What is asked about, in order.
        task: What to do with the parts; one of the tasks of the provider.
        language: BCP 47 tag of what is said, for ``transcribe``; empty for whatever it is.
        model: The model to ask; None for the provider's own `Provider.model`.
        schema: JSON schema that the answer must follow, where the provider can bind it.
        schema_name: Name of the schema, letters and underscores.
        max_output_tokens: Most tokens of the answer, thinking included.
        usable: Says of the text of an answer whether it is of use; one that is not is not
            stored, so that nobody gets it again. It must return the same for the same text.
        recipe: What the parts do not say of themselves, such as the versions of prompt and
            preprocessing and the content id of the media: part of the key under which an
            answer is stored.
        key: The key under which the call layer stores the answer; set by it.
    """

    instructions: str
    parts: tuple[Part, ...]
    task: Task = "answer"
    language: str = ""
    model: str | None = None
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    max_output_tokens: int = 4096
    usable: Callable[[str], bool] | None = field(default=None, repr=False, compare=False)
    recipe: str = ""
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenUsage:
    """Tokens as the service counted them. None means that it did not say, never zero.

    Attributes:
        input: All tokens that went in, those of the other input counts among them.
        cached_input: Of these, read from the service's own cache.
        cache_write: Of these, written to the service's own cache.
        audio_input: Of these, sound.
        output: All tokens that came out, thinking included.
    """

    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    audio_input: int | None = None
    output: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RateStatus:
    """What the service says of its limits, in its headers. None where it does not.

    Attributes:
        requests_per_minute: How many requests it allows.
        requests_left: How many of them are left.
        requests_reset: Seconds until they are whole again.
        tokens_per_minute: How many tokens it allows.
        tokens_left: How many of them are left.
        tokens_reset: Seconds until they are whole again.
    """

    requests_per_minute: float | None = None
    requests_left: float | None = None
    requests_reset: float | None = None
    tokens_per_minute: float | None = None
    tokens_left: float | None = None
    tokens_reset: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What a provider said. A refusal is an outcome, not an error.

    Attributes:
        status: ``answered``; ``refused`` by the model or a safety filter; or ``truncated``
            when the answer stops in the middle.
        text: The answer; never empty when ``answered``.
        model: The model that answered, as the service names it.
        reason: Why it refused or stopped, in the service's own word.
        usage: Tokens, as the service counted them.
        rate: What the service says of its limits.
        provider: Registered name of the provider that answered; set by the call layer.
        cost: What the call cost; set by the call layer.
        cached: Whether it is a stored answer; set by the call layer.
    """

    status: Literal["answered", "refused", "truncated"]
    text: str
    model: str
    reason: str = ""
    usage: TokenUsage = field(default_factory=TokenUsage)
    rate: RateStatus | None = None
    provider: str = ""
    cost: Cost = field(default_factory=Cost)
    cached: bool = False
