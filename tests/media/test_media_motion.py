"""One motion score a second from few pictures: movers are seen, light and noise are not."""

import io

import av
import numpy as np
import pytest
from footage import clicks, recording_of, steady, write_clip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmcrime.config import Limits
from mmcrime.evidence import Gap, MotionCurve, merge_intervals
from mmcrime.media.motion import MOVING_FROM, scan_motion

SIZE = (320, 240)
FPS = 12.5
GOP = {"g": "25", "keyint_min": "25", "sc_threshold": "0", "bf": "2", "preset": "veryfast"}


def clip(
    paint: object, seconds: float = 8, options: dict[str, str] = GOP, codec: str = "libx264"
) -> bytes:
    buffer = io.BytesIO()
    write_clip(
        buffer,
        times=steady(seconds, FPS),
        size=SIZE,
        options=options,
        codec=codec,
        paint=paint,  # type: ignore[arg-type]
    )
    return buffer.getvalue()


def moving(curve: MotionCurve) -> set[int]:
    pairs = zip(curve.times, curve.scores, strict=True)
    return {int(time) for time, score in pairs if score >= curve.moving_from}


def scene(pixels: NDArray[np.uint8], _: int) -> None:
    """A still scene with structure."""
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    pixels[:] = (110 + 50 * np.sin(rows / 9) * np.cos(columns / 13))[:, :, None]


def small_mover(pixels: NDArray[np.uint8], number: int) -> None:
    """A bright square of 1 % of the picture crosses for one keyframe interval, 3 s to 5 s."""
    scene(pixels, number)
    if 38 <= number < 63:
        x = (number - 38) * 11
        pixels[100:128, x : x + 28] = 230


def flicker(pixels: NDArray[np.uint8], number: int) -> None:
    scene(pixels, number)
    pixels[:] = np.clip(pixels.astype(int) + (12 if number % 3 else -12), 0, 255)


def dimming(pixels: NDArray[np.uint8], number: int) -> None:
    """The light fades from one side, as behind a cloud."""
    scene(pixels, number)
    shade = 1 - 0.4 * number / 100 * np.linspace(0.3, 1, SIZE[0])
    pixels[:] = pixels * shade[None, :, None]


def noise(pixels: NDArray[np.uint8], number: int) -> None:
    scene(pixels, number)
    grain = np.random.default_rng(number).normal(0, 6, pixels.shape)
    pixels[:] = np.clip(pixels + grain, 0, 255)


def rain(pixels: NDArray[np.uint8], number: int) -> None:
    scene(pixels, number)
    random = np.random.default_rng(number)
    for _ in range(60):
        x, y = random.integers(SIZE[0] - 2), random.integers(SIZE[1] - 18)
        pixels[y : y + 16, x : x + 1] = 220


def test_a_still_scene_is_still_in_every_second() -> None:
    curve = scan_motion(recording_of(clip(scene)))
    assert curve.times == tuple(float(second) for second in range(8))
    assert max(curve.scores) < curve.moving_from / 4


@pytest.mark.parametrize("paint", [flicker, dimming, noise, rain])
def test_what_changes_everywhere_is_not_motion(paint: object) -> None:
    assert moving(scan_motion(recording_of(clip(paint)))) == set()


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", GOP),
        ("libx264", GOP | {"bf": "0"}),
        ("libx264", GOP | {"g": "250", "keyint_min": "250"}),
        ("libx264", GOP | {"g": "1", "keyint_min": "1"}),
        ("libx265", {"x265-params": "keyint=25:min-keyint=25:scenecut=0:log-level=none:pools=1"}),
        ("mpeg4", {"g": "25"}),
        ("mjpeg", {}),
    ],
    ids=["h264", "no-b-frames", "one-keyframe", "all-keyframes", "hevc", "mpeg4", "mjpeg"],
)
def test_a_mover_of_one_percent_is_called_and_what_is_far_from_it_is_not(
    codec: str, options: dict[str, str]
) -> None:
    format_of = {"mjpeg": "yuvj420p"}
    buffer = io.BytesIO()
    write_clip(
        buffer,
        times=steady(8, FPS),
        size=SIZE,
        options=options,
        codec=codec,
        pixel_format=format_of.get(codec, "yuv420p"),
        paint=small_mover,
    )
    curve = scan_motion(recording_of(buffer.getvalue()))
    called = moving(curve)
    assert called & {3, 4}
    assert not called & {0, 1, 6, 7}
    assert curve.coverage.gaps == ()


@given(start=st.integers(13, 60), left=st.integers(0, 280), top=st.integers(0, 200))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_moves_for_a_keyframe_interval_is_called_in_a_second_that_it_touches(
    start: int, left: int, top: int
) -> None:
    """The interval is 25 pictures, 2 s; the mover is 1.6 % of the picture."""

    def mover(pixels: NDArray[np.uint8], number: int) -> None:
        scene(pixels, number)
        step = min(max(number - start, 0), 25)
        x = abs((left + 4 * step) % 560 - 280)
        pixels[top : top + 35, x : x + 35] = 225

    curve = scan_motion(recording_of(clip(mover)))
    touched = set(range(int(start / FPS), int((start + 25) / FPS) + 1))
    assert moving(curve) & touched


def test_only_a_part_of_the_pictures_is_decoded_and_the_rest_is_bracketed() -> None:
    curve = scan_motion(recording_of(clip(scene, seconds=16)))
    assert curve.coverage.frames < 16 * FPS / 6
    assert curve.coverage.examined == ((0.0, pytest.approx(16.0)),)
    assert 1.0 < curve.resolution <= 2.0
    assert curve.moving_from == MOVING_FROM


def test_no_more_than_two_and_a_half_seconds_are_left_out_of_a_long_interval() -> None:
    options = GOP | {"g": "75", "keyint_min": "75"}
    curve = scan_motion(recording_of(clip(scene, seconds=13, options=options)))
    assert 1.5 < curve.resolution <= 2.5
    assert curve.coverage.gaps == ()


def test_a_cut_is_told_with_its_time() -> None:
    def two_scenes(pixels: NDArray[np.uint8], number: int) -> None:
        scene(pixels, number)
        if number >= 50:
            pixels[:] = 255 - pixels[:, ::-1]
            pixels[: SIZE[1] // 2] //= 3

    curve = scan_motion(recording_of(clip(two_scenes)))
    assert curve.cuts == (pytest.approx(4.0, abs=0.1),)
    assert moving(curve) <= {4}


def test_keyframes_that_are_none_cost_a_full_pass_and_lose_nothing() -> None:
    """A file without a table of keyframes states that every picture is one."""
    data = clip(small_mover, options=GOP | {"bf": "0"}).replace(b"stss", b"free")
    curve = scan_motion(recording_of(data))
    assert moving(curve) & {3, 4}
    assert curve.coverage.gaps == ()


def test_a_picture_that_stays_for_long_is_covered() -> None:
    """One picture is on screen for ten seconds, as in a slide show."""
    buffer = io.BytesIO()
    write_clip(buffer, times=[0.0, 0.5, 1.0, 11.0, 11.5], options={"g": "1"})
    curve = scan_motion(recording_of(buffer.getvalue()))
    assert curve.coverage.gaps == ()
    assert 11.0 in curve.times


def damaged(first: int, last: int) -> MotionCurve:
    """Scan 6 s of 25 pictures a second, a keyframe a second, of which some are destroyed."""
    buffer = io.BytesIO()
    options = {"g": "25", "keyint_min": "25", "bf": "0", "sc_threshold": "0"}
    write_clip(buffer, times=steady(6), options=options)
    data = bytearray(buffer.getvalue())
    with av.open(io.BytesIO(data)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for position, size in spans[first:last]:
        data[position : position + size] = b"\xff" * size
    return scan_motion(recording_of(bytes(data)))


def test_intervals_whose_heads_are_damaged_are_a_gap() -> None:
    curve = damaged(25, 125)
    (gap,) = curve.coverage.gaps
    assert gap.reason == "damaged"
    assert gap.start <= 1.0  # nothing says what was on screen after the last look
    assert gap.end == pytest.approx(5.0)
    assert 3.0 not in curve.times


def test_what_lies_past_the_duration_limit_is_stated() -> None:
    curve = scan_motion(recording_of(clip(scene, seconds=4), limits=Limits(max_duration=2.0)))
    assert curve.coverage.gaps == (Gap(start=2.0, end=pytest.approx(4.0), reason="over_limit"),)
    assert max(curve.times) < 2.0


def test_a_video_of_one_picture_has_coverage_and_no_curve() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=[0.0])
    curve = scan_motion(recording_of(buffer.getvalue()))
    assert curve.scores == ()
    assert curve.coverage.frames == 1


def test_sound_alone_has_no_motion() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, sound=clicks(1, [0.5]))
    curve = scan_motion(recording_of(buffer.getvalue()))
    assert curve.scores == ()
    assert curve.coverage.examined == ()


def test_a_scan_that_is_told_to_stop_keeps_what_it_saw_and_says_so() -> None:
    asked = iter(range(1000))
    recording = recording_of(clip(scene, seconds=16))
    curve = scan_motion(recording, stop=lambda _: next(asked) > 6)
    assert 0.5 < curve.coverage.seconds < 10.0
    (gap,) = curve.coverage.gaps
    assert (gap.reason, gap.end) == ("deadline", pytest.approx(16.0, abs=0.1))
    assert gap.start == pytest.approx(curve.coverage.examined[-1][1])


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_file_with_any_bytes_changed_gives_a_sound_curve(data: st.DataObject) -> None:
    """Times are sorted, scores are shares, and coverage parts the span without a rest."""
    film = bytearray(FILM)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(48, len(film) // 2))
        film[at : at + 40] = data.draw(st.binary(min_size=40, max_size=40))
    recording = recording_of(bytes(film))
    curve = scan_motion(recording)
    assert list(curve.times) == sorted(set(curve.times))
    assert all(0.0 <= score <= 1.0 for score in curve.scores)
    parts = [*curve.coverage.examined, *((gap.start, gap.end) for gap in curve.coverage.gaps)]
    span = recording.timeline.video
    assert span is not None
    (whole,) = merge_intervals(parts, join=2e-3)
    assert whole == (pytest.approx(span.start, abs=2e-3), pytest.approx(span.end, abs=2e-3))
    assert sum(end - start for start, end in parts) == pytest.approx(span.end - span.start, abs=0.1)


FILM = clip(noise, seconds=4)
