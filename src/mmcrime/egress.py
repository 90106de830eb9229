"""The one gate for what leaves this machine (promise 8).

Provider calls, cloud speech engines, URL fetches, model downloads, notifications and
telemetry announce themselves here *before* anything is sent. With ``offline`` set the
announcement is an error and nothing leaves.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from mmcrime.errors import EgressError
from mmcrime.results import EgressGate, EgressPurpose, EgressRecord

__all__ = ["Gate"]


class Gate:
    """Records what leaves during one run, or refuses it.

    Args:
        offline: Refuse everything that wants to leave.
        outer: A caller's own gate, which is asked and told as well.
    """

    def __init__(self, *, offline: bool, outer: EgressGate | None = None) -> None:
        self._offline = offline or (outer is not None and outer.offline)
        self._outer = outer
        self._records: list[EgressRecord] = []
        self._lock = threading.Lock()

    @property
    def offline(self) -> bool:
        """Whether everything that wants to leave is refused."""
        return self._offline

    @property
    def records(self) -> tuple[EgressRecord, ...]:
        """What was announced so far, in order."""
        with self._lock:
            return tuple(self._records)

    def announce(
        self,
        *,
        what: str,
        to: str,
        purpose: EgressPurpose,
        size_bytes: int | None = None,
    ) -> None:
        """Record that something is about to leave.

        Args:
            what: What a third party will see, in words.
            to: Host or service that receives it.
            purpose: The kind of call.
            size_bytes: Bytes sent, where known before sending.

        Raises:
            EgressError: If ``offline`` is set.
        """
        if self._offline:
            raise EgressError(f"offline is set, and {what!r} wanted to go to {to!r}.")
        if self._outer is not None:
            self._outer.announce(what=what, to=to, purpose=purpose, size_bytes=size_bytes)
        record = EgressRecord(
            what=what, to=to, purpose=purpose, when=datetime.now(UTC), size_bytes=size_bytes
        )
        with self._lock:
            self._records.append(record)
