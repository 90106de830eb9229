"""Copies play as the video does and say nothing of it; sound keeps its times."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fit_kit import H264, clip, sound_file
from footage import clicks, number_of, recording_of, steady, write_clip

from mmcrime.errors import MediaError, UnsafeMediaError, UnsupportedMediaError
from mmcrime.evidence import SAMPLE_RATE, AudioWindow, Interval
from mmcrime.media import open_media
from mmcrime.media.export import encode_sound, video_copy


def played(data: bytes | Path) -> tuple[list[float], list[np.ndarray[Any, Any]]]:
    with open_media(data) as handle:
        frames = list(handle.clip(0.0, 30.0))
    return [frame.time for frame in frames], [frame.pixels for frame in frames]


def copied(data: bytes | Path) -> bytes:
    with open_media(data) as handle:
        return handle.copy()


def assert_plays_alike(data: bytes | Path, copy: bytes) -> None:
    times, pictures = played(data)
    again, same = played(copy)
    assert again == pytest.approx(times, abs=1e-3)
    assert all(np.array_equal(one, other) for one, other in zip(pictures, same, strict=True))


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sound": False},
        {"times": [0.0, 0.1, 0.5, 0.52, 1.7, 3.0]},
        {"times": [0.0]},
        {"times": [0.0, 0.04]},
        {"rotation": 90},
        {"times": steady(2.0, start=7.0), "sound_start": 8.0},
        {"options": {"preset": "ultrafast", "bf": "0", "g": "10"}},
        {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "log-level=none"}},
        {"codec": "mpeg4", "options": {}},
    ],
    ids=["b", "mute", "uneven", "one", "two", "turned", "late", "p", "hevc", "mpeg4"],
)
def test_a_copy_shows_the_same_pictures_at_the_same_times(
    container: str, fields: dict[str, Any]
) -> None:
    data = clip(3.0, container=container, **fields)
    assert_plays_alike(data, copied(data))


def test_a_copy_of_webm_with_codecs_that_mp4_holds_shows_the_same() -> None:
    buffer = io.BytesIO()
    write_clip(
        buffer,
        times=steady(1.0),
        container="webm",
        codec="libvpx-vp9",
        sound=clicks(1.0, [0.5]),
        sound_codec="libopus",
    )
    assert_plays_alike(buffer.getvalue(), copied(buffer.getvalue()))


def test_real_videos_are_copied_to_the_same_pictures_and_sound(shared: Path) -> None:
    seen = 0
    for path in sorted((shared / "media" / "videos").glob("*.mp4")):
        copy = copied(path)
        with open_media(path) as one, open_media(copy) as other:
            assert other.media.duration == pytest.approx(one.media.duration, abs=1e-3)
            assert (other.media.width, other.media.height) == (one.media.width, one.media.height)
            before = [(f.time, f.pixels) for f in one.clip(0.0, 1.0)]
            after = [(f.time, f.pixels) for f in other.clip(0.0, 1.0)]
            assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=1e-3)
            assert all(np.array_equal(a[1], b[1]) for a, b in zip(before, after, strict=True))
            heard, same = (
                np.concatenate([np.zeros(0), *(w.samples for w in h.audio(0.0, 5.0))])
                for h in (one, other)
            )
            assert np.array_equal(heard, same)
        seen += 1
    assert seen >= 10


def test_times_of_a_copy_begin_where_media_time_begins() -> None:
    data = clip(2.0, times=steady(2.0, start=100.0), sound=False)
    with av.open(io.BytesIO(data)) as source:
        assert source.streams.video[0].start_time * source.streams.video[0].time_base > 99.0
    with av.open(io.BytesIO(copied(data))) as copy:
        first = next(copy.decode(video=0))
        assert first.time == pytest.approx(0.0, abs=1e-3)
        assert number_of(first.to_ndarray(format="rgb24")) == 0


def with_secrets(container: str) -> bytes:
    """A video that says in every way it can who made it and where."""
    buffer = io.BytesIO()
    plain = clip(2.0)
    options = {"movflags": "use_metadata_tags"} if container != "matroska" else {}
    with av.open(io.BytesIO(plain)) as source:  # noqa: SIM117 - one line would be too long
        with av.open(buffer, "w", format=container, options=options) as out:
            tags = {
                "title": "SECRET title",
                "comment": "SECRET comment",
                "location": "+47.3769+008.5417/SECRET",
                "com.apple.quicktime.location.ISO6709": "+47.3769+008.5417/SECRET",
                "artist": "SECRET artist",
                "creation_time": "2021-03-04T05:06:07Z",
            }
            out.metadata.update(tags)
            streams = {}
            for stream in source.streams:
                added = out.add_stream_from_template(stream)
                added.metadata.update({"title": "SECRET stream", "handler_name": "SECRET handler"})
                streams[stream.index] = added
            out.set_chapters(
                [
                    {
                        "id": 1,
                        "start": 0,
                        "end": 1000,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": "SECRET chapter"},
                    }
                ]
            )
            if container == "matroska":
                out.add_attachment("secret.txt", "text/plain", b"SECRET attachment")
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
def test_a_copy_holds_no_title_place_time_handler_chapter_or_attachment(container: str) -> None:
    data = with_secrets(container)
    assert b"SECRET" in data
    assert b"+47.3769" in data
    copy = copied(data)
    assert b"SECRET" not in copy
    assert b"47.3769" not in copy
    with av.open(io.BytesIO(copy)) as opened:
        assert len(opened.streams) == 2
        told = {**opened.metadata, **{k: v for s in opened.streams for k, v in s.metadata.items()}}
        # What the muxer itself always writes.
        assert set(told) <= {
            "major_brand", "minor_version", "compatible_brands", "encoder",
            "language", "handler_name", "vendor_id",
        }  # fmt: skip
        assert told["handler_name"] in ("VideoHandler", "SoundHandler")
    assert_plays_alike(data, copy)


def test_a_third_stream_is_left_out() -> None:
    buffer, plain = io.BytesIO(), clip(2.0)
    with av.open(io.BytesIO(plain)) as source, av.open(buffer, "w", format="mp4") as out:
        pairs = [(s, out.add_stream_from_template(s)) for s in source.streams]
        more = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is None:
                continue
            index = packet.stream.index
            packet.stream = pairs[index][1]
            out.mux(packet)
        with av.open(io.BytesIO(plain)) as again:
            for packet in again.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = more
                    out.mux(packet)
    with av.open(io.BytesIO(copied(buffer.getvalue()))) as copy:
        assert [s.type for s in copy.streams] == ["video", "audio"]


def test_a_picture_that_an_edit_list_hides_is_still_there_for_those_that_need_it() -> None:
    buffer = io.BytesIO()
    data = clip(3.0, sound=False)
    with av.open(io.BytesIO(data)) as source, av.open(buffer, "w", format="mp4") as out:
        stream = source.streams.video[0]
        added = out.add_stream_from_template(stream)
        shift = round(0.5 / stream.time_base)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = added
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                out.mux(packet)
    data = buffer.getvalue()
    _, pictures = played(data)
    assert number_of(pictures[0]) > 5  # it begins in the middle of a group of pictures
    assert_plays_alike(data, copied(data))


@pytest.mark.parametrize("size", [0, 1, 1000, 10_000])
def test_a_copy_is_given_up_at_its_bound(size: int) -> None:
    data = clip(4.0)
    assert len(data) > 10_000
    with open_media(data) as handle, pytest.raises(UnsafeMediaError, match=f"{size} bytes"):
        handle.copy(most_bytes=size)


def test_a_copy_of_exactly_the_bound_is_given() -> None:
    data = clip(2.0)
    size = len(copied(data))
    with open_media(data) as handle:
        assert len(handle.copy(most_bytes=size)) == size
        with pytest.raises(UnsafeMediaError):
            handle.copy(most_bytes=size - 1)


class Counted:
    """A spool that counts the bytes that are read of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.read = 0

    def open(self) -> Any:
        outer = self

        class Reader(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(size)
                outer.read += len(data)
                return data

        return Reader(self.content)


def test_a_copy_that_is_too_large_is_not_read_to_its_end() -> None:
    def rough(pixels: Any, number: int) -> None:
        pixels[30:] = np.random.default_rng(number).integers(0, 256, pixels[30:].shape)

    data = clip(8.0, size=(320, 240), paint=rough, sound=False)
    assert len(data) > 5_000_000
    recording = recording_of(data)
    spool = Counted(data)
    object.__setattr__(recording, "spool", spool)
    with pytest.raises(UnsafeMediaError):
        video_copy(recording, most_bytes=200_000)
    assert spool.read < 2_000_000


def test_what_mp4_cannot_hold_is_refused_by_name() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(1.0), container="webm", codec="libvpx")
    with (
        open_media(buffer.getvalue()) as handle,
        pytest.raises(UnsupportedMediaError, match="vp8"),
    ):
        handle.copy()


def test_a_picture_and_a_closed_file_give_a_media_error(tmp_path: Path) -> None:
    from PIL import Image

    with (
        open_media(Image.new("RGB", (64, 64))) as handle,
        pytest.raises(UnsupportedMediaError, match="no video"),
    ):
        handle.copy()
    path = tmp_path / "gone.mp4"
    path.write_bytes(clip(1.0))
    with open_media(path) as handle:
        path.unlink()
        with pytest.raises(MediaError):
            handle.copy()


CHILD = """
import sys
from mmcrime.errors import MediaError
from mmcrime.media import open_media
for line in sys.stdin:
    try:
        with open_media(line.rstrip("\\n")) as handle:
            try:
                data = handle.copy(most_bytes=20_000_000)
                print("copied", len(data), flush=True)
            except MediaError as error:
                print("refused", type(error).__name__, flush=True)
    except MediaError:
        print("unread", flush=True)
"""


def test_no_hostile_container_crashes_a_copy(shared: Path) -> None:
    files = [p for p in sorted((shared / "media" / "malformed").rglob("*")) if p.is_file()]
    ran = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = ran.stdout.splitlines()
    assert len(lines) == len(files)
    assert sum(line.startswith("copied") for line in lines) >= 3


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_video_is_copied_or_refused(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(clip(2.0, container=("mp4", "matroska")[seed % 2]))
    for place in random.integers(0, len(data), 30):
        data[place] = random.integers(0, 256)
    if seed % 5 == 0:
        del data[len(data) * 2 // 3 :]
    try:
        with open_media(bytes(data)) as handle:
            copy = handle.copy(most_bytes=10_000_000)
    except MediaError:
        return
    assert copy[4:8] == b"ftyp"


def windows(*spans: Interval, level: float = 0.0) -> Iterator[AudioWindow]:
    for start, end in spans:
        count = round((end - start) * SAMPLE_RATE)
        yield AudioWindow(start=start, samples=np.full(count, level, np.float32))


def decoded(data: bytes) -> np.ndarray[Any, Any]:
    with open_media(data) as handle:
        assert handle.media.kind == "audio"
        return np.concatenate([w.samples for w in handle.audio(0.0, 1000.0)])


@pytest.mark.parametrize("form", ["mp3", "wav"])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 3.37, 61.0])
def test_encoded_sound_has_the_length_of_the_windows(form: Any, seconds: float) -> None:
    with open_media(sound_file(seconds, ())) as handle:
        data = encode_sound(handle.audio(0.0, seconds), form=form)
    assert len(decoded(data)) / SAMPLE_RATE == pytest.approx(seconds, abs=0.002)


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_a_click_is_heard_at_its_time(form: Any) -> None:
    with open_media(sound_file(35.0, (0.5, 12.25, 33.0))) as handle:
        samples = decoded(encode_sound(handle.audio(0.0, 35.0), form=form))
    for time in (0.5, 12.25, 33.0):
        near = samples[round((time - 0.2) * SAMPLE_RATE) : round((time + 0.2) * SAMPLE_RATE)]
        loudest = int(np.argmax(np.abs(near))) / SAMPLE_RATE + time - 0.2
        assert loudest == pytest.approx(time, abs=0.005)
        assert np.abs(near).max() > 0.3


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_holes_become_silence(form: Any) -> None:
    data = encode_sound(windows((1.0, 2.0), (5.0, 6.0), level=0.25), form=form)
    samples = decoded(data)
    assert len(samples) / SAMPLE_RATE == pytest.approx(6.0, abs=0.002)

    def level(start: float, end: float) -> float:
        part = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        return float(np.abs(part).mean())

    assert level(0.0, 0.9) < 0.001
    assert level(2.1, 4.9) < 0.001
    if form == "wav":  # MP3 takes a constant level for nothing
        assert level(1.1, 1.9) == pytest.approx(0.25, abs=0.001)
        assert level(5.1, 5.9) == pytest.approx(0.25, abs=0.001)


def test_loud_sound_is_clipped_and_not_wrapped() -> None:
    data = encode_sound(windows((0.0, 1.0), level=1.5), form="wav")
    assert decoded(data).min() > 0.99


def test_mp3_takes_the_bytes_that_are_planned_for_it() -> None:
    from mmcrime.media.fit_sound import _BYTES_A_SECOND, _HEAD

    random = np.random.default_rng(1)
    noise = [
        AudioWindow(start=30.0 * i, samples=random.uniform(-1, 1, 480_000).astype(np.float32))
        for i in range(4)
    ]
    for form in ("mp3", "wav"):
        data = encode_sound(iter(noise), form=form)  # type: ignore[arg-type]
        assert len(data) <= 120.0 * _BYTES_A_SECOND[form] + _HEAD


def test_h264_options_are_those_of_a_camera() -> None:
    """The clips of these tests have B-frames, or half of what is tested is not."""
    with av.open(io.BytesIO(clip(1.0))) as source:
        packets = [p for p in source.demux(video=0) if p.pts is not None]
    assert any(p.pts < q.pts for p, q in zip(packets[1:], packets, strict=False))
    assert H264["bf"] == "3"
