"""Answers of Gemini, constructed after recorded ones."""

from __future__ import annotations

from typing import Any

from mmcrime.testing import WireReply

KEY = "AIzaSyA-0123456789abcdefghijklmnopqrstu"
USAGE: dict[str, Any] = {
    "promptTokenCount": 125,
    "candidatesTokenCount": 10,
    "totalTokenCount": 160,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 6},
        {"modality": "AUDIO", "tokenCount": 119},
    ],
    "cachedContentTokenCount": 40,
    "thoughtsTokenCount": 25,
    "serviceTier": "standard",
}


def answer(finish: str | None = "STOP", **fields: Any) -> WireReply:
    """An answer, of which ``parts`` are the parts and ``candidate`` more of the candidate."""
    thought = {"text": "Let me look.", "thought": True}
    parts = fields.pop("parts", [thought, {"text": "A calm "}, {"text": "garage."}])
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": finish, "index": 0}
    candidate |= fields.pop("candidate", {})
    body = {
        "candidates": [candidate],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-3.8-flash-001",
        "responseId": "x",
    }
    return WireReply(body=body | fields)


def blocked(reason: str, **fields: Any) -> WireReply:
    """A prompt that was blocked: no candidates at all."""
    body = {
        "promptFeedback": {"blockReason": reason, **fields},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
        "modelVersion": "gemini-3.8-flash-001",
    }
    return WireReply(body=body)


def failed(status: int, word: str, message: str, *details: dict[str, Any]) -> WireReply:
    """An error; ``details`` are those of Google's own kind."""
    error: dict[str, Any] = {"code": status, "message": message, "status": word}
    if details:
        error["details"] = list(details)
    return WireReply(status=status, body={"error": error})


def detail(kind: str, **fields: Any) -> dict[str, Any]:
    """A detail of an error, such as ``RetryInfo``."""
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


def quota(name: str, value: str = "250", *, delay: str = "37.5s") -> WireReply:
    """Too many requests: a quota, and the delay that the service gives with every one."""
    violation = {"quotaMetric": "generativelanguage.googleapis.com/x", "quotaId": name}
    return failed(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
        detail("QuotaFailure", violations=[violation | {"quotaValue": value}]),
        detail("Help", links=[]),
        detail("RetryInfo", retryDelay=delay),
    )
