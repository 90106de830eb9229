"""What is written to a service that speaks OpenAI's protocol, and how its answers are read.

Two dialects: the Responses API, and chat completions, which is what most servers of other
makers speak. Answers are read as plain JSON: real ones break the published types.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from mmcrime.plugins import Part, Request, Response, TokenUsage
from mmcrime_providers._json import as_mapping, as_name, count_of, mappings, no_answer
from mmcrime_providers._schema import strict_schema

__all__ = [
    "AUDIO_FORMATS",
    "Detail",
    "chat_body",
    "model_in",
    "read_chat",
    "read_responses",
    "responses_body",
    "usage_in",
]

_NUMBERS = frozenset({"minimum", "maximum", "minItems", "maxItems", "pattern"})
AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}

Detail = Literal["auto", "low", "high"]


def responses_body(request: Request, *, model: str, detail: Detail) -> dict[str, Any]:
    """Return the body of a request to the Responses API; nothing is stored at the vendor."""
    content: list[dict[str, Any]] = []
    for part in request.parts:
        if part.kind == "image":
            content.append({"type": "input_image", "image_url": _data_url(part), "detail": detail})
        else:
            content.append({"type": "input_text", "text": part.text})
    body: dict[str, Any] = {
        "model": model,
        "instructions": request.instructions,
        "input": [{"role": "user", "content": content}],
        "max_output_tokens": request.max_output_tokens,
        "store": False,
    }
    if request.schema is not None:
        body["text"] = {"format": {"type": "json_schema", **_bound(request, request.schema)}}
    return body


def chat_body(
    request: Request, *, model: str, detail: Detail | None, vendor: bool
) -> dict[str, Any]:
    """Return the body of a request for a chat completion.

    Args:
        request: What is asked.
        model: The model to ask.
        detail: How closely pictures are looked at; None to leave it to the server.
        vendor: Whether the models are OpenAI's own, on Azure too. They no longer take
            ``max_tokens``, while servers of other makers may know nothing else.
    """
    content: list[dict[str, Any]] = []
    for part in request.parts:
        if part.kind == "image":
            image = {"url": _data_url(part)} | ({"detail": detail} if detail else {})
            content.append({"type": "image_url", "image_url": image})
        elif part.kind == "audio":
            sound = {"data": _base64(part.data), "format": AUDIO_FORMATS[part.media_type]}
            content.append({"type": "input_audio", "input_audio": sound})
        else:
            content.append({"type": "text", "text": part.text})
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": request.instructions},
            {"role": "user", "content": content},
        ],
        ("max_completion_tokens" if vendor else "max_tokens"): request.max_output_tokens,
    }
    if request.schema is not None:
        bound = _bound(request, request.schema)
        body["response_format"] = {"type": "json_schema", "json_schema": bound}
    return body


def model_in(body: Mapping[str, Any]) -> str:
    """Return the model that an answer names; empty if it names none."""
    return as_name(body.get("model"))


def usage_in(body: Mapping[str, Any]) -> TokenUsage:
    """Return the tokens that an answer of either dialect counts."""
    usage = as_mapping(body.get("usage"))
    details = as_mapping(usage.get("input_tokens_details") or usage.get("prompt_tokens_details"))
    return TokenUsage(
        input=count_of(usage, "input_tokens", "prompt_tokens"),
        cached_input=count_of(details, "cached_tokens"),
        cache_write=count_of(details, "cache_write_tokens"),
        audio_input=count_of(details, "audio_tokens"),
        output=count_of(usage, "output_tokens", "completion_tokens"),
    )


def read_responses(body: Mapping[str, Any], *, provider: str, asked: str) -> Response:
    """Read an answer of the Responses API that holds no error.

    Args:
        body: The answer.
        provider: Registered name, for errors.
        asked: The model that was asked, where the answer names none.

    Raises:
        InvalidResponseError: If there is no answer in it.
    """
    said, refused = [], []
    for part in _responses_parts(body):
        if part.get("type") == "output_text" and isinstance(part.get("text"), str):
            said.append(part["text"])
        elif part.get("type") == "refusal":
            refused.append(str(part.get("refusal") or ""))
    stopped = ""
    if body.get("status") == "incomplete":
        stopped = str(as_mapping(body.get("incomplete_details")).get("reason") or "incomplete")
    if body.get("status") not in ("completed", "incomplete"):
        raise no_answer(provider, f"its status is {body.get('status')!r}")
    return _response(body, said, refused, stopped, provider=provider, asked=asked)


def read_chat(body: Mapping[str, Any], *, provider: str, asked: str) -> Response:
    """Read a chat completion that holds no error; see `read_responses`."""
    choices = body.get("choices")
    choice = as_mapping(choices[0]) if isinstance(choices, list) and choices else {}
    message = as_mapping(choice.get("message"))
    refusal = message.get("refusal")
    finish = choice.get("finish_reason")
    if finish not in ("stop", "length", "content_filter", None):
        raise no_answer(provider, f"it stopped with {finish!r}")
    stopped = finish if finish in ("length", "content_filter") else ""
    refused = [refusal] if isinstance(refusal, str) and refusal else []
    said = list(_chat_texts(message.get("content")))
    return _response(body, said, refused, stopped, provider=provider, asked=asked)


def _response(
    body: Mapping[str, Any],
    said: list[str],
    refused: list[str],
    stopped: str,
    *,
    provider: str,
    asked: str,
) -> Response:
    text = "".join(said)
    model = model_in(body) or asked
    usage = usage_in(body)
    if refused:
        words = "".join(refused)
        return Response(status="refused", text=words, model=model, reason="refusal", usage=usage)
    if stopped == "content_filter":
        return Response(status="refused", text="", model=model, reason=stopped, usage=usage)
    if stopped:
        return Response(status="truncated", text=text, model=model, reason=stopped, usage=usage)
    if not text.strip():
        raise no_answer(provider, "it holds no text")
    return Response(status="answered", text=text, model=model, usage=usage)


def _responses_parts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for item in mappings(body.get("output")):
        content = item.get("content") if item.get("type") == "message" else None
        yield from mappings(content)


def _chat_texts(content: object) -> Iterator[str]:
    """Yield the texts of a message: one string, or a list of parts as some servers send it."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        text = as_mapping(part).get("text")
        if isinstance(text, str) and as_mapping(part).get("type") in ("text", None):
            yield text


def _bound(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    strict = strict_schema(schema, also=_NUMBERS)
    return {"name": request.schema_name, "schema": strict, "strict": True}


def _data_url(part: Part) -> str:
    return f"data:{part.media_type};base64,{_base64(part.data)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
