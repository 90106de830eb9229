"""What a file is, found from its first bytes and never from its name.

The answer pins one decoder: the FFmpeg demuxer or the Pillow plug-in that may read the
file. Whatever is not on the list is refused here, so that no probing library ever gets
to choose (a playlist under a video's name makes such a library read *other* files).

The magic numbers are those of the formats' own specifications.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from mmcrime.errors import UnsupportedMediaError

__all__ = ["HEAD_BYTES", "SUPPORTED", "Sniffed", "sniff"]

HEAD_BYTES = 4096
"""How many of the first bytes `sniff` wants; fewer when the file is shorter."""

SUPPORTED = (
    "jpg, png, webp, bmp, gif, tiff pictures; mp3, wav, aiff, ogg, flac, m4a sound; "
    "mp4, mov, avi, mkv, webm video"
)
"""The formats that are read, for messages to people."""

_NEXT_STEP = f"Convert it to one of the supported formats: {SUPPORTED}."

Demuxer = Literal["mov", "matroska", "avi", "wav", "aiff", "mp3", "ogg", "flac"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sniffed:
    """What the first bytes say.

    Attributes:
        kind: ``image``, ``audio`` or ``video``. Provisional for containers that hold
            either (mp4, matroska, ogg, avi): these say ``video`` until their streams
            are known.
        format: Name of the format, such as ``"jpeg"`` or ``"mp4"``.
        demuxer: The one FFmpeg demuxer that may read it; None for a picture.
    """

    kind: Literal["image", "audio", "video"]
    format: str
    demuxer: Demuxer | None = None


_PICTURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),  # BigTIFF
    (b"MM\x00+", "tiff"),
)
_STREAMS = (
    (b"ID3", Sniffed(kind="audio", format="mp3", demuxer="mp3")),
    (b"fLaC", Sniffed(kind="audio", format="flac", demuxer="flac")),
    (b"OggS", Sniffed(kind="video", format="ogg", demuxer="ogg")),
    (b"\x1aE\xdf\xa3", Sniffed(kind="video", format="matroska", demuxer="matroska")),
)
_WAVE = Sniffed(kind="audio", format="wav", demuxer="wav")
_AIFF = Sniffed(kind="audio", format="aiff", demuxer="aiff")
_CHUNK_FORMS = {
    (b"RIFF", b"WAVE"): _WAVE,
    (b"RIFX", b"WAVE"): _WAVE,  # big endian
    (b"RF64", b"WAVE"): _WAVE,  # over 4 GiB
    (b"BW64", b"WAVE"): _WAVE,  # broadcast, over 4 GiB
    (b"FORM", b"AIFF"): _AIFF,
    (b"FORM", b"AIFC"): _AIFF,
    (b"RIFF", b"AVI "): Sniffed(kind="video", format="avi", demuxer="avi"),
    (b"RIFF", b"WEBP"): Sniffed(kind="image", format="webp"),
}
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""Atoms that start a QuickTime file from before ``ftyp`` existed."""
_PICTURE_BRANDS = {
    b"avif": "an AVIF picture",
    b"avis": "an AVIF picture",
    b"heic": "a HEIC picture",
    b"heix": "a HEIC picture",
    b"mif1": "a HEIF picture",
    b"msf1": "a HEIF picture",
    b"crx ": "a camera's raw picture",
}
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Sizes of the bitmap headers in use; two letters alone would take text for a picture."""

_REFUSED = (
    (b"8BPS", "a Photoshop document"),
    (b"FLV\x01", "a Flash video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "an ASF file (WMV or WMA)"),
    (b"icns", "an Apple icon"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"DDS ", "a DirectDraw texture"),
    (b"\x01\xda", "an SGI picture"),
    (b"BLP", "a BLP texture"),
    (b"\x00\x00\x01\xba", "an MPEG program stream"),
    (b"\x00\x00\x01\xb3", "an MPEG video stream"),
    (b"FORM", "an IFF file of an unknown form"),
    (b"RIFF", "a RIFF file of an unknown form"),
    (b"caff", "an Apple CAF recording"),
    (b"#!AMR", "an AMR recording"),
    (b".snd", "a Sun AU recording"),
    (b"MThd", "a MIDI file"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_TEXTS = (
    ("ffconcat", "an ffconcat playlist, which names other files"),
    ("#extm3u", "an M3U playlist, which names other files"),
    ("[playlist]", "a PLS playlist, which names other files"),
    ("<svg", "an SVG drawing"),
    ("<!doctype html", "an HTML page"),
    ("<html", "an HTML page"),
    ("<?xml", "an XML document"),
    ("<", "markup"),
)

# ISO 11172-3 and 13818-3, layer III: kbit/s by bitrate index (0 is "free", 15 forbidden).
_MP3_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def sniff(head: bytes, *, source: str) -> Sniffed:
    """Tell what a file is from its first bytes.

    Args:
        head: The first `HEAD_BYTES` bytes, or all there are.
        source: The input's name, for messages.

    Raises:
        UnsupportedMediaError: If it is none of the supported formats; the message says
            what it seems to be.
    """
    found = _picture(head) or _stream(head)
    if found is None:
        raise UnsupportedMediaError(
            _seems(head),
            source=source,
            next_step=_NEXT_STEP if head else "Check the file: it is empty.",
        )
    return found


def _picture(head: bytes) -> Sniffed | None:
    for magic, name in _PICTURES:
        if head.startswith(magic):
            return Sniffed(kind="image", format=name)
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return Sniffed(kind="image", format="bmp")
    return None


def _stream(head: bytes) -> Sniffed | None:
    for magic, found in _STREAMS:
        if head.startswith(magic):
            return found
    if (form := (head[:4], head[8:12])) in _CHUNK_FORMS:
        return _CHUNK_FORMS[form]
    if head[4:8] == b"ftyp":
        return _iso_media(head[8:12])
    if head[4:8] in _QUICKTIME_ATOMS:
        return Sniffed(kind="video", format="mov", demuxer="mov")
    if _is_mp3(head):
        return Sniffed(kind="audio", format="mp3", demuxer="mp3")
    return None


def _iso_media(brand: bytes) -> Sniffed | None:
    if brand in _PICTURE_BRANDS:
        return None
    name = {b"qt  ": "mov", b"M4A ": "m4a", b"M4B ": "m4a"}.get(brand, "mp4")
    return Sniffed(kind="video", format=name, demuxer="mov")


def _is_mp3(head: bytes) -> bool:
    """Whether a layer III frame starts here, and the next one where it says it ends."""
    length = _mp3_frame_bytes(head[:4])
    if length is None:
        return False
    following = head[length : length + 4]
    return len(following) < 4 or _mp3_frame_bytes(following) is not None


def _mp3_frame_bytes(header: bytes) -> int | None:
    """Return the length of the frame with this header; None if it is not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer != 1 or bitrate in {0, 15} or rate == 3:
        return None
    kbits = (_MP3_KBITS_1 if version == 3 else _MP3_KBITS_2)[bitrate]
    bytes_per_kbit = 144_000 if version == 3 else 72_000
    return bytes_per_kbit * kbits // _MP3_RATES[version][rate] + padding


def _seems(head: bytes) -> str:
    """Say in words what refused content seems to be."""
    if not head:
        return "is empty."
    if head[4:8] == b"ftyp":
        return f"is {_PICTURE_BRANDS[head[8:12]]}, which is not supported."
    if (text := _as_text(head)) is not None:
        start = text.lstrip().lower()
        for prefix, name in _TEXTS:
            if start.startswith(prefix):
                return f"is {name}, not media."
        return "is text, not media."
    for magic, name in _REFUSED:
        if head.startswith(magic):
            return f"is {name}, which is not supported."
    return f"is of no known format (it starts with the bytes {head[:8].hex(' ')!r})."


def _as_text(head: bytes) -> str | None:
    """Return the head as text if it is text: printable UTF-8, or UTF-16 with its mark."""
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    # The head may end inside a character, so that up to three bytes are left out.
    for cut in range(4):
        try:
            text = head[: len(head) - cut].decode("utf-16" if wide else "utf-8-sig")
        except UnicodeDecodeError:
            continue
        controls = sum(
            unicodedata.category(c) in {"Cc", "Cn"} and c not in "\t\r\n\f" for c in text
        )
        return text if controls == 0 else None
    return None
