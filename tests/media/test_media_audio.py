"""Mono windows at 16 kHz: sample-accurate, holes kept, flat memory."""

import io
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from footage import clicks, recording_of, steady, write_clip
from numpy.typing import NDArray

from mmcrime.config import Limits
from mmcrime.evidence import SAMPLE_RATE, AudioWindow
from mmcrime.media.audio import windows
from mmcrime.media.timeline import Recording


def made(**options: object) -> Recording:
    buffer = io.BytesIO()
    write_clip(buffer, **options)  # type: ignore[arg-type]
    return recording_of(buffer.getvalue())


def wav(samples: NDArray[np.int16], rate: int) -> bytes:
    """Return samples of shape (n,) or (n, channels) as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def tone(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.5) -> NDArray[np.int16]:
    t = np.arange(round(seconds * rate)) / rate
    return (level * 32767 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def onsets(found: list[AudioWindow]) -> list[float]:
    """Return the media times at which clicks begin."""
    loud = [
        window.start + index / SAMPLE_RATE
        for window in found
        for index in np.flatnonzero(np.abs(window.samples) > 0.2)
    ]
    return [t for before, t in zip([-1.0, *loud], loud, strict=False) if t - before > 0.01]


def test_windows_are_mono_float_at_16_khz_and_consecutive() -> None:
    found = list(windows(recording_of(wav(tone(2.5, 44_100), 44_100)), 0, 10, seconds=1.0))
    assert [len(w.samples) for w in found[:2]] == [16_000, 16_000]
    assert sum(len(w.samples) for w in found) == pytest.approx(40_000, abs=2)
    assert [w.start for w in found] == pytest.approx([0.0, 1.0, 2.0])
    assert all(w.samples.dtype == np.float32 and w.samples.ndim == 1 for w in found)
    loudest = max(np.abs(w.samples).max() for w in found)
    assert loudest == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("codec", "container", "tolerance"),
    [
        ("pcm_s16le", "wav", 0.0002),
        ("flac", "flac", 0.0002),
        ("aac", "mp4", 0.003),
        ("libopus", "ogg", 0.003),
        ("libmp3lame", "mp3", 0.003),
        ("libopus", "webm", 0.003),
    ],
)
def test_a_click_is_where_it_was_put(codec: str, container: str, tolerance: float) -> None:
    put = [0.5, 1.25, 3.0]
    recording = made(sound=clicks(4, put), sound_codec=codec, container=container)
    assert onsets(list(windows(recording, 0, 10, seconds=1.5))) == pytest.approx(put, abs=tolerance)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("pcm_s16le", "wav"), ("aac", "mp4"), ("libmp3lame", "mp3"), ("libopus", "ogg")],
)
def test_a_later_stretch_is_the_same_sound_as_in_one_go(codec: str, container: str) -> None:
    put = [k + 0.25 for k in range(20)]
    recording = made(sound=clicks(20, put), sound_codec=codec, container=container)
    found = list(windows(recording, 12.0, 14.0, seconds=30))
    assert found[0].start == pytest.approx(12.0, abs=1e-3)
    assert found[-1].end == pytest.approx(14.0, abs=1e-3)
    assert onsets(found) == pytest.approx([12.25, 13.25], abs=0.003)


def test_windows_lie_inside_the_asked_range() -> None:
    recording = recording_of(wav(tone(5, 8_000), 8_000))
    for start, end in ((0.0, 0.5), (1.01, 1.37), (3.3, 9.0)):
        found = list(windows(recording, start, end))
        assert found[0].start >= start
        assert found[-1].end <= end + 1e-9
        length = sum(len(w.samples) for w in found) / SAMPLE_RATE
        assert length == pytest.approx(min(end, 5.0) - start, abs=1e-3)


def test_sound_that_starts_after_the_pictures_keeps_its_distance() -> None:
    recording = made(times=steady(4), sound=clicks(2, [0.5]), sound_start=1.5, container="matroska")
    found = list(windows(recording, 0, 10))
    assert found[0].start == pytest.approx(1.5, abs=0.03)
    assert onsets(found) == pytest.approx([2.0], abs=0.03)


def test_no_window_bridges_a_hole() -> None:
    """Sound of 0..1 s and of 3..4 s in one track."""
    recording = recording_of(_with_hole())
    found = list(windows(recording, 0, 10))
    assert [w.start for w in found] == pytest.approx([0.0, 3.0], abs=0.03)
    assert [w.end for w in found] == pytest.approx([1.0, 4.0], abs=0.03)
    assert onsets(found) == pytest.approx([0.5, 3.5], abs=0.003)


def test_a_stretch_behind_a_hole_keeps_its_time() -> None:
    found = list(windows(recording_of(_with_hole()), 2.0, 3.8))
    assert [w.start for w in found] == pytest.approx([3.0], abs=0.03)
    assert onsets(found) == pytest.approx([3.5], abs=0.003)


def _with_hole() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("flac", rate=16_000, layout="mono")
        for start in (0, 3):
            samples = (clicks(1, [0.5], 16_000) * 32767).astype(np.int16)
            for at in range(0, 16_000, 1600):
                frame = av.AudioFrame.from_ndarray(
                    samples[None, at : at + 1600], format="s16", layout="mono"
                )
                frame.sample_rate, frame.time_base = 16_000, Fraction(1, 16_000)
                frame.pts = start * 16_000 + at
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def test_loud_stereo_does_not_leave_the_range() -> None:
    both = np.stack([tone(1, 48_000, level=1.0)] * 2, axis=1)
    found = list(windows(recording_of(wav(both, 48_000)), 0, 10))
    assert max(np.abs(w.samples).max() for w in found) <= 1.0
    assert max(np.abs(w.samples).max() for w in found) > 0.95


def test_samples_that_are_no_numbers_become_silence() -> None:
    samples = np.zeros(16_000, dtype="<f4")
    samples[4000], samples[5000], samples[6000] = np.nan, np.inf, -np.inf
    samples[8000:8100] = 0.5
    body = samples.tobytes()
    header = b"RIFF" + (50 + len(body)).to_bytes(4, "little") + b"WAVEfmt "
    header += (18).to_bytes(4, "little") + (3).to_bytes(2, "little") + (1).to_bytes(2, "little")
    header += (16_000).to_bytes(4, "little") + (64_000).to_bytes(4, "little")
    header += (4).to_bytes(2, "little") + (32).to_bytes(2, "little") + bytes(2)
    header += b"data" + len(body).to_bytes(4, "little")
    (window,) = windows(recording_of(header + body), 0, 10)
    assert np.isfinite(window.samples).all()
    assert np.abs(window.samples[3900:6100]).max() == 0
    assert window.samples[8050] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("channels", [3, 5, 7, 12])
def test_any_number_of_channels_is_mixed(channels: int) -> None:
    many = np.stack([tone(0.5, 16_000)] * channels, axis=1)
    found = list(windows(recording_of(wav(many, 16_000)), 0, 10))
    assert sum(len(w.samples) for w in found) == pytest.approx(8000, abs=2)
    assert max(np.abs(w.samples).max() for w in found) > 0.05


def test_a_change_of_rate_and_channels_in_the_middle_goes_on() -> None:
    """Two MP3 recordings of different rates, one behind the other."""
    parts = []
    for rate in (44_100, 22_050):
        buffer = io.BytesIO()
        write_clip(
            buffer,
            sound=clicks(2, [0.5], rate),
            sound_rate=rate,
            sound_codec="libmp3lame",
            container="mp3",
        )
        parts.append(buffer.getvalue())
    found = list(windows(recording_of(b"".join(parts)), 0, 100))
    assert len(onsets(found)) == 2
    assert sum(len(w.samples) for w in found) / SAMPLE_RATE == pytest.approx(4.0, abs=0.2)


def test_silent_films_have_no_windows() -> None:
    assert list(windows(made(times=steady(1)), 0, 10)) == []


def test_nothing_is_heard_past_the_duration_limit() -> None:
    recording = recording_of(wav(tone(3, 8_000), 8_000), limits=Limits(max_duration=1.0))
    found = list(windows(recording, 0, 10))
    assert found[-1].end == pytest.approx(1.0, abs=1e-3)


def test_a_window_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="seconds must be positive"):
        next(windows(recording_of(wav(tone(1, 8_000), 8_000)), 0, 1, seconds=0))
