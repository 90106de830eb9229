"""Whether two pictures show the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmcrime.evidence import Frame
from mmcrime.media.similar import COLUMNS, ROWS, alike, look_of, nearest

SIZE = (576, 768)


def scene(seed: int = 1) -> NDArray[np.uint8]:
    """Return a coloured picture of soft patches."""
    patches = np.random.default_rng(seed).integers(30, 200, (9, 12, 3), dtype=np.uint8)
    return patches.repeat(64, axis=0).repeat(64, axis=1)


def frame(pixels: NDArray[np.uint8], time: float = 0.0) -> Frame:
    return Frame(time=time, pixels=pixels)


@given(st.integers(0, 700), st.integers(0, 500), st.sampled_from([-60, 60]))
def test_a_person_far_away_makes_another_picture(left: int, top: int, darker: int) -> None:
    """Somebody of 1/500 of the picture, 60 grey levels from what is behind."""
    pixels = np.full((*SIZE, 3), 120, dtype=np.uint8)
    there = pixels.copy()
    there[top : top + 40, left : left + 22] = 120 + darker
    assert not alike(look_of(frame(pixels)), look_of(frame(there)))


@settings(max_examples=8)  # noise for a whole picture takes time to draw
@given(st.integers(0, 1000), st.sampled_from([-25, -8, 8, 25]))
def test_noise_and_a_change_of_the_light_make_no_other_picture(seed: int, light: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 5, (*SIZE, 3))
    changed = np.clip(scene().astype(np.float32) + noise + light, 0, 255).astype(np.uint8)
    assert alike(look_of(frame(scene())), look_of(frame(changed)))


def test_other_scenes_are_other_pictures() -> None:
    assert not alike(look_of(frame(scene(1))), look_of(frame(scene(2))))


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (2000, 30), (120, 160), (1080, 1920)])
@pytest.mark.parametrize("depth", [(), (3,)])
def test_pictures_of_any_size_have_a_look(size: tuple[int, int], depth: tuple[int, ...]) -> None:
    look = look_of(frame(np.full((*size, *depth), 90, dtype=np.uint8), time=4.5))
    assert look.levels.shape == (ROWS, COLUMNS)
    assert look.levels.dtype == np.uint8
    assert set(look.levels.ravel().tolist()) == {90}
    assert look.time == 4.5


def test_a_grey_and_a_coloured_frame_of_the_same_picture_are_alike() -> None:
    red, green, blue = (scene()[..., channel].astype(np.float32) for channel in range(3))
    grey = (0.299 * red + 0.587 * green + 0.114 * blue).astype(np.uint8)
    assert alike(look_of(frame(scene())), look_of(frame(grey)))


def test_the_nearest_is_the_one_most_alike_and_none_if_all_differ() -> None:
    same = look_of(frame(scene(1), time=1.0))
    noisy = look_of(frame(np.clip(scene(1) + np.uint8(0), 0, 255), time=2.0))
    noisy.levels[0, 0] += 5
    other = look_of(frame(scene(2), time=3.0))
    assert nearest(look_of(frame(scene(1))), [other, noisy, same]) is same
    assert nearest(look_of(frame(scene(3))), [other, noisy, same]) is None
    assert nearest(same, []) is None
