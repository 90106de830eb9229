"""How many sources came to which result, and which are the worst."""

from __future__ import annotations

from collections import Counter

from mmcrime.reports.words import chance
from mmcrime.results import SEVERITIES, Report

_NAMED = 5


class Tally:
    """Counts reports; keeps the worst few."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: Counter[str] = Counter()
        self._worst: list[tuple[int, float, str, str]] = []

    def add(self, report: Report) -> None:
        """Count a report."""
        self.total += 1
        verdict = report.verdict
        unreadable = report.media.kind is None
        self._counts["unreadable" if unreadable else verdict.outcome] += 1
        if verdict.outcome == "detected":
            severity = SEVERITIES.index(verdict.severity)
            # One of which no probability was given stands behind those that have one.
            rank = -1.0 if verdict.probability is None else verdict.probability
            said = chance(verdict.probability, verdict.probability_source)
            self._worst.append((severity, rank, report.source, said))
            self._worst = sorted(self._worst, key=lambda w: (-w[0], -w[1], w[2]))[:_NAMED]

    def line(self) -> str:
        """Return the counts in words."""
        names = ("detected", "undetermined", "not_detected", "unreadable")
        parts = [f"{self._counts[name]} {name.replace('_', ' ')}" for name in names]
        sources = "1 source" if self.total == 1 else f"{self.total} sources"
        return f"{sources}: {', '.join(parts)}"

    def worst(self) -> list[str]:
        """Return the worst of those with an incident, worst first, five at most."""
        return [
            f"{SEVERITIES[severity]}, {said}: {source}" for severity, _, source, said in self._worst
        ]
