"""What a pipeline and its runs tell of themselves: telemetry, and the id in what is logged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmcrime import __version__
from mmcrime.config import TelemetrySettings
from mmcrime.logs import of_request
from mmcrime.pipeline.loop import LoopThread
from mmcrime.telemetry import RunTelemetry, Telemetry, observed


def telemetry_of(settings: TelemetrySettings) -> Telemetry:
    """Return what the runs of a pipeline are told to.

    Raises:
        MissingDependencyError: If a collector is named and the SDK is not installed.
    """
    return Telemetry(
        settings.otlp_endpoint,
        {name: value.get_secret_value() for name, value in settings.headers.items()},
        version=__version__,
    )


@contextmanager
def told(telemetry: RunTelemetry | None, name: str, *, request_id: str) -> Iterator[None]:
    """Put everything that is done inside under one span and one request.

    Args:
        telemetry: What the run is told to; None where nobody listens.
        name: Of the span.
        request_id: Of the run.
    """
    with of_request(request_id), observed(telemetry, name):
        yield


def abandon(loop: LoopThread, telemetry: Telemetry) -> None:
    """Let go of the threads of a pipeline that nobody closed, without waiting for them."""
    loop.stop()
    telemetry.abandon()
