"""Windows at any rate: to the sample, from anywhere in the file, whatever lies beside the sound."""

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from footage import recording_of, steady, write_clip
from numpy.typing import NDArray

from mmcrime.evidence import AudioWindow
from mmcrime.media import audio_windows
from mmcrime.media.audio import windows
from mmcrime.media.timeline import Recording

RATE = 16_000


def pulses(seconds: float, at: list[float], rate: int) -> NDArray[np.float32]:
    """Return quiet noise with a smooth pulse of about 1 ms centred on each time."""
    t = np.arange(round(seconds * rate)) / rate
    sound = 0.001 * np.random.default_rng(1).standard_normal(len(t))
    for time in at:
        sound += 0.8 * np.exp(-(((t - time) / 0.0004) ** 2))
    return sound.astype(np.float32)


def peaks(found: list[AudioWindow]) -> list[float]:
    """Return the media times of the pulses: the middle of what is loud, by its weight."""
    times: list[float] = []
    for window in found:
        loud = np.flatnonzero(np.abs(window.samples) > 0.1)
        for group in np.split(loud, np.flatnonzero(np.diff(loud) > 0.01 * window.rate) + 1):
            if len(group):
                middle = np.average(group, weights=np.abs(window.samples[group]) ** 2)
                times.append(window.start + float(middle) / window.rate)
    return times


def made(**options: Any) -> Recording:
    buffer = io.BytesIO()
    write_clip(buffer, **options)
    return recording_of(buffer.getvalue())


def joined(found: list[AudioWindow]) -> NDArray[np.float32]:
    return np.concatenate([window.samples for window in found])


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_sound_comes_at_the_rate_that_is_asked_for(rate: int) -> None:
    put = [0.5, 1.25, 2.75]
    recording = made(sound=pulses(3, put, 48_000), sound_codec="flac", container="flac")
    found = list(windows(recording, 0, 10, seconds=1.1, rate=rate))
    assert {window.rate for window in found} == {rate}
    assert len(joined(found)) == pytest.approx(3 * rate, abs=2)
    assert peaks(found) == pytest.approx(put, abs=1 / rate)


@pytest.mark.parametrize("rate", [0, -1, 7_999, 48_001, 16_000.5, float("nan"), "16000"])
def test_a_rate_that_no_microphone_needs_is_refused(rate: Any) -> None:
    recording = made(sound=pulses(1, [], 48_000), sound_codec="flac", container="flac")
    with pytest.raises(ValueError, match="rate must be a whole number from 8000 to 48000"):
        next(windows(recording, 0, 1, rate=rate))


def test_the_short_way_takes_a_rate() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, sound=pulses(2, [], 48_000), sound_codec="flac", container="flac")
    (window,) = audio_windows(buffer.getvalue(), seconds=5, rate=8_000)
    assert (window.rate, len(window.samples), window.end) == (8_000, 16_000, 2.0)


@pytest.mark.parametrize(
    ("codec", "container", "rate", "samples"),
    [
        ("pcm_s16le", "wav", 48_000, 1),
        ("pcm_s16le", "wav", 44_100, 1),
        ("flac", "flac", 44_100, 1),
        ("pcm_s16le", "mov", 44_100, 1),
        ("aac", "mp4", 44_100, 3),
        ("libopus", "ogg", 48_000, 3),
    ],
)
def test_a_pulse_is_found_to_the_sample(
    codec: str, container: str, rate: int, samples: int
) -> None:
    """Compressed sound is a few samples wider: the codec spreads the pulse."""
    put = [0.3, 1.7, 2.6]
    recording = made(
        sound=pulses(3, put, rate), sound_rate=rate, sound_codec=codec, container=container
    )
    assert peaks(list(windows(recording, 0, 10))) == pytest.approx(put, abs=samples / RATE)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mov", "avi"])
def test_sound_beside_pictures_is_the_same_as_alone(container: str) -> None:
    """The demuxer passes over the pictures, and none of the sound goes with them."""
    sound = pulses(3, [0.5, 1.5, 2.5], 44_100)
    options = {"sound": sound, "sound_rate": 44_100, "sound_codec": "mp2", "container": container}
    if container in ("mp4", "mov"):
        options["sound_codec"] = "aac"
    alone = list(windows(made(**options), 0, 10))
    beside = list(windows(made(times=steady(3), **options), 0, 10))
    assert len(peaks(beside)) == 3
    assert peaks(beside) - np.array(beside[0].start) == pytest.approx(
        peaks(alone) - np.array(alone[0].start), abs=1 / RATE
    )
    assert len(joined(beside)) == pytest.approx(len(joined(alone)), abs=RATE / 1000)


@pytest.mark.parametrize("start", [0.7, 1.5])
def test_sound_that_begins_after_the_pictures_is_where_it_was_put(start: float) -> None:
    recording = made(
        times=steady(4),
        sound=pulses(2, [0.5], 48_000),
        sound_start=start,
        sound_codec="flac",
        container="matroska",
    )
    found = list(windows(recording, 0, 10))
    assert found[0].start == pytest.approx(start, abs=1e-3)  # Matroska counts milliseconds
    assert peaks(found) == pytest.approx([start + 0.5], abs=1e-3)


@pytest.mark.parametrize(
    ("codec", "container", "rate"),
    [
        ("pcm_s16le", "wav", 48_000),
        ("pcm_s16le", "wav", 44_100),
        ("flac", "flac", 22_050),
        ("aac", "mp4", 44_100),
        ("aac", "mp4", 48_000),
    ],
)
@pytest.mark.parametrize("wanted", [8_000, 16_000])
def test_a_stretch_holds_the_same_samples_as_the_whole(
    codec: str, container: str, rate: int, wanted: int
) -> None:
    t = np.arange(12 * rate) / rate  # tones: AAC decoders make up noise anew each time
    glide = sum(0.2 * np.sin(2 * np.pi * (f * t + 9 * f * t**2 / 200)) for f in (200, 330, 910))
    recording = made(
        sound=glide.astype(np.float32), sound_rate=rate, sound_codec=codec, container=container
    )
    whole = joined(list(windows(recording, 0, 20, seconds=5, rate=wanted)))
    for start, end in ((4.0, 5.5), (7.321, 8.0)):
        part = list(windows(recording, start, end, rate=wanted))
        first = round(part[0].start * wanted)
        assert part[0].start == pytest.approx(start, abs=1 / wanted)
        heard = joined(part)
        assert np.abs(heard - whole[first : first + len(heard)]).max() < 3 / 32768


def test_what_an_edit_list_cuts_away_is_not_heard() -> None:
    """AAC is primed with 1024 samples that the edit list of an MP4 file leaves out."""
    sound = pulses(2, [0.01, 1.0], 44_100)
    recording = made(sound=sound, sound_rate=44_100, sound_codec="aac", container="mp4")
    found = list(windows(recording, 0, 10))
    assert found[0].start == 0.0
    assert peaks(found) == pytest.approx([0.01, 1.0], abs=3 / RATE)


def stereo(left: NDArray[np.float32], right: NDArray[np.float32], rate: int) -> Recording:
    buffer = io.BytesIO()
    levels = (np.clip([left, right], -1, 1) * 32767).astype(np.int16)
    with av.open(buffer, "w", format="wav") as output:
        stream: Any = output.add_stream("pcm_s16le", rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(levels.T.reshape(1, -1)), format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return recording_of(buffer.getvalue())


def test_channels_that_cancel_each_other_are_not_called_silent() -> None:
    noise = pulses(2, [1.0], 48_000)
    found = list(windows(stereo(noise, -noise, 48_000), 0, 10))
    assert np.abs(joined(found)).max() == pytest.approx(0.8, abs=0.05)
    assert peaks(found) == pytest.approx([1.0], abs=1 / RATE)


def test_no_bang_is_heard_where_channels_begin_or_cease_to_cancel() -> None:
    """Three seconds alike, three that cancel, three alike: a low tone has no step in it."""
    t = np.arange(9 * 48_000) / 48_000
    tone = (0.4 * np.sin(2 * np.pi * 100 * t)).astype(np.float32)
    turned = np.where((t >= 3) & (t < 6), -1, 1).astype(np.float32)
    heard = joined(list(windows(stereo(tone, tone * turned, 48_000), 0, 10)))
    assert len(heard) == pytest.approx(9 * RATE, abs=1)
    steepest = 0.4 * 2 * np.pi * 100 / RATE
    assert np.abs(np.diff(heard)).max() < 1.5 * steepest
    for second in (1, 4, 7):
        assert heard[second * RATE : (second + 1) * RATE].std() == pytest.approx(0.283, abs=0.01)


def test_more_channels_than_pyav_can_show_are_mixed() -> None:
    """Opus decodes into one plane for each channel; of more than eight PyAV loses count."""
    buffer, layout = io.BytesIO(), "12 channels"
    levels = np.tile(pulses(2, [1.0], 48_000)[:, None], (1, 12)).reshape(1, -1)
    with av.open(buffer, "w", format="ogg") as output:
        stream: Any = output.add_stream(
            "libopus", rate=48_000, layout=layout, options={"mapping_family": "255"}
        )
        stream.format = "flt"
        for at in range(0, 2 * 48_000, 960):
            block = np.ascontiguousarray(levels[:, 12 * at : 12 * (at + 960)])
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    found = list(windows(recording_of(buffer.getvalue()), 0, 10))
    assert len(joined(found)) == pytest.approx(2 * RATE, abs=20)
    assert peaks(found) == pytest.approx([1.0], abs=3 / RATE)
