"""Channels made fit to be mixed: numbers only, and none that cancel."""

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmcrime.media.mixing import Mixer

RATE = 8_000
NOISE = 0.3 * np.random.default_rng(5).standard_normal(RATE)


def chunk(samples: Any, form: str, layout: str = "stereo") -> av.AudioFrame:
    """Return rows of samples in -1..1 as a frame of a format."""
    rows = np.asarray(samples)
    if form.startswith("u8"):
        rows = (rows * 127 + 128).astype(np.uint8)
    elif form.startswith("s"):
        kind = {"s16": np.int16, "s32": np.int32}[form.removesuffix("p")]
        rows = (rows * (np.iinfo(kind).max - 1)).astype(kind)
    else:
        rows = rows.astype(np.float64 if form.startswith("dbl") else np.float32)
    flat = rows if form.endswith("p") else rows.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(flat), format=form, layout=layout)
    frame.sample_rate = RATE
    return frame


def rows_of(frame: av.AudioFrame) -> NDArray[Any]:
    samples: NDArray[Any] = frame.to_ndarray()
    count = frame.layout.nb_channels
    return samples if frame.format.is_planar else samples.reshape(-1, count).T


FORMATS = ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"]


@pytest.mark.parametrize("form", FORMATS)
def test_alike_channels_are_left_as_they_are(form: str) -> None:
    frame = chunk([NOISE / 2, NOISE / 4], form)
    assert Mixer().ready(frame) is frame


@pytest.mark.parametrize("form", FORMATS)
def test_the_louder_of_channels_that_cancel_stands_in_for_both(form: str) -> None:
    frame = chunk([-0.5 * NOISE, 0.52 * NOISE], form)
    before = rows_of(frame).copy()
    after = rows_of(Mixer().ready(frame))
    assert np.array_equal(after, [before[1], before[1]])


@pytest.mark.parametrize(
    ("form", "layout"),
    [
        *(("flt", layout) for layout in ("mono", "stereo", "5.1", "7.1.4")),
        *(("fltp", layout) for layout in ("mono", "stereo", "5.1")),
        ("dbl", "stereo"),
    ],
)
def test_samples_that_are_no_numbers_become_silence(form: str, layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    rows = np.tile(NOISE, (channels, 1))
    rows[0, 10], rows[-1, 20], rows[0, 30] = np.nan, np.inf, -np.inf
    after = rows_of(Mixer().ready(chunk(rows, form, layout)))
    assert after[0, 10] == after[-1, 20] == after[0, 30] == 0
    rows[0, 10] = rows[-1, 20] = rows[0, 30] = 0
    assert np.allclose(after, rows, atol=1e-6)


def test_silence_changes_nothing() -> None:
    mixer, quiet = Mixer(), chunk(np.zeros((2, RATE)), "s16")
    assert mixer.ready(quiet) is quiet
    assert rows_of(mixer.ready(chunk([NOISE, -NOISE], "s16")))[0].any()
    assert not rows_of(mixer.ready(quiet)).any()


@given(
    levels=st.lists(st.floats(-1, 1), min_size=2, max_size=6),
    form=st.sampled_from(["s16", "s16p", "fltp"]),
    turns=st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_chunks_keep_their_shape_and_stay_between_their_channels(
    levels: list[float], form: str, turns: list[bool]
) -> None:
    """Whatever the channels do, no sample leaves the range that they span."""
    mixer, layout = Mixer(), f"{len(levels)} channels"
    for turn in turns:
        rows = np.outer(levels, np.clip(NOISE[:1000], -0.9, 0.9))
        rows[1::2] *= -1 if turn else 1
        frame = chunk(rows, form, layout)
        given_rows = rows_of(frame).astype(np.float64)
        after = mixer.ready(frame)
        assert (after.samples, after.sample_rate, after.format.name, after.layout.name) == (
            frame.samples, RATE, form, frame.layout.name if len(levels) < 3 else "mono",
        )  # fmt: skip
        found = rows_of(after).astype(np.float64)
        slack = 1 if form.startswith("s") else 1e-6
        assert (found <= given_rows.max(axis=0) + slack).all()
        assert (found >= given_rows.min(axis=0) - slack).all()


@pytest.mark.parametrize(
    "layout",
    ["3 channels", "6 channels", "9 channels", "10 channels", "2.1", "5.1", "7.1", "5.1.4"],
)
def test_whichever_channel_sounds_is_heard(layout: str) -> None:
    """FFmpeg leaves the channel for low frequencies out of a mix, and takes the fourth for it."""
    for alone in range(av.AudioLayout(layout).nb_channels):
        rows = np.zeros((av.AudioLayout(layout).nb_channels, RATE))
        rows[alone] = NOISE / 2
        mixed = av.AudioResampler("s16", "mono", RATE).resample(
            Mixer().ready(chunk(rows, "s16", layout))
        )
        heard = np.concatenate([frame.to_ndarray()[0] for frame in mixed]) / 32768
        assert np.corrcoef(heard, NOISE[: len(heard)])[0, 1] > 0.99
        assert heard.std() > NOISE.std() / 40  # by the mean of ten, half as loud
