"""Making the channels of a chunk of sound fit to be mixed to one.

Samples that are not numbers become silence. Channels that cancel each other, such as the
two of a microphone with one lead swapped, would be called silent, although the microphone
was on: there the loudest channel stands in for all. So it does for what FFmpeg leaves out of
a mix, such as the channel for low frequencies. Channels that name no speaker, as those of a
recorder of many microphones, are not taken for any: their mean is the mix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Mixer"]

_CANCELS = 0.01  # power of the mix beside that of the loudest channel: 20 dB below it
_CANCELS_STILL = 0.1  # 10 dB: two thresholds, so that it does not go to and fro
_FADE = 0.25  # seconds of a change: a step would be heard as a bang
_FLOATS = frozenset({"flt", "fltp", "dbl", "dblp"})
_KINDS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_MIXED = frozenset(("FL", "FR", "FC", "BL", "BR", "BC", "FLC", "FRC", "SL", "SR", "TFL", "TFR"))
"""Channels that FFmpeg puts into a mix to one."""
_MOST_PLANES = 8  # PyAV 18 reads past the end of a frame with more, and crashes


class Mixer:
    """Prepares one chunk after the other of one run of sound."""

    def __init__(self) -> None:
        self._alone: int | None = None  # the channel that stands in for all
        self._begun = False
        self._packer: AudioResampler | None = None

    def ready(self, chunk: AudioFrame) -> AudioFrame:
        """Return the chunk, or one of the same length and format in its place.

        It has the same channels, or is mono where they name no speakers.

        Raises:
            FFmpegError: If FFmpeg does not take so many channels.
            ValueError: As above.
        """
        count = chunk.layout.nb_channels
        if count > _MOST_PLANES and chunk.format.is_planar:
            chunk = self._packed(chunk)
        floats = chunk.format.name in _FLOATS
        if count == 1 and not floats:
            return chunk
        rows = _by_channel(chunk, count)
        names = [channel.name for channel in chunk.layout.channels]
        unnamed = count > 2 and set(names) == {"NONE"}
        heard = [unnamed or count <= 2 or name in _MIXED for name in names]
        own, mixed = _powers(rows, heard)
        cleaned = not np.isfinite(own).all()
        if cleaned:
            rows = [np.nan_to_num(row, nan=0.0, posinf=0.0, neginf=0.0) for row in rows]
            own, mixed = _powers(rows, heard)
        before, self._alone = self._alone, self._choose(own, mixed)
        if not self._begun:
            before, self._begun = self._alone, True
        changed = before is not None or self._alone is not None
        if not (changed or cleaned or unnamed):
            return chunk
        samples = np.stack(rows)
        if changed:
            fade = round(_FADE * chunk.sample_rate)
            samples = _faded(samples, before, self._alone, fade)
        return _like(chunk, _mean(samples), "mono") if unnamed else _like(chunk, samples)

    def _packed(self, chunk: AudioFrame) -> AudioFrame:
        if self._packer is None:
            self._packer = AudioResampler(
                format=chunk.format.packed, layout=chunk.layout, rate=chunk.sample_rate
            )
        (packed,) = self._packer.resample(chunk)
        packed.pts = None
        return packed

    def _choose(self, own: NDArray[np.float32], mixed: float) -> int | None:
        """Return the channel to use alone, None for the mix, given the power of each."""
        loudest = int(own.argmax())
        if own[loudest] <= 0:
            return self._alone
        if mixed >= (_CANCELS if self._alone is None else _CANCELS_STILL) * own[loudest]:
            return None
        if self._alone is None or own[self._alone] < own[loudest] / 4:
            return loudest
        return self._alone


def _by_channel(chunk: AudioFrame, count: int) -> list[NDArray[Any]]:
    """Return the samples of each channel of a chunk, which may be those of the chunk itself."""
    if chunk.format.is_planar:
        kind = _KINDS[chunk.format.name.removesuffix("p")]
        planes: Any = chunk.planes  # buffers, which their type stub does not say
        return [np.frombuffer(plane, kind, chunk.samples) for plane in planes]
    return list(chunk.to_ndarray().reshape(-1, count).T)


def _mean(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of all channels as one."""
    mean: NDArray[Any] = samples.mean(axis=0, keepdims=True, dtype=np.float64)
    return mean.astype(samples.dtype)


def _powers(rows: list[NDArray[Any]], heard: list[bool]) -> tuple[NDArray[np.float32], float]:
    """Return the power of each channel and that of their mix, each summed over time."""
    levels = [np.ascontiguousarray(row, dtype=np.float32) for row in rows]
    if rows[0].dtype == np.uint8:
        levels = [level - 128 for level in levels]
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number is looked for
        own = np.array([np.dot(level, level) for level in levels])
        if len(levels) == 2:  # as below, without the sum: memory costs more than the dot product
            total = own.sum(dtype=np.float64) + 2 * float(np.dot(levels[0], levels[1]))
            return own, float(total) / 4
        mix = np.sum([level for level, is_in in zip(levels, heard, strict=True) if is_in], axis=0)
        return own, float(np.dot(mix, mix)) / len(levels) ** 2


def _faded(samples: NDArray[Any], before: int | None, now: int | None, fade: int) -> NDArray[Any]:
    """Return the samples with one channel in all of them, or a change from or to that."""

    def taken(alone: int | None) -> NDArray[Any]:
        return samples if alone is None else np.broadcast_to(samples[alone], samples.shape)

    if before == now:
        return taken(now)
    share = np.minimum(np.arange(samples.shape[1], dtype=np.float32) / max(1, fade), 1)
    mixed: NDArray[Any] = taken(before) * (1 - share) + taken(now) * share
    return mixed.astype(samples.dtype)


def _like(chunk: AudioFrame, samples: NDArray[Any], layout: str | None = None) -> AudioFrame:
    """Return samples, one row for each channel, as a frame like another."""
    if not chunk.format.is_planar:
        samples = samples.T.reshape(1, -1)
    fresh = AudioFrame.from_ndarray(
        np.ascontiguousarray(samples), format=chunk.format.name, layout=layout or chunk.layout.name
    )
    fresh.sample_rate = chunk.sample_rate
    return fresh
