"""Replies as JSON and back, strictly: what is read may be damaged, or put there by somebody."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from mmcrime.plugins import Response, TokenUsage

__all__ = ["from_json", "to_json"]

_VERSION = 1
_TEXTS = ("key", "status", "text", "model", "reason", "provider")
_COUNTS = frozenset(field.name for field in fields(TokenUsage))


def to_json(key: str, response: Response) -> bytes:
    """Return a reply as JSON, bound to its key so that it counts under no other."""
    return json.dumps(
        {
            "version": _VERSION,
            "key": key,
            "status": response.status,
            "text": response.text,
            "model": response.model,
            "reason": response.reason,
            "provider": response.provider,
            "usage": asdict(response.usage),
        }
    ).encode()


def from_json(key: str, data: object) -> Response | None:
    """Return the reply that is stored under a key.

    Returns:
        Without cost and limits, which are not those of today; None for anything that
        `to_json` did not write for this key.
    """
    held = _object(data)
    if held is None or held.keys() != {"version", "usage", *_TEXTS}:
        return None
    usage = held.pop("usage")
    version = held.pop("version")
    if type(version) is not int or version != _VERSION or held.pop("key") != key:
        return None
    if not all(isinstance(text, str) for text in held.values()) or not _counts(usage):
        return None
    status = held["status"]
    if status not in ("answered", "refused", "truncated") or (
        status == "answered" and not held["text"]
    ):
        return None
    return Response(**held, usage=TokenUsage(**usage))


def _object(data: object) -> dict[str, Any] | None:
    if not isinstance(data, bytes):
        return None
    try:
        held = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def _counts(usage: object) -> bool:
    return (
        isinstance(usage, dict)
        and usage.keys() == _COUNTS
        and all(count is None or (type(count) is int and count >= 0) for count in usage.values())
    )
