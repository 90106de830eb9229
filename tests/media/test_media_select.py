"""The frames that matter most, within a limit, without near-duplicates."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from footage import steady, write_clip
from numpy.typing import NDArray

from mmcrime.errors import MediaError
from mmcrime.evidence import Frame, MotionCurve, SoundEvent
from mmcrime.media import FrameSelection, MediaHandle, open_media, select_frames

FPS = 10.0
SIZE = (160, 120)
Painter = Callable[[NDArray[np.uint8], int], None]


def empty(pixels: NDArray[np.uint8], _: int) -> None:
    """A still scene: the number that the clip's maker writes is painted over."""
    pixels[:] = np.linspace(60, 180, pixels.shape[1], dtype=np.uint8)[None, :, None]


def passer_by(start: float, end: float) -> Painter:
    """Somebody of a fifth of the picture's height who walks from left to right."""

    def paint(pixels: NDArray[np.uint8], number: int) -> None:
        empty(pixels, number)
        share = (number / FPS - start) / (end - start)
        if 0 <= share < 1:
            left = int(share * (pixels.shape[1] - 12))
            pixels[60:84, left : left + 12] = 20

    return paint


def video(seconds: float, paint: Painter, *, gop: int = 20) -> bytes:
    buffer = io.BytesIO()
    options = {"g": str(gop), "bf": "2", "sc_threshold": "0"}
    write_clip(buffer, times=steady(seconds, FPS), size=SIZE, paint=paint, options=options)
    return buffer.getvalue()


def times(selection: FrameSelection) -> list[float]:
    return [one.frame.time for one in selection.frames]


@pytest.fixture(scope="module")
def street() -> bytes:
    """40 s, and somebody passes from 21 s to 27 s."""
    return video(40, passer_by(21, 27))


def test_the_passer_by_is_chosen_and_the_empty_street_once(street: bytes) -> None:
    selection = select_frames(street, frames=4)
    chosen = [(one.frame.time, one.reason) for one in selection.frames]
    assert sum(21 <= time < 27 for time, _ in chosen) == 3
    assert any(reason == "motion" for time, reason in chosen if 21 <= time < 27)
    assert len(chosen) == 4


def test_a_still_scene_is_one_frame_and_what_was_left_out_is_said() -> None:
    selection = select_frames(video(20, empty), frames=5)
    assert len(selection.frames) == 1
    assert selection.budget == 5
    assert len(selection.dropped) == 9  # twice the budget was looked at
    assert {one.like for one in selection.dropped} == {selection.frames[0].frame.time}
    assert selection.undecoded == ()


def test_no_chosen_frame_shows_what_another_shows(street: bytes) -> None:
    selection = select_frames(street, frames=12)
    pictures = [one.frame.decode().pixels.astype(int) for one in selection.frames]
    assert len(pictures) > 3
    for k, one in enumerate(pictures):
        assert all(np.abs(one - other).max() > 30 for other in pictures[:k])


def test_a_budget_of_tokens_is_a_number_of_frames(street: bytes) -> None:
    by_tokens = select_frames(street, tokens=1100, tokens_per_frame=258)
    assert by_tokens.budget == 4
    assert times(by_tokens) == times(select_frames(street, frames=4))


def test_frames_of_a_bang_stay_although_the_picture_does_not_change() -> None:
    bang = SoundEvent(start=7.0, end=7.4, peak=7.1, label="impulsive", score=0.9)
    selection = select_frames(video(20, empty), frames=6, sounds=[bang])
    heard = [one for one in selection.frames if one.reason == "sound"]
    assert [one.asked for one in heard] == [pytest.approx(7.1)]
    assert heard[0].frame.time == pytest.approx(7.1, abs=0.05)


def test_what_a_bang_changes_is_shown_densely() -> None:
    bang = SoundEvent(start=7.0, end=7.4, peak=7.1, label="impulsive", score=0.9)
    selection = select_frames(video(20, passer_by(6, 10)), frames=12, sounds=[bang])
    heard = [one.asked for one in selection.frames if one.reason == "sound"]
    assert heard == pytest.approx([6.6, 7.1, 7.6, 8.6])


def test_what_is_given_is_not_measured_again(
    street: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_media(street) as handle:
        motion, looks = handle.motion(), handle.looks()
        expected = times(select_frames(handle, frames=4))

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("measured again")

        monkeypatch.setattr(MediaHandle, "motion", refuse)
        monkeypatch.setattr(MediaHandle, "looks", refuse)
        assert times(select_frames(handle, frames=4, motion=motion, looks=looks)) == expected


def test_the_same_file_gives_the_same_frames(street: bytes) -> None:
    assert select_frames(street, frames=5) == select_frames(street, frames=5)


def test_frames_are_scaled_to_the_longest_side(street: bytes) -> None:
    selection = select_frames(street, frames=2, max_side=80)
    assert {(one.frame.width, one.frame.height) for one in selection.frames} == {(80, 60)}


def test_a_moment_at_which_nothing_decodes_is_said(
    street: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = MediaHandle.frames

    def damaged(self: MediaHandle, at: list[float], **how: int) -> list[Frame] | object:
        return iter([f for f in whole(self, at, **how) if not 20 <= f.time < 30])

    monkeypatch.setattr(MediaHandle, "frames", damaged)
    selection = select_frames(street, frames=4)
    assert selection.undecoded
    assert all(20 <= time < 30 for time in selection.undecoded)
    assert not any(20 <= time < 30 for time in times(selection))


def test_no_more_than_twice_the_budget_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    whole = MediaHandle.frames

    def counted(self: MediaHandle, at: list[float], **how: int) -> object:
        asked.extend(at)
        return whole(self, at, **how)

    monkeypatch.setattr(MediaHandle, "frames", counted)
    select_frames(video(20, empty), frames=5)
    assert len(set(asked)) == 10


def test_a_video_of_one_picture_gives_that_picture() -> None:
    selection = select_frames(video(0.1, empty), frames=5)
    assert times(selection) == [0.0]


def test_a_picture_gives_itself_and_sound_gives_nothing() -> None:
    assert len(select_frames(np.full((40, 60, 3), 90, dtype=np.uint8), frames=3).frames) == 1
    buffer = io.BytesIO()
    write_clip(buffer, sound=np.zeros(48_000, dtype=np.float32))
    assert select_frames(buffer.getvalue(), frames=3).frames == ()


@pytest.mark.parametrize(
    "limit",
    [
        {},
        {"frames": 0},
        {"frames": -3},
        {"frames": 3, "tokens": 100, "tokens_per_frame": 10},
        {"frames": 3, "tokens_per_frame": 10},
        {"tokens": 100},
        {"tokens_per_frame": 10},
        {"tokens": 9, "tokens_per_frame": 10},
        {"tokens": 0, "tokens_per_frame": 10},
        {"tokens": 10, "tokens_per_frame": 0},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(limit: dict[str, int], street: bytes) -> None:
    with pytest.raises(ValueError, match=r"frame|tokens"):
        select_frames(street, **limit)


def test_motion_that_covers_nothing_leaves_the_looks(street: bytes) -> None:
    selection = select_frames(street, frames=4, motion=MotionCurve())
    assert any(21 <= time < 27 for time in times(selection))


def test_an_open_handle_stays_open(street: bytes) -> None:
    with open_media(street) as handle:
        select_frames(handle, frames=1)
        assert len(list(handle.frames([1.0]))) == 1


@pytest.mark.shared
def test_hostile_media_gives_frames_or_a_typed_error(shared: Path) -> None:
    answered = refused = 0
    for path in sorted((shared / "media" / "malformed").rglob("*")):
        if path.suffix in {".csv", ".py"} or not path.is_file():
            continue
        try:
            selection = select_frames(path, frames=2, max_side=64)
        except MediaError:
            refused += 1
            continue
        assert len(selection.frames) <= 2
        answered += bool(selection.frames)
    assert answered > 20
    assert refused > 20


@pytest.mark.parametrize("count", [2.5, float("nan"), 0, -1])
def test_a_budget_is_a_whole_number(count: float) -> None:
    with pytest.raises(ValueError, match="whole number"):
        select_frames(b"", frames=count)  # type: ignore[arg-type]
