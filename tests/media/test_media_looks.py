"""What a whole video looks like, from its keyframes."""

import io

import numpy as np
import pytest
from footage import recording_of, steady, write_clip

from mmcrime.config import Limits
from mmcrime.media import open_media
from mmcrime.media.frames import frames_at
from mmcrime.media.looks import looks_of
from mmcrime.media.similar import alike, look_of
from mmcrime.media.timeline import Recording

ENCODINGS = {
    "h264": {"options": {"g": "50", "bf": "3"}},
    "h264 open GOP": {"options": {"g": "50", "bf": "3", "x264-params": "open-gop=1"}},
    "hevc open GOP": {
        "codec": "libx265",
        "options": {"x265-params": "keyint=50:open-gop=1:log-level=none"},
    },
    "vp9": {
        "codec": "libvpx-vp9",
        "container": "webm",
        "options": {"g": "40", "deadline": "realtime", "cpu-used": "8"},
    },
    "mpeg4 without presentation times": {
        "codec": "mpeg4",
        "container": "avi",
        "options": {"g": "30", "bf": "2"},
    },
    "all keyframes": {"codec": "mjpeg", "container": "avi", "pixel_format": "yuvj420p"},
    "few keyframes": {"options": {"g": "250", "bf": "3"}},
}


def made(limits: Limits | None = None, **options: object) -> Recording:
    buffer = io.BytesIO()
    write_clip(buffer, **options)  # type: ignore[arg-type]
    return recording_of(buffer.getvalue(), limits=limits)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_looks_are_those_of_the_frames_at_their_times_every_few_seconds(
    encoding: dict[str, object],
) -> None:
    recording = made(times=steady(7), **encoding)
    looks = looks_of(recording)
    times = [look.time for look in looks]
    assert np.diff([0.0, *times, 7.0]).max() <= 3.0
    assert np.diff(times).min() >= 0.99
    shown = list(frames_at(recording, times, max_side=None))
    assert [frame.time for frame in shown] == pytest.approx(times, abs=1e-3)
    assert all(alike(look, look_of(frame)) for look, frame in zip(looks, shown, strict=True))


def test_only_keyframes_are_decoded_where_they_are_dense() -> None:
    recording = made(times=steady(7), options={"g": "50", "bf": "3"})
    assert recording.timeline.video is not None
    keyframes = recording.timeline.video.keyframes.tolist()
    assert [look.time for look in looks_of(recording)] == pytest.approx(keyframes)


def test_looks_end_at_the_duration_limit() -> None:
    limits = Limits(max_duration=4.5)
    for options in ({"g": "25"}, {"g": "250"}):
        looks = looks_of(made(limits, times=steady(7), options=options))
        assert [look.time for look in looks][-1] < 4.5


def test_what_lies_before_and_behind_damage_has_looks() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(8), options={"g": "50", "bf": "0"}, container="matroska")
    content = bytearray(buffer.getvalue())
    middle = len(content) // 2
    content[middle : middle + len(content) // 6] = bytes(len(content) // 6)
    left = looks_of(recording_of(bytes(content)))
    assert left[0].time == 0.0
    assert 7.0 < left[-1].time < 8.0


def test_sound_has_no_looks() -> None:
    assert looks_of(made(sound=np.zeros(48_000, dtype=np.float32))) == ()


def test_a_distance_between_looks_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="every"):
        looks_of(made(times=steady(1)), every=0.0)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_the_scan_for_motion_leaves_looks_as_good_as_those_decoded_for_themselves(
    encoding: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(7), **encoding)  # type: ignore[arg-type]
    with open_media(buffer.getvalue()) as handle:
        handle.motion()
        with monkeypatch.context() as patch:
            patch.setattr("mmcrime.media.handle.looks_of", lambda _: pytest.fail("decoded again"))
            looks = handle.looks()
        shown = list(handle.frames([look.time for look in looks]))
    times = [look.time for look in looks]
    assert np.diff([0.0, *times, 7.0]).max() <= 3.0
    assert np.diff(times).min() >= 0.99
    assert [frame.time for frame in shown] == pytest.approx(times, abs=1e-3)
    assert all(alike(look, look_of(frame)) for look, frame in zip(looks, shown, strict=True))


def test_a_scan_for_motion_that_was_stopped_leaves_no_looks() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(7))
    with open_media(buffer.getvalue()) as handle:
        handle.motion(stop=lambda time: time > 3)
        assert handle.looks()[-1].time > 4
