"""Packets counted from the index of an MP4 are those that reading them all would find."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, BinaryIO

import av
import numpy as np
import pytest
from footage import Bytes, clicks, damaged_clip, number_of, recording_of, steady, write_clip
from numpy.typing import NDArray

from mmcrime.config import Limits
from mmcrime.errors import MediaError
from mmcrime.media import audio
from mmcrime.media.boxes import Index, check_boxes
from mmcrime.media.frames import clip, frames_at
from mmcrime.media.sniff import sniff
from mmcrime.media.timeline import Timeline, _measured, measure

KEYS = {"preset": "ultrafast", "g": "25", "keyint_min": "25"}
UNEVEN = [0.0, 0.04, 0.11, 0.12, 0.5, 0.54, 0.58, 1.9, 1.94, 2.0, 2.04]


def film(**given: Any) -> bytes:
    buffer = io.BytesIO()
    write_clip(buffer, **{"times": steady(4), "options": KEYS | {"bf": "3"}} | given)
    return buffer.getvalue()


def both(content: bytes) -> tuple[Timeline, Timeline]:
    """Measure by the index, and by reading all packets."""
    index = check_boxes(io.BytesIO(content), source="x")
    return by(content, index), by(content, None)


def by(content: bytes, index: Index | None) -> Timeline:
    sniffed = sniff(content[:4096], source="x")
    return _measured(Bytes(content), sniffed, limits=Limits(), source="x", index=index)


def assert_same(one: Timeline, other: Timeline) -> None:
    for name in set(Timeline.__slots__) - {"by_header", "video", "audio"}:
        assert getattr(one, name) == getattr(other, name), name
    for mine, its in ((one.video, other.video), (one.audio, other.audio)):
        assert (mine is None) == (its is None)
        for name in mine.__slots__ if mine is not None else ():
            assert np.array_equal(getattr(mine, name), getattr(its, name)), name


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"sound": clicks(4, [1.0])},
        {"sound": clicks(9, [1.0])},
        {"sound": clicks(1, [0.5]), "sound_start": 1.5},
        {"times": (), "sound": clicks(3, [1.0])},
        {"times": [2 + time for time in steady(3)], "sound": clicks(4, [1.0])},
        {"times": UNEVEN},
        {"options": KEYS | {"bf": "0"}, "container": "mov"},
        {"options": KEYS | {"x264-params": "open-gop=1:bframes=2:b-pyramid=normal"}},
        {"options": {"preset": "ultrafast", "x264-params": "intra-refresh=1"}},
        {"codec": "libx265", "options": {"x265-params": "keyint=25:bframes=4:log-level=none"}},
        {"rotation": 90, "sound": clicks(4, [1.0])},
    ],
)
def test_the_index_says_what_reading_all_packets_finds(given: dict[str, Any]) -> None:
    indexed, read = both(film(**given))
    assert (indexed.by_header, read.by_header) == (True, False)
    assert_same(indexed, read)


def test_whatever_the_tables_are_turned_into_the_index_never_says_something_else() -> None:
    """Broken tables are told by the packets as by the index, or the index is not believed."""
    good = film(sound=clicks(4, [1.0]))
    chance = random.Random(5)  # noqa: S311 - not for secrets
    start = good.index(b"stbl")
    believed = 0
    for _ in range(150):
        broken = bytearray(good)
        broken[chance.randrange(start, len(good))] ^= 1 << chance.randrange(8)
        content = bytes(broken)
        with suppress(MediaError):
            index = check_boxes(io.BytesIO(content), source="x")
            timeline = by(content, index)
            believed += 1
            assert_same(timeline, by(content, None))
    assert believed > 20


def tables(mp4: bytes, kind: bytes) -> list[int]:
    """Return where the tables of a kind begin in the index, behind their names."""
    found, at = [], mp4.index(b"moov")
    while (at := mp4.find(kind, at) + 4) > 3:
        found.append(at)
    return found


@pytest.mark.parametrize("keyframe", [20, 24, 27, 40])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_an_index_that_calls_another_picture_a_keyframe_is_not_believed(
    keyframe: int, codec: str
) -> None:
    """The last interval, which is read, is as stated; the wrong one lies in the middle."""
    options = {"x265-params": "keyint=25:bframes=4:log-level=none"}
    good = film(**({"codec": codec, "options": options} if codec == "libx265" else {}))
    (at,) = tables(good, b"stss")
    assert struct.unpack_from(">III", good, at + 4) in ((4, 1, 25), (4, 1, 26))
    broken = bytearray(good)
    struct.pack_into(">I", broken, at + 12, keyframe)
    recording = recording_of(bytes(broken))
    assert not recording.timeline.by_header
    shown = [f for t in range(100) for f in frames_at(recording, [t / 25 + 0.01], max_side=None)]
    assert [number_of(frame.pixels) for frame in shown] == list(range(100))


def test_a_keyframe_that_is_cut_short_is_not_believed() -> None:
    good = film()
    (sizes,) = tables(good, b"stsz")
    broken = bytearray(good)
    struct.pack_into(">I", broken, sizes + 12 + 4 * 25, 9)
    assert not recording_of(bytes(broken)).timeline.by_header


@pytest.mark.parametrize(("change", "believed"), [(-5, False), (5, True)])
def test_durations_of_too_few_samples_are_not_believed(change: int, believed: bool) -> None:
    """Some cameras state a few too many; then every sample has one."""
    good = film(times=(), sound=clicks(3, [1.0]))
    (at,) = tables(good, b"stts")
    broken = bytearray(good)
    struct.pack_into(">I", broken, at + 8, struct.unpack_from(">I", good, at + 8)[0] + change)
    timeline = recording_of(bytes(broken)).timeline
    assert timeline.by_header == believed
    assert_same(timeline, by(bytes(broken), None))


def test_an_index_without_a_frame_rate_is_not_believed() -> None:
    """Durations that add up to nothing state none; FFmpeg then counts pictures."""
    good = film(times=UNEVEN)
    (at,) = tables(good, b"stts")
    broken = bytearray(good)
    struct.pack_into(">i", broken, at + 16, -1)
    timeline = recording_of(bytes(broken)).timeline
    assert not timeline.by_header
    assert timeline.fps


class Counting(io.BytesIO):
    """Counts the bytes that are read of all its kind."""

    total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        got = super().read(size)
        Counting.total += len(got)
        return got


class CountingSpool(Bytes):
    def open(self) -> BinaryIO:
        return Counting(self.content)


def test_of_a_plain_mp4_the_middle_is_not_read() -> None:
    noise = np.random.default_rng(3)

    def paint(pixels: NDArray[np.uint8], _number: int) -> None:
        pixels[:] = noise.integers(0, 255, pixels.shape, dtype=np.uint8)

    content = film(times=steady(8), paint=paint, sound=clicks(8, [1.0]))
    Counting.total = 0
    timeline = measure(
        CountingSpool(content), sniff(content[:4096], source="x"), limits=Limits(), source="x"
    )
    assert timeline.video is not None
    assert timeline.video.packets == 200
    assert Counting.total < len(content) / 2


def test_what_does_not_decode_says_so_as_ever() -> None:
    content = damaged_clip(2, 0, 9)
    with pytest.raises(MediaError) as old:
        by(content, None)
    with pytest.raises(MediaError) as now:
        recording_of(content)
    assert str(now.value) == str(old.value).replace("'x'", "'clip'")


def test_one_picture_is_read() -> None:
    """It does not decode before the end of the file, so that there is no rest to count."""
    timeline = recording_of(film(times=[0.0])).timeline
    assert not timeline.by_header
    assert timeline.video is not None
    assert timeline.video.packets == 1


def test_a_file_that_ends_before_its_packets_do_is_read() -> None:
    whole = film(sound=clicks(4, [1.0]))
    at = whole.index(b"moov") - 4
    index, media = whole[at:], whole[:at]
    # A QuickTime file with its index first, as a download that broke off leaves it.
    first = box(b"ftyp", b"qt  " + bytes(8)) + shifted(index, 20 + len(index))
    content = (first + media)[: len(first) + len(media) * 2 // 3]
    timeline = recording_of(content).timeline
    assert not timeline.by_header
    assert_same(timeline, by(content, None))
    assert timeline.video is not None
    assert timeline.video.packets < 100


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def shifted(index: bytes, later: int) -> bytes:
    """Return an index whose packets lie later in the file."""
    moved = bytearray(index)
    at = -1
    while (at := index.find(b"stco", at + 1)) >= 0:
        (count,) = struct.unpack_from(">I", index, at + 8)
        for place in range(at + 12, at + 12 + 4 * count, 4):
            struct.pack_into(">I", moved, place, struct.unpack_from(">I", index, place)[0] + later)
    return bytes(moved)


@pytest.mark.parametrize("entries", [[(0, 100, 0)], [(0, 50, -1), (0, 100, 7)]])
def test_an_edit_list_that_only_says_when_a_track_begins_is_plain(
    entries: list[tuple[int, int, int]],
) -> None:
    assert [track.edited for track in edited(entries)] == [False, False]


@pytest.mark.parametrize("entries", [[(0, 5, 0), (0, 5, 9)], [(0, 5, -1), (0, 5, 0), (0, 5, 9)]])
def test_an_edit_list_that_cuts_is_not_plain(entries: list[tuple[int, int, int]]) -> None:
    assert [track.edited for track in edited(entries)] == [False, True]


def edited(entries: list[tuple[int, int, int]]) -> list[Any]:
    for wide in (False, True):
        rows = b"".join(
            struct.pack(">qqI" if wide else ">iiI", length, time, 0x10000)
            for _, length, time in entries
        )
        lists = box(b"elst", bytes((wide, 0, 0, 0)) + struct.pack(">I", len(entries)) + rows)
        track = box(b"moov", box(b"trak", box(b"edts", lists)))
        tracks: list[Any] = check_boxes(io.BytesIO(track), source="x").tracks
    return tracks


@pytest.mark.parametrize("fragments", [False, True])
def test_every_picture_comes_although_h264_does_not_state_its_delay(fragments: bool) -> None:
    """x264 states by how many pictures decoding runs ahead; the chips of cameras often do not."""
    content = without_usability(film(options=KEYS | {"x264-params": "bframes=5:b-pyramid=normal"}))
    if fragments:
        content = in_fragments(content)
    recording = recording_of(content)
    assert recording.timeline.by_header is not fragments
    shown = [number_of(frame.pixels) for frame in clip(recording, 0, 9)]
    assert shown == list(range(100))


def test_sound_of_a_file_opened_by_its_header_is_that_of_one_that_is_not() -> None:
    quick = recording_of(film(sound=clicks(4, [1.0, 3.0])))
    assert quick.timeline.by_header
    slow = replace(quick, timeline=replace(quick.timeline, by_header=False))
    heard = [
        np.concatenate([window.samples for window in audio.windows(recording, 0, 9)])
        for recording in (quick, slow)
    ]
    assert np.array_equal(*heard)


def in_fragments(mp4: bytes) -> bytes:
    target = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"}
    with (
        av.open(io.BytesIO(mp4)) as source,
        av.open(target, "w", format="mp4", options=options) as output,
    ):
        copies = [output.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
    return target.getvalue()


def without_usability(mp4: bytes) -> bytes:
    """Take the usability information, which states the delay, out of an MP4 of H.264."""
    at = mp4.index(b"avcC") + 10  # the length of the first sequence parameter set
    length = int.from_bytes(mp4[at : at + 2], "big")
    stated = mp4[at + 2 : at + 2 + length]
    bits = "".join(f"{byte:08b}" for byte in stated.replace(b"\0\0\3", b"\0\0"))
    kept = bits[: usability_flag(bits, stated[1])] + "01"
    kept += "0" * (-len(kept) % 8)
    short = bytes(int(kept[place : place + 8], 2) for place in range(0, len(kept), 8))
    assert b"\0\0" not in short
    return mp4[: at + 2] + short.ljust(length, b"\0") + mp4[at + 2 + length :]


def usability_flag(bits: str, profile: int) -> int:
    """Return the place of vui_parameters_present_flag (ITU-T H.264, 7.3.2.1.1)."""
    at = 32

    def numbers() -> Iterator[int]:  # ue(v)
        nonlocal at
        while True:
            zeros = bits.index("1", at) - at
            value = int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1
            at += 2 * zeros + 1
            yield value

    read = numbers()
    next(read)
    if profile == 100:
        assert next(read) == 1  # 4:2:0
        next(read), next(read)
        at += 2
    next(read)
    if next(read) == 0:
        next(read)
    next(read)
    at += 1
    next(read), next(read)
    assert bits[at] == "1"  # whole frames
    at += 3
    if bits[at - 1] == "1":
        for _ in range(4):
            next(read)  # cropping
    assert bits[at] == "1"  # it is there
    return at
