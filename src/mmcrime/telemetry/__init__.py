"""Traces and metrics of what a pipeline does, with OpenTelemetry where there is one.

An application that has set up OpenTelemetry gets them with no setting. Otherwise
``telemetry.otlp_endpoint`` names a collector that they are sent to. They hold times, counts,
names of providers and models, costs and ids; never media, the words of a question or an
answer, the name of a file, a key or the message of an error.
"""

from __future__ import annotations

from mmcrime.telemetry.run import RunTelemetry, current_run, observed, span
from mmcrime.telemetry.source import Telemetry

__all__ = ["RunTelemetry", "Telemetry", "current_run", "observed", "span"]
