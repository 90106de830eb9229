"""Answers of Replicate, constructed after recorded ones."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from mmcrime.testing import WireReply
from mmcrime_providers.replicate import ReplicateProvider

KEY = "r8_0123456789abcdefghijklmnopqrstuvwxyz"
MODEL = "google/gemini-3-flash"
VERSION = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
METRICS: dict[str, Any] = {
    "predict_time": 3.8,
    "total_time": 4.1,
    "input_token_count": 125,
    "output_token_count": 35,
}


def make(url: str, **options: Any) -> ReplicateProvider:
    """A provider that asks this address."""
    return ReplicateProvider(base_url=url, **{"api_key": SecretStr(KEY), "model": MODEL, **options})


def body(status: str = "succeeded", **fields: Any) -> dict[str, Any]:
    """What the service says of a prediction."""
    elsewhere = "http://127.0.0.1:9/v1/predictions/p1"
    held: dict[str, Any] = {
        "id": "p1",
        "model": MODEL,
        "version": "hidden",
        "input": {"prompt": "x"},
        "logs": "",
        "error": None,
        "status": status,
        "created_at": "2026-11-30T18:57:08.360785Z",
        "urls": {"get": elsewhere, "cancel": f"{elsewhere}/cancel"},
    }
    if status == "succeeded":
        held |= {"output": ["A calm ", "garage."], "metrics": METRICS}
    return {**held, **fields}


def prediction(status: str = "succeeded", **fields: Any) -> WireReply:
    """The same as an answer, to the request that makes it or to a look at it."""
    return WireReply(status=201, body=body(status, **fields))


def failed(words: str) -> WireReply:
    """A prediction that failed, in the words of its model."""
    return prediction("failed", error=words, output=None)


def problem(status: int, title: str, detail: str, **fields: Any) -> WireReply:
    """An error of a request."""
    said = {"title": title, "detail": detail, "status": status, **fields}
    return WireReply(status=status, headers={"content-type": "application/problem+json"}, body=said)
