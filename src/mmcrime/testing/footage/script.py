"""What happens in the scene and when: who stands where in which pose. Times in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mmcrime.testing.footage.poses import Pose, blend, fighting, lying, walking

SECONDS: Final = 60
FPS: Final = 15
WIDTH: Final = 640
HEIGHT: Final = 360
RATE: Final = 16_000
"""Sound samples a second."""

WALKERS: Final = ((5.0, 12.0), (17.0, 24.0), (29.0, 32.0))
"""When figures walk: one alone, two who pass each other harmlessly, two who meet."""
STRUGGLE: Final = (32.0, 40.0)
"""When the two who met struggle."""
BANG: Final = 38.5
"""When the impulsive sound starts."""
RUNNING: Final = (40.0, 41.5)
"""When one of them runs off."""
LYING: Final = (40.0, 60.0)
"""When the other one lies on the ground."""
SIREN: Final = (46.0, 60.0)
"""When a siren is heard, ever louder."""
STILL: Final = ((0.0, 5.0), (12.0, 17.0), (24.0, 29.0), (41.5, 60.0))
"""When nothing moves but the clock and the camera's noise."""

_FALL = (39.2, 40.0)
_MEET = 334.0  # the column where the two meet
_NEAR = 274.0  # the row on which they stand
_PACE, _RUN = 0.8, 2.0  # body heights a second: 1.4 m/s and 3.5 m/s


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One figure in one frame.

    Attributes:
        x: Column of the ground point below it, in pixels.
        y: Row of that point; the nearer to the camera, the lower in the picture.
        pose: How it holds itself.
        coat: RGB, 0 to 255.
        trousers: RGB, 0 to 255.
    """

    x: float
    y: float
    pose: Pose
    coat: tuple[int, int, int]
    trousers: tuple[int, int, int]


_GREY = {"coat": (128, 126, 118), "trousers": (52, 54, 60)}
_OLIVE = {"coat": (98, 108, 70), "trousers": (44, 44, 48)}
_WINE = {"coat": (132, 52, 58), "trousers": (40, 42, 56)}
_RUST = {"coat": (168, 84, 52), "trousers": (46, 48, 54)}
_BLUE = {"coat": (66, 98, 158), "trousers": (58, 54, 50)}


def height(row: float) -> float:
    """Return how tall a figure is that stands on ``row``, in pixels."""
    return 0.64 * (row - 40.0)


def cast(time: float) -> list[Actor]:
    """Return the figures at a time, the farthest first."""
    return sorted(_figures(time), key=lambda actor: actor.y)


def _figures(time: float) -> Iterator[Actor]:
    alone, passing, meeting = WALKERS
    if alone[0] <= time < alone[1]:
        yield _walker(time - alone[0], -30.0, 1, 236.0, _GREY)
    elif passing[0] <= time < passing[1]:
        yield _walker(time - passing[0], -30.0, 1, 262.0, _OLIVE)
        yield _walker(time - passing[0], 670.0, -1, 240.0, _WINE)
    elif meeting[0] <= time < meeting[1]:
        left = meeting[1] - time  # walking backwards from where they meet
        yield _walker(-left, _MEET - 28.0, 1, _NEAR, _RUST)
        yield _walker(-left, _MEET + 28.0, -1, _NEAR, _BLUE)
    elif time >= STRUGGLE[0]:
        yield from _struggle(time)


def _walker(
    since: float, x: float, facing: int, y: float, clothes: dict[str, tuple[int, int, int]]
) -> Actor:
    place = x + facing * _PACE * since * height(y)
    return Actor(x=place, y=y, pose=walking(since, _PACE, facing), **clothes)


def _struggle(time: float) -> Iterator[Actor]:
    falling = _eased(time, _FALL)
    sway = _sway(min(time, _FALL[1])) * _eased(time, (STRUGGLE[0], STRUGGLE[0] + 0.5))
    down = blend(_fighter(time, -1), lying(facing=-1), falling)
    yield Actor(x=_MEET + 28.0 + sway + 26.0 * falling, y=_NEAR - 2.0, pose=down, **_BLUE)
    x = _MEET - 28.0 + sway
    if time < RUNNING[0]:
        yield Actor(x=x, y=_NEAR, pose=_fighter(time, 1), **_RUST)
    elif time < RUNNING[1]:
        since = time - RUNNING[0]
        pose = blend(_fighter(time, 1), walking(since, _RUN, -1), _eased(since, (0.0, 0.4)))
        gone = _RUN * max(0.0, since - 0.2) * height(_NEAR)
        yield Actor(x=x - gone, y=_NEAR, pose=pose, **_RUST)


def _fighter(time: float, facing: int) -> Pose:
    came = walking(0.0, _PACE, facing)
    share = _eased(time, (STRUGGLE[0], STRUGGLE[0] + 0.5))
    return blend(came, fighting(time, facing), share)


def _sway(time: float) -> float:
    """Return how far the two have pushed each other, in pixels."""
    return 26.0 * math.sin(2.9 * time) + 13.0 * math.sin(7.1 * time + 1.0)


def _eased(time: float, span: tuple[float, float]) -> float:
    """Return 0 before the span, 1 after it and a smooth way between them."""
    share = min(1.0, max(0.0, (time - span[0]) / (span[1] - span[0])))
    return share * share * (3.0 - 2.0 * share)
