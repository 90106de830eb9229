"""The analyzer of labels: pictures or sound go to a classifier, and its labels mean crime types.

One instance asks one provider, with a request for each sampled picture or each stretch of
sound. A classifier knows nothing of incidents: the configuration says which of its labels
stands for which crime type, and what it says of other labels is left alone. What it does not
say is never filled in: a piece without a score is a gap, and no "no".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from mmcrime import taxonomy
from mmcrime.analyzers.fallback import named
from mmcrime.analyzers.labels_asked import Judged, Question, Said, ask_all
from mmcrime.errors import ConfigError
from mmcrime.evidence import NO_STREAM, SILENT, Evidence, MediaKind
from mmcrime.media.fit_single import Single, covered, single_pictures, single_sounds
from mmcrime.perceive.spans import record
from mmcrime.plugins import Analyzer, Capabilities, PluginOptions, RunContext
from mmcrime.reports.words import clock
from mmcrime.results import Assessment, AssessmentKind, ErrorRecord, Outcome, Segment

__all__ = ["LabelsAnalyzer", "LabelsOptions"]

_EXAMPLE = '{"analyzers": {"labels": {"types": {"violence": "fighting"}}}}'
_DOUBTS = {
    "objects": "A game, a film, a training or a picture of such a scene may bear the same label.",
    "sound": "A film, a game or television in the room may sound the same.",
}
_PIECES = {"objects": "pictures", "sound": "stretches of sound"}


class LabelsOptions(PluginOptions):
    """Options of the analyzer.

    Attributes:
        provider: Name of the provider to ask; set for each provider that a run uses.
        hears: Whether it takes sound and not pictures; set with the provider.
        types: For each label of the model that stands for an incident, written as the model
            writes it, the crime type that it stands for.
        threshold: Score from which such a label is taken for true.
        max_frames: Most pictures of a video that are sent; None for all that were sampled.
    """

    provider: str = ""
    hears: bool = False
    types: dict[str, str] = Field(default_factory=dict)
    threshold: float = Field(default=0.5, gt=0, le=1)
    max_frames: int | None = Field(default=None, ge=1)


class LabelsAnalyzer(Analyzer):
    """Has one provider label the media. See `LabelsOptions`.

    Raises:
        ConfigError: If no label is mapped, or one to what is no crime type.
    """

    name = "labels"
    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"image", "video"})
    kind: ClassVar[AssessmentKind] = "objects"
    runs: ClassVar[Literal["cloud", "local"]] = "cloud"
    family = "labels"
    Options: ClassVar[type[PluginOptions]] = LabelsOptions

    def __init__(
        self,
        *,
        provider: str,
        hears: bool,
        types: Mapping[str, str],
        threshold: float,
        max_frames: int | None,
    ) -> None:
        _check(types)
        if provider:
            self.name = f"labels:{provider}"  # type: ignore[misc]  # one instance a provider
            self.family = provider  # type: ignore[misc]  # models of one vendor err together
        if hears:
            self.kind = "sound"  # type: ignore[misc]  # of this instance
            self.modalities = frozenset({"audio", "video"})  # type: ignore[misc]  # as well
        self._provider = provider
        self._types = dict(types)
        self._threshold = threshold
        self._max_frames = max_frames

    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        """Ask for the labels of all pieces.

        Returns:
            The answer, where at least one piece was judged, with what went wrong with others;
            ``skipped`` where there is no sound to hear.

        Raises:
            ProviderError: If no piece was judged; it is that of the first one.
            BudgetExceededError: The same, where asking would cross a cap.
            EgressError: The same, where nothing may leave.
            ConfigError: If the run does not have the provider.
        """
        provider = named(self._provider, context, analyzer="labels")
        if self.kind == "sound" and _is_quiet(evidence):
            return self._skipped()
        pieces = await asyncio.to_thread(self._pieces, evidence, provider.capabilities)
        question = Question(
            provider=self._provider,
            labels=tuple(self._types),
            threshold=self._threshold,
            content_id=evidence.media.content_id,
        )
        said = await ask_all(provider, question, pieces, progress=context.progress)
        if not said.judged:
            raise said.failed[0][1]
        return self._assessment(said, evidence)

    def _pieces(self, evidence: Evidence, able: Capabilities) -> tuple[Single, ...]:
        if self.kind == "sound":
            return single_sounds(evidence, able, provider=self._provider)
        return single_pictures(evidence, able, provider=self._provider, max_frames=self._max_frames)

    def _assessment(self, said: Said, evidence: Evidence) -> Assessment:
        best = max(said.judged, key=lambda one: one.score)
        outcome = self._outcome(best, said, evidence)
        kind = taxonomy.crime_type(self._types[best.label]) if outcome == "detected" else None
        failed = tuple(piece for piece, _ in said.failed)
        return Assessment(
            id=self.name,
            analyzer=self.name,
            kind=self.kind,
            runs="cloud",
            family=self.family,
            provider=best.response.provider or self._provider,
            model=best.response.model,
            status="answered",
            cached=all(one.response.cached for one in said.judged),
            outcome=outcome,
            crime_type=kind.id if kind else None,
            probability=best.score,
            probability_source="claimed",
            severity=kind.severity if kind else "none",
            evidence_description=self._described(best, said, evidence),
            alternative_interpretations=(_DOUBTS[self.kind],) if kind else (),
            segments=self._segments(said, evidence),
            coverage=covered(tuple(one.piece for one in said.judged), failed, evidence),
            error=self._error(said),
            card=self._card(said),
        )

    def _outcome(self, best: Judged, said: Said, evidence: Evidence) -> Outcome:
        """Return the outcome; of what has a length, fusion asks how much was judged."""
        if best.score >= self._threshold:
            return "detected"
        partly = evidence.media.kind == "image" and said.failed
        return "undetermined" if partly else "not_detected"

    def _segments(self, said: Said, evidence: Evidence) -> tuple[Segment, ...]:
        """Return a segment for each piece that shows an incident; a picture file has no times."""
        if evidence.media.kind == "image":
            return ()
        return tuple(
            Segment(
                start=one.piece.span[0],
                end=one.piece.span[1],
                score=one.score,
                crime_type=self._types[one.label],
                text=f"label {one.label!r}",
            )
            for one in said.judged
            if one.score >= self._threshold
        )

    def _described(self, best: Judged, said: Said, evidence: Evidence) -> str:
        high = sum(one.score >= self._threshold for one in said.judged)
        count = f"{high} of {len(said.judged)} {_PIECES[self.kind]}"
        when = "" if evidence.media.kind == "image" else f" at {clock(best.piece.span[0])}"
        return (
            f"{count} bear a label for an incident with a score of {self._threshold:g} or more. "
            f"The highest score is {best.score:.2f}, of {best.label!r}{when}."
        )

    def _error(self, said: Said) -> ErrorRecord | None:
        if not said.failed:
            return None
        first = record(f"analyze:{self.name}", said.failed[0][1])
        total = len(said.failed) + len(said.judged)
        text = f"{len(said.failed)} of {total} {_PIECES[self.kind]} were not judged"
        return first.model_copy(update={"message": f"{text}: {first.message}"})

    def _card(self, said: Said) -> dict[str, str]:
        meaning = ", ".join(f"{label!r} is {kind}" for label, kind in self._types.items())
        return {
            "looked_at": f"{len(said.judged)} {_PIECES[self.kind]}, one in a request",
            "labels": meaning,
            "threshold": f"{self._threshold:g}",
        }

    def _skipped(self) -> Assessment:
        return Assessment(
            id=self.name,
            analyzer=self.name,
            kind=self.kind,
            runs="cloud",
            family=self.family,
            provider=self._provider,
            status="skipped",
            error=ErrorRecord(
                stage=f"analyze:{self.name}",
                type="MediaError",
                message="The media has no sound to label.",
                next_step="Use an analyzer that looks at the pictures.",
            ),
        )


def _check(types: Mapping[str, str]) -> None:
    if not types:
        raise ConfigError(
            "analyzers.labels.types says of no label what it stands for.",
            next_step=f"Map labels of the model to crime types: {_EXAMPLE}.",
        )
    known = taxonomy.crime_types()
    for label, kind in types.items():
        if kind not in known:
            raise ConfigError(
                f"analyzers.labels.types maps {label!r} to {kind!r}, which is no crime type.",
                next_step=f"Known: {', '.join(sorted(known))}.",
            )


def _is_quiet(evidence: Evidence) -> bool:
    """Whether there is nothing to hear; sound that nobody could decode is another matter."""
    reasons = {gap.reason for gap in evidence.sound.gaps}
    silent = bool(reasons) and reasons <= {NO_STREAM, SILENT}
    return not evidence.sound.examined and (silent or not evidence.media.has_audio)
