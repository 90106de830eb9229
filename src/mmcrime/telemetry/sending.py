"""An OpenTelemetry SDK of our own that sends to one collector, with OTLP over HTTP.

The exporter of the SDK would take headers, client certificates and proxies from the
environment, so that a key for one collector could go to another; it follows redirects, and
complains of every batch that it cannot send. This one sends what the SDK's own encoders make
to where it was told, and complains once.
"""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import httpx2
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    wait_random_exponential,
)

from mmcrime.logs import get_logger
from mmcrime.telemetry.instruments import SCOPE, Instruments

__all__ = ["Collector"]

_log = get_logger("mmcrime.telemetry")

_TIMEOUT = 5.0  # seconds that one request may take
_ATTEMPTS = 3
_SPANS_EVERY = 5_000  # milliseconds, as the SDK does by itself
_COUNTS_EVERY = 60_000
_QUEUE, _BATCH = 2_048, 512  # spans
_LIMITS = {
    "max_attributes": 128,
    "max_events": 128,
    "max_links": 128,
    "max_event_attributes": 128,
    "max_link_attributes": 128,
    "max_attribute_length": 4_096,
    "max_span_attributes": 128,
    "max_span_attribute_length": 4_096,
}
_BUSY = frozenset({429, 502, 503, 504})  # OTLP 1.x: these alone are worth another attempt


class _BusyError(Exception):
    """The collector may take it later."""


class Collector:
    """Sends the spans and counts of this process to one collector.

    Args:
        endpoint: Its address, without the paths of the signals.
        headers: What it wants to see.
        version: Of mmcrime.

    Attributes:
        instruments: What is told to it.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, version: str) -> None:
        agent = {"user-agent": f"{SCOPE}/{version}"}
        self._post = _Post(endpoint, {**agent, **headers})
        # `Resource.create` would take names of the environment. Without an id of its own, the
        # counts of one process would be taken for those of another.
        resource = Resource(
            {
                "service.name": SCOPE,
                "service.version": version,
                "service.instance.id": str(uuid.uuid4()),
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": metadata.version("opentelemetry-sdk"),
            }
        )
        # All is told that the SDK would look up in the environment, where anything may stand; and
        # whoever names a collector wants every run, whatever the application samples for itself.
        self._spans = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(**_LIMITS),
        )
        self._spans.add_span_processor(
            BatchSpanProcessor(
                _Spans(self._post),
                max_queue_size=_QUEUE,
                schedule_delay_millis=_SPANS_EVERY,
                max_export_batch_size=_BATCH,
                export_timeout_millis=_TIMEOUT * 1000,
            )
        )
        reader = PeriodicExportingMetricReader(
            _Counts(self._post),
            export_interval_millis=_COUNTS_EVERY,
            export_timeout_millis=_TIMEOUT * 1000,
        )
        self._counts = MeterProvider(
            [reader],
            resource=resource,
            shutdown_on_exit=False,
            exemplar_filter=AlwaysOffExemplarFilter(),
        )
        self.instruments = Instruments(self._spans, self._counts, version=version)

    def close(self) -> None:
        """Send what is left, then let go of everything. Blocks, for as long as that takes."""
        self._post.hurry()
        self._spans.shutdown()
        self._counts.shutdown()


class _Post:
    """Posts to the collector, and never raises."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._headers = {**headers, "content-type": "application/x-protobuf"}
        self._pid = os.getpid()
        self._closing = threading.Event()
        self._complained = False

    def __call__(self, signal: str, body: bytes) -> bool:
        """Send one body; what does not arrive is dropped, which is logged once.

        Args:
            signal: ``traces`` or ``metrics``.
            body: A request of OTLP, as protobuf.
        """
        if os.getpid() != self._pid:
            return False  # of a forked child, whose counts are those of its parent
        attempts = Retrying(
            retry=retry_if_exception_type(_BusyError),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(max=_TIMEOUT),
            sleep=sleep_using_event(self._closing),
            reraise=True,
        )
        try:
            attempts(self._send, signal, body)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not hurt a run
            if not self._complained:
                self._complained = True
                _log.warning(
                    "telemetry cannot be sent (%s); what cannot be is dropped, and not "
                    "mentioned again", error,
                )  # fmt: skip
            return False
        return True

    def hurry(self) -> None:
        """Wait no longer between attempts."""
        self._closing.set()

    def _send(self, signal: str, body: bytes) -> None:
        # In a loop of its own: only there a whole request has an end, whatever drips in.
        try:
            status = asyncio.run(self._posted(f"{self._endpoint}/v1/{signal}", body))
        except (httpx2.TransportError, TimeoutError) as error:
            raise _BusyError(type(error).__name__) from None
        if status in _BUSY:
            raise _BusyError(f"status {status}")
        if not 200 <= status < 300:
            raise ValueError(f"status {status}")

    async def _posted(self, url: str, body: bytes) -> int:
        # Nothing of the environment: no proxy, no netrc, no certificates.
        client = httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False)
        async with (
            asyncio.timeout(_TIMEOUT),
            client,
            # Streamed, so that no answer is read, however long it is.
            client.stream("POST", url, content=body, headers=self._headers) as answer,
        ):
            return answer.status_code


class _Spans(SpanExporter):
    def __init__(self, post: _Post) -> None:
        self._post = post

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sent = self._post("traces", encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Hold nothing."""

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002  # the SDK's signature
        return True


class _Counts(MetricExporter):
    def __init__(self, post: _Post) -> None:
        super().__init__()
        self._post = post

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 0,  # noqa: ARG002  # the SDK's signature
        **_: Any,
    ) -> MetricExportResult:
        sent = self._post("metrics", encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 0) -> bool:  # noqa: ARG002  # as above
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        """Hold nothing."""
