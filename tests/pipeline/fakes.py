"""Analyzers that answer, die, lie or hang, through the public door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from mmcrime.evidence import Coverage, Evidence, MediaKind
from mmcrime.plugins import Analyzer, Capabilities, Provider, Request, Response, RunContext
from mmcrime.results import Assessment, AssessmentKind, Segment


class Scripted(Analyzer):
    """An analyzer that does what a function says."""

    name = "scripted"
    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"image", "audio", "video"})
    kind: ClassVar[AssessmentKind] = "llm"
    family = "scripted"

    def __init__(self, act: Callable[[Evidence, RunContext], Any], name: str = "scripted") -> None:
        self.name = name  # type: ignore[misc]  # several instances of one test class
        self.act = act
        self.closed = 0

    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        result = self.act(evidence, context)
        answer: Assessment = await result if asyncio.iscoroutine(result) else result
        return answer

    async def aclose(self) -> None:
        self.closed += 1


class Verifier(Scripted):
    """The same in stage two."""

    stage: ClassVar[Literal["observe", "verify"]] = "verify"


def reply(outcome: str = "not_detected", probability: float = 0.1, **fields: Any) -> Assessment:
    """A complete answer over everything."""
    base: dict[str, Any] = {
        "id": "x",
        "analyzer": "x",
        "kind": "llm",
        "runs": "local",
        "family": "x",
        "status": "answered",
        "outcome": outcome,
        "probability": probability,
        "probability_source": "claimed",
        "coverage": Coverage(examined=((0.0, 1e9),), frames=1),
    }
    if outcome == "detected":
        base["segments"] = (Segment(start=0.5, end=1.5, score=probability),)
    return Assessment(**(base | fields))


class EchoProvider(Provider):
    """A provider that answers at once and remembers that it was closed."""

    capabilities: ClassVar[Capabilities] = Capabilities(images=1)
    free = True

    def __init__(self) -> None:
        self.closed = 0

    async def generate(self, request: Request) -> Response:
        return Response(status="answered", text=request.instructions, model="echo-1")

    async def aclose(self) -> None:
        self.closed += 1
