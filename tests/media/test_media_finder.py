"""Which packets are decoded to find a picture, keyframes in their order, and hard cases."""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from footage import damaged_clip, number_of, numbered, recording_of, steady, write_clip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmcrime.media.container import Container, Step
from mmcrime.media.frames import clip, frames_at
from mmcrime.media.streams import has_layers
from mmcrime.media.timeline import Recording

X264 = {"g": "50", "bf": "3", "preset": "veryfast", "sc_threshold": "0"}
X265 = "keyint=40:min-keyint=40:scenecut=0:log-level=none"
KEYED: dict[str, dict[str, Any]] = {
    "h264": {"options": {**X264, "g": "40"}},
    "h264 open GOP": {"options": {**X264, "g": "40", "x264-params": "open-gop=1"}},
    "hevc open GOP": {"codec": "libx265", "options": {"x265-params": f"{X265}:open-gop=1"}},
    "hevc closed GOP": {"codec": "libx265", "options": {"x265-params": f"{X265}:open-gop=0"}},
    "vp9": {
        "codec": "libvpx-vp9",
        "container": "webm",
        "options": {"g": "40", "deadline": "realtime", "cpu-used": "8"},
    },
    "av1": {"codec": "libsvtav1", "options": {"g": "40", "preset": "12"}},
    "mpeg4": {"codec": "mpeg4", "options": {"g": "40", "bf": "2", "sc_threshold": "1000000000"}},
}


def made(**options: Any) -> Recording:
    buffer = io.BytesIO()
    write_clip(buffer, **options)
    return recording_of(buffer.getvalue())


def numbers(recording: Recording, at: list[float], **options: Any) -> list[int]:
    return [number_of(f.pixels) for f in frames_at(recording, at, max_side=None, **options)]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is done with the packets that a plan is asked about."""
    counted: Counter[str] = Counter()
    original = Container.video_frames

    def video_frames(self: Container, plan: Callable[..., Step] | None = None) -> Iterator[Any]:
        if plan is None:
            counted["unplanned"] += 1
            return original(self)

        def spy(packet: Any) -> Step:
            step = plan(packet)
            counted[step] += 1
            return step

        return original(self, spy)

    monkeypatch.setattr(Container, "video_frames", video_frames)
    return counted


@pytest.mark.parametrize("kind", KEYED.values(), ids=KEYED)
def test_keyframes_come_in_order_with_their_true_times(kind: dict[str, Any]) -> None:
    recording = made(times=steady(6), **kind)
    keys = [round(time * 25) for time in recording.timeline.video.keyframes]  # type: ignore[union-attr]
    assert len(keys) >= 4
    at = [0.0, 1.0, 2.0, 3.1, 3.3, 5.9]
    frames = list(frames_at(recording, at, max_side=None, mode="keyframes"))
    expected = sorted({keys[bisect_right(keys, t * 25 + 1e-6) - 1] for t in at})
    assert [number_of(f.pixels) for f in frames] == expected
    assert [f.time for f in frames] == pytest.approx([k / 25 for k in expected], abs=2e-3)


def test_a_keyframe_is_decoded_alone(steps: Counter[str]) -> None:
    recording = made(times=steady(6), options=X264)
    steps.clear()
    assert numbers(recording, [1.9, 3.9, 5.9], mode="keyframes") == [0, 50, 100]
    assert steps == {"decode": 3, "stop": 3}


def test_pictures_that_no_other_needs_are_skipped_and_the_tail_is_not_read(
    steps: Counter[str],
) -> None:
    recording = made(times=steady(6), options=X264)
    steps.clear()
    assert numbers(recording, [2.2, 2.8, 4.04]) == [55, 70, 101]
    assert steps["skip"] > steps["decode"] / 2
    assert steps.total() < 40, "not the 100 packets of both intervals"
    assert not steps["unplanned"]


@pytest.mark.parametrize(
    "kind",
    [
        {"options": {**X264, "x264-params": "interlaced=1"}},
        {"codec": "libx265", "options": {"x265-params": f"{X265}:temporal-layers=3:bframes=7"}},
    ],
    ids=["half pictures", "temporal layers"],
)
def test_nothing_is_skipped_where_a_packet_may_be_needed_after_all(
    kind: dict[str, Any], steps: Counter[str]
) -> None:
    recording = made(times=steady(3), **kind)
    assert numbers(recording, [1.0, 2.5]) == [25, 62]
    assert [number_of(f.pixels) for f in clip(recording, 0.0, 3.0, fps=5)] == [*range(0, 75, 5)]
    assert not steps["skip"]


@pytest.mark.parametrize("kind", KEYED.values(), ids=KEYED)
@pytest.mark.parametrize("start", [0.0, 1.1])
def test_a_clip_of_few_pictures_is_that_of_all_thinned_out(
    kind: dict[str, Any], start: float
) -> None:
    recording = made(times=steady(4), **kind)
    few = list(clip(recording, start, 9.0, fps=6))
    cells = {
        int((frame.time - start) * 6 + 1e-6): frame
        for frame in reversed(list(clip(recording, start, 9.0)))
    }
    kept = [cells[cell] for cell in sorted(cells)]
    assert [frame.time for frame in few] == [frame.time for frame in kept]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(few, kept, strict=True))


def test_a_clip_leaves_out_pictures_that_neither_it_nor_others_need(steps: Counter[str]) -> None:
    recording = made(times=steady(4), options=X264)
    steps.clear()
    assert len(list(clip(recording, 0.0, 9.0, fps=5))) == 20
    assert steps["skip"] >= 60
    assert steps.total() == 100


def test_layers_are_read_from_the_parameter_sets() -> None:
    class Context:
        name = "hevc"
        extradata: bytes | None = None

    context = Context()
    assert has_layers(context), "unknown: better not skipped"
    context.extradata = b"\0\0\0\1\x40\x01\x0c\x01\xff\xff\x01"
    assert not has_layers(context)
    context.extradata = b"\0\0\0\1\x40\x01\x0c\x05\xff\xff\x01"
    assert has_layers(context)
    context.name = "h264"
    assert not has_layers(context)


@pytest.mark.parametrize("bf", ["0", "3"])
def test_h264_in_avi_whose_packets_have_no_presentation_times(bf: str) -> None:
    content = io.BytesIO()
    write_clip(content, times=steady(4), options={**X264, "bf": bf}, container="h264")
    recording = _in_avi(content.getvalue())
    at = [0.0, 0.12, 0.5, 1.9, 2.0, 2.04, 3.1, 3.96]
    frames = list(frames_at(recording, at, max_side=None))
    assert [number_of(f.pixels) for f in frames] == [0, 3, 12, 47, 50, 51, 77, 99]
    assert [f.time for f in frames] == pytest.approx(
        [0, 0.12, 0.48, 1.88, 2, 2.04, 3.08, 3.96], abs=2e-3
    )
    assert [number_of(f.pixels) for f in clip(recording, 1.0, 2.4)] == list(range(25, 60))
    assert numbers(recording, [1.0, 3.0], mode="keyframes") == [0, 50]


def _in_avi(elementary: bytes) -> Recording:
    """Put a bare H.264 stream into an AVI, one packet a frame, as cameras write them."""
    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(elementary), format="h264") as source,
        av.open(buffer, "w", format="avi") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.time_base, packet.duration = Fraction(1, 25), 1
            packet.pts = packet.dts = number
            packet.stream = stream
            target.mux(packet)
    return recording_of(buffer.getvalue())


@pytest.mark.parametrize("second", [1.0, 2.0], ids=["inside an interval", "at a keyframe"])
def test_pictures_cut_away_by_an_edit_list_are_never_shown(second: float) -> None:
    """What lies before that second is there to be decoded, and not to be seen."""
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(4), options=X264)
    data = bytearray(buffer.getvalue())
    with av.open(io.BytesIO(data)) as container:
        base = container.streams.video[0].time_base
    assert base is not None
    at = data.index(b"elst") + 12  # behind version, flags and the number of entries
    duration, start = struct.unpack_from(">II", data, at)
    ticks = round(second / base)
    struct.pack_into(">II", data, at, duration - round(second * 1000), start + ticks)
    recording = recording_of(bytes(data))
    first, asked = round(second * 25), [0.0, 0.5, 1.2, 1.9]
    frames = list(frames_at(recording, asked, max_side=None))
    assert [number_of(f.pixels) - first for f in frames] == [0, 12, 30, 47]
    assert [f.time for f in frames] == pytest.approx([0.0, 0.48, 1.2, 1.88], abs=2e-3)


@pytest.fixture(scope="module")
def damaged() -> Recording:
    """Five keyframe intervals of a second; the third is overwritten."""
    return recording_of(damaged_clip(5, 2.0, 3.0))


def test_frames_of_a_damaged_stretch_are_gaps_and_the_others_are_examined(
    damaged: Recording,
) -> None:
    sampling = frames_at(damaged, [k + 0.5 for k in range(5)], max_side=None)
    assert sampling.coverage.frames == 0
    assert [number_of(f.pixels) for f in sampling] == [12, 37, 87, 112]
    coverage = sampling.coverage
    assert coverage.frames == 4
    assert [(g.start, g.end, g.reason) for g in coverage.gaps] == [
        (pytest.approx(2.48), pytest.approx(2.52), "damaged")
    ]
    assert coverage.seconds == pytest.approx(4 * 0.04)


def test_a_keyframe_that_is_damaged_gives_no_picture(damaged: Recording) -> None:
    at = [k + 0.5 for k in range(5)]
    assert numbers(damaged, at, mode="keyframes") == [0, 25, 75, 100]


def test_coverage_is_right_at_every_moment(damaged: Recording) -> None:
    sampling = frames_at(damaged, [k + 0.5 for k in range(5)], max_side=None)
    for given_, frame in enumerate(sampling, start=1):
        coverage = sampling.coverage
        assert coverage.frames == given_
        assert coverage.examined[-1][0] == frame.time
        assert len(coverage.gaps) == (frame.time > 3)


def test_many_damaged_intervals_cost_each_at_most_one_more_decoding(
    damaged: Recording, steps: Counter[str]
) -> None:
    assert len(numbers(damaged, [k / 10 for k in range(50)])) == 40
    assert steps["unplanned"] <= 3


def test_a_closed_sampling_gives_nothing_more(damaged: Recording) -> None:
    with frames_at(damaged, [0.0, 1.0], max_side=None) as sampling:
        next(sampling)
    assert list(sampling) == []
    assert sampling.coverage.frames == 1


def test_an_unknown_mode_is_refused(damaged: Recording) -> None:
    with pytest.raises(ValueError, match="mode"):
        frames_at(damaged, [0.0], max_side=None, mode="fast")  # type: ignore[arg-type]


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_stream_the_frame_is_the_one_on_screen(data: st.DataObject) -> None:
    """Any keyframe interval, B-frames, distances of pictures, and asked times."""
    gaps = data.draw(st.lists(st.sampled_from([1, 1, 1, 2, 7]), min_size=3, max_size=40))
    times = [0.0, *(float(t) / 25 for t in np.cumsum(gaps))]
    options = {
        "g": str(data.draw(st.integers(1, 30))),
        "bf": str(data.draw(st.integers(0, 4))),
        "preset": "ultrafast",
        "x264-params": f"open-gop={data.draw(st.integers(0, 1))}:b-pyramid=normal",
    }
    container = data.draw(st.sampled_from(["mp4", "matroska"]))
    recording = made(times=times, options=options, container=container, size=(96, 64))
    at = data.draw(st.lists(st.floats(0, times[-1] + 1), min_size=1, max_size=12))
    # Matroska rounds to milliseconds: times so near to a change of pictures prove nothing.
    at = [t for t in at if all(abs(t - change) > 2e-3 for change in times)]
    expected = sorted({bisect_right(times, t) - 1 for t in at})
    frames = list(frames_at(recording, at, max_side=None))
    assert [number_of(f.pixels) for f in frames] == expected
    assert [f.time for f in frames] == pytest.approx([times[k] for k in expected], abs=2e-3)


def test_sampled_pictures_are_those_of_a_full_decode_to_the_bit(tmp_path: Path) -> None:
    def moving(pixels: np.ndarray[Any, Any], number: int) -> None:
        pixels[40:80, number % 100 : number % 100 + 40] = 250 - number

    path = tmp_path / "clip.mp4"
    options = {**X264, "x264-params": "weightb=1:ref=4:b-pyramid=normal"}
    write_clip(path, times=steady(4), options=options, paint=moving)
    with av.open(str(path)) as container:
        full = [
            f.reformat(format="rgb24", interpolation="AREA").to_ndarray()
            for f in container.decode(video=0)
        ]
    for frame in frames_at(recording_of(path), [k / 7 for k in range(28)], max_side=None):
        assert np.array_equal(frame.pixels, full[round(frame.time * 25)])
    assert number_of(numbered(5)) == 5


def test_what_a_decoder_makes_up_behind_damage_is_not_given() -> None:
    # The keyframe at 2 s stays whole, what follows it for a fifth of a second does not.
    recording = recording_of(damaged_clip(5, 2.2, 2.4))
    sampling = frames_at(recording, [1.5, 2.08, 2.8, 3.5], max_side=None)
    assert [number_of(f.pixels) for f in sampling] == [37, 52, 87]
    assert [g.start for g in sampling.coverage.gaps] == [pytest.approx(2.8)]


@pytest.mark.parametrize("container", ["mp4", "avi"])
def test_pictures_of_which_a_part_is_made_up_are_a_gap(container: str) -> None:
    """MPEG-4 decodes the first half of a picture, makes up the other and reports no error."""
    buffer = io.BytesIO()
    options = {"g": "25", "bf": "2"}
    write_clip(buffer, times=steady(6), codec="mpeg4", container=container, options=options)
    data = bytearray(buffer.getvalue())
    with av.open(io.BytesIO(bytes(data))) as opened:
        packets = [(packet.pos, packet.size) for packet in opened.demux(video=0) if packet.size]
    for position, size in packets[55:95]:
        data[position + size // 2 : position + size] = bytes(size - size // 2)
    sampling = frames_at(recording_of(bytes(data)), steady(6), max_side=None)
    whole = {frame.time: frame for frame in clip(recording_of(buffer.getvalue()), 0, 9)}
    frames = list(sampling)
    assert all(np.array_equal(frame.pixels, whole[frame.time].pixels) for frame in frames)
    assert len(frames) > 100
    ((start, end),) = [(gap.start, gap.end) for gap in sampling.coverage.gaps]
    assert 2.0 <= start <= 2.3
    assert 3.7 <= end <= 4.1
