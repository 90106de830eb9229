"""How figures hold themselves. Lengths in body heights, ``y`` up from the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float]

_STANCE = 0.6  # share of a stride in which a foot stands on the ground
_STRIDE, _RUN_STRIDE = 0.95, 0.62  # seconds for two steps


@dataclass(frozen=True, kw_only=True)
class Pose:
    """A figure, seen from the side.

    Attributes:
        facing: Where it looks: 1 to the right, -1 to the left; between them while it turns.
        hip: The hip, from the ground point below the figure.
        lean: How far the upper body leans forward, in radians.
        near_foot: The ankle on the camera's side.
        far_foot: The other one.
        near_hand: The hand on the camera's side, from the shoulder.
        far_hand: The other one.
    """

    facing: float
    hip: Point
    lean: float
    near_foot: Point
    far_foot: Point
    near_hand: Point
    far_hand: Point


def blend(one: Pose, other: Pose, share: float) -> Pose:
    """Return a pose between two: the first at 0, the second at 1."""

    def number(a: float, b: float) -> float:
        return (1.0 - share) * a + share * b

    def point(a: Point, b: Point) -> Point:
        return number(a[0], b[0]), number(a[1], b[1])

    return Pose(
        facing=number(one.facing, other.facing),
        hip=point(one.hip, other.hip),
        lean=number(one.lean, other.lean),
        near_foot=point(one.near_foot, other.near_foot),
        far_foot=point(one.far_foot, other.far_foot),
        near_hand=point(one.near_hand, other.near_hand),
        far_hand=point(one.far_hand, other.far_hand),
    )


def walking(since: float, pace: float, facing: int) -> Pose:
    """Return a pose of somebody walking or, at a fast pace, running.

    Args:
        since: Seconds; feet on the ground do not slide when the figure moves at ``pace``.
        pace: Body heights a second.
        facing: 1 to the right, -1 to the left.
    """
    runs = pace > 1.2
    stride = _RUN_STRIDE if runs else _STRIDE
    turn = since / stride
    reach = pace * (0.35 if runs else _STANCE) * stride
    near, far = (_step(turn + half, reach, runs=runs) for half in (0.0, 0.5))
    swing = 0.19 if runs else 0.13
    arm = swing * math.sin(2.0 * math.pi * (turn + 0.15))
    low = -0.17 if runs else -0.32
    # The hip is highest when a foot stands right below it.
    bob = (0.025 if runs else 0.018) * math.cos(4.0 * math.pi * (turn - _STANCE / 2.0))
    return Pose(
        facing=facing,
        hip=(0.0, (0.50 if runs else 0.525) + bob),
        lean=0.28 if runs else 0.05,
        near_foot=(facing * near[0], near[1]),
        far_foot=(facing * far[0], far[1]),
        near_hand=(facing * (0.07 - arm), low + 0.3 * abs(arm)),
        far_hand=(facing * (0.07 + arm), low + 0.3 * abs(arm)),
    )


def _step(turn: float, reach: float, *, runs: bool) -> Point:
    """Return where a foot is: forward of the hip, and above the ground."""
    stance = 0.35 if runs else _STANCE
    share = turn % 1.0
    if share < stance:
        return reach * (0.5 - share / stance), 0.0
    swung = (share - stance) / (1.0 - stance)
    smooth = swung * swung * (3.0 - 2.0 * swung)
    lift = (0.24 if runs else 0.07) * math.sin(math.pi * swung) * (1.2 - 0.6 * swung)
    return reach * (smooth - 0.5), lift


def fighting(time: float, facing: int) -> Pose:
    """Return a pose of somebody who grapples with, pushes and hits somebody in front."""
    phase = 0.0 if facing > 0 else 2.1
    # Sums of incommensurable waves: jerky, and the same in each run.
    lean = 0.16 + 0.16 * math.sin(5.1 * time + phase) + 0.08 * math.sin(11.3 * time + 2 * phase)
    blow = max(0.0, math.sin(7.3 * time + 3 * phase)) ** 5
    grip = 0.04 * math.sin(9.7 * time + phase)
    front = 0.16 + 0.07 * math.sin(3.7 * time + phase)
    back = -0.20 + 0.06 * math.sin(4.9 * time + phase)
    return Pose(
        facing=facing,
        hip=(facing * 0.03 * math.sin(6.1 * time), 0.44 + 0.03 * math.sin(5.7 * time + phase)),
        lean=lean,
        near_foot=(facing * front, 0.05 * max(0.0, math.sin(5.3 * time + phase))),
        far_foot=(facing * back, 0.05 * max(0.0, math.sin(5.3 * time + phase + 3.1))),
        near_hand=(facing * (0.12 + 0.21 * blow), -0.06 + 0.14 * blow + grip),
        far_hand=(facing * (0.27 + grip), -0.09 + 2 * grip),
    )


def lying(facing: int) -> Pose:
    """Return a pose of somebody who has fallen over backwards and does not move."""
    return Pose(
        facing=facing,
        hip=(-0.02 * facing, 0.075),
        lean=-1.52,
        near_foot=(facing * 0.46, 0.03),
        far_foot=(facing * 0.36, 0.12),
        near_hand=(facing * 0.25, -0.03),
        far_hand=(-facing * 0.24, 0.05),
    )
