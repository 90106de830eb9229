"""The door to one input: kinds, lazy access, threads, deletion of the copy."""

import csv
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
from footage import clicks, number_of, steady, write_clip
from PIL import Image

from mmcrime.config import Limits
from mmcrime.egress import Gate
from mmcrime.errors import EgressError, MediaError, UnsafeMediaError, UnsupportedMediaError
from mmcrime.evidence import MediaReader
from mmcrime.media import audio_windows, motion_curve, open_media, sample_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "door.mp4"
    write_clip(path, times=steady(6), sound=clicks(6, [2.0]), options={"g": "50", "bf": "2"})
    return path


@pytest.fixture
def animation() -> bytes:
    """Three colours, half a second each."""
    pictures = [Image.new("RGB", (40, 30), c) for c in ("red", "green", "blue")]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=500, loop=0)
    return buffer.getvalue()


def test_importing_the_room_loads_nothing_heavy() -> None:
    program = (
        "import json, sys, mmcrime.media;"
        "heavy = ('numpy', 'av', 'PIL', 'cv2', 'httpx2');"
        "print(json.dumps([m for m in heavy if m in sys.modules]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == []


def test_every_public_name_resolves() -> None:
    import mmcrime.media as room

    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        room.nothing_of_this_name  # noqa: B018 - the lookup is what is tested


def test_a_video_says_what_it_is(video: Path) -> None:
    with open_media(video, source_id="door", metadata={"case": "7"}) as handle:
        media = handle.media
        reader: MediaReader = handle
        assert reader.media is media
        assert (media.kind, media.format, media.name) == ("video", "mp4", "door.mp4")
        assert media.duration == pytest.approx(6.0, abs=0.03)
        assert (media.width, media.height, media.fps, media.has_audio) == (160, 120, 25, True)
        assert (media.source_id, media.metadata) == ("door", {"case": "7"})
        assert media.size_bytes == video.stat().st_size
        assert media.content_id.startswith("blake3:")
        assert handle.video_span == pytest.approx((0.0, 6.0))
        assert handle.audio_span == pytest.approx((0.0, 6.0), abs=0.03)


def test_a_sound_recording_under_a_video_name_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_clip(path, sound=clicks(2, [1.0]))
    with open_media(path) as handle:
        assert handle.media.kind == "audio"
        assert handle.media.has_audio
        assert (handle.media.width, handle.media.fps) == (None, None)
        assert handle.video_span is None
        assert list(handle.frames([0.0])) == []
        assert list(handle.clip(0, 1)) == []
        assert handle.motion().scores == ()


def test_a_sound_file_with_a_cover_picture_is_sound(tmp_path: Path) -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(jpeg, "JPEG")
    picture = b"\0image/jpeg\0\x03\0" + jpeg.getvalue()
    tag = b"APIC" + len(picture).to_bytes(4, "big") + bytes(2) + picture
    size = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    mp3 = io.BytesIO()
    write_clip(mp3, sound=clicks(2, [1.0]), sound_codec="libmp3lame", container="mp3")
    covered = b"ID3\x03\0\0" + size + tag + mp3.getvalue()
    with av.open(io.BytesIO(covered)) as container:
        assert container.streams.video, "the cover must be there to be skipped"
    with open_media(covered) as handle:
        assert handle.media.kind == "audio"
        assert handle.lost_video is None
        assert handle.skipped == ()


def test_a_video_without_sound_has_no_windows(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    write_clip(path, times=steady(1))
    with open_media(path) as handle:
        assert not handle.media.has_audio
        assert handle.audio_span is None
        assert list(handle.audio(0, 1)) == []


def test_a_picture_is_one_frame_at_time_zero() -> None:
    with open_media(Image.new("RGB", (400, 200), "red")) as handle:
        assert (handle.media.kind, handle.media.duration) == ("image", None)
        assert (handle.media.width, handle.media.height) == (400, 200)
        frames = list(handle.frames([0.0, 3.0], max_side=100))
        assert [(f.time, f.pixels.shape) for f in frames] == [(0.0, (50, 100, 3))]
        assert list(handle.clip(0, 1)) == []
        assert list(handle.audio(0, 1)) == []
        assert handle.motion().coverage.frames == 0
        assert handle.stills().coverage.gaps == ()


def test_an_animation_shows_the_picture_of_each_time(animation: bytes) -> None:
    with open_media(animation) as handle:
        shown = {f.time: f.pixels[0, 0].argmax() for f in handle.frames([0.6, 0.7, 9.0])}
        assert shown == {0.5: 1, 1.0: 2}
        assert len(handle.stills().frames) == 3


def test_pictures_past_the_limit_of_an_animation_are_a_gap(animation: bytes) -> None:
    with open_media(animation, limits=Limits(max_image_frames=2)) as handle:
        stills = handle.stills(max_side=20)
        assert [(s.width, s.height) for s in stills.frames] == [(20, 15)] * 2
        assert [g.reason for g in stills.coverage.gaps] == ["over_limit: only the first 2 pictures"]


def test_a_numpy_array_is_a_picture() -> None:
    pixels = np.zeros((20, 30, 3), dtype=np.uint8)
    pixels[..., 1] = 200
    with open_media(pixels) as handle:
        assert next(handle.frames([0])).pixels[5, 5].tolist() == [0, 200, 0]


@pytest.mark.parametrize("form", ["path", "text", "bytes", "stream"])
def test_every_form_of_a_source_gives_the_same_media(video: Path, form: str) -> None:
    data = video.read_bytes()
    source = {"path": video, "text": str(video), "bytes": data, "stream": io.BytesIO(data)}[form]
    with open_media(source) as handle, open_media(video) as known:  # type: ignore[arg-type]
        assert handle.media.content_id == known.media.content_id
        assert handle.media.duration == known.media.duration


def test_closing_deletes_the_copy_and_refuses_further_reading(video: Path) -> None:
    handle = open_media(video.read_bytes())
    assert next(handle.frames([0.0])).time == 0
    handle.close()
    handle.close()
    with pytest.raises(MediaError):
        next(handle.frames([0.0]))


def test_a_url_is_refused_without_a_gate_and_by_an_offline_gate() -> None:
    for gate in (None, Gate(offline=True)):
        with pytest.raises(EgressError, match="example"):
            open_media("https://media.example/clip.mp4", gate=gate)


def test_a_file_that_was_cut_off_says_that_something_is_missing() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(6), options={"g": "25"}, container="matroska")
    whole = buffer.getvalue()
    with open_media(whole) as handle:
        assert handle.missing is None
    with open_media(whole[: len(whole) * 2 // 3]) as handle:
        assert handle.media.duration is not None
        assert 2.0 < handle.media.duration < 5.0
        assert handle.missing is not None
        assert handle.missing.reason == "damaged: the header states 6.0 s"
        assert handle.missing.start == handle.missing.end == handle.media.duration


def test_limits_reach_the_decoders(video: Path) -> None:
    with pytest.raises(UnsafeMediaError, match=r"door\.mp4"):
        open_media(video, limits=Limits(max_pixels=1000))


def test_many_threads_read_one_handle(video: Path) -> None:
    with open_media(video.read_bytes()) as handle, ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(lambda k=k: [number_of(f.pixels) for f in handle.frames([k / 3, 5.0])])
            for k in range(12)
        ]
        sounds = [pool.submit(lambda: sum(len(w.samples) for w in handle.audio(0, 6)))] * 4
        for k, job in enumerate(jobs):
            assert job.result() == [int(k / 3 * 25 + 1e-6), 125]
        assert {job.result() for job in sounds} == {96_000}


def test_a_creation_time_with_a_zone_is_the_recording_time(tmp_path: Path) -> None:
    path = tmp_path / "dated.mp4"
    with av.open(str(path), "w") as output:
        output.metadata["creation_time"] = "2024-05-06T07:08:09.000000Z"
        stream = output.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        output.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        output.mux(stream.encode(None))
    stated = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    given = datetime(2020, 1, 1, tzinfo=UTC)
    with open_media(path) as handle:
        assert handle.media.recorded_at == stated
    with open_media(path, recorded_at=given) as handle:
        assert handle.media.recorded_at == given


def test_sample_frames_gives_a_frame_at_each_step(video: Path) -> None:
    frames = list(sample_frames(video, interval=2.0, max_side=80))
    assert [number_of(f.pixels) for f in frames] == [0, 50, 100]
    assert frames[0].pixels.shape == (60, 80, 3)
    assert [f.time for f in sample_frames(video, at=[3.0])] == [3.0]
    with pytest.raises(ValueError, match="interval must be positive"):
        next(sample_frames(video, interval=0))


def test_sample_frames_gives_keyframes_in_their_place(video: Path) -> None:
    with sample_frames(video, interval=1.0, mode="keyframes") as sampling:
        frames = list(sampling)
        assert len(frames) == 3, "six asked times, three keyframes"
        assert [number_of(f.pixels) for f in frames] == [round(f.time * 25) for f in frames]
        assert sampling.coverage.frames == 3
        assert sampling.coverage.gaps == ()


def test_sample_frames_says_at_once_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no media")
    with pytest.raises(UnsupportedMediaError):
        sample_frames(tmp_path / "x.mp4")


@pytest.mark.parametrize("whole", [True, False], ids=["to the end", "closed early"])
def test_sample_frames_closes_what_it_opened(
    video: Path, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sampling = sample_frames(video.read_bytes())
    assert len(list(tmp_path.iterdir())) == 1
    next(sampling)
    if whole:
        list(sampling)
    else:
        sampling.close()
    assert list(tmp_path.iterdir()) == []


def test_frames_past_the_duration_limit_are_a_gap_of_that_reason(video: Path) -> None:
    with open_media(video, limits=Limits(max_duration=3.0)) as handle:
        sampling = handle.frames([1.0, 5.0])
        assert [frame.time for frame in sampling] == [1.0]
        (gap,) = sampling.coverage.gaps
        assert (gap.start, gap.end, gap.reason) == (3.0, pytest.approx(6.0), "over_limit")


def test_a_damaged_picture_is_a_gap_of_its_sampling(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((400, 300), 90).convert("RGB").save(buffer, "JPEG")
    content = buffer.getvalue()
    with open_media(content[: len(content) // 2]) as handle:
        sampling = handle.frames([0.0])
        assert len(list(sampling)) == sampling.coverage.frames == 1
        assert [gap.reason for gap in sampling.coverage.gaps] == ["damaged"]


def test_the_short_ways_take_an_open_handle_and_leave_it_open(video: Path) -> None:
    with open_media(video) as handle:
        assert len(list(sample_frames(handle, interval=3.0))) == 2
        assert sum(len(w.samples) for w in audio_windows(handle)) == 96_000
        assert len(motion_curve(handle).times) == 6
        assert len(list(sample_frames(handle))) == 2


READ_ALL = """
import re, sys
from pathlib import Path
from mmcrime.media import open_media
with open_media(sys.argv[1]) as handle:
    end = handle.media.duration
    frames = sum(1 for _ in handle.frames([k * 5.0 for k in range(int(end / 5))], max_side=768))
    heard = sum(len(w.samples) for w in handle.audio(0.0, end))
    seconds = len(handle.motion().times)
    clip = sum(1 for _ in handle.clip(0.0, end, fps=2, max_side=160, grey=True))
# Not ru_maxrss: a child process inherits the peak of its parent in it.
peak = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()).group(1)
print(frames, heard // 16000, seconds, clip, peak)
"""


@pytest.mark.slow
def test_memory_stays_flat_over_the_length_of_the_media(tmp_path: Path) -> None:
    """Reading 20 minutes takes at most 16 MiB more than reading one."""
    peaks = []
    for minutes in (1, 20):
        path = tmp_path / f"{minutes}.mp4"
        seconds = 60 * minutes
        sound = clicks(seconds, range(seconds), 8_000)
        write_clip(path, times=steady(seconds, 5), sound=sound, sound_rate=8_000)
        result = subprocess.run(
            [sys.executable, "-c", READ_ALL, path], capture_output=True, text=True, check=True
        )
        frames, heard, moving, clip, kib = (int(n) for n in result.stdout.split())
        assert (frames, moving, clip) == (12 * minutes, seconds, 2 * seconds)
        assert heard == pytest.approx(seconds, abs=1)
        peaks.append(kib / 1024)
    assert peaks[1] - peaks[0] < 16, peaks


@pytest.mark.shared
def test_the_shared_videos_have_the_stated_length_and_open_anywhere(shared: Path) -> None:
    folder = shared / "media" / "videos"
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        with open_media(folder / row["file"]) as handle:
            media = handle.media
            assert media.duration == pytest.approx(float(row["seconds"]), abs=0.1), row["file"]
            assert media.has_audio == ("audio:" in row["streams"]), row["file"]
            assert media.duration is not None
            frames = list(handle.frames([0, media.duration / 2, media.duration], max_side=64))
            assert len(frames) == 3, row["file"]
            assert frames[-1].time == pytest.approx(media.duration, abs=0.2), row["file"]


@pytest.mark.shared
def test_the_shared_fights_open_with_the_stated_sound(shared: Path) -> None:
    """Every twelfth clip."""
    folder = shared / "media" / "fights"
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::12]
    assert rows
    for row in rows:
        with open_media(folder / row["file"]) as handle:
            assert handle.media.kind == "video"
            assert handle.media.has_audio == (row["has_audio"] == "1"), row["file"]
            assert handle.media.duration is not None
            middle = handle.media.duration / 2
            assert len(list(handle.frames([0, middle], max_side=64))) == 2, row["file"]
