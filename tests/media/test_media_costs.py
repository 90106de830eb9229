"""Files that would cost out of proportion are refused before anybody pays."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from footage import clicks, steady, write_clip
from PIL import Image

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, MediaError, UnsafeMediaError
from mmcrime.media import open_media
from mmcrime.media.boxes import check_boxes
from mmcrime.media.frames import Scaler
from mmcrime.media.gif import MOST_BLOCKS
from mmcrime.media.intake import name_of
from mmcrime.media.pictures import _translated
from mmcrime.media.tags import check_tags


@pytest.fixture(scope="module")
def film() -> bytes:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(1), sound=clicks(1, [0.5]))
    return buffer.getvalue()


def with_number(mp4: bytes, table: bytes, offset: int, number: int) -> bytes:
    at = mp4.index(table) + 4 + offset
    return mp4[:at] + struct.pack(">I", number) + mp4[at + 4 :]


@pytest.mark.parametrize(
    ("table", "offset"), [(b"stts", 4), (b"stsz", 8), (b"stsc", 4), (b"stco", 4), (b"stss", 4)]
)
def test_a_table_that_states_more_than_it_holds_is_refused(
    film: bytes, table: bytes, offset: int
) -> None:
    hostile = with_number(film, table, offset, 100_000_000)
    with pytest.raises(UnsafeMediaError, match=f"'{table.decode()}' states 100000000 entries"):
        open_media(hostile)


def test_samples_of_one_size_need_bytes_for_each(film: bytes) -> None:
    hostile = with_number(with_number(film, b"stsz", 4, 2), b"stsz", 8, 100_000_000)
    with pytest.raises(UnsafeMediaError, match="'stsz' states 100000000 entries"):
        open_media(hostile)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def moov(track: bytes) -> io.BytesIO:
    handler = box(b"hdlr", bytes(8) + b"soun" + bytes(12))
    return io.BytesIO(box(b"moov", box(b"trak", box(b"mdia", handler + track))))


STEADY = box(b"stts", bytes(4) + struct.pack(">III", 1, 50_000_000, 1))
UNIFORM = box(b"stsz", bytes(4) + struct.pack(">II", 2, 50_000_000))
SHIFTED = box(b"ctts", bytes(4) + struct.pack(">III", 1, 50_000_000, 5))


def test_an_hour_of_plain_samples_is_allowed_although_it_is_cut_off() -> None:
    """FFmpeg takes such sound chunk by chunk, without an entry for each sample."""
    check_boxes(moov(STEADY + UNIFORM), source="x")
    check_boxes(moov(UNIFORM + STEADY), source="x")


@pytest.mark.parametrize("track", [UNIFORM, SHIFTED + UNIFORM + STEADY, UNIFORM + STEADY + SHIFTED])
def test_samples_for_which_ffmpeg_makes_entries_are_counted(track: bytes) -> None:
    with pytest.raises(UnsafeMediaError, match="stsz"):
        check_boxes(moov(track), source="x")


@pytest.mark.parametrize("wrap", [b"udta", b"moof", b"traf", b"meta", b"free"])
def test_tables_are_found_wherever_ffmpeg_finds_them(wrap: bytes) -> None:
    table = box(b"stco", bytes(4) + struct.pack(">I", 9))
    before = {b"meta": bytes(4) + box(b"hdlr", bytes(24)), b"free": box(b"mvhd", bytes(8))}
    with pytest.raises(UnsafeMediaError, match="stco"):
        check_boxes(io.BytesIO(box(wrap, before.get(wrap, b"") + table)), source="x")


def test_a_compressed_index_is_refused() -> None:
    with pytest.raises(UnsafeMediaError, match="compressed"):
        check_boxes(io.BytesIO(box(b"moov", box(b"cmov", bytes(9)))), source="x")


def test_fragments_that_state_more_than_they_hold_are_refused() -> None:
    run = box(b"trun", struct.pack(">II", 0x200, 10))
    with pytest.raises(UnsafeMediaError, match="trun"):
        check_boxes(io.BytesIO(box(b"moof", box(b"traf", run))), source="x")


def test_tags_are_counted_together() -> None:
    tag = b"ID3\x03\0\0" + bytes((0, 127, 127, 127))  # 2 MiB
    body = bytes(2 * 1024 * 1024 - 1)
    check_tags(io.BytesIO((tag + body) * 3), source="x")
    with pytest.raises(UnsafeMediaError, match="tags"):
        check_tags(io.BytesIO((tag + body) * 5), source="x")


def wav(rate: int, samples: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"\1\0" * samples)
    return buffer.getvalue()


@pytest.mark.parametrize("rate", [1, 999, 800_000])
def test_sound_at_a_rate_that_no_microphone_has_is_not_decoded(rate: int) -> None:
    with pytest.raises(CorruptMediaError, match=f"states {rate} samples a second"):
        open_media(wav(rate, 4000))


def test_a_packet_of_many_seconds_is_resampled_in_pieces() -> None:
    with open_media(wav(1000, 60_000)) as handle:
        heard = list(handle.audio(0.0, 60.0, seconds=7.0))
        assert [round(w.end - w.start, 3) for w in heard] == [7.0] * 8 + [4.0]


def test_more_packets_than_media_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmcrime.media import timeline

    monkeypatch.setattr(timeline, "_FREE_PACKETS", 10)
    monkeypatch.setattr(timeline, "_PACKETS_A_SECOND", 5)
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(2))
    with pytest.raises(UnsafeMediaError, match="packets in its first"):
        open_media(buffer.getvalue())


def test_pictures_of_a_video_have_a_lower_limit_of_their_own(film: bytes) -> None:
    with pytest.raises(UnsafeMediaError, match=r"160 x 120 .*max_video_pixels"):
        open_media(film, limits=Limits(max_video_pixels=160 * 120 - 1))
    open_media(film, limits=Limits(max_video_pixels=160 * 120)).close()


def encoded(format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(buffer, format_, **options)
    return buffer.getvalue()


def test_a_progressive_picture_of_many_scans_is_refused() -> None:
    honest = encoded("JPEG", progressive=True)
    open_media(honest).close()
    scan = honest[honest.index(b"\xff\xda") : -2]
    with pytest.raises(UnsafeMediaError, match="scans"):
        open_media(honest[:-2] + 101 * scan + b"\xff\xd9")


@pytest.mark.parametrize("filler", [b"\xff", b"\x07", b"\xff\xe5\x00\x02"])
def test_a_picture_of_many_markers_is_refused(filler: bytes) -> None:
    honest = encoded("JPEG")
    at = honest.index(b"\xff\xdb")
    with pytest.raises(UnsafeMediaError, match="markers"):
        open_media(honest[:at] + 10_001 * filler + honest[at:])


def test_a_picture_of_many_chunks_is_refused() -> None:
    honest = encoded("PNG")
    chunk = b"\0\0\0\0teSt" + struct.pack(">I", 0)
    with pytest.raises(UnsafeMediaError, match="chunks"):
        open_media(honest[:33] + 100_001 * chunk + honest[33:])


def test_an_animation_of_tiny_blocks_is_refused() -> None:
    honest = encoded("GIF")
    comment = b"!\xfe" + (MOST_BLOCKS + 1) * b"\x01x" + b"\0"
    with pytest.raises(UnsafeMediaError, match="blocks"):
        open_media(honest[:-1] + comment + honest[-1:])


def test_a_large_run_length_encoded_picture_is_refused() -> None:
    header = bytearray(encoded("BMP"))
    header[30:34] = (1).to_bytes(4, "little")
    with pytest.raises(UnsafeMediaError, match="run-length"):
        open_media(bytes(header) + bytes(9 * 1024 * 1024))


def test_colours_that_cannot_be_converted_are_taken_as_plain_ones() -> None:
    picture = av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), format="rgb24")
    picture = picture.reformat(format="yuv420p")
    picture.colorspace = 8  # YCgCo, which swscale does not convert
    scaler = Scaler(max_side=None, grey=False, max_pixels=1000, source="x")
    assert scaler.frame(picture, 0.0).pixels.shape == (24, 32, 3)


def test_a_file_whose_first_read_fails_is_a_media_error() -> None:
    if not Path("/proc/self/mem").exists():
        pytest.skip("no /proc here")
    with pytest.raises(MediaError, match="cannot be read"):
        open_media("/proc/self/mem")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://admin:hunter2@10.0.0.5/stream", "rtsp://10.0.0.5/stream"),
        ("rtsp://admin:hunter2@10.0.0.5", "rtsp://10.0.0.5"),
        ("ftp://bob:hunter2@h/a/x.mp4", "ftp://h/a/x.mp4"),
        ("s3://b/x.mp4?sig=hunter2", "s3://b/x.mp4"),
        ("https:/bob:hunter2@h", "h"),
        (" https://bob:hunter2@h/x.mp4?sig=hunter2#hunter2", "x.mp4"),
        ("https://h/x.mp4?a=b/hunter2", "x.mp4"),
        ("data:video/mp4;base64,hunter2", "data:"),
        ("file:///home/hunter2/x.mp4", "file:"),
    ],
)
def test_the_name_of_a_source_shows_no_secret(source: str, name: str) -> None:
    assert name_of(source) == name


def test_a_picture_that_does_not_fit_into_memory_is_too_large_and_not_corrupt() -> None:
    with pytest.raises(UnsafeMediaError, match="memory"), _translated("x"):
        raise MemoryError
