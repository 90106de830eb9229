"""The kind of an input comes from its content, and what is not media is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcrime.errors import UnsupportedMediaError
from mmcrime.media.sniff import HEAD_BYTES, SUPPORTED, sniff

MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz: 417 bytes


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0 JFIF", ("image", "jpeg", None)),
        (b"\x89PNG\r\n\x1a\n....", ("image", "png", None)),
        (b"GIF89a....", ("image", "gif", None)),
        (b"II*\x00....", ("image", "tiff", None)),
        (b"MM\x00*....", ("image", "tiff", None)),
        (b"BM" + bytes(12) + b"\x28\0\0\0", ("image", "bmp", None)),
        (b"RIFF\0\0\0\0WEBPVP8 ", ("image", "webp", None)),
        (b"RIFF\0\0\0\0WAVEfmt ", ("audio", "wav", "wav")),
        (b"RF64\xff\xff\xff\xffWAVEds64", ("audio", "wav", "wav")),
        (b"FORM\0\0\0\0AIFFCOMM", ("audio", "aiff", "aiff")),
        (b"RIFF\0\0\0\0AVI LIST", ("video", "avi", "avi")),
        (b"OggS\0", ("video", "ogg", "ogg")),
        (b"fLaC\0", ("audio", "flac", "flac")),
        (b"\x1aE\xdf\xa3....", ("video", "matroska", "matroska")),
        (b"\0\0\0\x18ftypisom", ("video", "mp4", "mov")),
        (b"\0\0\0\x14ftypqt  ", ("video", "mov", "mov")),
        (b"\0\0\0\x1cftypM4A ", ("video", "m4a", "mov")),
        (b"\0\0\x10\0moov", ("video", "mov", "mov")),
        (b"ID3\x04\0\0\0\0\0\0", ("audio", "mp3", "mp3")),
        (MP3_FRAME * 3, ("audio", "mp3", "mp3")),
    ],
)
def test_each_supported_format_is_known_by_its_first_bytes(
    head: bytes, expected: tuple[str, str, str | None]
) -> None:
    found = sniff(head, source="misleading.txt")
    assert (found.kind, found.format, found.demuxer) == expected


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"ffconcat version 1.0\nfile other.mp4\n", "ffconcat playlist"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///x.ts\n", "M3U playlist"),
        (b"\xef\xbb\xbf#EXTM3U\nx.ts\n", "M3U playlist"),
        ("#EXTM3U\nx.ts\n".encode("utf-16"), "M3U playlist"),
        (b"\n  <!DOCTYPE html><html>", "HTML page"),
        (b"<svg xmlns='x'/>", "SVG drawing"),
        (b"<?xml version='1.0'?><svg/>", "XML document"),
        ("gewöhnlicher Text".encode(), "text"),
        (b"BM is how this sentence starts", "text"),
        (b"8BPS\0\1", "Photoshop"),
        (b"FLV\x01\x05\0\0\0\x09", "Flash"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"FORM\0\0\0\0ILBM", "IFF"),
        (b"RIFF\0\0\0\0ACON", "RIFF"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\xff\xf1\x50\x80" + bytes(40), "no known format"),  # AAC frames: layer 0
        (b"\xff\xfb\xf0\x00" + bytes(500), "no known format"),  # a forbidden bitrate
        (MP3_FRAME + b"no further frame", "no known format"),
        (bytes(64), "no known format"),
    ],
)
def test_what_is_not_supported_is_refused_with_what_it_seems_to_be(head: bytes, word: str) -> None:
    with pytest.raises(UnsupportedMediaError, match=word) as caught:
        sniff(head, source="clip.mp4")
    assert "'clip.mp4'" in str(caught.value)
    assert SUPPORTED in caught.value.next_step


def test_an_empty_file_is_not_to_be_converted() -> None:
    with pytest.raises(UnsupportedMediaError, match="is empty") as caught:
        sniff(b"", source="clip.mp4")
    assert caught.value.next_step == "Check the file: it is empty."


def test_text_is_recognised_when_the_head_ends_inside_a_character() -> None:
    head = ("x" * (HEAD_BYTES - 1) + "é").encode()[:HEAD_BYTES]
    with pytest.raises(UnsupportedMediaError, match="is text"):
        sniff(head, source="a.mp4")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hostile/jpg-renamed.mp4", "jpeg"),
        ("hostile/mp4-renamed.jpg", "mp4"),
        ("tika/testNakedUTF16BOM.mp3", "mp3"),
        ("tika/testWEBM.webm", "matroska"),
        ("pydub/format_test.m4a", "m4a"),
        ("decord/video_90.mov", "mov"),
        ("hostile/wav-absurd-format.wav", "wav"),
    ],
)
def test_the_name_of_a_real_file_decides_nothing(shared: Path, name: str, expected: str) -> None:
    with (shared / "media" / "malformed" / name).open("rb") as file:
        assert sniff(file.read(HEAD_BYTES), source=name).format == expected


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "ffconcat-sibling.mp4",
        "ffconcat-parent.mp4",
        "m3u8-http.mp4",
        "m3u8-file-url.mp4",
        "m3u8-sibling.mp4",
        "html-renamed.jpg",
        "svg-renamed.png",
        "svg-external-entity.svg",
        "zero-byte.mp4",
        "random.jpg",
    ],
)
def test_hostile_files_that_name_other_files_never_reach_a_decoder(shared: Path, name: str) -> None:
    with (shared / "media" / "malformed" / "hostile" / name).open("rb") as file:
        head = file.read(HEAD_BYTES)
    with pytest.raises(UnsupportedMediaError):
        sniff(head, source=name)
