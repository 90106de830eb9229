"""What is told of one run, wherever in it something happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from mmcrime.evidence import Media
from mmcrime.results import Assessment
from mmcrime.telemetry.instruments import Attributes, Instruments

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["RunTelemetry", "current_run", "failed", "observed", "span"]


class RunTelemetry:
    """The instruments as one run uses them; belongs to one event loop.

    Args:
        instruments: Where everything goes.
        request_id: Of the run.

    Attributes:
        instruments: The same.
    """

    def __init__(self, instruments: Instruments, *, request_id: str) -> None:
        self.instruments = instruments
        self._common: Attributes = {"mmcrime.request.id": request_id}
        self._root: Span | None = None

    def started(self, name: str, attributes: Attributes, *, client: bool = False) -> Span:
        """Begin a span below the present one, which whoever asked ends.

        Args:
            name: Its name, of which there are few.
            attributes: What there is to say beside what is said of every span of the run.
            client: Whether it is a request to another service.
        """
        from opentelemetry.trace import SpanKind

        begun = self.instruments.tracer.start_span(
            name,
            kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
            attributes={**self._common, **attributes},
        )
        if self._root is None:
            self._root = begun
        return begun

    def opened(self, media: Media) -> None:
        """Say of the run, and of all that follows, what it looks at."""
        self._common |= {
            "mmcrime.media.kind": media.kind,
            "mmcrime.media.content_id": media.content_id,
        }
        if self._root is not None:
            self._root.set_attributes(self._common)

    def assessed(self, assessment: Assessment) -> None:
        """Count an assessment."""
        about: Attributes = {
            "mmcrime.analyzer": assessment.analyzer,
            "mmcrime.assessment.status": assessment.status,
            "mmcrime.cached": assessment.cached,
        }
        self.instruments.assessments.add(1, about)


_current: ContextVar[RunTelemetry | None] = ContextVar("mmcrime_telemetry", default=None)


def current_run() -> RunTelemetry | None:
    """Return what the present run is told to; None where nobody listens."""
    return _current.get()


@contextmanager
def observed(run: RunTelemetry | None, name: str) -> Iterator[None]:
    """Put everything done inside, and in tasks begun inside, under one span of a run.

    Args:
        run: None where nobody listens, whoever listens to a run around this one.
        name: Of the span.
    """
    token = _current.set(run)
    try:
        with span(name):
            yield
    finally:
        _current.reset(token)


@contextmanager
def span(name: str, attributes: Attributes | None = None) -> Iterator[Span | None]:
    """Put what is done inside under a span of the present run, if somebody listens to it."""
    run = _current.get()
    if run is None:
        yield None
        return
    begun = run.started(name, attributes or {})
    try:
        with entered(begun):
            yield begun
    finally:
        begun.end()


@contextmanager
def entered(begun: Span) -> Iterator[None]:
    """Make a span the present one; what is raised inside marks it as failed."""
    from opentelemetry.trace import use_span

    # By itself it would record the message of an error, which may quote anything.
    with use_span(begun, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            failed(begun, type(error).__name__)
            raise


def failed(begun: Span, kind: str) -> None:
    """Mark a span as failed.

    Args:
        begun: The span.
        kind: The class of the error; its message stays here. What an analyzer gives for it
            may be any text: the conventions say ``_OTHER`` for what is no name.
    """
    from opentelemetry.trace import StatusCode

    begun.set_attribute("error.type", kind if kind.isidentifier() else "_OTHER")
    begun.set_status(StatusCode.ERROR)
