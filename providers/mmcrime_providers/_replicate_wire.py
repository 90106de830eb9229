"""What is written to Replicate, and how the end of a prediction is read."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from mmcrime.plugins import Part, Request, Response, TokenUsage
from mmcrime_providers._http import scrubbed
from mmcrime_providers._json import as_mapping, as_name, as_text, count_of, no_answer
from mmcrime_providers._replicate_errors import ended_badly, refusal_in
from mmcrime_providers._replicate_inputs import ReplicateInputs
from mmcrime_providers._service import Service

__all__ = ["creation", "input_of", "is_nameable", "name_of", "read_prediction", "table_name"]

_OWNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_FILE = re.compile(r"\s*(?:https?://|data:)\S+\s*")


def is_nameable(model: str) -> bool:
    """Return whether a model can be asked for: ``owner/name``, with a version, or a version."""
    owned, _, version = model.partition(":")
    if "/" in owned:
        return bool(_OWNED.fullmatch(owned)) and (":" not in model or bool(version))
    return bool(_ID.fullmatch(model))


def table_name(model: str) -> str:
    """Return the name of a model without its version, as the table of inputs has it."""
    return model.partition(":")[0]


def creation(model: str) -> tuple[str, dict[str, Any]]:
    """Return the path of a request that makes a prediction, and its body but for the input."""
    owned, _, version = model.partition(":")
    if "/" in owned and not version:
        return f"/v1/models/{owned}/predictions", {}
    return "/v1/predictions", {"version": model}


def input_of(request: Request, inputs: ReplicateInputs, files: Mapping[int, str]) -> dict[str, Any]:
    """Return the input of a model.

    There is one text for all words. Each picture leaves a mark in it, so that what is said
    before a picture, such as its time, stays with it.

    Args:
        request: What is asked; `ReplicateInputs.place_of` knows a place for each part.
        inputs: The names of the model's inputs.
        files: Addresses of the parts that were uploaded, by their place in the request.
    """
    body: dict[str, Any] = {}
    words: list[str] = []
    for place, part in enumerate(request.parts):
        if part.kind == "text":
            words.append(part.text)
            continue
        name, _ = inputs.place_of(part)
        assert name is not None  # noqa: S101  # the provider has checked
        held = files.get(place) or _data_url(part)
        if inputs.is_list(name):
            body.setdefault(name, []).append(held)
            words.append(f"[{part.kind} {len(body[name])}]")
        else:
            body[name] = held
            words.append(f"[{part.kind}]")
    if inputs.system and request.instructions.strip():
        body[inputs.system] = request.instructions
    else:
        words.insert(0, request.instructions)
    body[inputs.prompt] = "\n\n".join(text for text in words if text.strip())
    if inputs.max_tokens:
        body[inputs.max_tokens] = request.max_output_tokens
    return body


def name_of(held: Mapping[str, Any]) -> str:
    """Return the id of a prediction or a file, which goes into paths; empty for what is none."""
    text = as_text(held.get("id"))
    return text if _ID.fullmatch(text) else ""


def read_prediction(
    body: Mapping[str, Any], service: Service, *, asked: str, most_tokens: int | None
) -> Response:
    """Read a prediction that has ended.

    Args:
        body: What the service says of it.
        service: Who was asked.
        asked: The model that was asked, where the answer names none.
        most_tokens: The most tokens that were asked for; None if that could not be said.

    Raises:
        InvalidResponseError: If there is no answer in it.
        ProviderError: If it failed or was cancelled.
    """
    model = _model_in(body) or asked
    usage = _usage(as_mapping(body.get("metrics")))
    refusal = refusal_in(body)
    if refusal:
        said = scrubbed(refusal, service.secrets)
        return Response(
            status="refused", text=said, model=model, reason="flagged by a filter", usage=usage
        )
    if body.get("status") != "succeeded":
        raise ended_badly(body, service, name_of(body))
    if body.get("error"):
        raise no_answer(service.provider, "it holds an error although it is said to have succeeded")
    text = _text(body.get("output"), service.provider)
    if most_tokens is not None and usage.output is not None and usage.output >= most_tokens:
        # There is no word for it, but official language models count what they have said.
        return Response(
            status="truncated", text=text, model=model, reason="max_tokens", usage=usage
        )
    if not text.strip():
        raise no_answer(service.provider, "it holds no text")
    return Response(status="answered", text=text, model=model, usage=usage)


def _text(output: object, provider: str) -> str:
    """Return the words of an output: a text, or a list of its pieces."""
    held = output if isinstance(output, list) else ["" if output is None else output]
    pieces = [piece for piece in held if isinstance(piece, str)]
    if len(pieces) < len(held):
        raise no_answer(provider, "its output is no text")
    if pieces and all(_FILE.fullmatch(piece) for piece in pieces):
        raise no_answer(provider, "its output are files, which are not fetched, and no text")
    return "".join(pieces)


def _model_in(body: Mapping[str, Any]) -> str:
    """Return the model that an answer names, with its version where that is told."""
    model, version = as_name(body.get("model")), as_text(body.get("version"))
    return f"{model}:{version}" if model and _VERSION.fullmatch(version) else model


def _usage(metrics: Mapping[str, Any]) -> TokenUsage:
    """Return the tokens, which official language models count. Of others only time is known."""
    return TokenUsage(
        input=count_of(metrics, "input_token_count"),
        output=count_of(metrics, "output_token_count"),
    )


def _data_url(part: Part) -> str:
    return f"data:{part.media_type};base64,{base64.b64encode(part.data).decode('ascii')}"
