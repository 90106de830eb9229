"""Everything about one Media, as it is published."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, Base64Bytes, Field, ValidationError

from mmcrime.errors import ConfigError
from mmcrime.evidence import (
    Coverage,
    LoudnessCurve,
    MediaKind,
    MotionCurve,
    SoundEvent,
    TranscriptSegment,
)
from mmcrime.reports import csv_table, flat, html, markdown, text
from mmcrime.results.assessment import Assessment, Cost, ErrorRecord
from mmcrime.results.verdict import Incident, Verdict
from mmcrime.results.words import (
    SCHEMA_VERSION,
    Amount,
    Count,
    EgressPurpose,
    Flag,
    Record,
    Seconds,
)


class FrameRecord(Record):
    """One frame that was kept.

    Attributes:
        time: Presentation time in media seconds.
        width: Pixels of the decoded frame.
        height: Pixels of the decoded frame.
        thumbnail: A small JPEG; in the JSON only when asked for, as base64.
    """

    time: Seconds
    width: Count
    height: Count
    thumbnail: Base64Bytes | None = None


class EvidenceRecord(Record):
    """What preprocessing found. All text in it is data from the media.

    Attributes:
        transcription: All words in one text.
        transcript: The words by segment.
        sounds: Sound events.
        motion: One motion score a second.
        loudness: One level a second, in dBFS.
        frames: The frames sampled at the interval, and those shown at incidents' peaks.
        frame_interval: Seconds between sampled frames; None unless it is a video.
    """

    transcription: str = ""
    transcript: tuple[TranscriptSegment, ...] = ()
    sounds: tuple[SoundEvent, ...] = ()
    motion: MotionCurve = Field(default_factory=MotionCurve)
    loudness: LoudnessCurve = Field(default_factory=LoudnessCurve)
    frames: tuple[FrameRecord, ...] = ()
    frame_interval: Amount | None = None


class CoverageRecord(Record):
    """What was and was not looked at, over the whole run.

    Attributes:
        duration: Media seconds, None for a picture or when unknown.
        video: Pictures that preprocessing looked over: not each was decoded, but a look was
            taken at least every ``evidence.motion.resolution`` seconds.
        sound: Audio that preprocessing decoded.
        speech: Audio that a transcriber listened to.
        analyzers: For each analyzer name, what it examined.
    """

    duration: Amount | None = None
    video: Coverage = Field(default_factory=Coverage)
    sound: Coverage = Field(default_factory=Coverage)
    speech: Coverage = Field(default_factory=Coverage)
    analyzers: dict[str, Coverage] = Field(default_factory=dict)


class EgressRecord(Record):
    """One thing that left this machine.

    Attributes:
        what: What a third party saw, in words.
        to: Host or service that received it.
        purpose: The kind of call.
        when: Wall-clock time, just before it was sent.
        size_bytes: Bytes sent; None when not known before sending.
    """

    what: str
    to: str
    purpose: EgressPurpose
    when: AwareDatetime
    size_bytes: Count | None = None


class MediaRecord(Record):
    """The published facts about the Media.

    Attributes:
        kind: Found from the content; None when it could not be read.
        name: The name a person knows it by; untrusted text, never a path to open.
        content_id: ``"blake3:"`` and the hex digest of all its bytes.
        format: Sniffed format, such as ``"mp4"``.
        size_bytes: Size of the input.
        duration: Seconds of media time; None for a picture or when unknown.
        width: Upright pixels.
        height: Upright pixels.
        fps: Average frames a second that the container states.
        has_audio: Whether there is an audio stream.
        source_id: Camera or collection, if the caller named one.
        recorded_at: Wall-clock time of media time 0, with time zone.
        metadata: What the caller gave; recorded, never interpreted.
    """

    kind: MediaKind | None
    name: str
    content_id: str | None = None
    format: str | None = None
    size_bytes: Count | None = None
    duration: Amount | None = None
    width: Count | None = None
    height: Count | None = None
    fps: Amount | None = None
    has_audio: Flag | None = None
    source_id: str | None = None
    recorded_at: AwareDatetime | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class Report(Record):
    """Everything about one Media.

    Attributes:
        banner: What stands above every verdict.
        schema_version: Version of the JSON form.
        request_id: Id of the run; also on every log record of it.
        timestamp: When the report was made, UTC.
        source: Display name of the source.
        media: What the source is.
        verdict: The fused answer.
        incidents: What was found, by time.
        assessments: What every analyzer said, the dead ones included.
        evidence: What preprocessing found.
        coverage: What was and was not looked at.
        egress: What left this machine, in order.
        cost: Money in all, with its source.
        timings: Wall seconds by step.
        versions: What the result depends on: mmcrime, Python, libraries, taxonomy.
        errors: What went wrong and was survived.
    """

    banner: ClassVar[str] = "automated result, unconfirmed"

    schema_version: Literal["1"] = SCHEMA_VERSION
    request_id: str
    timestamp: AwareDatetime
    source: str
    media: MediaRecord
    verdict: Verdict
    incidents: tuple[Incident, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    evidence: EvidenceRecord = Field(default_factory=EvidenceRecord)
    coverage: CoverageRecord = Field(default_factory=CoverageRecord)
    egress: tuple[EgressRecord, ...] = ()
    cost: Cost = Field(default_factory=Cost)
    timings: dict[str, Amount] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    errors: tuple[ErrorRecord, ...] = ()

    def to_dict(self, *, thumbnails: bool = False) -> dict[str, Any]:
        """Return the published form as plain JSON values.

        Args:
            thumbnails: Whether frames carry their JPEG as base64.
        """
        exclude: Any = None if thumbnails else {"evidence": {"frames": {"__all__": {"thumbnail"}}}}
        data: dict[str, Any] = self.model_dump(mode="json", exclude=exclude)
        return data

    def to_json(self, *, thumbnails: bool = False, indent: int | None = None) -> str:
        """Return the report as JSON; one line unless ``indent`` is given."""
        return json.dumps(
            self.to_dict(thumbnails=thumbnails), indent=indent, ensure_ascii=False, allow_nan=False
        )

    def to_text(self, *, colour: bool = False, width: int = 80) -> str:
        """Return the report for a person at a terminal; see `mmcrime.reports.text`."""
        return text.render(self.to_dict(), colour=colour, width=width)

    def to_markdown(self) -> str:
        """Return the report as Markdown, everything in it escaped."""
        return markdown.render(self.to_dict())

    def to_html(self) -> str:
        """Return the report as one HTML page with everything in it, escaped and without script.

        See `mmcrime.reports.html`.
        """
        return html.render(self.to_dict(thumbnails=True))

    def _repr_html_(self) -> str:
        """Return a small view of the report, which notebooks show."""
        return html.compact(self.to_dict(thumbnails=True))

    def to_csv_row(self) -> dict[str, str]:
        """Return the report as cells by column; see `mmcrime.reports.csv_table`."""
        return csv_table.row(self.to_dict())

    def to_flat(self) -> dict[str, Any]:
        """Return the flat form of the original API; see `mmcrime.reports.flat`."""
        return flat.to_flat(self.to_dict())

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of what `to_json` writes."""
        return cls.model_json_schema(mode="serialization")

    @classmethod
    def from_json(cls, data: str | bytes) -> Report:
        """Read a report that `to_json` wrote.

        Raises:
            ConfigError: If it is no report, or of a version this release cannot read.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise ConfigError(
                f"not a report of schema version {SCHEMA_VERSION!r}: {where}: {first['msg']}",
                next_step="Read it with the release that wrote it.",
            ) from error
