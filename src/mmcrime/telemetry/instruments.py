"""The tracer and the instruments, with the names that the conventions give.

Those of calls follow the OpenTelemetry semantic conventions for generative AI, as of version
1.41: https://github.com/open-telemetry/semantic-conventions-genai. What begins with ``mmcrime``
is our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

__all__ = ["Attributes", "Instruments", "of_provider", "operation"]

Attributes = dict[str, "AttributeValue"]

SCOPE = "mmcrime"
"""Name of the instrumentation scope."""
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Boundaries that the conventions recommend for durations."""
TOKENS = tuple(4**power for power in range(14))
"""Boundaries that the conventions recommend for tokens."""

_WELL_KNOWN: Mapping[str, str] = {"gemini": "gcp.gemini", "gemini-legacy": "gcp.gemini"}
"""What the conventions call a service that we call otherwise."""
_PORTS: Mapping[str, int] = {"https": 443, "http": 80}


class Instruments:
    """What one OpenTelemetry SDK, or none, is told through.

    Args:
        tracer_provider: Where spans go.
        meter_provider: Where counts go.
        version: Of mmcrime.
    """

    def __init__(
        self, tracer_provider: TracerProvider, meter_provider: MeterProvider, *, version: str
    ) -> None:
        meter: Meter = meter_provider.get_meter(SCOPE, version)
        self.tracer: Tracer = tracer_provider.get_tracer(SCOPE, version)
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self.assessments = meter.create_counter(
            "mmcrime.assessments", unit="{assessment}", description="Assessments by status."
        )
        self.cost = meter.create_counter(
            "mmcrime.cost", unit="USD", description="What answers cost, where a price is known."
        )
        self.hits = meter.create_counter(
            "mmcrime.cache.hits", unit="{call}", description="Calls that a stored answer served."
        )
        self.refusals = meter.create_counter(
            "mmcrime.budget.refusals",
            unit="{call}",
            description="Calls not made for a cap on money, calls, tokens or time.",
        )


def of_provider(name: str, endpoint: str) -> Attributes:
    """Return the attributes that say which service is asked.

    Args:
        name: The name the caller knows it by.
        endpoint: Where requests go.
    """
    found: Attributes = {"gen_ai.provider.name": _WELL_KNOWN.get(name, name)}
    try:
        address = urlsplit(endpoint)
        host, port = address.hostname, address.port or _PORTS.get(address.scheme)
    except ValueError:  # no address; the provider itself says so where it matters
        return found
    if host:
        found["server.address"] = host
        if port is not None:
            found["server.port"] = port
    return found


def operation(task: str, provider: object) -> str:
    """Return what the conventions call a task: the model answers, or something of our own."""
    if task != "answer":
        return task
    return "generate_content" if provider == "gcp.gemini" else "chat"
