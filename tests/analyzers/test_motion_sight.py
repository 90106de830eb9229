"""Tests for `mmcrime.analyzers.motion_sight`."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrime.analyzers.motion_sight import DETAIL, detail, shows_nothing


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([(90, 160), (120, 160), (160, 90), (48, 64)]),
    grain=st.floats(0.3, 30.0),
    wanted=st.floats(0.2, 2 * DETAIL),
)
def test_the_short_cut_decides_as_the_detail_does(
    seed: int, size: tuple[int, int], grain: float, wanted: float
) -> None:
    drawn = np.random.default_rng(seed).normal(size=size)
    drawn = cv2.GaussianBlur(drawn, (0, 0), grain)
    for spread in (wanted, 4 * wanted, 20 * wanted):
        levels = 128 + spread * (drawn - drawn.mean()) / drawn.std()
        pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        assert shows_nothing(pixels) == (detail(pixels) < DETAIL)
