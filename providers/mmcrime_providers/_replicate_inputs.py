"""Which input of a model takes the prompt, the pictures and so on, from a dated table.

Every model at Replicate names its inputs as its maker liked. The table knows some; of any
other, the user says it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Self

from pydantic import Field, model_validator

from mmcrime.plugins import Capabilities, Part, PluginOptions, TokenEstimate

__all__ = ["ReplicateInputs", "capabilities_of", "known_inputs"]

_LARGEST = 99_000_000  # bytes; the service stores files below 100 MB
_Name = Annotated[str, Field(min_length=1, max_length=100)]


class ReplicateInputs(PluginOptions):
    """Names of the inputs of a model, as its page at the service lists them.

    Attributes:
        prompt: Takes the words.
        system: Takes the instructions; None to put them before the prompt.
        image: Takes one picture.
        images: Takes a list of pictures, in place of ``image``.
        most_images: Most pictures in that list; None where no limit is known.
        video: Takes one video.
        videos: Takes a list of videos, in place of ``video``.
        video_fps: Pictures a second of a video that the model looks at; a report says what was
            seen, so that it must be known.
        video_seconds: Longest video; None where no limit is known.
        audio: Takes one sound.
        audio_seconds: Longest sound; None where no limit is known.
        max_tokens: Takes the most tokens of the answer; None where it cannot be set.
    """

    prompt: _Name = "prompt"
    system: _Name | None = None
    image: _Name | None = None
    images: _Name | None = None
    most_images: Annotated[int, Field(ge=1)] | None = None
    video: _Name | None = None
    videos: _Name | None = None
    video_fps: Annotated[float, Field(gt=0)] | None = None
    video_seconds: Annotated[float, Field(gt=0)] | None = None
    audio: _Name | None = None
    audio_seconds: Annotated[float, Field(gt=0)] | None = None
    max_tokens: _Name | None = None

    @model_validator(mode="after")
    def _one_place_for_each(self) -> Self:
        names = [self.prompt, self.system, self.image, self.images, self.video, self.videos]
        names += [self.audio, self.max_tokens]
        given = [name for name in names if name]
        if len(set(given)) < len(given):
            raise ValueError("an input takes one thing only")
        if (self.image and self.images) or (self.video and self.videos):
            raise ValueError("pictures, and videos, go into one input: of one, or of a list")
        if (self.video or self.videos) and self.video_fps is None:
            raise ValueError("video_fps is missing: how often the model looks at a video")
        return self

    def place_of(self, part: Part) -> tuple[str | None, int | None]:
        """Return the input that takes a part, and how many it takes; None for no limit.

        The input is None where the model takes no such media.
        """
        if part.kind == "image":
            return (self.images, self.most_images) if self.images else (self.image, 1)
        if part.kind == "video":
            return (self.videos, None) if self.videos else (self.video, 1)
        return (self.audio if part.kind == "audio" else None), 1

    def is_list(self, name: str) -> bool:
        """Return whether an input takes a list."""
        return name in (self.images, self.videos)


@cache
def known_inputs() -> Mapping[str, ReplicateInputs]:
    """Read the table: inputs by the name of the model, without a version."""
    text = files("mmcrime_providers").joinpath("replicate_inputs.json").read_text(encoding="utf-8")
    models: Mapping[str, object] = json.loads(text)["models"]
    return {name: ReplicateInputs.model_validate(held) for name, held in models.items()}


def capabilities_of(inputs: ReplicateInputs) -> Capabilities:
    """Return what a model with such inputs takes."""
    return Capabilities(
        images=inputs.most_images if inputs.images else int(inputs.image is not None),
        audio=inputs.audio is not None,
        audio_seconds=inputs.audio_seconds,
        video=bool(inputs.video or inputs.videos),
        video_seconds=inputs.video_seconds,
        video_fps=inputs.video_fps or 1.0,
        media_bytes=_LARGEST,
        # Nobody but the model knows; these are at least those of the families in the table.
        tokens=TokenEstimate(
            tile=32,
            tile_tokens=2.5,
            image_tokens=1120.0,
            audio_per_second=32.0,
            video_per_second=300.0,
        ),
    )
