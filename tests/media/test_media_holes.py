"""Pictures that vanish without an error are gaps; pictures that stay on screen are none."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import pytest
from footage import clicks, recording_of, steady, write_clip
from numpy.typing import NDArray

from mmcrime.media.frames import clip, frames_at
from mmcrime.media.looks import looks_of
from mmcrime.media.motion import scan_motion
from mmcrime.media.timeline import Recording

SECONDS = 12
KEYS = {"g": "25", "keyint_min": "25", "sc_threshold": "0", "bf": "2"}
STILL = [*steady(4), *steady(2, start=10.0), *steady(1, start=19.0)]
"""A screen recording: nothing changes from 4 s to 10 s and from 12 s to 19 s."""


def grainy(pixels: NDArray[np.uint8], number: int) -> None:
    """Sensor noise below the number, so that packets have the size of real ones."""
    noise = np.random.default_rng(number).integers(-20, 20, pixels[40:].shape)
    pixels[40:] = np.clip(pixels[40:] + noise, 0, 255)


def film(
    container: str = "matroska",
    *,
    times: Sequence[float] | None = None,
    sound: bool = True,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> bytes:
    buffer = io.BytesIO()
    times = times or steady(SECONDS)
    write_clip(
        buffer,
        times=times,
        container=container,
        codec=codec,
        options=options or KEYS,
        paint=grainy,
        sound=clicks(times[-1], [0.5]) if sound else None,
    )
    return buffer.getvalue()


def overwritten(data: bytes, first: float = 0.4, last: float = 0.6) -> bytes:
    """Return a file of which a share is zeros, as a bad disk gives it."""
    start, stop = round(len(data) * first), round(len(data) * last)
    return data[:start] + bytes(stop - start) + data[stop:]


def fragmented() -> bytes:
    """Return an MP4 as recorders write it that may lose power: an index every second."""
    buffer = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(buffer, "w", format="mp4", options=flags) as output:
        stream = output.add_stream("libx264", rate=25, options=KEYS)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(25 * SECONDS):
            pixels = np.full((120, 160, 3), 90, np.uint8)
            grainy(pixels, number)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def given(recording: Recording, *, fps: float | None = None) -> dict[float, NDArray[np.uint8]]:
    return {frame.time: frame.pixels for frame in clip(recording, 0.0, 99.0, fps=fps)}


def assert_gap(recording: Recording, start: float, end: float) -> None:
    """Every way to look at a video leaves out one stretch, and says so."""
    ((since, until),) = recording.timeline.video.lost  # type: ignore[union-attr]
    assert (since, until) == pytest.approx((start, end), abs=0.17)
    asked = [k / 4 for k in range(4 * SECONDS)]
    sampling = frames_at(recording, asked, max_side=64)
    sampled = [frame.time for frame in sampling]
    curve = scan_motion(recording)
    for coverage in (sampling.coverage, curve.coverage):
        (gap,) = coverage.gaps
        # The last picture before the hole may be half there.
        assert (gap.start, gap.end) == pytest.approx((since, until), abs=0.2)
        assert gap.reason == "damaged"
        assert all(e <= since or s >= until for s, e in coverage.examined)
    assert sum(e - s for s, e in curve.coverage.examined) == pytest.approx(
        SECONDS - (until - since), abs=0.2
    )
    looked = [look.time for look in looks_of(recording)]
    for times in (sampled, list(given(recording, fps=6.25)), looked):
        assert min(times) < since
        assert max(times) >= until
        assert not [time for time in times if since <= time < until]


@pytest.mark.parametrize("sound", [True, False])
def test_clusters_that_a_demuxer_passes_over_are_a_gap(sound: bool) -> None:
    whole = film(sound=sound)
    spoiled = recording_of(overwritten(whole))
    truth, left = given(recording_of(whole)), given(spoiled)
    lost = sorted(set(truth) - set(left))
    assert_gap(spoiled, lost[0], lost[-1] + 0.04)
    # The packet before the hole may be half there; pictures are not stored as they are shown.
    ((since, _),) = spoiled.timeline.video.lost  # type: ignore[union-attr]
    whole_ones = [time for time in left if not since - 0.17 < time < since]
    assert all(np.array_equal(left[time], truth[time]) for time in whole_ones), "none is made up"


def test_one_lost_header_that_hides_a_cluster_is_a_gap() -> None:
    data = film()
    at = data.index(b"\x1f\x43\xb6\x75", len(data) // 3)
    recording = recording_of(data[:at] + bytes(4) + data[at + 4 :])
    ((start, end),) = recording.timeline.video.lost  # type: ignore[union-attr]
    assert_gap(recording, start, end)
    assert 0.3 < end - start < 6.0


def test_a_fragment_of_an_mp4_whose_index_is_lost_is_a_gap() -> None:
    data = fragmented()
    at = data.index(b"moof", len(data) // 2)
    recording = recording_of(data[:at] + b"\0\0\0\0" + data[at + 4 :])
    ((start, end),) = recording.timeline.video.lost  # type: ignore[union-attr]
    assert end - start == pytest.approx(1.0, abs=0.1)
    assert_gap(recording, start, end)


def test_pictures_behind_a_hole_are_lost_up_to_the_next_keyframe() -> None:
    keys = KEYS | {"g": "100", "keyint_min": "100"}
    recording = recording_of(overwritten(film(options=keys), 0.5, 0.55))
    assert_gap(recording, 5.8, 8.0)


def test_the_damage_to_a_stream_without_a_later_keyframe_lasts_to_the_end() -> None:
    keys = KEYS | {"g": "1000", "keyint_min": "1000"}
    recording = recording_of(overwritten(film(options=keys), 0.5, 0.55))
    ((start, end),) = recording.timeline.video.lost  # type: ignore[union-attr]
    assert (start, end) == pytest.approx((6.0, 12.0), abs=0.3)
    assert max(given(recording)) < start


@pytest.mark.parametrize("container", ["matroska", "mp4"])
@pytest.mark.parametrize("sound", [True, False])
def test_pictures_that_stay_on_screen_for_seconds_are_no_damage(
    container: str, sound: bool
) -> None:
    recording = recording_of(film(container, times=STILL, sound=sound))
    assert recording.timeline.video is not None
    assert recording.timeline.video.lost == ()
    assert scan_motion(recording).coverage.gaps == ()
    assert frames_at(recording, [5.0, 15.0], max_side=64).coverage.gaps == ()
    assert len(given(recording)) == len(STILL)


def test_a_picture_a_second_is_no_damage() -> None:
    recording = recording_of(film(times=steady(SECONDS, fps=1.0)))
    assert recording.timeline.video is not None
    assert recording.timeline.video.lost == ()


def test_a_hole_in_a_variable_frame_rate_is_told_from_a_picture_that_stays() -> None:
    data = film(times=STILL, options=KEYS | {"g": "10", "keyint_min": "10"})
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[0]
        packets = [p for p in container.demux(video) if p.size and p.time_base]
        places = {round(float(p.pts * p.time_base), 2): p.pos for p in packets if p.pts is not None}
    start, stop = places[1.6], places[2.8]
    recording = recording_of(data[:start] + bytes(stop - start) + data[stop:])
    ((since, until),) = recording.timeline.video.lost  # type: ignore[union-attr]
    assert 1.4 < since < 1.7
    assert 2.8 <= until < 4.0 + 6.1


def test_bytes_of_streams_that_are_not_used_are_no_damage() -> None:
    """A second microphone goes on while the picture stays."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        video = output.add_stream("libx264", rate=25, options=KEYS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sounds = [output.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(2)]
        for number in range(25 * 8):
            if not 50 <= number < 125:
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8))
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(video.encode(frame))
            for stream in sounds:
                noise = np.full((1, 320), number, np.int16)
                heard = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = (
                    8000,
                    number * 320,
                    Fraction(1, 8000),
                )
                output.mux(stream.encode(heard))
        output.mux(video.encode(None))
    recording = recording_of(buffer.getvalue())
    assert recording.timeline.video is not None
    assert recording.timeline.video.lost == ()
    assert scan_motion(recording).coverage.gaps == ()


CODECS = [
    ("libx264", KEYS | {"bf": "0"}),
    ("libx264", KEYS | {"bf": "3"}),
    ("libx264", KEYS | {"bf": "3", "x264-params": "open-gop=1"}),
    ("mpeg4", {"g": "25"}),
    ("libx265", {"x265-params": "keyint=25:min-keyint=25:scenecut=0:log-level=none:pools=1"}),
]


@pytest.mark.parametrize(("codec", "options"), CODECS)
def test_a_clip_has_nothing_that_the_decoder_made_up_behind_damage(
    codec: str, options: dict[str, str]
) -> None:
    """One packet near a keyframe is overwritten: every picture that is given is a true one."""
    whole = film("mp4", times=steady(4), sound=False, codec=codec, options=options)
    truth = given(recording_of(whole))
    with av.open(io.BytesIO(whole)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        places = [(p.pos, p.size) for p in packets]
    for position, size in places[46:55]:
        data = bytearray(whole)
        data[position : position + size] = b"\xff" * size
        left = given(recording_of(bytes(data)))
        assert all(np.array_equal(left[time], truth[time]) for time in left)
        lost = set(truth) - set(left)
        assert 1 <= len(lost) <= 35
        assert not [time for time in lost if time < 1.5 or time >= 3.0], "other intervals stay"


def test_a_stretch_of_zeros_in_an_mp4_gives_no_picture_that_was_made_up() -> None:
    whole = film("mp4")
    truth, spoiled = given(recording_of(whole)), recording_of(overwritten(whole))
    left = given(spoiled)
    assert all(np.array_equal(left[time], truth[time]) for time in left)
    (gap,) = scan_motion(spoiled).coverage.gaps
    lost = sorted(set(truth) - set(left))
    assert (gap.start, gap.end) == pytest.approx((lost[0], lost[-1] + 0.04), abs=0.9)
