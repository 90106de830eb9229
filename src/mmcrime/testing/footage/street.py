"""The empty street, drawn once, and the light on it."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcrime.testing.footage.figures import Picture
from mmcrime.testing.footage.script import HEIGHT, WIDTH

LAMP = (456.0, 62.0)
"""Where the lamp above the door is: column, row."""

Light = NDArray[np.float64]

_WALL, _KERB = 204, 292  # rows: foot of the wall, edge of the pavement


def street_light() -> Light:
    """Return how bright each place is lit, about 0.5 to 1.6: lamp light and a lens."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    light = np.full((HEIGHT, WIDTH), 0.80)
    pools = (
        (LAMP[0], _WALL + 30.0, 150.0, 52.0, 0.62),  # on the ground below the lamp
        (LAMP[0], LAMP[1] + 42.0, 84.0, 78.0, 0.50),  # on the wall around it
        (120.0, 286.0, 190.0, 74.0, 0.42),  # a street lamp out of sight
        (146.0, 130.0, 120.0, 70.0, 0.22),  # the shop window
    )
    for x, y, wide, high, gain in pools:
        light += gain * np.exp(-(((columns - x) / wide) ** 2) - ((rows - y) / high) ** 2)
    edge = ((columns / WIDTH - 0.5) / 0.5) ** 2 + ((rows / HEIGHT - 0.5) / 0.5) ** 2
    lit: Light = light * (1.0 - 0.20 * edge)
    return lit


def tinted(light: Light) -> Light:
    """Return the light as the camera sees it, for red, green and blue: a little green."""
    return np.multiply.outer(light, (0.93, 1.03, 0.90))


def empty_street(rng: np.random.Generator) -> Light:
    """Return the street in even light: 0 to 255, ``(HEIGHT, WIDTH, 3)`` RGB."""
    canvas = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)  # twice as fine, then scaled down
    _wall(canvas, rng)
    _shop(canvas)
    _shutter(canvas)
    _door(canvas)
    _ground(canvas, rng)
    small = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float64)
    stains = cv2.GaussianBlur(rng.normal(0.0, 1.0, (HEIGHT, WIDTH)), (0, 0), 7.0)
    even: Light = small * (1.0 + 0.54 * stains[..., None])
    return even


def _wall(canvas: Picture, rng: np.random.Generator) -> None:
    canvas[: 2 * _WALL] = (92, 88, 84)
    for course, top in enumerate(range(0, 2 * _WALL, 16)):
        for left in range(-(course % 2) * 20, 2 * WIDTH, 40):
            shade = 1.0 + 0.09 * rng.standard_normal()
            brick = (142 * shade, 106 * shade, 90 * shade)
            _box(canvas, (left + 1, top + 1, left + 37, top + 13), brick)
    _box(canvas, (0, 2 * _WALL - 26, 2 * WIDTH, 2 * _WALL), (84, 82, 80))
    _box(canvas, (0, 2 * _WALL - 28, 2 * WIDTH, 2 * _WALL - 25), (120, 118, 114))
    _box(canvas, (796, 0, 810, 2 * _WALL), (66, 68, 70))  # a drainpipe
    _box(canvas, (798, 0, 801, 2 * _WALL), (108, 110, 112))
    for row in (90, 230, 370):
        _box(canvas, (792, row, 814, row + 8), (58, 60, 62))


def _shop(canvas: Picture) -> None:
    _box(canvas, (84, 84, 500, 124), (62, 84, 76))  # the board above it
    _box(canvas, (84, 120, 500, 126), (40, 54, 50))
    for left in range(150, 420, 30):  # a sign without words
        _box(canvas, (left, 97, left + 20, 111), (150, 158, 138))
    _box(canvas, (96, 134, 488, 366), (52, 50, 48))
    for row in range(142, 358):
        share = (row - 142) / 216
        _box(canvas, (104, row, 480, row), (206 - 84 * share, 164 - 70 * share, 106 - 46 * share))
    for shelf in (214, 286):
        _box(canvas, (104, shelf, 480, shelf + 5), (64, 56, 48))
        for item, left in enumerate(range(116, 466, 26)):
            tall = 18 + 11 * ((item * 7 + shelf) % 4)
            shade = 46 + 13 * ((item * 5 + shelf) % 5)
            _box(
                canvas,
                (left, shelf - tall, left + 17, shelf - 1),
                (shade, shade * 0.92, shade * 0.8),
            )
    glass = canvas.copy()
    for left in (150, 330):  # the street mirrored in the glass
        corners = [(left + 60, 142), (left + 110, 142), (left + 10, 357), (left - 40, 357)]
        cv2.fillConvexPoly(glass, np.array(corners), (190, 200, 198), cv2.LINE_AA)
    cv2.addWeighted(glass, 0.14, canvas, 0.86, 0.0, canvas)
    for column in (226, 352):
        _box(canvas, (column, 134, column + 7, 366), (52, 50, 48))
    _box(canvas, (92, 362, 492, 372), (118, 116, 110))


def _shutter(canvas: Picture) -> None:
    _box(canvas, (540, 108, 760, 382), (58, 60, 62))
    for row in range(114, 380, 12):
        for line in range(12):
            shade = 118 - 5 * line
            _box(canvas, (550, row + line, 750, row + line), (shade, shade * 1.02, shade))
    _box(canvas, (550, 372, 750, 381), (70, 72, 74))
    _box(canvas, (634, 374, 666, 379), (36, 36, 38))


def _door(canvas: Picture) -> None:
    _box(canvas, (846, 150, 980, 2 * _WALL), (104, 100, 92))
    _box(canvas, (858, 162, 968, 2 * _WALL - 2), (54, 66, 62))
    _box(canvas, (872, 174, 954, 226), (110, 112, 88))  # a pane above
    for left in (872, 918):
        for top, bottom in ((240, 306), (318, 388)):
            _box(canvas, (left, top, left + 36, bottom), (42, 52, 50))
            _box(canvas, (left + 3, top + 3, left + 36, bottom), (60, 73, 69))
    cv2.circle(canvas, (960, 312), 5, (176, 166, 120), cv2.FILLED, cv2.LINE_AA)
    _box(canvas, (838, 2 * _WALL - 8, 988, 2 * _WALL + 6), (138, 136, 130))
    x, y = round(2 * LAMP[0]), round(2 * LAMP[1])
    _box(canvas, (x - 3, y - 26, x + 3, y - 8), (50, 50, 50))
    shade = [(x - 9, y - 12), (x + 9, y - 12), (x + 24, y), (x - 24, y)]
    cv2.fillConvexPoly(canvas, np.array(shade), (58, 60, 60), cv2.LINE_AA)
    cv2.ellipse(canvas, (x, y + 2), (18, 9), 0.0, 0.0, 360.0, (255, 250, 214), -1, cv2.LINE_AA)


def _ground(canvas: Picture, rng: np.random.Generator) -> None:
    _box(canvas, (0, 2 * _WALL, 2 * WIDTH, 2 * _KERB), (112, 112, 108))
    eye = (WIDTH, 60)  # the vanishing point of what leads away from the camera
    # Rows of slabs: equal on the ground, so closer together far away.
    rows = [60 + 344 / (1 - 0.058 * n) for n in range(12)]
    for n, (top, bottom) in enumerate(pairwise(rows)):
        for column in range(-9, 20):
            at = 120.0 * column + 60 * (n % 2)
            corners = [
                (eye[0] + (at + side - WIDTH) * (row - eye[1]) / 344, row)
                for side, row in ((0, top), (120, top), (120, bottom), (0, bottom))
            ]
            slab = np.array([(round(x), round(y)) for x, y in corners])
            shade = 114.0 * (1.0 + 0.045 * rng.standard_normal())
            cv2.fillConvexPoly(canvas, slab, (shade, shade, shade * 0.96), cv2.LINE_AA)
            cv2.polylines(canvas, [slab], True, (84, 84, 81), 2, cv2.LINE_AA)
    _box(canvas, (0, 2 * _WALL, 2 * WIDTH, 2 * _WALL + 5), (66, 66, 64))
    _box(canvas, (0, 2 * _KERB, 2 * WIDTH, 2 * _KERB + 14), (142, 142, 137))
    _box(canvas, (0, 2 * _KERB + 14, 2 * WIDTH, 2 * _KERB + 30), (84, 84, 82))
    road = 2 * _KERB + 30
    _box(canvas, (0, road, 2 * WIDTH, 2 * HEIGHT), (66, 67, 69))
    gravel = rng.normal(0.0, 7.0, (2 * HEIGHT - road, 2 * WIDTH, 1))
    canvas[road:] = np.clip(canvas[road:] + gravel, 0, 255).astype(np.uint8)
    for row in (road + 18, road + 32):
        _box(canvas, (0, row, 2 * WIDTH, row + 6), (148, 138, 78))


def _box(canvas: Picture, box: tuple[int, int, int, int], colour: tuple[float, ...]) -> None:
    """Fill a box (left, top, right, bottom), all inclusive."""
    cv2.rectangle(canvas, box[:2], box[2:], colour, cv2.FILLED)
