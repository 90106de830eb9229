"""The key under which an answer is stored: it changes with all that could change the answer."""

from __future__ import annotations

import json
import struct

from blake3 import blake3

from mmcrime.plugins import Part, Request

__all__ = ["answer_key"]

_WHAT = "mmcrime answer 1"
"""Says what the bytes below are. A change of their order needs another number."""


def answer_key(
    request: Request,
    *,
    provider: str,
    endpoint: str,
    model: str | None,
    options: str,
    tenant: str,
) -> str:
    """Return the key of the answer to a request: 64 hexadecimal digits.

    Media counts by its ``id`` where it has one, else by its bytes. The order of the keys of
    the schema counts, since a model writes its answer in that order.

    Args:
        request: Its own ``model`` and ``key`` do not count.
        provider: Registered name of the provider.
        endpoint: Where the request would go.
        model: The model that would be asked; None when only the service knows.
        options: What the provider's own options are, as one text.
        tenant: On whose behalf.

    Raises:
        ValueError: If media has neither an id nor bytes.
        TypeError: If the schema holds what JSON does not know.
    """
    # Each field says its type and its length, so that no two lists of fields are the same bytes.
    fields = [
        *map(_text, (_WHAT, tenant, provider, endpoint, model, options)),
        *map(_text, (request.recipe, request.instructions, request.schema_name)),
        _text(None if request.schema is None else json.dumps(request.schema, default=dict)),
        _text(str(request.max_output_tokens)),
        _text(str(len(request.parts))),
    ]
    if request.task != "answer":  # what was stored before there were tasks still serves
        fields += [_text(request.task), _text(request.language)]
    for part in request.parts:
        fields += _part(part)
    return blake3(b"".join(fields)).hexdigest()


def _part(part: Part) -> tuple[bytes, ...]:
    return (
        _text(part.text),
        _content(part),
        _text(part.media_type),
        _number(part.time),
        _number(part.seconds),
        _text(None if part.width is None else str(part.width)),
        _text(None if part.height is None else str(part.height)),
    )


def _content(part: Part) -> bytes:
    if part.id:
        return _text(part.id)
    if part.data:
        return b"b" + blake3(part.data).digest()
    if part.media_type:
        raise ValueError(f"a part of type {part.media_type!r} has neither an id nor bytes")
    return _text(None)


def _text(value: str | None) -> bytes:
    if value is None:
        return b"n"
    # A model may have written half of a surrogate pair, which UTF-8 does not know.
    data = value.encode("utf-8", "surrogatepass")
    return b"s" + len(data).to_bytes(8, "big") + data


def _number(value: float | None) -> bytes:
    if value is None:
        return b"n"
    return b"f" + struct.pack(">d", value + 0.0)  # -0.0 equals 0.0, and becomes it
