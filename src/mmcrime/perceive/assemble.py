"""From an open Media to Evidence, with everything that was missed stated.

Pictures and sound are decoded side by side, each in one streaming pass, so that memory
does not grow with the length of the media. A stage that fails costs its own part and
nothing else: it leaves a record and a gap.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Never, NoReturn

from mmcrime.config import Settings
from mmcrime.errors import ConfigError, CorruptMediaError, MediaError
from mmcrime.evidence import (
    NO_STREAM,
    SILENT,
    Coverage,
    EncodedFrame,
    Evidence,
    Gap,
    Interval,
    LoudnessCurve,
    MotionCurve,
    SoundEvent,
    Transcript,
    subtract_intervals,
)
from mmcrime.perceive.listen import Ear, listen
from mmcrime.perceive.look import Looked, look, sample_times
from mmcrime.perceive.loudness import LoudnessMeter
from mmcrime.perceive.open_media import OpenMedia
from mmcrime.perceive.sound_events import SoundEventDetector
from mmcrime.perceive.spans import SLIVER, partition, with_gaps, without
from mmcrime.perceive.stages import GRACE, Stages
from mmcrime.perceive.transcribe import STAGE as TRANSCRIBE
from mmcrime.perceive.transcribe import transcribe_speech
from mmcrime.perceive.voice import VoiceActivity
from mmcrime.plugins import EgressGate, Transcriber
from mmcrime.results import ErrorRecord

__all__ = ["Gathered", "gather"]

PADDING = "padding"
"""Reason of the gap at an end of sound where a codec adds filling."""
_LONGEST_PADDING = 0.1  # seconds; a frame or two of MP3, AAC or Vorbis


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Evidence, and what happened on the way to it.

    Attributes:
        evidence: What analyzers look at.
        errors: What went wrong and was survived.
        frame_interval: Seconds between sampled frames, as really used; None unless it
            is a video.
        timings: Wall seconds by stage: ``frames``, ``motion``, ``sounds``, ``transcribe``.
    """

    evidence: Evidence
    errors: tuple[ErrorRecord, ...]
    frame_interval: float | None
    timings: dict[str, float]


async def gather(
    handle: OpenMedia,
    *,
    settings: Settings,
    frame_interval: float | None,
    transcriber: Transcriber | None,
    gate: EgressGate,
    deadline: float | None,
    progress: Callable[[float], None] = lambda _: None,
) -> Gathered:
    """Look at and listen to one Media.

    Args:
        handle: The open Media; it must stay open for as long as the Evidence is used.
        settings: Frame interval and size, limits, language, length of speech.
        frame_interval: Seconds between sampled frames; None for the setting.
        transcriber: The speech engine, or None when speech was not asked for.
        gate: Where a remote speech engine announces what it sends.
        deadline: `asyncio` loop time after which no more is decoded, or None. What was
            decoded until then is used and the rest is a gap.
        progress: Is called with a share between 0 and 1, from the event loop.

    Raises:
        CorruptMediaError: If nothing of the media decodes; or whichever `MediaError`
            says why.
        ConfigError: If the frame interval is not a positive number.
    """
    interval = settings.media.frame_interval if frame_interval is None else frame_interval
    if not (math.isfinite(interval) and interval > 0):
        raise ConfigError(
            f"The frame interval must be a positive number of seconds, not {interval!r}.",
            next_step="Give seconds, such as 5.",
        )
    stages = Stages(count=4, deadline=deadline, progress=progress)
    stages.errors += (_unexamined(what) for what in handle.skipped)
    work = _Work(handle, settings, gate, stages)
    try:
        seen, heard = await asyncio.gather(work.see(interval), work.hear(transcriber))
    finally:
        expired = stages.halt.due
        stages.halt.call()  # a cancelled call must not leave decoding behind
    if not (seen.stills or seen.coverage.examined or heard.decoded or expired):
        work.refuse()
    stages.report(1.0)
    evidence = Evidence(
        media=handle.media,
        reader=handle,
        stills=seen.stills,
        transcript=_speech_over_all(heard.transcript, handle),
        sounds=heard.sounds,
        motion=seen.motion,
        loudness=heard.loudness,
        video=_over_all(seen.coverage, handle, handle.video_span),
        sound=_over_all(heard.coverage, handle, handle.audio_span),
    )
    return Gathered(
        evidence=evidence,
        errors=tuple(stages.errors),
        frame_interval=seen.interval,
        timings=stages.timings,
    )


def _unexamined(what: str) -> ErrorRecord:
    """Return the record of a part of the file at which nobody looks."""
    return ErrorRecord(
        stage="prepare",
        type="StreamNotExamined",
        message=f"Not all of the file is examined: {what}.",
        next_step="Extract that stream into a file of its own as H.264 or AAC, and analyze it too.",
    )


def _within(gaps: Sequence[Gap], time: float, *, last: bool) -> bool:
    """Whether a time lies in one of some gaps; the last one may lie at the very end of it."""
    time += 1e-6
    return any(
        gap.start <= time and (time < gap.end or (last and time - gap.end < 2e-6)) for gap in gaps
    )


def _undecoded(times: Sequence[float], asked: int) -> ErrorRecord:
    """Return the record of sampled frames that nobody can look at."""
    return ErrorRecord(
        stage="frames",
        type="FramesNotDecoded",
        message=f"The file is damaged where {len(times)} of {asked} frames were to be sampled, "
        f"first at {times[0]:.1f} s: nobody looked at them.",
        next_step="Copy the file again from where it was recorded.",
    )


def _over_all(coverage: Coverage, handle: OpenMedia, span: Interval | None) -> Coverage:
    """Also state what lies beside a stream that is shorter, and what the file lost."""
    absent: list[Gap] = []
    if span is not None and handle.media.duration is not None:
        beside = subtract_intervals((0.0, handle.media.duration), (span,))
        absent = [Gap(start=s, end=e, reason=NO_STREAM) for s, e in beside if e - s > SLIVER]
    return with_gaps(coverage, (*absent, *_cut_off(handle, span)))


def _speech_over_all(transcript: Transcript, handle: OpenMedia) -> Transcript:
    coverage = with_gaps(transcript.coverage, _cut_off(handle, handle.audio_span))
    return Transcript(segments=transcript.segments, coverage=coverage)


def _cut_off(handle: OpenMedia, span: Interval | None) -> tuple[Gap, ...]:
    """Return what a stream lost; what is not there lost nothing."""
    return (handle.missing,) if handle.missing and span is not None else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What came of the pictures."""

    stills: tuple[EncodedFrame, ...] = ()
    motion: MotionCurve = field(default_factory=MotionCurve)
    coverage: Coverage = field(default_factory=Coverage)
    interval: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Heard:
    """What came of the sound."""

    decoded: bool = False
    sounds: tuple[SoundEvent, ...] = ()
    loudness: LoudnessCurve = field(default_factory=LoudnessCurve)
    transcript: Transcript = field(default_factory=Transcript)
    coverage: Coverage = field(default_factory=Coverage)


@dataclass(slots=True)
class _Work:
    """One Media on its way to Evidence."""

    handle: OpenMedia
    settings: Settings
    gate: EgressGate
    stages: Stages

    async def see(self, interval: float) -> _Seen:
        """Sample frames, then measure motion."""
        media, span = self.handle.media, self.handle.video_span
        most = self.settings.media.max_frames
        if media.kind == "image":
            return await self._see_picture()
        if span is None:
            return _Seen(coverage=self._without_stream(self.handle.lost_video))
        times, interval = sample_times(self._within_limit(span), interval, most)
        stills, damaged = await self._stills(times)

        def stop(time: float) -> bool:
            self.stages.advance("motion", _share(time, span))
            return self.stages.halt.due

        motion, reason = await self.stages.run(
            "motion", lambda: self.handle.motion(stop=stop), grace=GRACE
        )
        if motion is not None:
            coverage = without(motion.coverage, damaged, whole=span)
            return _Seen(stills=stills, motion=motion, coverage=coverage, interval=interval)
        # Nobody saw what lies between the sampled frames: each stands for itself only.
        reach = 1.0 / media.fps if media.fps else 0.0
        looked = [(still.time, still.time + reach) for still in stills]
        rest = Gap(start=span[0], end=span[1], reason=reason)
        missing = (*self._over_limit(span), *damaged, rest)
        coverage = partition(span, looked, missing, frames=len(stills))
        return _Seen(stills=stills, coverage=coverage, interval=interval)

    async def _see_picture(self) -> _Seen:
        """Decode the picture, or all pictures of an animation up to the limit."""
        side = self.settings.media.max_side
        found, reason = await self.stages.run("frames", lambda: self.handle.stills(max_side=side))
        if found is None:
            return _Seen(coverage=Coverage(gaps=(Gap(start=0.0, end=0.0, reason=reason),)))
        return _Seen(stills=found.frames, coverage=found.coverage)

    async def hear(self, transcriber: Transcriber | None) -> _Heard:
        """Listen once for sound events and voices, then transcribe the voices."""
        span = self.handle.audio_span
        if span is None:
            nothing = self._without_stream(self.handle.lost_audio)
            return _Heard(coverage=nothing, transcript=Transcript(coverage=nothing))
        detector = SoundEventDetector()
        sounds = Ear[SoundEvent]("sounds", detector)
        voices = Ear[Interval](TRANSCRIBE, VoiceActivity())
        meter = LoudnessMeter()
        level = Ear[Never]("loudness", meter)
        ears: list[Ear[Any]] = [sounds, level, *([voices] if transcriber else ())]
        within = self._within_limit(span)
        outcome, reason = await self.stages.run(
            "sounds",
            lambda: listen(
                self.handle,
                within,
                ears,
                self.stages.halt,
                lambda at: self.stages.advance("sounds", _share(at, span)),
            ),
            grace=GRACE,
        )
        decoded, failure = outcome or ((), None)
        if failure is not None:
            self.stages.note("prepare", failure)
        elif self.stages.halt.due:
            reason = "deadline"
        rest = Gap(start=span[0], end=span[1], reason=reason or "damaged")
        missing = (*self._over_limit(span), *_padding(span, decoded), rest)
        self.stages.errors += (*sounds.errors, *level.errors)
        transcript = await self._transcript(transcriber, voices, span, missing)
        examined = sounds.examined
        if examined and not detector.audible:
            # Digital silence is a microphone that was off: nobody heard a thing. What was not
            # decoded keeps its own reason, as it may have been loud.
            silent = tuple(Gap(start=s, end=e, reason=SILENT) for s, e in examined)
            # What a codec adds to silence is silence.
            missing = tuple(
                replace(gap, reason=SILENT) if gap.reason == PADDING else gap for gap in missing
            )
            examined, missing = (), (*silent, *missing)
            transcript = _unspoken(transcript, silent, span)
        return _Heard(
            decoded=bool(decoded),
            sounds=tuple(sorted(sounds.found, key=lambda event: event.start)),
            loudness=meter.curve,
            transcript=transcript,
            coverage=partition(span, examined, (*sounds.missing(span), *missing)),
        )

    def refuse(self) -> NoReturn:
        """Raise the reason why nothing could be decoded."""
        for cause in self.stages.causes:
            if isinstance(cause, MediaError):
                raise cause
        raise CorruptMediaError(
            "nothing in it could be decoded.", source=self.handle.media.name
        ) from next(iter(self.stages.causes), None)

    async def _stills(
        self, times: Sequence[float]
    ) -> tuple[tuple[EncodedFrame, ...], tuple[Gap, ...]]:
        """Return the frames shown at some times, and where damage leaves none to show."""
        side = self.settings.media.max_side
        outcome, _ = await self.stages.run(
            "frames",
            lambda: look(self.handle, times, max_side=side, halt=self.stages.halt),
            grace=GRACE,
        )
        looked = outcome or Looked()
        if looked.failure is not None:
            self.stages.note("prepare", looked.failure)
        damaged = tuple(gap for gap in looked.missing if gap.reason == "damaged")
        if lost := [t for t in times if _within(damaged, t, last=t == times[-1])]:
            self.stages.errors.append(_undecoded(lost, len(times)))
        return looked.frames, damaged

    async def _transcript(
        self,
        transcriber: Transcriber | None,
        voices: Ear[Interval],
        span: Interval,
        missing: Sequence[Gap],
    ) -> Transcript:
        if transcriber is None:
            unasked = Gap(start=span[0], end=span[1], reason="not_requested")
            return Transcript(coverage=partition(span, (), (unasked,)))
        limit = self.settings.analyzers.speech.limit_seconds
        began = time.perf_counter()
        transcript, errors = await transcribe_speech(
            self.handle,
            transcriber,
            whole=span,
            heard=voices.examined,
            speech=voices.found,
            language=self.settings.language.speech,
            limit_seconds=transcriber.limit_seconds if limit is None else limit,
            gate=self.gate,
            deadline=self.stages.deadline,
            missing=(*voices.missing(span), *missing),
            progress=lambda share: self.stages.advance(TRANSCRIBE, share),
        )
        self.stages.ended(TRANSCRIBE, began, (*voices.errors, *errors))
        return transcript

    def _within_limit(self, span: Interval) -> Interval:
        longest = self.settings.media.limits.max_duration
        return (min(span[0], longest), min(span[1], longest))

    def _over_limit(self, span: Interval) -> tuple[Gap, ...]:
        end = self._within_limit(span)[1]
        return (Gap(start=end, end=span[1], reason="over_limit"),) if end < span[1] else ()

    def _without_stream(self, lost: str | None) -> Coverage:
        """Return the gap over everything: there is no such stream, or it is lost."""
        end = self.handle.media.duration or 0.0
        reason = NO_STREAM if lost is None else f"damaged: {lost}"
        return Coverage(gaps=(Gap(start=0.0, end=end, reason=reason),))


def _unspoken(transcript: Transcript, silent: Sequence[Gap], span: Interval) -> Transcript:
    """Say of silence that nobody listened to it for speech either."""
    coverage = transcript.coverage
    heard = [
        part
        for whole in coverage.examined
        for part in subtract_intervals(whole, [(gap.start, gap.end) for gap in silent])
    ]
    missing = (*(gap for gap in coverage.gaps if gap.reason == "not_requested"), *silent)
    return Transcript(
        segments=transcript.segments, coverage=partition(span, heard, (*missing, *coverage.gaps))
    )


def _share(time: float, span: Interval) -> float:
    """Return how much of a span lies before a media time."""
    return (time - span[0]) / (span[1] - span[0]) if span[1] > span[0] else 1.0


def _padding(span: Interval, decoded: Sequence[Interval]) -> tuple[Gap, ...]:
    """Return what sound codecs add at the ends of a stream and take off when decoding."""
    if not decoded:
        return ()
    ends = ((span[0], decoded[0][0]), (decoded[-1][1], span[1]))
    return tuple(
        Gap(start=start, end=end, reason=PADDING)
        for start, end in ends
        if 0.0 < end - start <= _LONGEST_PADDING
    )
