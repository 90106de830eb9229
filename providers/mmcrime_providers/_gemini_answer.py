"""How Gemini's answers are read, and what it takes, whichever SDK asks.

Answers are read as plain JSON: real ones hold fields and words that the published types do
not know, of which the SDKs would make errors, or nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmcrime.plugins import Response, TokenEstimate, TokenUsage
from mmcrime_providers._json import as_mapping, as_name, as_text, count_of, no_answer

__all__ = [
    "AUDIO_FORMATS",
    "IMAGE_FORMATS",
    "VIDEO_FORMATS",
    "model_in",
    "read_answer",
    "token_estimate",
]

IMAGE_FORMATS = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/heif")
AUDIO_FORMATS = (
    "audio/wav",
    "audio/mpeg",
    "audio/mp3",
    "audio/aac",
    "audio/aiff",
    "audio/flac",
    "audio/ogg",
)
VIDEO_FORMATS = (
    "video/mp4",
    "video/quicktime",
    "video/mov",
    "video/webm",
    "video/mpeg",
    "video/mpg",
    "video/avi",
    "video/x-flv",
    "video/wmv",
    "video/3gpp",
)

_CUT = frozenset({"MAX_TOKENS", "CONTINUATION"})
_BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""Why the model stopped where it neither refused nor answered."""


def token_estimate(fps: float) -> TokenEstimate:
    """Return how to estimate tokens, where a video is looked at so many times a second."""
    return TokenEstimate(
        # Older models count a picture in squares of 768 px and once as a whole, newer ones
        # 1,120 whatever its size.
        image_tokens=1120.0,
        tile=768,
        tile_tokens=258.0,
        audio_per_second=32.0,
        video_per_second=258.0 * fps + 42.0,
    )


def model_in(body: Mapping[str, Any]) -> str:
    """Return the model that an answer names; empty if it names none."""
    return as_name(body.get("modelVersion"))


def read_answer(body: Mapping[str, Any], *, provider: str, asked: str) -> Response:
    """Read an answer that holds no error.

    Args:
        body: The answer.
        provider: Registered name, for errors.
        asked: The model that was asked, where the answer names none.

    Raises:
        InvalidResponseError: If there is no answer in it.
    """
    model = model_in(body) or asked
    usage = _usage(as_mapping(body.get("usageMetadata")))
    feedback = as_mapping(body.get("promptFeedback"))
    blocked = as_text(feedback.get("blockReason"))
    if blocked:
        said = as_text(feedback.get("blockReasonMessage"))
        return Response(status="refused", text=said, model=model, reason=blocked, usage=usage)
    candidates = body.get("candidates")
    candidate = as_mapping(candidates[0]) if isinstance(candidates, list) and candidates else {}
    finish = as_text(candidate.get("finishReason"))
    if not finish:
        raise no_answer(provider, "it does not say that the model has finished")
    if finish in _BROKEN:
        raise no_answer(provider, f"the model stopped with {finish!r}")
    text = "".join(_texts(candidate))
    if finish in _CUT:
        return Response(status="truncated", text=text, model=model, reason=finish, usage=usage)
    if finish != "STOP":
        # Whatever else it says, and it says new words every year, it stopped on purpose.
        said = as_text(candidate.get("finishMessage"))
        return Response(status="refused", text=said, model=model, reason=finish, usage=usage)
    if not text.strip():
        raise no_answer(provider, "it holds no text")
    return Response(status="answered", text=text, model=model, usage=usage)


def _texts(candidate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of an answer, without the model's thoughts."""
    parts = as_mapping(candidate.get("content")).get("parts")
    for part in parts if isinstance(parts, list) else ():
        held = as_mapping(part)
        if held.get("thought") is not True:
            yield as_text(held.get("text"))


def _usage(counts: Mapping[str, Any]) -> TokenUsage:
    return TokenUsage(
        input=_sum(counts, "promptTokenCount", "toolUsePromptTokenCount"),
        cached_input=count_of(counts, "cachedContentTokenCount"),
        audio_input=_sound(counts.get("promptTokensDetails")),
        output=_output(counts),
    )


def _output(counts: Mapping[str, Any]) -> int | None:
    """Return the tokens that came out, thinking included.

    An answer that was stopped before its first word counts none of them, but a total.
    """
    said = _sum(counts, "candidatesTokenCount", "thoughtsTokenCount")
    total = count_of(counts, "totalTokenCount")
    taken = _sum(counts, "promptTokenCount", "toolUsePromptTokenCount")
    if said is None and total is not None and taken is not None:
        return max(total - taken, 0)
    return said


def _sound(details: object) -> int | None:
    counts = [
        count_of(as_mapping(one), "tokenCount")
        for one in (details if isinstance(details, list) else ())
        if as_mapping(one).get("modality") == "AUDIO"
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _sum(counts: Mapping[str, Any], *names: str) -> int | None:
    known = [count for count in (count_of(counts, name) for name in names) if count is not None]
    return sum(known) if known else None
