"""What Gemini's errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mmcrime_providers._failures import Failure
from mmcrime_providers._json import as_text, mappings

__all__ = ["GeminiFailure"]

_MAYBE_DONE = frozenset({408, 499, 502, 504})
"""Statuses after which the work may have been done and is charged for. Others refuse it before it
begins, and of an error of status 500 Google says that its tokens are not charged
(https://ai.google.dev/gemini-api/docs/billing)."""


@dataclass(frozen=True, kw_only=True)
class GeminiFailure(Failure):
    """An error as Gemini describes it, of kind ``INVALID_ARGUMENT`` or another."""

    later: ClassVar[frozenset[int]] = Failure.later | {499}

    @property
    def code(self) -> str:
        """The reason, such as ``API_KEY_INVALID``; empty if there is none."""
        return next((as_text(d["reason"]) for d in self._details if "reason" in d), "")

    @property
    def kind(self) -> str:
        """The canonical name of the error."""
        return as_text(self.described.get("status"))

    @property
    def _details(self) -> list[Mapping[str, Any]]:
        return list(mappings(self.described.get("details")))

    @property
    def is_bad_key(self) -> bool:
        """Whether the key is what is wrong; an invalid one comes with status 400."""
        return self.status in (401, 403) or self.code.startswith("API_KEY_")

    @property
    def is_used_up(self) -> bool:
        """Whether waiting a moment does not help: credit, or the quota of a day.

        The service then says all the same to come back in some seconds.
        """
        if self.status != 429:
            return self.status == 402
        of_days = any("PerDay" in name or value == "0" for name, value in _quotas(self._details))
        return of_days or "per day" in self.message or self.code == "QUOTA_EXHAUSTED"

    @property
    def is_maybe_done(self) -> bool:
        """Whether the work may have been done."""
        return self.accepted or self.status in _MAYBE_DONE

    def next_step(self, provider: str, model: str, endpoint: str) -> str:
        """Return what to do about a request that the service refused."""
        step = super().next_step(provider, model, endpoint)
        if self.is_unknown_model:
            step += f" Some are only there with providers.{provider}.api_version set to 'v1beta'."
        return step


def _quotas(details: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each quota; errors of another make name it as metadata."""
    for detail in details:
        for violation in mappings(detail.get("violations")):
            yield as_text(violation.get("quotaId")), as_text(violation.get("quotaValue"))
        for metadata in mappings([detail.get("metadata")]):
            yield as_text(metadata.get("quota_limit")), as_text(metadata.get("quota_limit_value"))
