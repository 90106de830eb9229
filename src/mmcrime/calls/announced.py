"""The egress gate around a provider (promise 8)."""

from __future__ import annotations

from collections.abc import MutableSet

from mmcrime.calls.meter import mark_sent
from mmcrime.calls.wrapper import Wrapper
from mmcrime.plugins import EgressGate, Provider, Request, Response

__all__ = ["Announced", "Sharing"]

_SHARED = "answers of services, and counts of calls, tokens and costs"


class Announced(Wrapper):
    """Tells the gate of every attempt before it is sent; under ``offline`` nothing is.

    Args:
        inner: The provider that sends.
        name: The name the caller knows it by.
        gate: The gate of this run.
    """

    def __init__(self, inner: Provider, *, name: str, gate: EgressGate) -> None:
        super().__init__(inner)
        self._gate = gate
        self._to = f"{name} ({self.endpoint})" if self.endpoint else name

    async def generate(self, request: Request) -> Response:
        """Announce the request, then pass it on."""
        self.announce(request)
        return await self._inner.generate(request)

    def announce(self, request: Request) -> None:
        """Say that a request leaves now.

        Raises:
            EgressError: Under ``offline``; it must not be sent then.
        """
        size = len(request.instructions.encode())
        size += sum(len(part.data) + len(part.text.encode()) for part in request.parts)
        self._gate.announce(
            what=_contents(request),
            to=self._to,
            purpose="speech" if request.task == "transcribe" else "provider",
            size_bytes=size,
        )
        mark_sent()


class Sharing(Wrapper):
    """Tells the gate of each run once that its calls use a shared Redis.

    Args:
        inner: The call layer of a provider, all of it.
        place: The address of Redis, without anything secret.
        gate: The gate of this run.
        told: The gates that know of it; shared by all providers of a pipeline.
    """

    def __init__(
        self, inner: Provider, *, place: str, gate: EgressGate, told: MutableSet[EgressGate]
    ) -> None:
        super().__init__(inner)
        self._place = place
        self._gate = gate
        self._told = told

    async def generate(self, request: Request) -> Response:
        """Announce the shared Redis, then pass the request on."""
        if self._gate not in self._told:
            self._gate.announce(what=_SHARED, to=self._place, purpose="cache")
            self._told.add(self._gate)
        return await self._inner.generate(request)


def _contents(request: Request) -> str:
    """Say what a third party gets to see, such as ``8 images and text of a request``."""
    if request.task == "transcribe":
        seconds = sum(part.seconds or 0.0 for part in request.parts)
        return f"{seconds:.1f} s of sound with speech"
    counts: dict[str, int] = {}
    for part in request.parts:
        counts[part.kind] = counts.get(part.kind, 0) + 1
    named = [
        f"{count} {kind}s" if kind == "image" and count > 1 else kind
        for kind, count in sorted(counts.items())
    ]
    return f"{' and '.join(named) or 'instructions'} of a request"
