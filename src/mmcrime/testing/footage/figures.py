"""Draws a figure into a picture: jointed limbs, lit from above."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcrime.testing.footage.poses import Point, Pose

Picture = NDArray[np.uint8]
Colour = tuple[float, float, float]

_SKIN, _HAIR, _SHOE = (196, 156, 130), (46, 38, 34), (34, 32, 32)
_SHIFT = 4  # cv2 draws on a sixteenth of a pixel, so that slow figures do not jump


class Figure:
    """One figure at its place in a picture.

    Args:
        picture: Drawn into.
        at: The ground point below it: column, row.
        tall: Its height in pixels.
        light: What its colours are multiplied by, for red, green and blue.
    """

    def __init__(
        self, picture: Picture, at: Point, tall: float, light: NDArray[np.float64]
    ) -> None:
        self._picture, self._at, self._tall, self._light = picture, at, tall, light

    def draw(self, pose: Pose, coat: Colour, trousers: Colour) -> None:
        """Draw it in a pose, the limbs of the far side first."""
        up = (pose.facing * math.sin(pose.lean), math.cos(pose.lean))
        shoulder = _along(pose.hip, up, 0.315)
        sleeve, leg = _dark(coat, 0.62), _dark(trousers, 0.65)
        self._arm(shoulder, pose.far_hand, pose.facing, sleeve)
        self._leg(pose.hip, pose.far_foot, pose.facing, leg)
        self._leg(pose.hip, pose.near_foot, pose.facing, trousers)
        self._limb(_along(shoulder, up, -0.01), _along(shoulder, up, 0.09), 0.06, _SKIN)
        self._torso(pose.hip, shoulder, up, coat)
        self._head(_along(shoulder, up, 0.125), up, pose.facing)
        self._arm(shoulder, pose.near_hand, pose.facing, _dark(coat, 0.9))

    def _torso(self, hip: Point, shoulder: Point, up: Point, coat: Colour) -> None:
        hem = _along(hip, up, -0.035)
        self._limb(hem, _along(hip, up, 0.08), 0.135, _dark(coat, 0.8))
        self._limb(_along(hip, up, 0.06), _along(shoulder, up, -0.035), 0.165, coat)

    def _head(self, centre: Point, up: Point, facing: float) -> None:
        angle = math.degrees(math.atan2(-up[1], up[0])) + 90.0
        face = (centre[0] + 0.022 * facing, centre[1])
        self._oval(centre, (0.062, 0.072), angle, _HAIR)
        self._oval(_along(face, up, -0.016), (0.044, 0.056), angle, _SKIN)

    def _leg(self, hip: Point, foot: Point, facing: float, colour: Colour) -> None:
        knee, ankle = _bend(hip, (foot[0], foot[1] + 0.035), 0.265, 0.255, facing)
        self._limb(hip, knee, 0.098, colour)
        self._limb(knee, ankle, 0.068, colour)
        toe = (ankle[0] + 0.06 * facing, ankle[1] - 0.02)
        self._limb((ankle[0] - 0.012 * facing, ankle[1] - 0.02), toe, 0.042, _SHOE)

    def _arm(self, shoulder: Point, hand: Point, facing: float, colour: Colour) -> None:
        root = (shoulder[0], shoulder[1] - 0.03)
        elbow, wrist = _bend(root, (root[0] + hand[0], root[1] + hand[1]), 0.175, 0.165, -facing)
        self._oval(wrist, (0.026, 0.03), 0.0, _SKIN)
        self._limb(root, elbow, 0.066, colour)
        self._limb(elbow, wrist, 0.052, colour)

    def _limb(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """Draw a rounded bar whose upper left side is lit."""
        self._line(start, end, width, _dark(colour, 0.74))
        edge = 0.16 * width
        self._line(_moved(start, edge), _moved(end, edge), 0.62 * width, colour)

    def _line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        cv2.line(
            self._picture,
            self._pixel(start),
            self._pixel(end),
            self._lit(colour),
            max(1, round(width * self._tall)),
            cv2.LINE_AA,
            _SHIFT,
        )

    def _oval(self, centre: Point, radii: Point, angle: float, colour: Colour) -> None:
        axes = tuple(round(radius * self._tall * 2**_SHIFT) for radius in radii)
        cv2.ellipse(
            self._picture,
            self._pixel(centre),
            (axes[0], axes[1]),
            angle,
            0.0,
            360.0,
            self._lit(colour),
            cv2.FILLED,
            cv2.LINE_AA,
            _SHIFT,
        )

    def _pixel(self, point: Point) -> tuple[int, int]:
        x = self._at[0] + point[0] * self._tall
        y = self._at[1] - point[1] * self._tall
        return round(x * 2**_SHIFT), round(y * 2**_SHIFT)

    def _lit(self, colour: Colour) -> Colour:
        red, green, blue = (np.asarray(colour) * self._light).tolist()
        return red, green, blue


def _bend(
    root: Point, target: Point, upper: float, lower: float, side: float
) -> tuple[Point, Point]:
    """Return the joint and the end of a two-part limb that reaches for a target."""
    dx, dy = target[0] - root[0], target[1] - root[1]
    far = max(1e-6, math.hypot(dx, dy))
    reach = min(max(far, abs(upper - lower) + 1e-3), upper + lower - 1e-3)
    end = (root[0] + dx / far * reach, root[1] + dy / far * reach)
    along = (upper**2 - lower**2 + reach**2) / (2.0 * reach)
    out = math.sqrt(max(0.0, upper**2 - along**2)) * (1.0 if side > 0 else -1.0)
    joint = (
        root[0] + dx / far * along - dy / far * out,
        root[1] + dy / far * along + dx / far * out,
    )
    return joint, end


def _along(start: Point, direction: Point, length: float) -> Point:
    return start[0] + direction[0] * length, start[1] + direction[1] * length


def _moved(point: Point, edge: float) -> Point:
    return point[0] - edge, point[1] + edge


def _dark(colour: Colour, share: float) -> Colour:
    return colour[0] * share, colour[1] * share, colour[2] * share
