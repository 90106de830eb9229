"""How many tokens a request will be, before the service counts them: on the high side."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from mmcrime.plugins import Capabilities, Part, Request, TokenEstimate

__all__ = ["input_tokens", "seconds_of_sound", "sound_tokens", "total_tokens"]

_FRAMING = 64  # tokens of roles, separators and names that services add around the parts
_UNKNOWN_SIDE = 2048  # pixels a side of a picture that does not say its size
_UNKNOWN_SECONDS = 600.0


def input_tokens(request: Request, capabilities: Capabilities) -> int:
    """Return an upper estimate of the tokens that go in, from sizes alone and not from bytes."""
    rule = capabilities.tokens
    text = len(request.instructions.encode()) + sum(len(p.text.encode()) for p in request.parts)
    if request.schema is not None:
        text += len(json.dumps(request.schema))
    media = sum(_media_tokens(part, rule) for part in request.parts)
    return math.ceil(text / rule.bytes_per_token + media) + _FRAMING


def sound_tokens(request: Request, capabilities: Capabilities) -> int:
    """Return how many of `input_tokens` may be counted as sound, that of videos included."""
    rule = capabilities.tokens
    # The sound of a video is part of its tokens, so that it cannot be more than these.
    heard = replace(rule, video_per_second=min(rule.audio_per_second, rule.video_per_second))
    sounding = (part for part in request.parts if part.kind in ("audio", "video"))
    return math.ceil(sum(_media_tokens(part, heard) for part in sounding))


def seconds_of_sound(request: Request) -> int:
    """Return the seconds of sound that go in, each part rounded up as services count them."""
    lengths = (p.seconds for p in request.parts if p.kind == "audio")
    return sum(math.ceil(_UNKNOWN_SECONDS if length is None else length) for length in lengths)


def total_tokens(request: Request, capabilities: Capabilities) -> int:
    """Return an upper estimate of the tokens in and out."""
    return input_tokens(request, capabilities) + request.max_output_tokens


def _media_tokens(part: Part, rule: TokenEstimate) -> float:
    seconds = _UNKNOWN_SECONDS if part.seconds is None else part.seconds
    if part.kind == "audio":
        return seconds * rule.audio_per_second
    if part.kind == "video":
        return seconds * rule.video_per_second
    if part.kind != "image":
        return 0.0
    return rule.of_picture(part.width or _UNKNOWN_SIDE, part.height or _UNKNOWN_SIDE)
