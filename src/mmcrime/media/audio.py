"""The sound of a recording as mono windows, in flat memory.

Sound is decoded packet by packet, put together to chunks of about a second (one look at
the samples and one call of the resampler each), resampled to 16-bit mono and turned into
floats by numpy. 16-bit is on the way on purpose: for it FFmpeg scales the mix of several
channels so that it cannot leave the range, which it does not do for floats.

Holes of more than 50 ms between time stamps stay holes: no window bridges one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from mmcrime.evidence import SAMPLE_RATE, AudioWindow
from mmcrime.media.container import Container
from mmcrime.media.mixing import Mixer
from mmcrime.media.streams import READ_ERRORS, is_audible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["windows"]

_HOLE = 0.05
"""Seconds between the end of one packet and the start of the next from which on it is a
hole; less is bridged, so that what follows may be early by as much. Containers round time stamps
to milliseconds; AAC and MP3 packets last 20 to 26 ms."""

RATES = (8_000, 48_000)
"""Samples a second that can be asked for: from a telephone's to a studio's."""

_WARM_UP = 0.5  # seconds decoded before the wanted start: MP3 and AAC lean on earlier packets
_CHUNK = 1.0  # seconds handed to the resampler at a time

_Piece = tuple[float, "NDArray[np.float32]"]  # media time of the first sample, samples


def windows(
    recording: Recording,
    start: float,
    end: float,
    *,
    seconds: float = 30.0,
    rate: int = SAMPLE_RATE,
) -> Iterator[AudioWindow]:
    """Yield mono windows of at most ``seconds`` that lie inside ``[start, end)``.

    Windows are consecutive; one that meets a hole or the end is shorter. Sound that does
    not decode is left out and shows as a hole.

    Args:
        recording: The sound or video.
        start: Media seconds.
        end: Media seconds; the duration limit cuts it.
        seconds: Longest window.
        rate: Samples a second, one of `RATES` or between them.

    Raises:
        ValueError: If ``seconds`` is not positive or the rate is none of those.
        MediaError: If the recording cannot be opened any more.
    """
    if rate not in range(RATES[0], RATES[1] + 1):
        raise ValueError(f"rate must be a whole number from {RATES[0]} to {RATES[1]}, not {rate!r}")
    length = round(seconds * rate) if math.isfinite(seconds) else 0
    if length < 1:
        raise ValueError(f"seconds must be positive, not {seconds!r}")
    end = min(end, recording.end)
    kept: list[NDArray[np.float32]] = []
    held = 0
    at = start
    for time, samples in _inside(_pieces(recording, start, end, rate), start, end, rate):
        if kept and abs(time - (at + held / rate)) > 1.5 / rate:
            yield AudioWindow(start=at, samples=np.concatenate(kept), rate=rate)
            kept, held = [], 0
        if not kept:
            at = time
        kept.append(samples)
        held += len(samples)
        while held >= length:
            joined = np.concatenate(kept)
            yield AudioWindow(start=at, samples=joined[:length], rate=rate)
            at += length / rate
            kept, held = [joined[length:]], held - length
    if held:
        yield AudioWindow(start=at, samples=np.concatenate(kept), rate=rate)


def _inside(pieces: Iterator[_Piece], start: float, end: float, rate: int) -> Iterator[_Piece]:
    """Cut pieces to the samples that lie inside ``[start, end)``."""
    for time, samples in pieces:
        first = max(0, math.ceil((start - time) * rate - 1e-3))
        stop = math.floor((end - time) * rate + 1e-3)
        if stop <= 0:
            return
        if first < min(stop, len(samples)):
            yield time + first / rate, samples[first:stop]


def _pieces(recording: Recording, start: float, end: float, rate: int) -> Iterator[_Piece]:
    """Yield resampled sound from at or before ``start`` up to about ``end``."""
    span = recording.timeline.audio
    if span is None or start >= min(end, span.end) or end <= span.start:
        return
    if start > span.start + 2 * _WARM_UP:
        with recording.open() as container:
            pieces = _sought(recording, container, span, start, rate)
            first = next(pieces, None)
            # Without an index, or into a hole, a seek may lead past the place.
            if first is not None and first[0] <= start:
                yield first
                yield from pieces
                return
    with recording.open() as container:
        yield from _resampled(recording, container, span, rate)


def _sought(
    recording: Recording, container: Container, span: StreamSpan, start: float, rate: int
) -> Iterator[_Piece]:
    if container.audio is None:
        return
    try:
        container.seek(start - _WARM_UP + recording.timeline.origin, container.audio)
    except READ_ERRORS:
        return
    yield from _resampled(recording, container, span, rate)


def _resampled(
    recording: Recording, container: Container, span: StreamSpan, rate: int
) -> Iterator[_Piece]:
    """Decode from where the container stands; a new run begins behind each hole."""
    if container.audio is None:
        return
    container.read_only(container.audio)
    clock = recording.clock(container.audio, span)
    run: _Run | None = None
    for frame in container.audio_frames():
        if frame.samples < 1 or not is_audible(frame.sample_rate):
            continue
        time = clock.time(frame)
        if run is None or not run.continues(frame, time):
            # Time never runs backwards: early samples follow behind what was heard.
            at = time if run is None else max(time, run.end)
            early = 0
            if run is not None:
                yield from run.finish()
            elif time > span.start + _WARM_UP:  # sought
                early = _off_grid(frame.sample_rate, rate, time - span.start)
            run = _Run(frame, at, rate, early)
        if run.add(frame):
            yield from run.chunks()
    if run is not None:
        yield from run.finish()


def _off_grid(source_rate: int, rate: int, after: float) -> int:
    """Return how many samples to leave out of a run, so that it goes on as if heard in one go.

    Resampled samples lie on a grid that begins with the first sample. Begun elsewhere, they
    would be other samples of the same sound, up to half a step apart.

    Args:
        source_rate: Samples a second of the source.
        rate: Samples a second that are wanted.
        after: Seconds from the first sample of the stream to the first of the run.
    """
    period = source_rate // math.gcd(source_rate, rate)  # source samples from common to common
    early = -round(after * source_rate) % period
    return early if early < source_rate * _WARM_UP / 2 else 0  # odd rates: a second apart


class _Run:
    """A stretch of sound without a hole and without a change of its format.

    Args:
        frame: The first of it.
        start: Media time of its first sample.
        rate: Samples a second that are wanted.
        early: How many samples at its start are left out.

    Attributes:
        end: Media time just after the last sample that was put in.
    """

    def __init__(self, frame: AudioFrame, start: float, rate: int, early: int) -> None:
        self._start = self.end = start
        self._source_rate = frame.sample_rate
        self._rate = rate
        self._shape = _shape(frame)
        self._early = early
        self._heard = 0  # samples put in, at the rate of the source
        self._given = 0  # samples put out, at the wanted rate
        self._chunk = int(_CHUNK * frame.sample_rate)
        self._queued = -early  # samples that can be read of the queue; asking it costs more
        self._fifo = AudioFifo()
        self._mixer = Mixer()
        self._resampler = AudioResampler(format="s16", layout="mono", rate=rate)

    def continues(self, frame: AudioFrame, time: float) -> bool:
        """Whether a frame follows without a hole and in the same format."""
        return abs(time - self.end) <= _HOLE and _shape(frame) == self._shape

    def add(self, frame: AudioFrame) -> bool:
        """Put in one decoded frame; return whether a chunk has come together."""
        frame.pts = None  # times are kept here; the queue would insist on gapless stamps
        samples = frame.samples
        self._heard += samples
        self._queued += samples
        self.end = self._start + self._heard / self._source_rate
        self._fifo.write(frame)
        return self._queued >= self._chunk

    def chunks(self) -> Iterator[_Piece]:
        """Yield what comes of the chunks that have come together; one packet may hold minutes."""
        while self._fifo.samples >= self._chunk + self._early:
            yield from self._next()
        self._queued = self._fifo.samples - self._early

    def finish(self) -> Iterator[_Piece]:
        """Yield what is left in the queue and in the resampler."""
        if self._fifo.samples > self._early:
            yield from self._next(all_of_it=True)
        if self._heard:
            yield from self._resample(None)

    def _next(self, *, all_of_it: bool = False) -> Iterator[_Piece]:
        """Yield the next chunk of the queue, or all of it."""
        if self._early:
            self._fifo.read(self._early)
            self._start += self._early / self._source_rate
            self._heard -= self._early
            self._early = 0
        chunk = self._fifo.read(0 if all_of_it else self._chunk)
        if chunk is not None:
            yield from self._resample(chunk)

    def _resample(self, chunk: AudioFrame | None) -> Iterator[_Piece]:
        try:
            mixable = None if chunk is None else self._mixer.ready(chunk)
            frames = self._resampler.resample(mixable)
        except (*READ_ERRORS, ValueError):  # a layout that cannot be mixed: nothing to hear
            return
        for frame in frames:
            samples = frame.to_ndarray()[0].astype(np.float32)
            samples /= 32768
            yield self._start + self._given / self._rate, samples
            self._given += len(samples)


def _shape(frame: AudioFrame) -> tuple[int, str, str, int]:
    layout = frame.layout
    return frame.sample_rate, frame.format.name, layout.name, layout.nb_channels
