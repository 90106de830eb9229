"""OpenTelemetry in memory, and a collector on loopback that reads what it gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mmcrime.telemetry import source
from mmcrime.telemetry.instruments import Instruments
from mmcrime.testing import WireReply, wire_server
from mmcrime.testing.wire import WireRequest, WireServer


class Memory:
    """Keeps spans and counts.

    Attributes:
        tracers: Where an application would get its own tracer.
    """

    def __init__(self) -> None:
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self._spans = InMemorySpanExporter()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.instruments = Instruments(self.tracers, meters, version="0")

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Return the spans of a name that have ended, in the order in which they did."""
        found = self._spans.get_finished_spans()
        return [span for span in found if span.name.startswith(name)]

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        """Return all that is kept, as text."""
        data = self._reader.get_metrics_data()
        whole = [span.to_json() for span in self._spans.get_finished_spans()]
        return "\n".join([*whole, data.to_json() if data else ""])


@contextmanager
def in_application() -> Iterator[Memory]:
    """Be an application that has set up OpenTelemetry.

    That can be done once in a process, so that here the one look at it is replaced; another
    test does it for real.
    """
    memory, before = Memory(), source._global
    source._global = lambda _version: memory.instruments  # type: ignore[assignment]
    try:
        yield memory
    finally:
        source._global = before


@contextmanager
def collector(*replies: WireReply) -> Iterator[WireServer]:
    """Be a collector of OTLP over HTTP."""
    with wire_server(*(replies or (WireReply(),))) as server:
        yield server


def received_spans(requests: list[WireRequest]) -> list[Any]:
    """Return the spans that a collector got."""
    return [
        span
        for request in requests
        if request.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def received_metrics(requests: list[WireRequest]) -> dict[str, Any]:
    """Return the metrics that a collector got last, by name."""
    return {
        metric.name: metric
        for request in requests
        if request.path == "/v1/metrics"
        for resource in ExportMetricsServiceRequest.FromString(request.body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of what a collector got."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}
