"""The doors: what a provider, an analyzer and a transcriber must offer.

Each has one required method; variety lives in the data. Plug-ins are found through
the entry-point groups ``mmcrime.providers``, ``mmcrime.analyzers`` and
``mmcrime.transcribers``; ours use the same door as a stranger's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from mmcrime.evidence import AudioWindow, Evidence, MediaKind, Reliability, TranscriptSegment
from mmcrime.results import Assessment, AssessmentKind, EgressGate, Usage

__all__ = [
    "Analyzer",
    "Capabilities",
    "EgressGate",
    "Part",
    "PluginOptions",
    "Provider",
    "Request",
    "Response",
    "RunContext",
    "Transcriber",
]


class PluginOptions(BaseModel):
    """Base of a plug-in's own settings: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a provider accepts. Data, not methods; None means no limit is known.

    Attributes:
        images: Most pictures in one request; 0 for none.
        image_bytes: Most bytes of one picture.
        audio: Whether sound is taken natively.
        video: Whether video is taken natively.
        json_schema: Whether the answer can be bound to a JSON schema.
        context_tokens: Largest request.
    """

    images: int | None = 0
    image_bytes: int | None = None
    audio: bool = False
    video: bool = False
    json_schema: bool = False
    context_tokens: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of a request: text, or media bytes with their type and time.

    Attributes:
        text: Words; empty for media.
        data: Media bytes; empty for text.
        media_type: MIME type of ``data``.
        time: Media time of a picture, in seconds.
    """

    text: str = ""
    data: bytes = field(default=b"", repr=False)
    media_type: str = ""
    time: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One question to a provider."""

    instructions: str
    parts: tuple[Part, ...]
    model: str | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What a provider said. A refusal is an outcome, not an error."""

    status: Literal["answered", "refused", "truncated"]
    text: str
    model: str
    usage: Usage = field(default_factory=Usage)


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

    It is constructed with its validated options as keywords.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    async def generate(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            ProviderError: If the service did not answer.
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
        proposals: Assessments of stage ``observe`` (only for stage ``verify``).
        progress: Call it with a share between 0 and 1.
    """

    request_id: str
    egress: EgressGate
    tenant: str = "default"
    deadline: float | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    providers: Mapping[str, Provider] = field(default_factory=lambda: MappingProxyType({}))
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
