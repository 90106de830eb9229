"""Who is told: the application's own OpenTelemetry, a collector that is named, or nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from threading import Lock, Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mmcrime.errors import EgressError, MissingDependencyError
from mmcrime.logs import get_logger
from mmcrime.results import EgressGate
from mmcrime.telemetry.instruments import Instruments
from mmcrime.telemetry.run import RunTelemetry

if TYPE_CHECKING:
    from mmcrime.telemetry.sending import Collector

__all__ = ["Telemetry"]

_log = get_logger("mmcrime.telemetry")
_PATIENCE = 5.0  # seconds that closing waits for what is still to be sent
_WHAT = "spans and counts of this run, without media, words or names"


class Telemetry:
    """What a pipeline tells of its runs; for any thread.

    Without an endpoint, an application that uses OpenTelemetry gets everything in the SDK that
    it has set up, and sends it or not. With one, it goes to the collector there and nowhere
    else, through an SDK of our own.

    Args:
        endpoint: Address of a collector that speaks OTLP over HTTP, without the paths of the
            signals; None for none.
        headers: What the collector wants to see, such as a key.
        version: Of mmcrime.

    Raises:
        MissingDependencyError: If an endpoint is given and the SDK is not installed.
    """

    def __init__(self, endpoint: str | None, headers: Mapping[str, str], *, version: str) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._version = version
        self._collector: Collector | None = None
        self._lock = Lock()
        self._closed = False
        if endpoint is not None:
            _need_sdk()

    def of_run(self, gate: EgressGate, *, request_id: str) -> RunTelemetry | None:
        """Return what a run is told to; None where nobody listens.

        A run that is told to a collector announces that first. One that may not is told to
        nobody: neither its spans nor its counts are kept.

        Args:
            gate: Of the run.
            request_id: Of the run.
        """
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return None  # the SDK itself heeds it, and nothing would come of what is announced
        if self._endpoint is None:
            instruments = _of_application(self._version)
        else:
            instruments = self._to_collector(self._endpoint, gate)
        return None if instruments is None else RunTelemetry(instruments, request_id=request_id)

    def close(self) -> None:
        """Send what is still to be sent, for at most five seconds. Safe twice; blocks."""
        closing = self.abandon()
        if closing is None:
            return
        closing.join(_PATIENCE)
        if closing.is_alive():
            _log.warning("telemetry was not sent within %g s; the rest is dropped", _PATIENCE)

    def abandon(self) -> Thread | None:
        """Begin to close without waiting for it."""
        with self._lock:
            self._closed = True
            collector, self._collector = self._collector, None
        if collector is None:
            return None
        thread = Thread(target=collector.close, name="mmcrime-telemetry", daemon=True)
        thread.start()
        return thread

    def _to_collector(self, endpoint: str, gate: EgressGate) -> Instruments | None:
        try:
            gate.announce(what=_WHAT, to=urlsplit(endpoint).netloc, purpose="telemetry")
        except EgressError:  # offline, or a gate of the caller that lets nothing out
            return None
        with self._lock:
            if self._closed:
                return None
            if self._collector is None:
                from mmcrime.telemetry.sending import Collector

                # Only now: its threads send by the clock, and nothing may leave unannounced.
                try:
                    self._collector = Collector(endpoint, self._headers, version=self._version)
                except Exception as error:  # noqa: BLE001  # the SDK's; no run may end by it
                    _log.warning("telemetry cannot be set up: %s", type(error).__name__)
                    return None
            return self._collector.instruments


def _need_sdk() -> None:
    """Raise MissingDependencyError unless what sends is installed."""
    try:
        import_module("mmcrime.telemetry.sending")
    except ImportError as error:
        raise MissingDependencyError(
            "telemetry.otlp_endpoint needs the OpenTelemetry SDK, which is not installed or "
            f"too old ({error.name!r}).",
            pip='pip install "mmcrime[otel]"',
        ) from error


def _of_application(version: str) -> Instruments | None:
    # Whoever has set up an SDK has imported this; nobody else need pay for it.
    return _global(version) if "opentelemetry.trace" in sys.modules else None


@cache
def _global(version: str) -> Instruments | None:
    """Return instruments that follow the SDK of the application, even one set up later."""
    try:
        from opentelemetry import metrics, trace

        return Instruments(
            trace.get_tracer_provider(), metrics.get_meter_provider(), version=version
        )
    except Exception as error:  # noqa: BLE001  # somebody else's package, of any version
        _log.warning(
            "the installed OpenTelemetry cannot be used (%s); mmcrime needs 1.30 or later",
            type(error).__name__,
        )
        return None
