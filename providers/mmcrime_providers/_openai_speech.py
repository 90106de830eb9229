"""Transcription as OpenAI's protocol has it: what is sent, and how the answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcrime.plugins import Request, Response, TokenUsage
from mmcrime_providers._json import as_mapping, count_of, no_answer
from mmcrime_providers._openai_wire import AUDIO_FORMATS
from mmcrime_providers._transcript import (
    Segment,
    agreed,
    primary_language,
    seconds_in,
    sound_in,
    told_text,
    written,
)

__all__ = ["SPEECH_MODEL", "read_transcript", "transcription_form"]

SPEECH_MODEL = "gpt-transcribe"
"""OpenAI's own; those before it, whisper-1 and gpt-4o-transcribe, end on 2027-02-26."""


def transcription_form(request: Request, *, model: str, provider: str) -> dict[str, Any]:
    """Return the form of a transcription, as the SDK takes it.

    The instructions are for models that answer questions; a model that only transcribes would
    take them for words that were said before.

    Args:
        request: What is asked.
        model: The model to ask.
        provider: Registered name, for errors.

    Raises:
        ProviderError: If the request holds anything beside one stretch of sound.
    """
    part = sound_in(request, provider=provider)
    form: dict[str, Any] = {
        "model": model,
        "file": (f"sound.{AUDIO_FORMATS[part.media_type]}", part.data, part.media_type),
        "response_format": _format(model),
    }
    language = primary_language(request.language)
    return form | {"language": language} if language else form


def read_transcript(
    body: Mapping[str, Any], request: Request, *, provider: str, asked: str
) -> Response:
    """Read a transcription that holds no error.

    Args:
        body: The answer.
        request: What was asked; words without times were said somewhere in its sound.
        provider: Registered name, for errors.
        asked: The model that was asked, since an answer names none.

    Raises:
        InvalidResponseError: If there is no text in it.
    """
    text = told_text(body, provider=provider)
    segments = agreed(text, _segments(body, provider), request.parts[0], provider=provider)
    return Response(
        status="answered", text=written(segments), model=asked, usage=_usage(body.get("usage"))
    )


def _format(model: str) -> str:
    """Return the format in which a model tells times, where it tells any."""
    name = model.lower()
    if "diarize" in name:
        return "diarized_json"
    return "verbose_json" if "whisper" in name else "json"


def _segments(body: Mapping[str, Any], provider: str) -> list[Segment]:
    listed = body.get("segments")
    if listed is not None and not isinstance(listed, list):
        raise no_answer(provider, "its segments are none")
    said = []
    for one in listed or ():
        segment = as_mapping(one)
        start, end = seconds_in(segment, "start"), seconds_in(segment, "end")
        text = segment.get("text")
        if start is None or end is None or not isinstance(text, str):
            raise no_answer(provider, "a segment of it has no times or no text")
        said.append((start, end, text))
    return said


def _usage(usage: object) -> TokenUsage:
    """Return the tokens; a model that is sold by the minute counts none."""
    counts = as_mapping(usage)
    return TokenUsage(
        input=count_of(counts, "input_tokens"),
        audio_input=count_of(as_mapping(counts.get("input_token_details")), "audio_tokens"),
        output=count_of(counts, "output_tokens"),
    )
