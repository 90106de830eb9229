"""AVI states no presentation times: pictures are timed by their order, wherever one begins."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage import number_of, numbered, recording_of, steady, write_clip

from mmcrime.media.frames import clip, frames_at
from mmcrime.media.looks import looks_of
from mmcrime.media.motion import scan_motion
from mmcrime.media.timeline import Recording

X264 = {"preset": "ultrafast", "g": "25", "keyint_min": "25"}
H264 = {
    "no B-frames": X264 | {"bf": "0"},
    "B-frames": X264 | {"bf": "3"},
    "references": X264 | {"x264-params": "bframes=5:b-pyramid=normal"},
    "open intervals": {"x264-params": "keyint=25:open-gop=1:bframes=5:b-pyramid=normal"},
}


def mpeg(codec: str, b_frames: int) -> bytes:
    """Return an AVI of four seconds whose numbered pictures are in open keyframe intervals."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.bit_rate = 2_000_000
        stream.codec_context.gop_size = 25
        stream.codec_context.max_b_frames = b_frames
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def h264(kind: str) -> bytes:
    """Return an AVI of four seconds, one packet a picture, as cameras write them."""
    elementary, buffer = io.BytesIO(), io.BytesIO()
    write_clip(elementary, times=steady(4), options=H264[kind], container="h264")
    elementary.seek(0)
    with av.open(elementary, format="h264") as source, av.open(buffer, "w", format="avi") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.time_base, packet.duration = Fraction(1, 25), 1
            packet.pts = packet.dts = number
            packet.stream = stream
            target.mux(packet)
    return buffer.getvalue()


KINDS = [
    *(("mpeg4", "0"), ("mpeg4", "1"), ("mpeg4", "3")),
    *(("mpeg1video", "2"), ("mpeg2video", "0"), ("mpeg2video", "2")),
    *(("h264", kind) for kind in H264),
]


def made(codec: str, kind: str) -> bytes:
    return h264(kind) if codec == "h264" else mpeg(codec, int(kind))


@pytest.mark.parametrize(("codec", "kind"), KINDS)
def test_every_picture_of_an_avi_has_the_time_of_its_number(codec: str, kind: str) -> None:
    recording = recording_of(made(codec, kind))
    asked = [number / 25 + 0.01 for number in range(100)]
    ways = {
        "clip": list(clip(recording, 0, 9)),
        "few": list(clip(recording, 0, 9, fps=6.25)),
        "all": list(frames_at(recording, asked, max_side=None)),
        "each": [
            frame for time in asked[::7] for frame in frames_at(recording, [time], max_side=None)
        ],
    }
    assert [len(frames) for frames in ways.values()] == [100, 25, 100, 15]
    for way, frames in ways.items():
        times = [frame.time for frame in frames]
        numbers = [number_of(frame.pixels) for frame in frames]
        assert times == pytest.approx([number / 25 for number in numbers], abs=2e-3), way
    assert [number_of(frame.pixels) for frame in ways["each"]] == list(range(0, 100, 7))


@pytest.mark.parametrize(("codec", "kind"), KINDS)
def test_looks_and_motion_of_an_avi_know_their_times(codec: str, kind: str) -> None:
    recording = recording_of(made(codec, kind))
    looks = [look.time for look in looks_of(recording)]
    assert max(looks) >= 2.9
    assert scan_motion(recording).coverage.gaps == ()


def hurt(avi: bytes, first: int, last: int) -> Recording:
    """Return a video of which some packets are overwritten."""
    data = bytearray(avi)
    with av.open(io.BytesIO(avi)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in places[first:last]:
        data[position : position + size] = b"\xff" * size
    return recording_of(bytes(data))


@pytest.mark.parametrize(("codec", "kind"), [("h264", "B-frames"), ("mpeg4", "2")])
@pytest.mark.parametrize("lost", [(0, 2), (1, 3), (30, 40)])
def test_damage_does_not_move_the_pictures_of_an_avi(
    codec: str, kind: str, lost: tuple[int, int]
) -> None:
    recording = hurt(made(codec, kind), *lost)
    sampling = frames_at(recording, [number / 25 + 0.01 for number in range(100)], max_side=None)
    for frames in (list(sampling), list(clip(recording, 0, 9))):
        assert len(frames) >= 70
        assert [frame.time for frame in frames] == pytest.approx(
            [number_of(frame.pixels) / 25 for frame in frames], abs=2e-3
        )
    assert sampling.coverage.gaps


@pytest.mark.shared
def test_pictures_that_repeat_one_in_a_few_bytes_come_in_the_order_they_are_shown(
    shared: Path,
) -> None:
    """FFmpeg takes such a B-frame for another kind and gives it a time behind the next."""
    recording = recording_of(shared / "media" / "videos" / "mmaction2_test.avi")
    with recording.open() as container:
        shown = [picture.to_ndarray(format="rgb24") for picture in container.video_frames()]
    frames = list(clip(recording, 0, 9, fps=6.25))
    assert [frame.time for frame in frames] == pytest.approx(
        [number * 0.16 for number in range(len(frames))]
    )
    assert len(frames) == -(-len(shown) // 4)
    for number, frame in enumerate(frames):
        assert np.abs(frame.pixels.astype(int) - shown[4 * number]).mean() < 1.0
