"""What is written to Gemini, built of the types of its SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from google.genai import types

from mmcrime.plugins import Part, Request
from mmcrime_providers._schema import strict_schema

__all__ = ["Resolution", "Safety", "batch_body", "content_of", "settings_of"]

Safety = Literal["default", "off"]
Resolution = Literal["default", "low", "medium", "high"]

_KEYWORDS = frozenset({"minimum", "maximum", "minItems", "maxItems", "format"})
_HARMS = (
    types.HarmCategory.HARM_CATEGORY_HARASSMENT,
    types.HarmCategory.HARM_CATEGORY_HATE_SPEECH,
    types.HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
    types.HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT,
)


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


def _media(part: Part, uri: str | None) -> types.Part:
    if uri is not None:
        return types.Part(file_data=types.FileData(file_uri=uri, mime_type=part.media_type))
    return types.Part(inline_data=types.Blob(data=part.data, mime_type=part.media_type))
