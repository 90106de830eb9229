"""A small matrix: a mover of 1 % is called under every disturbance, still seconds are not.

The large one, with more sizes, speeds and codecs, is ``benchmarks/motion_matrix.py``.
"""

import io

import av
import numpy as np
import pytest
from footage import recording_of, steady, write_clip
from numpy.typing import NDArray

from mmcrime.evidence import MotionCurve
from mmcrime.media.motion import scan_motion

SIZE = (320, 240)
FPS = 12.5
START, END = 3.04, 5.04  # seconds of the movement: one keyframe interval
H264 = {"g": "25", "keyint_min": "25", "sc_threshold": "0", "preset": "veryfast"}
HEVC = {"x265-params": "keyint=25:min-keyint=25:scenecut=0:log-level=none:pools=1"}


def draw(pixels: NDArray[np.uint8], time: float) -> None:
    """A still scene; a bright square of 1 % crosses it from 3 s to 5 s."""
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    pixels[:] = (110 + 50 * np.sin(rows / 9) * np.cos(columns / 13))[:, :, None]
    if START <= time < END:
        x = round((time - START) * 140)
        pixels[100:128, x : x + 28] = 230


def disturb(kind: str, pixels: NDArray[np.uint8], number: int) -> None:
    random = np.random.default_rng(number)
    if kind == "noise":
        pixels[:] = np.clip(pixels + random.normal(0, 6, pixels.shape), 0, 255)
    elif kind == "flicker":
        pixels[:] = np.clip(pixels * (1 + 0.08 * random.uniform(-1, 1)), 0, 255)
    elif kind == "light":
        pixels[:] = pixels * (1 - 0.004 * number * np.linspace(0.3, 1, SIZE[0]))[None, :, None]
    elif kind == "rain":
        for _ in range(60):
            x, y = random.integers(SIZE[0] - 2), random.integers(SIZE[1] - 18)
            pixels[y : y + 16, x : x + 1] = 220


def scanned(
    times: list[float],
    *,
    kind: str = "none",
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    container: str = "mp4",
) -> MotionCurve:
    def paint(pixels: NDArray[np.uint8], number: int) -> None:
        draw(pixels, times[number])
        disturb(kind, pixels, number)

    buffer = io.BytesIO()
    write_clip(
        buffer,
        times=times,
        size=SIZE,
        codec=codec,
        options=options or H264,
        container=container,
        paint=paint,
    )
    return scan_motion(recording_of(buffer.getvalue()))


def check(curve: MotionCurve) -> None:
    """The movement is called where it touches, seconds far from it are not, nothing is lost."""
    pairs = zip(curve.times, curve.scores, strict=True)
    called = {int(time) for time, score in pairs if score >= curve.moving_from}
    assert called & {3, 4, 5}
    assert called <= {2, 3, 4, 5, 6}
    assert curve.coverage.gaps == ()


@pytest.mark.parametrize(
    ("kind", "codec", "options"),
    [
        ("noise", "libx264", H264 | {"bf": "0"}),
        ("noise", "libx265", HEVC),
        ("flicker", "libx264", H264 | {"bf": "3"}),
        ("flicker", "libx264", H264 | {"bf": "0", "g": "13", "keyint_min": "13"}),
        ("light", "libx264", H264 | {"bf": "2"}),
        ("light", "libx264", H264 | {"g": "250", "keyint_min": "250"}),
        ("rain", "libx264", H264 | {"bf": "2"}),
        ("rain", "libx264", {"g": "1"}),
    ],
)
def test_a_mover_is_called_under_a_disturbance_and_still_seconds_are_not(
    kind: str, codec: str, options: dict[str, str]
) -> None:
    check(scanned(steady(8, FPS), kind=kind, codec=codec, options=options))


def test_a_mover_is_called_where_the_frame_rate_varies() -> None:
    """Pictures are 40 to 200 ms apart; a second holds 5 to 15 of them."""
    spacings = np.random.default_rng(3).choice([0.04, 0.08, 0.12, 0.2], 90)
    times = np.cumsum([0.0, *spacings]).tolist()
    check(scanned([time for time in times if time < 9]))


def test_a_mover_is_called_in_an_avi_that_has_no_presentation_times() -> None:
    options = {"g": "25", "bf": "2"}
    check(scanned(steady(8, 25.0), codec="mpeg4", options=options, container="avi"))


def destroyed(*packets: int, keep: int = 5) -> MotionCurve:
    """Scan 6 s of 25 pictures a second, a keyframe a second, some packets destroyed.

    The first five bytes of a packet tell its length and whether it is a keyframe.
    """
    buffer = io.BytesIO()
    options = {"g": "25", "keyint_min": "25", "bf": "0", "sc_threshold": "0"}
    write_clip(buffer, times=steady(6), options=options)
    data = bytearray(buffer.getvalue())
    with av.open(io.BytesIO(data)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for position, size in (spans[number] for number in packets):
        data[position + keep : position + size] = b"\xff" * (size - keep)
    return scan_motion(recording_of(bytes(data)))


def test_a_head_that_does_not_decode_is_a_gap_up_to_the_next() -> None:
    (gap,) = destroyed(*range(50, 56)).coverage.gaps
    assert gap.reason == "damaged"
    assert gap.start <= 2.0
    assert gap.end == pytest.approx(3.0)


def test_a_head_that_is_not_even_known_as_one_is_a_longer_time_between_looks() -> None:
    assert destroyed(*range(50, 56), keep=0).resolution > 1.5 > destroyed().resolution


def test_what_is_destroyed_between_two_heads_is_no_gap_as_no_look_needs_it() -> None:
    curve = destroyed(*range(62, 70))
    assert curve.coverage.gaps == ()
    assert curve.coverage.examined == ((0.0, pytest.approx(6.0)),)
    assert curve.resolution < 1.0
