"""One motion score a second: small movers are seen, flicker and noise are not."""

import io

import av
import numpy as np
import pytest
from footage import clicks, recording_of, steady, write_clip
from numpy.typing import NDArray

from mmcrime.config import Limits
from mmcrime.evidence import Gap
from mmcrime.media.motion import MotionScan, motion_scan

SIZE = (320, 240)
FPS = 12.5
GOP = {"g": "25", "bf": "2", "preset": "veryfast"}
STILL = 0.04  # twice the largest score of the still clips below
MOVING = 0.08


def scanned(paint: object, seconds: float = 4, **options: object) -> MotionScan:
    buffer = io.BytesIO()
    write_clip(
        buffer,
        times=steady(seconds, FPS),
        size=SIZE,
        options=GOP,
        paint=paint,  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )
    return motion_scan(recording_of(buffer.getvalue()))


def scene(pixels: NDArray[np.uint8], _: int) -> None:
    """A still scene with structure."""
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    pixels[:] = (110 + 50 * np.sin(rows / 9) * np.cos(columns / 13))[:, :, None]


def small_mover(pixels: NDArray[np.uint8], number: int) -> None:
    """A bright square of 1 % of the picture crosses during the third second."""
    scene(pixels, number)
    if 25 <= number < 38:
        x = (number - 25) * 20
        pixels[100:128, x : x + 28] = 230


def flicker(pixels: NDArray[np.uint8], number: int) -> None:
    scene(pixels, number)
    pixels[:] = np.clip(pixels.astype(int) + (12 if number % 3 else -12), 0, 255)


def noise(pixels: NDArray[np.uint8], number: int) -> None:
    scene(pixels, number)
    grain = np.random.default_rng(number).normal(0, 6, pixels.shape)
    pixels[:] = np.clip(pixels + grain, 0, 255)


def test_a_still_scene_is_still() -> None:
    scan = scanned(scene)
    assert scan.curve.times == (0.0, 1.0, 2.0, 3.0)
    assert max(scan.curve.scores) < STILL


@pytest.mark.parametrize("paint", [flicker, noise], ids=["flicker", "noise"])
def test_a_change_of_the_whole_picture_is_not_motion(paint: object) -> None:
    assert max(scanned(paint).curve.scores) < STILL


def test_a_mover_of_one_percent_is_seen_when_it_moves() -> None:
    scores = scanned(small_mover).curve.scores
    assert scores[2] > MOVING
    assert scores[0] < STILL
    assert scores[1] < STILL


def test_the_whole_video_is_covered() -> None:
    scan = scanned(scene)
    assert scan.coverage.examined == ((0.0, pytest.approx(4.0)),)
    assert scan.coverage.gaps == ()
    assert scan.coverage.frames >= 4 * 2


def test_a_picture_that_stays_for_long_is_covered() -> None:
    """One picture is on screen for ten seconds, as in a slide show."""
    buffer = io.BytesIO()
    write_clip(buffer, times=[0.0, 0.5, 1.0, 11.0, 11.5], options={"g": "1"})
    scan = motion_scan(recording_of(buffer.getvalue()))
    assert scan.coverage.gaps == ()
    assert 11.0 in scan.curve.times


def test_a_damaged_stretch_is_a_gap() -> None:
    buffer = io.BytesIO()
    options = {"g": "25", "keyint_min": "25", "bf": "0", "sc_threshold": "0"}
    write_clip(buffer, times=steady(6), options=options)
    data = bytearray(buffer.getvalue())
    with av.open(io.BytesIO(data)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for position, size in spans[50:100]:
        data[position : position + size] = b"\xff" * size
    scan = motion_scan(recording_of(bytes(data)))
    (gap,) = scan.coverage.gaps
    assert gap.reason == "damaged"
    assert (gap.start, gap.end) == pytest.approx((2.0, 4.0), abs=0.3)
    assert scan.coverage.seconds == pytest.approx(4.0, abs=0.5)
    assert 3.0 not in scan.curve.times


def test_what_lies_past_the_duration_limit_is_stated() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(4), options=GOP)
    scan = motion_scan(recording_of(buffer.getvalue(), limits=Limits(max_duration=2.0)))
    assert scan.coverage.gaps == (Gap(start=2.0, end=pytest.approx(4.0), reason="over_limit"),)
    assert max(scan.curve.times) < 2.0


def test_a_video_of_one_picture_has_coverage_and_no_curve() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=[0.0])
    scan = motion_scan(recording_of(buffer.getvalue()))
    assert scan.curve.scores == ()
    assert scan.coverage.frames == 1


def test_sound_alone_has_no_motion() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, sound=clicks(1, [0.5]))
    scan = motion_scan(recording_of(buffer.getvalue()))
    assert scan.curve.scores == ()
    assert scan.coverage.examined == ()


def test_a_scan_that_is_told_to_stop_keeps_what_it_saw_and_says_so() -> None:
    target = io.BytesIO()
    write_clip(target, times=steady(8.0))
    asked = iter(range(1000))
    scan = motion_scan(recording_of(target.getvalue()), stop=lambda _: next(asked) > 12)
    assert 0.5 < scan.coverage.seconds < 6.0
    (gap,) = scan.coverage.gaps
    assert (gap.reason, gap.end) == ("deadline", pytest.approx(8.0, abs=0.1))
    assert gap.start == pytest.approx(scan.coverage.examined[-1][1])
