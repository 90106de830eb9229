"""What is written to Gemini, and how its answers are read.

Requests are built of the SDK's types. Answers are read as plain JSON: real ones hold fields
and words that the published types do not know, of which the SDK would make errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from google.genai import types

from mmcrime.plugins import Part, Request, Response, TokenUsage
from mmcrime_providers._json import as_mapping, as_name, as_text, count_of, no_answer
from mmcrime_providers._schema import strict_schema

__all__ = [
    "AUDIO_FORMATS",
    "IMAGE_FORMATS",
    "VIDEO_FORMATS",
    "Resolution",
    "Safety",
    "batch_body",
    "content_of",
    "model_in",
    "read_answer",
    "settings_of",
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

Safety = Literal["default", "off"]
Resolution = Literal["default", "low", "medium", "high"]

_KEYWORDS = frozenset({"minimum", "maximum", "minItems", "maxItems", "format"})
_HARMS = (
    types.HarmCategory.HARM_CATEGORY_HARASSMENT,
    types.HarmCategory.HARM_CATEGORY_HATE_SPEECH,
    types.HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
    types.HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT,
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


def content_of(request: Request, files: Mapping[int, str], *, fps: float | None) -> types.Content:
    """Return the parts of a request as the service takes them.

    Args:
        request: What is asked.
        files: Addresses of the parts that were uploaded, by their place in the request.
        fps: Pictures a second that the service shall look at; None for its own choice.
    """
    parts = []
    for place, part in enumerate(request.parts):
        if part.kind == "text":
            parts.append(types.Part(text=part.text))
            continue
        made = _media(part, files.get(place))
        if part.kind == "video" and fps is not None:
            made.video_metadata = types.VideoMetadata(fps=fps)
        parts.append(made)
    return types.Content(role="user", parts=parts)


def settings_of(
    request: Request, *, safety: Safety, resolution: Resolution
) -> types.GenerateContentConfig:
    """Return what is asked for beside the content: instructions, schema, limits."""
    given: dict[str, Any] = {}
    if request.instructions:
        given["system_instruction"] = request.instructions
    if request.schema is not None:
        given["response_mime_type"] = "application/json"
        given["response_json_schema"] = strict_schema(request.schema, also=_KEYWORDS)
    if safety == "off":
        off = types.HarmBlockThreshold.OFF
        given["safety_settings"] = [
            types.SafetySetting(category=harm, threshold=off) for harm in _HARMS
        ]
    if resolution != "default":
        given["media_resolution"] = types.MediaResolution(f"MEDIA_RESOLUTION_{resolution.upper()}")
    return types.GenerateContentConfig(
        max_output_tokens=request.max_output_tokens,
        # The answer as it came. Read by the SDK it would also be asked to go on where it
        # stopped, which would be a second request.
        should_return_http_response=True,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        **given,
    )


def batch_body(
    request: Request, *, safety: Safety, resolution: Resolution, fps: float | None
) -> dict[str, Any]:
    """Return a request as it stands in a batch: what the SDK would send, as plain JSON."""
    config = settings_of(request, safety=safety, resolution=resolution)
    settings = config.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        exclude={"should_return_http_response", "automatic_function_calling"},
    )
    content = content_of(request, {}, fps=fps)
    body: dict[str, Any] = {}
    body["contents"] = [content.model_dump(mode="json", by_alias=True, exclude_none=True)]
    if "systemInstruction" in settings:
        told = settings.pop("systemInstruction")
        body["systemInstruction"] = {"parts": [{"text": told}], "role": "user"}
    if "safetySettings" in settings:
        body["safetySettings"] = settings.pop("safetySettings")
    return {**body, "generationConfig": settings}


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


def _media(part: Part, uri: str | None) -> types.Part:
    if uri is not None:
        return types.Part(file_data=types.FileData(file_uri=uri, mime_type=part.media_type))
    return types.Part(inline_data=types.Blob(data=part.data, mime_type=part.media_type))


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
