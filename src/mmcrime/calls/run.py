"""What the calls of one run have in common."""

from __future__ import annotations

from dataclasses import dataclass

from mmcrime.calls.budget import RunBudget
from mmcrime.plugins import EgressGate

__all__ = ["Run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What the calls of one run have in common.

    Attributes:
        request_id: Its id.
        tenant: On whose behalf.
        gate: Its egress gate.
        budget: Its caps.
        deadline: Loop time after which no answer is of use; None for never.
    """

    request_id: str
    tenant: str
    gate: EgressGate
    budget: RunBudget
    deadline: float | None
