"""Opening hostile containers: limits, one clock, nothing else opened."""

import io
import os
import struct
from pathlib import Path

import av
import pytest
from footage import Bytes, clicks, recording_of, steady, write_clip

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, MediaError, UnsafeMediaError, UnsupportedMediaError
from mmcrime.media.container import open_container
from mmcrime.media.sniff import Sniffed

MP4 = Sniffed(kind="video", format="mp4", demuxer="mov")


def mp4_of(**options: object) -> bytes:
    buffer = io.BytesIO()
    write_clip(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.fixture(scope="module")
def plain() -> bytes:
    return mp4_of(times=steady(2), sound=clicks(2, [1.0]), options={"g": "25"})


def test_a_clip_is_measured_by_its_packets(plain: bytes) -> None:
    timeline = recording_of(plain).timeline
    assert timeline.video is not None
    assert timeline.audio is not None
    assert timeline.video.interval == pytest.approx((0.0, 2.0))
    assert timeline.audio.interval == pytest.approx((0.0, 2.0), abs=0.03)
    assert timeline.video.packets == 50
    assert timeline.size == (160, 120)
    assert timeline.fps == 25


def test_a_header_that_lies_about_the_duration_is_not_believed() -> None:
    """The Duration element of a Matroska file says eleven days."""
    honest = mp4_of(times=steady(2), container="matroska")
    at = honest.index(b"\x44\x89\x88") + 3
    lying = honest[:at] + struct.pack(">d", 1e9) + honest[at + 8 :]
    with av.open(io.BytesIO(lying)) as fooled:
        assert fooled.duration is not None
        assert fooled.duration / av.time_base == pytest.approx(1e6)
    assert recording_of(lying).timeline.duration == pytest.approx(2.0, abs=0.05)


def test_the_earlier_stream_starts_the_clock() -> None:
    late_pictures = mp4_of(times=steady(2, start=3.5), sound=clicks(3, [0.5]), sound_start=3.0)
    timeline = recording_of(late_pictures).timeline
    assert timeline.video is not None
    assert timeline.audio is not None
    assert timeline.audio.start == pytest.approx(0.0, abs=0.03)
    assert timeline.video.start == pytest.approx(0.5, abs=0.03)


def test_too_many_pixels_are_refused_by_the_header(plain: bytes) -> None:
    with pytest.raises(UnsafeMediaError, match=r"'clip': its pictures have 160 x 120 pixels"):
        recording_of(plain, limits=Limits(max_pixels=160 * 120 - 1))


def test_pixels_up_to_the_limit_are_allowed(plain: bytes) -> None:
    assert recording_of(plain, limits=Limits(max_pixels=160 * 120)).timeline.size == (160, 120)


def test_too_many_streams_are_refused(plain: bytes) -> None:
    with pytest.raises(UnsafeMediaError, match="it has 2 streams; the limit is 1"):
        recording_of(plain, limits=Limits(max_streams=1))


def test_a_truncated_index_is_corrupt_and_named(plain: bytes) -> None:
    with pytest.raises(CorruptMediaError, match=r"'clip': the mp4 container cannot be opened"):
        recording_of(plain[: len(plain) // 2])


def test_a_picture_is_not_a_container() -> None:
    jpeg = Sniffed(kind="image", format="jpeg", demuxer=None)
    with (
        pytest.raises(UnsupportedMediaError, match="jpeg is not a container"),
        open_container(io.BytesIO(b"\xff\xd8\xff"), jpeg, limits=Limits(), source="x"),
    ):
        pass


def test_samples_without_a_single_picture_are_corrupt(plain: bytes) -> None:
    """Every sample is overwritten; the index stays whole."""
    start = plain.index(b"mdat") + 4
    size = struct.unpack_from(">I", plain, start - 8)[0] - 8
    blank = plain[:start] + b"\xff" * size + plain[start + size :]
    with pytest.raises(CorruptMediaError, match="none of its"):
        recording_of(blank)


def test_tags_in_an_odd_encoding_do_not_fail_the_file() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as output:
        output.metadata["artist"] = "XXXX"
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        frame.planes[0].update(bytes(1600))
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    odd = buffer.getvalue().replace(b"XXXX", b"\xa9\xff\xfeX")
    assert recording_of(odd).timeline.duration == pytest.approx(0.1)


def test_an_external_data_reference_is_never_followed(
    tmp_path: Path, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A QuickTime file whose data reference names its sibling reads nothing of it."""
    monkeypatch.chdir(tmp_path)  # where a nameless file's relative references would lead
    sibling = tmp_path / "sibling.mp4"
    sibling.write_bytes(plain)
    hostile = tmp_path / "hostile.mov"
    hostile.write_bytes(_with_external_reference(plain, sibling))
    with av.open(str(hostile), options={"enable_drefs": "1", "use_absolute_path": "1"}) as naive:
        followed = sum(1 for _ in naive.decode(video=0))
    assert followed > 0, "the bait must work on a naive reader, else this test shows nothing"

    with _opens_of(sibling) as opened, pytest.raises(MediaError):
        recording_of(hostile)
    assert opened == []


def _with_external_reference(mp4: bytes, target: Path) -> bytes:
    """Point the sample data of an MP4 at another file: an `alis` record with its path.

    Layout: Apple's QuickTime File Format (data reference atoms) and the alias record of
    Inside Macintosh, as far as FFmpeg's demuxer reads it.
    """
    path = str(target).encode()
    name = target.name.encode()[:27]
    record = bytes(10) + bytes(28) + bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    record += struct.pack(">hh", 1, 1) + bytes(16)
    record += struct.pack(">hh", 2, len(path)) + path + (b"\0" if len(path) % 2 else b"")
    record += struct.pack(">hh", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record
    old = struct.pack(">I4sI", 12, b"url ", 1)
    assert old in mp4
    return _grow(mp4, old, entry)


def _grow(mp4: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a leaf atom everywhere and correct the sizes of all atoms around it."""
    containers = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"}

    def rebuilt(data: bytes) -> bytes:
        result, at = b"", 0
        while at + 8 <= len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8 : at + size]
            if data[at : at + size] == old:
                result += new
            elif kind in containers:
                skip = 8 if kind == b"dref" else 0
                body = body[:skip] + rebuilt(body[skip:])
                result += struct.pack(">I4s", len(body) + 8, kind) + body
            else:
                result += data[at : at + size]
            at += size
        return result

    return rebuilt(mp4)


class _opens_of:
    """Collects every opening of one file by any code of this machine (inotify)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events: list[bytes] = []

    def __enter__(self) -> list[bytes]:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        in_open, nonblocking = 0x20, os.O_NONBLOCK
        self._descriptor = libc.inotify_init1(nonblocking)
        assert libc.inotify_add_watch(self._descriptor, os.fsencode(self._path), in_open) >= 0
        return self._events

    def __exit__(self, *_: object) -> None:
        try:
            self._events.append(os.read(self._descriptor, 4096))
        except BlockingIOError:
            pass
        finally:
            os.close(self._descriptor)


def test_the_watch_sees_an_opening(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.write_bytes(b"x")
    with _opens_of(watched) as opened:
        watched.read_bytes()
    assert opened


def test_the_demuxer_that_the_content_asks_for_is_the_only_one_tried(
    tmp_path: Path, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A playlist is not read even when somebody claims that it is an MP4."""
    monkeypatch.chdir(tmp_path)
    sibling = tmp_path / "sibling.mp4"
    sibling.write_bytes(plain)
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text("ffconcat version 1.0\nfile sibling.mp4\n")
    with av.open(str(playlist)) as naive:
        assert naive.streams.video, "the bait must work on a naive reader"
    with (
        _opens_of(sibling) as opened,
        pytest.raises(CorruptMediaError),
        playlist.open("rb") as file,
        open_container(file, MP4, limits=Limits(), source="playlist.mp4"),
    ):
        pass
    assert opened == []


def test_each_opening_has_its_own_file_handle(plain: bytes) -> None:
    spool = Bytes(plain)
    with spool.open() as one, spool.open() as two:
        limits = Limits()
        with (
            open_container(one, MP4, limits=limits, source="x") as first,
            open_container(two, MP4, limits=limits, source="x") as second,
        ):
            ahead = sum(1 for _ in first.video_frames())
            assert sum(1 for _ in second.video_frames()) == ahead == 50
