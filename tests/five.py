"""Five services of which four are dead, each in another way, as local servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcrime.testing import WireReply
from services import FIVE, HTML, answer, bad_key, config, failed, nobody, serving


@dataclass(frozen=True, kw_only=True)
class Death:
    """How a service is dead, and what the report says of it.

    Attributes:
        reply: What it sends, if anything; None where nobody listens.
        error: Name of our error.
        said: Words of the reason.
        attempts: How often it is asked.
        billed: Whether what it was asked may be billed all the same.
    """

    reply: Callable[[str], WireReply] | None
    error: str
    said: str
    attempts: int = 1
    billed: bool = False


def _prediction_failed(_: str) -> WireReply:
    body = answer("replicate", stop="refused").body | {"error": "CUDA out of memory"}
    return WireReply(status=201, body=body)


DEATHS = {
    "nobody": Death(reply=None, error="UnavailableError", said="cannot be reached at", attempts=5),
    "bad key": Death(reply=bad_key, error="AuthenticationError", said="answered with status 40"),
    "no credit": Death(
        reply=lambda _: failed(402), error="RateLimitedError", said="answered with status 402"
    ),
    "always 500": Death(
        reply=lambda _: failed(500),
        error="UnavailableError",
        said="answered with status 500: 'overloaded' (asked 5 times)",
        attempts=5,
        billed=True,
    ),
    # Google says that it does not charge for these.
    "500, for nothing": Death(
        reply=lambda _: failed(500),
        error="UnavailableError",
        said="answered with status 500: 'overloaded' (asked 5 times)",
        attempts=5,
    ),
    "a page": Death(
        reply=lambda _: HTML,
        error="InvalidResponseError",
        said="answered with no JSON",
        billed=True,
    ),
    "silence": Death(
        reply=lambda _: WireReply(fault="silent"),
        error="UnavailableError",
        said="did not answer within 0.2 s (asked 5 times)",
        attempts=5,
        billed=True,
    ),
    # A prediction may have been made, and a second one would be paid for as well.
    "silence, once": Death(
        reply=lambda _: WireReply(fault="silent"),
        error="UnavailableError",
        said="did not answer within 0.2 s",
        billed=True,
    ),
    "half an answer": Death(
        reply=lambda name: WireReply(body=answer(name).content[:-30]),
        error="InvalidResponseError",
        said="answered with no JSON",
        billed=True,
    ),
    "a failed prediction": Death(
        reply=_prediction_failed,
        error="ProviderError",
        said="failed: 'CUDA out of memory'",
        billed=True,
    ),
}

FOUR_OF_FIVE: dict[str, dict[str, str]] = {
    "openai": {
        "anthropic": "silence",
        "gemini": "bad key",
        "replicate": "a failed prediction",
        "huggingface": "no credit",
    },
    "anthropic": {
        "openai": "always 500",
        "gemini": "half an answer",
        "replicate": "silence, once",
        "huggingface": "nobody",
    },
    # Of these not one can be billed, so that what the run cost is known.
    "gemini": {
        "openai": "bad key",
        "anthropic": "nobody",
        "replicate": "no credit",
        "huggingface": "bad key",
    },
    "replicate": {
        "openai": "silence",
        "anthropic": "a page",
        "gemini": "nobody",
        "huggingface": "half an answer",
    },
    "huggingface": {
        "openai": "nobody",
        "anthropic": "bad key",
        "gemini": "500, for nothing",
        "replicate": "a page",
    },
}
"""For each living service, how the other four are dead."""


def deaths_beside(alive: str) -> dict[str, Death]:
    """Return how the others are dead while one lives."""
    return {name: DEATHS[how] for name, how in FOUR_OF_FIVE[alive].items()}


@contextmanager
def one_of_five(alive: str, folder: Path, **more: Any) -> Iterator[dict[str, Any]]:
    """Serve all five, and give a configuration for them.

    Args:
        alive: The one that answers.
        folder: Of the cache.
        more: Further settings.
    """
    dead = deaths_beside(alive)
    replies = {name: death.reply(name) for name, death in dead.items() if death.reply}
    with serving({alive: answer(alive), **replies}) as servers:
        urls = {name: servers[name].url if name in servers else nobody() for name in FIVE}
        held = config(urls, folder, **more)
        for name, how in FOUR_OF_FIVE[alive].items():
            if how.startswith("silence"):
                held["providers"][name]["timeout"] = 0.2
        yield held
