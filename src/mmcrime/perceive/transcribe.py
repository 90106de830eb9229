"""Speech to text over the stretches that sound like speech, with every gap stated."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mmcrime.errors import AuthenticationError, BudgetExceededError, ConfigError, EgressError
from mmcrime.evidence import (
    AudioWindow,
    Gap,
    Interval,
    MediaReader,
    Transcript,
    TranscriptSegment,
    subtract_intervals,
)
from mmcrime.perceive.provider_transcriber import ProviderTranscriber
from mmcrime.perceive.spans import clean_text, failure_of, partition, record
from mmcrime.perceive.voice import MAX_SPEECH_WINDOW, pack_speech
from mmcrime.plugins import EgressGate, Transcriber
from mmcrime.results import ErrorRecord

__all__ = ["STAGE", "transcribe_speech"]

STAGE = "transcribe"
_LONGEST_TEXT = 2000  # characters of one segment; nobody says more in 30 s


async def transcribe_speech(
    reader: MediaReader,
    transcriber: Transcriber,
    *,
    whole: Interval,
    heard: Sequence[Interval],
    speech: Sequence[Interval],
    language: str,
    limit_seconds: float | None,
    gate: EgressGate,
    deadline: float | None,
    missing: Sequence[Gap] = (),
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Transcript, tuple[ErrorRecord, ...]]:
    """Transcribe the speech of one Media; nothing but cancelling stops it.

    Sound without speech counts as listened to where the voice-activity check heard it.
    A window that the transcriber fails on becomes a gap, and the rest goes on; a
    language it does not know, a key that is refused, a cap, ``offline`` and the deadline
    end it.

    Args:
        reader: Decodes each speech window again, so that none has to be kept.
        transcriber: The engine.
        whole: The audio of the Media, in media seconds.
        heard: What the voice-activity check listened to.
        speech: Where it noticed speech: sorted and disjoint.
        language: BCP 47 tag.
        limit_seconds: Seconds from the start of ``whole`` that are transcribed; None
            for all. The rest is a gap ``speech_limit``.
        gate: Where audio that leaves this machine is announced, window by window.
        deadline: `asyncio` loop time, or None.
        missing: Gaps of ``heard`` whose reason is known.
        progress: Is called with the share of the speech that was listened to.

    Returns:
        The transcript with its coverage, and what went wrong.
    """
    limit = whole[1] if limit_seconds is None else min(whole[1], whole[0] + limit_seconds)
    within = [(start, min(end, limit)) for start, end in speech if start < limit]
    session = _Session(reader, transcriber, language, gate, deadline)
    packed = pack_speech(within)
    for number, window in enumerate(packed, 1):
        await session.hear(window)
        progress(number / len(packed))
    unheard = [(gap.start, gap.end) for gap in session.missing]
    listened = [
        part
        for start, end in heard
        if start < limit
        for part in subtract_intervals((start, min(end, limit)), unheard)
    ]
    beyond = Gap(start=limit, end=whole[1], reason="speech_limit")
    coverage = partition(whole, listened, (*session.missing, beyond, *missing))
    segments = sorted(session.segments, key=lambda s: (s.start, s.end))
    return Transcript(segments=tuple(segments), coverage=coverage), tuple(session.errors)


@dataclass(slots=True)
class _Session:
    """The windows of one Media, and what came of them so far."""

    reader: MediaReader
    transcriber: Transcriber
    language: str
    gate: EgressGate
    deadline: float | None
    segments: list[TranscriptSegment] = field(default_factory=list)
    missing: list[Gap] = field(default_factory=list)
    errors: list[ErrorRecord] = field(default_factory=list)
    closed: str = ""  # the reason why nothing more is asked

    async def hear(self, window: Interval) -> None:
        """Decode and transcribe one window; what was not listened to becomes gaps."""
        unheard: tuple[Interval, ...] = (window,)
        reason = self.closed or "damaged"
        try:
            async with asyncio.timeout_at(self.deadline) as scope:
                for sound in () if self.closed else await self._decode(window):
                    await self._ask(sound)
                    unheard = _without(unheard, (sound.start, sound.end))
        except EgressError as error:
            reason = self.closed = "offline"
            self._note(error)
        except BudgetExceededError as error:
            reason = self.closed = "over_budget"
            self._note(error)
        except (ConfigError, AuthenticationError) as error:
            reason = self.closed = f"transcriber_failed: {failure_of(error)}"
            self._note(error)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - border: an engine is a plug-in; its SystemExit would end the event loop
            if isinstance(error, TimeoutError) and scope.expired():
                reason = self.closed = "deadline"
            else:
                reason = f"transcriber_failed: {failure_of(error)}"
                self._note(error)
        self.missing += (Gap(start=s, end=e, reason=reason) for s, e in unheard)

    async def _decode(self, window: Interval) -> list[AudioWindow]:
        sounds, damage = await asyncio.to_thread(_read, self.reader, window)
        if damage is not None:
            self._note(damage)
        return sounds

    async def _ask(self, sound: AudioWindow) -> None:
        # What goes through the call layer is announced there, unless a stored answer serves.
        if self.transcriber.remote and not isinstance(self.transcriber, ProviderTranscriber):
            self.gate.announce(
                what=f"{sound.end - sound.start:.1f} s of sound with speech",
                to=self.transcriber.name,
                purpose="speech",
                size_bytes=2 * len(sound.samples),
            )
        said = await self.transcriber.transcribe(sound, language=self.language)
        self.segments += _checked(said, sound, self.transcriber)

    def _note(self, error: BaseException) -> None:
        found = record(STAGE, error)
        if found not in self.errors:  # an engine that is down fails every window alike
            self.errors.append(found)


def _without(parts: Iterable[Interval], hole: Interval) -> tuple[Interval, ...]:
    return tuple(rest for part in parts for rest in subtract_intervals(part, [hole]))


def _read(reader: MediaReader, window: Interval) -> tuple[list[AudioWindow], BaseException | None]:
    """Decode a window; what came before an error is kept."""
    sounds: list[AudioWindow] = []
    try:
        sounds.extend(w for w in reader.audio(*window, seconds=MAX_SPEECH_WINDOW) if len(w.samples))
    except BaseException as error:  # noqa: BLE001 - border: whatever decoding raises costs this window only
        return sounds, error
    return sounds, None


def _checked(
    said: Iterable[TranscriptSegment], sound: AudioWindow, transcriber: Transcriber
) -> list[TranscriptSegment]:
    """Return the segments with times inside the window and text on one clean line.

    Who heard it and how far it can be trusted is what the engine is registered as, not
    what a segment claims. A time that is no number becomes the window's own.
    """
    checked = []
    for segment in said:
        text = clean_text(segment.text, longest=_LONGEST_TEXT)
        if not text:
            continue
        start = _inside(segment.start, sound, otherwise=sound.start)
        end = max(start, _inside(segment.end, sound, otherwise=sound.end))
        checked.append(
            replace(
                segment,
                start=start,
                end=end,
                text=text,
                engine=transcriber.name,
                reliability=transcriber.reliability,
            )
        )
    return checked


def _inside(time: float, sound: AudioWindow, *, otherwise: float) -> float:
    return min(max(time, sound.start), sound.end) if math.isfinite(time) else otherwise
