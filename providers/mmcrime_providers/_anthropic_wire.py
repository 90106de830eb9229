"""What is written to Anthropic's Messages API, and how its answers are read.

Answers are read as plain JSON: real ones break the published types.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from mmcrime.plugins import Part, Request, Response, TokenUsage
from mmcrime_providers._http import scrubbed
from mmcrime_providers._json import as_mapping, as_name, as_text, count_of, no_answer
from mmcrime_providers._schema import strict_schema

__all__ = ["IMAGE_FORMATS", "message_body", "read_message"]

IMAGE_FORMATS = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_COMPLETE = frozenset({"end_turn", "stop_sequence"})
_CUT_OFF = frozenset({"max_tokens", "model_context_window_exceeded"})


def message_body(request: Request, *, model: str) -> dict[str, Any]:
    """Return the body of a request.

    The fixed part is marked to be kept by the service for some minutes, so that asking the
    same of the next media costs a tenth of it. There are no sampling parameters: the
    service refuses them.
    """
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_output_tokens,
        "messages": [{"role": "user", "content": list(_content(request.parts))}],
    }
    if request.instructions.strip():
        fixed = {"type": "text", "text": request.instructions}
        body["system"] = [{**fixed, "cache_control": {"type": "ephemeral"}}]
    if request.schema is not None:
        schema = strict_schema(request.schema)
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def read_message(body: Mapping[str, Any], *, provider: str, asked: str) -> Response:
    """Read an answer of status 200.

    Args:
        body: The answer.
        provider: Registered name, for errors.
        asked: The model that was asked, where the answer names none.

    Raises:
        InvalidResponseError: If there is no answer in it.
    """
    model = as_name(body.get("model")) or asked
    usage = _usage(body)
    stopped = body.get("stop_reason")
    text = "".join(_texts(body))
    if stopped == "refusal":
        # What was said until then is no answer, and is not passed on.
        details = as_mapping(body.get("stop_details"))
        category, words = (scrubbed(as_text(details.get(k))) for k in ("category", "explanation"))
        reason = f"refusal: {category}" if category else "refusal"
        return Response(status="refused", text=words, model=model, reason=reason, usage=usage)
    if isinstance(stopped, str) and stopped in _CUT_OFF:
        return Response(status="truncated", text=text, model=model, reason=stopped, usage=usage)
    if not isinstance(stopped, str) or stopped not in _COMPLETE:
        raise no_answer(provider, f"it stopped with {as_text(stopped)!r}")
    if not text.strip():
        raise no_answer(provider, "it holds no text")
    return Response(status="answered", text=text, model=model, usage=usage)


def _content(parts: tuple[Part, ...]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if part.kind == "image":
            data = base64.b64encode(part.data).decode("ascii")
            source = {"type": "base64", "media_type": part.media_type, "data": data}
            yield {"type": "image", "source": source}
        elif part.text.strip():  # the service refuses a text of nothing
            yield {"type": "text", "text": part.text}


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    content = body.get("content")
    for block in content if isinstance(content, list) else ():
        if as_mapping(block).get("type") == "text":
            yield as_text(block.get("text"))


def _usage(body: Mapping[str, Any]) -> TokenUsage:
    """Return the tokens; the service counts those of its cache apart from the others."""
    counts = as_mapping(body.get("usage"))
    fresh = count_of(counts, "input_tokens")
    written = count_of(counts, "cache_creation_input_tokens")
    read = count_of(counts, "cache_read_input_tokens")
    return TokenUsage(
        input=None if fresh is None else fresh + (written or 0) + (read or 0),
        cached_input=read,
        cache_write=written,
        output=count_of(counts, "output_tokens"),
    )
