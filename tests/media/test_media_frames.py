"""The frame shown at each asked time, and runs of frames, against a full decode."""

import io
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage import clicks, number_of, recording_of, steady, write_clip

from mmcrime.config import Limits
from mmcrime.errors import UnsafeMediaError
from mmcrime.media.frames import clip, frames_at
from mmcrime.media.timeline import Recording

X264 = {"g": "50", "bf": "3", "preset": "veryfast"}
ALTREF = {
    "g": "40",
    "deadline": "good",
    "cpu-used": "5",
    "lag-in-frames": "16",
    "auto-alt-ref": "1",
}
ENCODINGS = {
    "h264 with B-frames": {"codec": "libx264", "options": X264},
    "h264 without B-frames": {"codec": "libx264", "options": {"g": "25", "bf": "0"}},
    "h264 open GOP": {"codec": "libx264", "options": {**X264, "x264-params": "open-gop=1"}},
    "h264 10 bit": {"codec": "libx264", "options": X264, "pixel_format": "yuv420p10le"},
    "h264 matroska": {"codec": "libx264", "options": X264, "container": "matroska"},
    "hevc open GOP": {
        "codec": "libx265",
        "options": {"x265-params": "keyint=50:open-gop=1:log-level=none"},
    },
    "vp9": {
        "codec": "libvpx-vp9",
        "container": "webm",
        "options": {"g": "40", "deadline": "realtime", "cpu-used": "8"},
    },
    "mpeg4": {"codec": "mpeg4", "options": {"g": "30"}, "container": "mov"},
    "mpeg4 with B-frames": {"codec": "mpeg4", "options": {"g": "30", "bf": "2"}},
    "h264 interlaced": {"codec": "libx264", "options": {**X264, "x264-params": "interlaced=1"}},
    "hevc matroska": {
        "codec": "libx265",
        "container": "matroska",
        "options": {"x265-params": "keyint=50:log-level=none"},
    },
    "hevc with temporal layers": {
        "codec": "libx265",
        "options": {"x265-params": "keyint=50:temporal-layers=3:bframes=7:log-level=none"},
    },
    "vp8 with hidden frames": {"codec": "libvpx", "container": "webm", "options": ALTREF},
    "vp9 with hidden frames": {"codec": "libvpx-vp9", "container": "webm", "options": ALTREF},
    "av1": {"codec": "libsvtav1", "options": {"g": "40", "preset": "12"}},
}
UNSTEADY = [0.0, 0.04, 0.3, 0.31, 1.0, 2.5, 2.6, 2.7, 5.0, 5.5, 5.52, 7.0]


def made(**options: object) -> Recording:
    buffer = io.BytesIO()
    write_clip(buffer, **options)  # type: ignore[arg-type]
    return recording_of(buffer.getvalue())


def shown(recording: Recording, at: list[float], max_side: int | None = None) -> list[int]:
    return [number_of(f.pixels) for f in frames_at(recording, at, max_side=max_side)]


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_each_asked_time_gives_the_frame_on_screen(encoding: dict[str, object]) -> None:
    times = steady(6)
    recording = made(times=times, **encoding)
    at = [*np.random.default_rng(1).uniform(0, 6, 12).tolist(), 0.0, 2.0, 3.96, 4.0, 5.96, 6.0]
    frames = list(frames_at(recording, at, max_side=None))
    expected = sorted({bisect_right(times, t + 1e-6) - 1 for t in at})
    assert [number_of(f.pixels) for f in frames] == expected
    assert [f.time for f in frames] == pytest.approx([times[k] for k in expected], abs=2e-3)


def test_sampled_frames_look_like_those_of_a_full_decode(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, times=steady(4), options=X264)
    with av.open(str(path)) as container:
        full = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    at = [0.0, 0.5, 1.3, 2.02, 3.9]
    for time, frame in zip(at, frames_at(recording_of(path), at, max_side=None), strict=True):
        difference = frame.pixels.astype(int) - full[int(time * 25 + 1e-6)]
        assert np.abs(difference).mean() < 1.0


def test_a_variable_frame_rate_shows_the_last_frame_that_began() -> None:
    recording = made(times=UNSTEADY, options={"g": "4", "bf": "2"})
    at = [0.1, 0.305, 0.99, 1.0, 2.49, 4.9, 5.51, 6.9, 7.0]
    assert shown(recording, at) == [1, 2, 3, 4, 7, 9, 10, 11]


def test_times_start_at_the_first_frame_of_a_stream_that_starts_late() -> None:
    recording = made(times=steady(3, start=100.0), options=X264, container="matroska")
    frames = list(frames_at(recording, [0.0, 1.0], max_side=None))
    assert [number_of(f.pixels) for f in frames] == [0, 25]
    assert [f.time for f in frames] == pytest.approx([0.0, 1.0], abs=2e-3)


def test_pictures_that_start_after_the_sound_keep_their_distance() -> None:
    recording = made(
        times=steady(2, start=1.0), options=X264, sound=clicks(3, []), container="matroska"
    )
    frames = list(frames_at(recording, [0.2, 1.5], max_side=None))
    assert [number_of(f.pixels) for f in frames] == [0, 12]
    assert [f.time for f in frames] == pytest.approx([1.0, 1.48], abs=0.03)


@pytest.mark.parametrize(
    ("degrees", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (-90, (0, 1))]
)
def test_rotation_is_applied(degrees: int, corner: tuple[int, int]) -> None:
    """A bright patch in the stored top left corner ends where a turned camera saw it."""

    def patch(pixels: np.ndarray, _: int) -> None:  # type: ignore[type-arg]
        pixels[:] = 40
        pixels[:30, :40] = 250

    recording = made(times=steady(0.4), size=(160, 80), rotation=degrees, paint=patch)
    frame = next(frames_at(recording, [0.0], max_side=None))
    size = (160, 80) if degrees % 180 == 0 else (80, 160)
    assert recording.timeline.size == size
    assert frame.pixels.shape == (size[1], size[0], 3)
    bottom, right = corner
    pixels = frame.pixels[::-1] if bottom else frame.pixels
    pixels = pixels[:, ::-1] if right else pixels
    assert pixels[:20, :20].mean() > 200
    assert pixels[-20:, -20:].mean() < 80


def test_frames_are_scaled_to_the_longest_side_and_never_enlarged() -> None:
    recording = made(times=steady(0.4), size=(162, 90))
    assert next(frames_at(recording, [0], max_side=81)).pixels.shape == (45, 81, 3)
    assert next(frames_at(recording, [0], max_side=1000)).pixels.shape == (90, 162, 3)


def test_colours_come_out_as_rgb() -> None:
    def red(pixels: np.ndarray, _: int) -> None:  # type: ignore[type-arg]
        pixels[:] = (220, 30, 40)

    frame = next(frames_at(made(times=steady(0.4), paint=red), [0.0], max_side=None))
    assert frame.pixels.mean(axis=(0, 1)) == pytest.approx([220, 30, 40], abs=6)


def test_asked_times_need_no_order_and_a_frame_comes_once() -> None:
    recording = made(times=steady(3), options=X264)
    assert shown(recording, [2.0, 0.0, 2.01, 1.0, 2.0]) == [0, 25, 50]


def test_no_times_give_no_frames_and_odd_times_are_refused() -> None:
    recording = made(times=steady(0.4))
    assert list(frames_at(recording, [], max_side=None)) == []
    with pytest.raises(ValueError, match="finite"):
        next(frames_at(recording, [float("nan")], max_side=None))


def test_a_damaged_keyframe_interval_is_left_out_and_the_rest_is_used() -> None:
    """Of five intervals the third is overwritten."""
    buffer = io.BytesIO()
    write_clip(
        buffer,
        times=steady(5),
        options={"g": "25", "keyint_min": "25", "bf": "0", "sc_threshold": "0"},
    )
    data = bytearray(buffer.getvalue())
    with av.open(io.BytesIO(data)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for position, size in spans[50:75]:
        data[position : position + size] = b"\xff" * size
    at = [k + 0.5 for k in range(5)]
    assert shown(recording_of(bytes(data)), at) == [12, 37, 87, 112]
    numbers = [number_of(f.pixels) for f in clip(recording_of(bytes(data)), 0, 5)]
    assert numbers == [*range(50), *range(75, 125)]


def test_a_file_that_cannot_seek_is_decoded_from_its_start() -> None:
    """Matroska without its index of cues, read by a demuxer that needs it to seek."""
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(6), options=X264, container="matroska")
    data = buffer.getvalue()
    cues = data.index(b"\x1c\x53\xbb\x6b", len(data) // 2)
    recording = recording_of(data[:cues])
    assert shown(recording, [0.5, 2.5, 4.5, 5.9]) == [12, 62, 112, 147]


def test_the_size_may_change_in_the_middle() -> None:
    """Two H.264 streams of different sizes, one behind the other."""
    parts = []
    for size in ((160, 120), (96, 64)):
        buffer = io.BytesIO()
        write_clip(buffer, times=steady(1), size=size, options={"g": "25"}, container="h264")
        parts.append(buffer.getvalue())
    frames = list(clip(_remuxed(b"".join(parts)), 0, 10))
    assert {f.pixels.shape for f in frames} == {(120, 160, 3), (64, 96, 3)}


def test_a_picture_that_grows_past_the_limit_is_refused() -> None:
    parts = []
    for size in ((64, 48), (320, 240)):
        buffer = io.BytesIO()
        write_clip(buffer, times=steady(1), size=size, options={"g": "25"}, container="h264")
        parts.append(buffer.getvalue())
    grown = _remuxed(b"".join(parts), Limits(max_pixels=320 * 240 - 1))
    with pytest.raises(UnsafeMediaError, match="320 x 240 pixels"):
        list(clip(grown, 0, 10))


def _remuxed(elementary: bytes, limits: Limits | None = None) -> Recording:
    """Put an elementary H.264 stream into an AVI, whose header knows the first size only."""
    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(elementary), format="h264") as source,
        av.open(buffer, "w", format="avi") as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.time_base = Fraction(1, 25)
                packet.pts = packet.dts = number
                packet.stream = stream
                output.mux(packet)
    return recording_of(buffer.getvalue(), limits=limits)


def test_a_clip_takes_at_most_the_asked_rate_without_drift() -> None:
    recording = made(times=steady(6, fps=30), options=X264)
    frames = list(clip(recording, 1.0, 5.0, fps=8))
    assert len(frames) == 32
    for cell, frame in enumerate(frames):
        assert 1.0 + cell / 8 - 1e-6 <= frame.time < 1.0 + (cell + 1) / 8


def test_a_clip_holds_every_frame_of_a_half_open_range() -> None:
    recording = made(times=steady(4), options=X264)
    assert [number_of(f.pixels) for f in clip(recording, 1.0, 2.0)] == list(range(25, 50))
    assert list(clip(recording, 2.0, 2.0)) == []
    assert list(clip(recording, 9.0, 10.0)) == []


def test_a_grey_clip_gives_flat_pictures() -> None:
    recording = made(times=steady(1), options=X264)
    frames = list(clip(recording, 0, 1, max_side=80, grey=True))
    assert frames[0].pixels.shape == (60, 80)
    assert frames[0].pixels.dtype == np.uint8
    assert [number_of(f.pixels) for f in frames] == list(range(25))


def test_a_clip_of_no_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="fps must be positive"):
        next(clip(made(times=steady(0.4)), 0, 1, fps=0))


def test_nothing_is_decoded_past_the_duration_limit() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(4), options=X264)
    recording = recording_of(buffer.getvalue(), limits=Limits(max_duration=2.0))
    assert max(number_of(f.pixels) for f in clip(recording, 0, 10)) == 49
    assert shown(recording, [1.0, 3.0]) == [25]


def test_times_may_come_from_an_iterator_and_no_picture_has_no_side() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(1))
    recording = recording_of(buffer.getvalue())
    at = iter([0.0, 0.52])
    shown = frames_at(recording, at, max_side=None)  # type: ignore[arg-type]
    assert [number_of(frame.pixels) for frame in shown] == [0, 13]
    for side in (0, -5, float("nan")):
        with pytest.raises(ValueError, match="max_side must be at least 1"):
            frames_at(recording, [0.0], max_side=side)  # type: ignore[arg-type]
