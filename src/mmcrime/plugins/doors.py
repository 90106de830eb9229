"""The bases of plug-ins: one required method each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from mmcrime.evidence import AudioWindow, Evidence, MediaKind, Reliability, TranscriptSegment
from mmcrime.plugins.exchange import Capabilities, Request, Response
from mmcrime.results import Assessment, AssessmentKind, EgressGate

__all__ = ["Analyzer", "PluginOptions", "Provider", "RunContext", "Transcriber"]


class PluginOptions(BaseModel):
    """Base of a plug-in's own settings: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Plugin(ABC):  # noqa: B024  # the doors below add the one abstract method each
    api_version: ClassVar[int] = 1
    Options: ClassVar[type[PluginOptions]] = PluginOptions

    async def aclose(self) -> None:  # noqa: B027  # a default that may be overridden
        """Release what is held. Called once or more; does nothing by default."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class Provider(_Plugin):
    """The transport to one LLM service: one request in, one response out.

    It is constructed with its validated options as keywords. One call of `generate` is one
    request on the wire: retries, limits, budget and cache are the call layer's, so that the
    retries of an SDK are switched off.

    Attributes:
        capabilities: What the service accepts.
        model: The model that is asked when a request names none.
        endpoint: Where requests go, without anything secret; part of the key under which
            answers are stored, and what the egress list says.
        remarks: What a person should know, such as that the model will be switched off.
        free: Whether no call buys anything, as with a model of one's own on this machine. All
            else needs a price, or a cap on calls, before it is asked under a cap on money.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    model: str | None = None
    endpoint: str = ""
    remarks: tuple[str, ...] = ()
    free: bool = False

    @abstractmethod
    async def generate(self, request: Request) -> Response:
        """Answer one request; media parts hold their ``data``.

        Raises:
            ProviderError: If the service did not answer, or not with an answer. Its
                ``retryable``, ``retry_after`` and ``may_be_billed`` say what the call layer
                does about it.
        """


def _ignore(_share: float) -> None:
    """Nobody asked to hear of the progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext:
    """What one run gives to every analyzer.

    Attributes:
        request_id: The id in the report and in every log record.
        egress: The gate to announce anything that leaves.
        tenant: On whose behalf; part of cache and budget keys.
        deadline: `asyncio` loop time after which the answer is of no use, or None.
        settings: The settings as plain data, secrets masked.
        providers: The providers named for this run, by name, already wrapped.
        fallback: Names of providers that may be asked instead of one that does not answer,
            in order. They are among ``providers``.
        proposals: Assessments of stage ``observe`` (only for stage ``verify``).
        progress: Call it with a share between 0 and 1.
    """

    request_id: str
    egress: EgressGate
    tenant: str = "default"
    deadline: float | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    providers: Mapping[str, Provider] = field(default_factory=lambda: MappingProxyType({}))
    fallback: tuple[str, ...] = ()
    proposals: tuple[Assessment, ...] = ()
    progress: Callable[[float], None] = field(default=_ignore)


class Analyzer(_Plugin):
    """Anything that looks at Evidence and gives an Assessment.

    It is constructed with its validated options as keywords. What it raises becomes
    a ``failed`` assessment; it can never take a run down.

    Attributes:
        name: The registered name.
        modalities: Which kinds of Media it can judge.
        kind: What it looks or listens with.
        stage: ``observe``, or ``verify`` for one that also sees the proposals.
        runs: ``local`` unless media leaves this machine for it.
        family: Analyzers of one family share their mistakes.
    """

    name: ClassVar[str]
    modalities: ClassVar[frozenset[MediaKind]]
    kind: ClassVar[AssessmentKind]
    stage: ClassVar[Literal["observe", "verify"]] = "observe"
    runs: ClassVar[Literal["cloud", "local"]] = "local"
    family: ClassVar[str]

    @abstractmethod
    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        """Look at the evidence and answer.

        Blocking work goes through ``asyncio.to_thread``. The coverage of the answer is
        computed from what was decoded.
        """


class Transcriber(_Plugin):
    """A speech recogniser. It is constructed with its validated options as keywords.

    Attributes:
        name: The registered name.
        remote: Whether audio leaves this machine.
        reliability: How far its words can be trusted.
        limit_seconds: Seconds of speech it listens to unless told otherwise; None for all.
    """

    name: ClassVar[str]
    remote: ClassVar[bool]
    reliability: ClassVar[Reliability]
    limit_seconds: ClassVar[float | None] = None

    @abstractmethod
    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        """Return what is said in one speech-gated window of at most 30 s.

        Args:
            window: Sound with its media time; segment times are media times too.
            language: BCP 47 tag, such as ``"en"``.
        """
