"""Local servers that speak the services' real wire formats, for tests of providers.

`contract_server` checks every request against the official contract of a service, with
unknown keys refused, and answers from a script; contracts and recorded answers are in the
shared folder and not part of the repository.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

Reply = tuple[int, Mapping[str, str], Any]
"""Status, headers, and the body as JSON or bytes."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A real answer of a service, as it was recorded.

    Attributes:
        reply: What the service sent.
        request: The body that was answered; None where it was not recorded.
        path: The path that was asked.
    """

    reply: Reply
    request: Any
    path: str


@cache
def _wirecheck(specs: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("wirecheck", specs / "wirecheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wirecheck"] = module
    spec.loader.exec_module(module)
    leaky = module.load

    def load(path: str) -> Any:
        # It leaves its file to be closed whenever that is; a warning of that fails a test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            return leaky(path)

    module.load = load
    return module


@cache
def contract(shared: Path, service: str) -> Any:
    """Return the contract of a service, as its file is called; reading some takes seconds."""
    specs = shared / "specs"
    kit = _wirecheck(specs)
    if service == "openai":
        return kit.Contract(str(specs / "openai.json"), prefix="/v1", relax=kit.OPENAI_RELAX)
    if service == "anthropic":
        return kit.Contract(str(specs / "anthropic.yaml"), forbid=kit.ANTHROPIC_2026_10_21)
    if service == "huggingface-tgi":
        # Closed, it would refuse every message: their fields stand in two halves.
        return kit.Contract(str(specs / "huggingface-tgi.json"), closed=False)
    if service == "replicate":
        return kit.Contract(str(specs / "replicate.json"), prefix="/v1")
    return kit.GeminiOpenAPI(str(specs / "gemini.json"))


@contextmanager
def contract_server(shared: Path, service: str, script: Sequence[Reply]) -> Iterator[Any]:
    """Serve a script of replies on loopback; the last one is repeated.

    Gives an object with ``url`` and ``log``: for each request ``method``, ``path``,
    ``headers``, ``raw`` and ``errors``, which are empty when it keeps the contract. One that
    does not is answered with 400.
    """
    checked = contract(shared, service)
    with _wirecheck(shared / "specs").Server(checked, script) as server:
        yield server


def recorded(shared: Path, service: str, name: str) -> Recorded:
    """Return a recorded answer, such as ``err_401`` of ``openai``."""
    path = shared / "specs" / "recorded" / service / f"{name}.json"
    held = json.loads(path.read_text(encoding="utf-8"))
    answer = held["response"]
    headers = {k: v for k, v in (answer.get("headers") or {}).items() if k != "content-length"}
    return Recorded(
        reply=(answer["status"], headers, answer["body"]),
        request=held["request"].get("body"),
        path=held["request"]["path"],
    )
