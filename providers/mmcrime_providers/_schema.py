"""JSON schemas as services can bind an answer to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["strict_schema"]

_KEPT = frozenset({"type", "enum", "const", "description", "$ref"})
"""Keywords that the strict modes of all services know. The others are the reader's to check."""


def strict_schema(
    schema: Mapping[str, Any], *, also: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return a schema in the common subset of strict modes.

    Every property is required and no other one allowed; a property that was optional may be
    null instead. Other keywords are left out, so that an answer may break a bound that the
    schema names: whoever reads it checks it anyway.

    Args:
        schema: Any JSON schema of objects, arrays and plain values.
        also: More keywords that this service knows, such as ``minimum``.
    """
    strict = {key: value for key, value in schema.items() if key in _KEPT | also}
    for word in ("$defs", "definitions"):
        if word in schema:
            strict[word] = {n: strict_schema(s, also=also) for n, s in schema[word].items()}
    for word in ("anyOf", "oneOf"):
        if word in schema:
            strict["anyOf"] = [strict_schema(one, also=also) for one in schema[word]]
    if isinstance(schema.get("items"), Mapping):
        strict["items"] = strict_schema(schema["items"], also=also)
    if "properties" in schema or schema.get("type") == "object":
        properties = schema.get("properties", {})
        required = set(schema.get("required", ()))
        strict["properties"] = {
            name: strict_schema(one if name in required else _nullable(one), also=also)
            for name, one in properties.items()
        }
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict


def _nullable(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    kinds = schema.get("type")
    if kinds is None or "enum" in schema or "const" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    listed = [kinds] if isinstance(kinds, str) else list(kinds)
    return schema if "null" in listed else {**schema, "type": [*listed, "null"]}
