"""A process of its own that analyzes pictures; `test_pipeline_shared` starts several."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

from mmcrime import CrimeDetectionPipeline
from services import shot


def analyze(door: Connection, given: dict[str, Any], numbers: list[int], seconds: float) -> None:
    with CrimeDetectionPipeline(given) as pipeline:
        door.send("ready")
        door.recv()
        shots = [shot(number) for number in numbers]
        reports = pipeline.analyze_many(shots, providers=["openai"], deadline=seconds)
        door.send([report.to_json() for report in reports])
