"""Answers of Gemini: what recorded ones say, and others constructed after them."""

from __future__ import annotations

from typing import Any

from mmcrime.plugins import Response, TokenUsage
from mmcrime.testing import WireCases, WireReply

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

RECORDED: list[tuple[str, Response]] = [
    # An older model, without thoughts: what came out are its words alone.
    (
        "image_200",
        Response(
            status="answered",
            text="The fruit in the image is a kiwi.",
            model="gemini-2.0-flash",
            usage=TokenUsage(input=3367, output=9),
        ),
    ),
    # Sound is dearer and counted apart; 25 tokens of thought are paid for as words are.
    (
        "audio_200",
        Response(
            status="answered",
            text="Ruby is a programming language designed for developer happiness.",
            model="gemini-2.5-flash",
            usage=TokenUsage(input=125, audio_input=119, output=35),
        ),
    ),
    # The JSON is handed on as it came: reading it is the analyzer's.
    (
        "json_schema_200",
        Response(
            status="answered",
            text='{\n  "city": "Mexico City",\n  "country": "Mexico"\n}',
            model="gemini-2.0-flash",
            usage=TokenUsage(input=8, output=20),
        ),
    ),
    # Cut off at the most tokens: no answer, and what it cost is kept.
    (
        "max_tokens_truncated_200",
        Response(
            status="truncated",
            text="The capital of France is",
            model="gemini-2.5-flash",
            reason="MAX_TOKENS",
            usage=TokenUsage(input=15, output=5),
        ),
    ),
    # Stopped before the first word: the total says that nothing came out.
    (
        "safety_block_candidate_200",
        Response(
            status="refused",
            text="",
            model="gemini-1.5-flash",
            reason="SAFETY",
            usage=TokenUsage(input=14, output=0),
        ),
    ),
    # No candidates, and a word that the published list does not have; tokens are not told.
    (
        "prompt_blocked_model_armor_200",
        Response(
            status="refused",
            text="The prompt violated Prompt Injection and Jailbreak filters.",
            model="gemini-2.5-flash",
            reason="MODEL_ARMOR",
        ),
    ),
]
"""Names of recorded answers, and what is read of them."""


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


def contract_cases(version: str) -> WireCases:
    """Return the answers that the contract asks for, constructed after recorded ones."""
    said = f"API key not valid: {KEY}. Please pass a valid API key."
    thought = {k: v for k, v in USAGE.items() if k != "candidatesTokenCount"}
    missing = f"models/x is not found for API version {version}, or is not supported."
    return WireCases(
        answered=answer(),
        text="A calm garage.",
        model="gemini-3.8-flash-001",
        usage=TokenUsage(input=125, cached_input=40, audio_input=119, output=35),
        empty=answer(parts=[]),
        refused=answer("SAFETY", parts=[]),
        truncated=answer("MAX_TOKENS", candidate={"content": {}}, usageMetadata=thought),
        bad_key=failed(
            400, "INVALID_ARGUMENT", said, detail("ErrorInfo", reason="API_KEY_INVALID")
        ),
        unknown_model=failed(404, "NOT_FOUND", missing),
        bad_request=failed(400, "INVALID_ARGUMENT", "Unable to process input image."),
        rate_limited=quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
        delay=37.5,
        quota_used_up=quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", delay="5s"),
        failed=failed(503, "UNAVAILABLE", "The model is overloaded."),
    )
