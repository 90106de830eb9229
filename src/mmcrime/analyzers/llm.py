"""The language-model analyzer: one question, one strictly read answer, one vote.

One instance asks one provider. Where that one refuses, is out of reach, is over its limits
or cannot take the media, the configured fallbacks are asked in its stead, and the
assessment says so. A reply that is no valid answer gets one request to repair it; after
that the assessment is ``failed``, never a guess (promise 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from mmcrime.analyzers.fallback import may_fall_back, named
from mmcrime.analyzers.llm_answer import (
    NO_TYPE,
    Answer,
    ViolationError,
    is_answer,
    read_answer,
)
from mmcrime.analyzers.llm_question import Question, repaired
from mmcrime.errors import InvalidResponseError, ProviderError, UnfitMediaError
from mmcrime.evidence import Evidence, MediaKind
from mmcrime.media.fit import Fitted, fit
from mmcrime.perceive.spans import record
from mmcrime.plugins import Analyzer, PluginOptions, Provider, Response, RunContext
from mmcrime.results import Assessment, AssessmentKind, ErrorRecord, Segment

__all__ = ["LLMAnalyzer", "LLMOptions"]


class LLMOptions(PluginOptions):
    """Options of the analyzer.

    Attributes:
        provider: Name of the provider to ask; set for each provider that a run uses.
        max_frames: Most pictures of a video that are sent; None for as many as were sampled
            and the provider takes.
        max_output_tokens: Most tokens of an answer, thinking included.
    """

    provider: str = ""
    max_frames: int | None = Field(default=None, ge=1)
    max_output_tokens: int = Field(default=4096, ge=256)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """An answer with what it rests on."""

    answer: Answer
    response: Response
    fitted: Fitted
    provider: str


class LLMAnalyzer(Analyzer):
    """Asks one provider about the media. See `LLMOptions`."""

    name = "llm"
    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"image", "audio", "video"})
    kind: ClassVar[AssessmentKind] = "llm"
    runs: ClassVar[Literal["cloud", "local"]] = "cloud"
    family = "llm"
    Options: ClassVar[type[PluginOptions]] = LLMOptions

    def __init__(self, *, provider: str, max_frames: int | None, max_output_tokens: int) -> None:
        if provider:
            self.name = f"llm:{provider}"  # type: ignore[misc]  # one instance a provider
            self.family = provider  # type: ignore[misc]  # models of one vendor err together
        self._provider = provider
        self._max_frames = max_frames
        self._max_output_tokens = max_output_tokens

    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        """Ask the provider, or one that may stand in for it.

        Returns:
            The answer; or the refusal or failure of the last one that was asked in its
            stead, with whom else was tried.

        Raises:
            ProviderError: If the provider did not answer and nobody may be asked instead.
            BudgetExceededError: If the question would cross a cap.
            EgressError: If nothing may leave.
            ConfigError: If the run does not have the provider.
        """
        tried: list[str] = []
        names = tuple(dict.fromkeys((self._provider, *context.fallback)))
        for name in names:
            last = name == names[-1]
            try:
                said = await self._ask(
                    named(name, context, analyzer="llm"), name, evidence, context
                )
            except ProviderError as error:
                kind = may_fall_back(error)
                if not tried and (kind is None or last):
                    raise
                if kind is None or last:
                    return self._failed(name, error, tried)
                tried.append(f"{name}: {kind}: {error.message.rstrip('.')}")
                continue
            if isinstance(said, _Said):
                return self._assessment(said, evidence, context.providers[name], tried)
            if last:
                return self._refused(name, said, tried)
            tried.append(f"{name}: {_declined(said)}")
        raise AssertionError("the last provider answers, refuses or fails")

    async def _ask(
        self, provider: Provider, name: str, evidence: Evidence, context: RunContext
    ) -> _Said | Response:
        """Return the answer, or the response that refuses one."""
        able = provider.capabilities
        language = context.settings.get("language") or {}
        question = Question.about(
            evidence.media.kind,
            able,
            context=str(context.settings.get("context") or ""),
            language=str(language.get("output") or "en"),
            most_tokens=self._max_output_tokens,
        )
        plan = partial(
            fit,
            evidence,
            able,
            provider=name,
            max_frames=self._max_frames,
            reserved=question.reserved(able),
        )
        fitted = await asyncio.to_thread(plan)
        try:
            return await self._answered(provider, name, question, fitted, evidence)
        except UnfitMediaError:
            if not fitted.native:
                raise
        # The video cannot be copied for the service, which only the try has shown.
        fitted = await asyncio.to_thread(plan, native=False)
        return await self._answered(provider, name, question, fitted, evidence)

    async def _answered(
        self,
        provider: Provider,
        name: str,
        question: Question,
        fitted: Fitted,
        evidence: Evidence,
    ) -> _Said | Response:
        """Put the question, and once more where the answer is none."""
        duration = None if evidence.media.kind == "image" else evidence.media.duration
        request = question.request(fitted, evidence)
        for last in (False, True):
            response = await provider.generate(request)
            if response.status == "refused":
                return response
            try:
                answer = _read(response, name, duration, question.kinds)
            except ViolationError as violation:
                if last:
                    raise InvalidResponseError(
                        f"{name!r} gave no usable answer, asked twice: {violation}.",
                        provider=name,
                        next_step=f"Set providers.{name}.model to one that follows a JSON schema.",
                    ) from violation
                request = repaired(request, response.text, str(violation))
                # Stored, a second bad answer would be all that anybody ever gets to see.
                usable = partial(is_answer, duration=duration, kinds=question.kinds)
                request = replace(request, usable=usable)
            else:
                return _Said(answer=answer, response=response, fitted=fitted, provider=name)
        raise AssertionError("the last answer is returned or raises")

    def _assessment(
        self, said: _Said, evidence: Evidence, provider: Provider, tried: Sequence[str]
    ) -> Assessment:
        answer, response = said.answer, said.response
        kind = None if answer.crime_type == NO_TYPE else answer.crime_type
        end = evidence.media.duration or 0.0
        return Assessment(
            id=self.name,
            analyzer=self.name,
            kind="llm",
            runs="cloud",
            family=self.family,
            provider=response.provider or said.provider,
            model=response.model,
            status="answered",
            cached=response.cached,
            outcome=answer.outcome,
            crime_type=kind,
            probability=answer.probability,
            probability_source="claimed",
            severity="none" if answer.incident == "no" else answer.severity,
            evidence_description=answer.description,
            alternative_interpretations=answer.alternative_interpretations,
            segments=tuple(
                Segment(
                    start=min(s.start, end),
                    end=min(s.end, end),
                    score=s.chance,
                    crime_type=None if s.crime_type == NO_TYPE else s.crime_type,
                    text=s.observation,
                )
                for s in answer.segments
            ),
            coverage=said.fitted.coverage,
            fallbacks=tuple(tried),
            flags=("suspected_instructions",) if answer.instructions_seen else (),
            card=_card(said, provider),
        )

    def _refused(self, name: str, response: Response, tried: Sequence[str]) -> Assessment:
        error = ErrorRecord(
            stage=f"analyze:{self.name}",
            type="Refused",
            message=f"{name!r} declined to answer ({response.reason or 'no reason given'}).",
            next_step="Ask another provider, or name one in 'fallback'.",
        )
        return self._unanswered("refused", name, error, tried, model=response.model)

    def _failed(self, name: str, error: ProviderError, tried: Sequence[str]) -> Assessment:
        return self._unanswered("failed", name, record(f"analyze:{self.name}", error), tried)

    def _unanswered(
        self,
        status: Literal["refused", "failed"],
        name: str,
        error: ErrorRecord,
        tried: Sequence[str],
        *,
        model: str | None = None,
    ) -> Assessment:
        return Assessment(
            id=self.name,
            analyzer=self.name,
            kind="llm",
            runs="cloud",
            family=self.family,
            provider=name,
            model=model,
            status=status,
            fallbacks=tuple(tried),
            error=error,
        )


def _read(response: Response, name: str, duration: float | None, kinds: Collection[str]) -> Answer:
    """Read a response that did not refuse.

    Raises:
        InvalidResponseError: If it stops in the middle, which asking again does not mend.
        ViolationError: If it is not what was asked for.
    """
    if response.status == "truncated":
        raise InvalidResponseError(
            f"{name!r} stopped in the middle of its answer ({response.reason or 'no reason'}).",
            provider=name,
            next_step="Raise analyzers.llm.max_output_tokens.",
        )
    return read_answer(response.text, duration=duration, kinds=kinds)


def _declined(response: Response) -> str:
    """Name a refusal, with what the service said of it beyond the word itself."""
    told = response.reason or "no reason given"
    return "refusal" if told == "refusal" else f"refusal: {told}"


def _card(said: _Said, provider: Provider) -> dict[str, str]:
    """Say what voted and on what it looked."""
    card = {"looked_at": said.fitted.summary}
    if provider.remarks:
        card["model_choice"] = " ".join(provider.remarks)
    return card
