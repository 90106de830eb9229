"""The camera that looks at the street, and what it adds: noise and a caption."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from mmcrime.testing.footage.figures import Figure, Picture
from mmcrime.testing.footage.script import FPS, HEIGHT, WIDTH, Actor, cast, height
from mmcrime.testing.footage.street import LAMP, empty_street, street_light, tinted

CAPTION = "SYNTHETIC - DRAWN SCENE, NOBODY IN IT"
"""What stands in each frame."""

_SEED = 20_240_601
_GRAIN = 3.2  # standard deviation of the sensor's noise, in levels of 255
_MARGIN = 64  # pixels by which the stored noise is larger than the picture


class Camera:
    """Takes the pictures of the scene, the same ones each time."""

    def __init__(self) -> None:
        rng = np.random.default_rng(_SEED)
        self._light = street_light()
        street = empty_street(rng) * tinted(self._light)
        self._street = np.clip(street, 0, 255).astype(np.uint8)
        shape = (HEIGHT + _MARGIN, WIDTH + _MARGIN)
        grain = cv2.GaussianBlur(rng.normal(0.0, 1.0, shape), (0, 0), 0.6)
        grain *= _GRAIN / grain.std()
        self._grain = np.repeat(np.rint(grain).astype(np.int16)[..., None], 3, axis=2)

    def picture(self, index: int) -> Picture:
        """Return frame ``index``: uint8, ``(HEIGHT, WIDTH, 3)`` RGB."""
        actors = cast(index / FPS)
        picture = self._street.copy()
        if actors:
            self._shadows(picture, actors)
        for actor in actors:
            row, column = int(actor.y), int(np.clip(actor.x, 0, WIDTH - 1))
            # A figure stands in front of the wall: it gets the light of the ground it is on.
            light = tinted(1.15 * self._light[row, column])
            figure = Figure(picture, (actor.x, actor.y), height(actor.y), light)
            figure.draw(actor.pose, actor.coat, actor.trousers)
        cv2.GaussianBlur(picture, (3, 3), 0.6, dst=picture)  # the lens is not sharper than that
        self._stamp(picture, index)
        return self._noisy(picture, index)

    def _shadows(self, picture: Picture, actors: list[Actor]) -> None:
        """Darken the ground below the figures, softly, away from the lamp."""
        mask = np.full((HEIGHT // 4, WIDTH // 4), 255, np.uint8)
        for actor in actors:
            tall = height(actor.y)
            spread = max(0.16, abs(actor.pose.near_foot[0] - actor.pose.far_foot[0]) * 0.6)
            if actor.pose.hip[1] < 0.2:
                spread = 0.5
            away = np.clip((actor.x - LAMP[0]) / 300.0, -1.0, 1.0)
            centre = (round((actor.x + 0.18 * away * tall) * 4), round((actor.y + 3) * 4))
            axes = (round((spread + 0.14 * abs(away)) * tall * 4), round(0.07 * tall * 4))
            cv2.ellipse(mask, centre, axes, 0.0, 0.0, 360.0, (95,), cv2.FILLED, cv2.LINE_AA, 4)
        soft = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 1.6), (WIDTH, HEIGHT))
        cv2.multiply(picture, cv2.merge([soft, soft, soft]), picture, 1.0 / 255.0)

    def _stamp(self, picture: Picture, index: int) -> None:
        seconds = index // FPS
        _write(picture, CAPTION, (14, 12))
        _write(picture, f"CAM 0  T+00:{seconds // 60:02d}:{seconds % 60:02d}", (14, HEIGHT - 36))

    def _noisy(self, picture: Picture, index: int) -> Picture:
        # Another part of the stored noise for each frame; none comes twice in the scene.
        top, left = 37 * index % 61, 41 * index % 64
        grain = self._grain[top : top + HEIGHT, left : left + WIDTH]
        return cv2.add(picture, grain, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def _write(picture: Picture, text: str, at: tuple[int, int]) -> None:
    """Write bright letters with a dark rim, so that they are read on any ground."""
    ink = _letters(text)
    rim = cv2.dilate(ink, np.ones((3, 3), np.uint8))
    part = picture[at[1] : at[1] + ink.shape[0], at[0] : at[0] + ink.shape[1]]
    part[rim > 0] = 18
    part[ink > 0] = 236


@cache
def _letters(text: str) -> Picture:
    """Return a line in Pillow's own bitmap font, twice its size, 0 or 255."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(image, np.uint8).repeat(2, axis=0).repeat(2, axis=1)
