"""From a decoded Pillow image of any mode to upright RGB pixels of a bounded size.

Work goes strip by strip: a 50-megapixel picture already fills 200 MiB once it is
decoded, and every whole-picture conversion would cost as much again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["fit_size", "rgb_pixels", "turn"]

_STRIP_PIXELS = 2_000_000
"""Pixels that are converted at a time."""
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})


def fit_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """Return width and height shrunk so that the longer one is at most ``max_side``."""
    scale = 1.0 if max_side is None else min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def rgb_pixels(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a loaded image as RGB, transparency on white, shrunk to a size.

    Integer pixels of 16 bits keep their upper half; other wide or floating pixels are
    stretched from their own minimum and maximum, for want of a stated range.

    Args:
        image: Loaded, of any mode.
        size: Width and height of the result, neither larger than the image's.

    Returns:
        uint8 of shape ``(height, width, 3)``.

    Raises:
        ValueError: If the mode has no conversion to RGB.
    """
    from PIL import Image

    # Averaging blocks first leaves the exact filter at most about twice the size to do.
    factor = max(1, math.floor(min(image.width / size[0], image.height / size[1]) / 2))
    value_range = _value_range(image) if image.mode in {"I", "F"} else (0.0, 255.0)
    rows = -(-image.height // factor)
    pixels = np.empty((rows, -(-image.width // factor), 3), dtype=np.uint8)
    at = 0
    for strip in _strips(image, factor):
        part = _flatten(strip, value_range)
        if factor > 1:
            part = part.reduce(factor)
        pixels[at : at + part.height] = np.asarray(part)
        at += part.height
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (1 to 8, as EXIF 2.32 defines them)."""
    match orientation:
        case 2:
            pixels = pixels[:, ::-1]
        case 3:
            pixels = pixels[::-1, ::-1]
        case 4:
            pixels = pixels[::-1]
        case 5:
            pixels = pixels.swapaxes(0, 1)
        case 6:
            pixels = pixels.swapaxes(0, 1)[:, ::-1]
        case 7:
            pixels = pixels[::-1, ::-1].swapaxes(0, 1)
        case 8:
            pixels = pixels.swapaxes(0, 1)[::-1]
    return np.ascontiguousarray(pixels)


def _strips(image: Image.Image, factor: int) -> Iterator[Image.Image]:
    """Cut into full-width strips whose heights, but for the last, are multiples of a factor."""
    step = max(1, _STRIP_PIXELS // image.width // factor) * factor
    for top in range(0, image.height, step):
        yield image.crop((0, top, image.width, min(image.height, top + step)))


def _flatten(strip: Image.Image, value_range: tuple[float, float]) -> Image.Image:
    from PIL import Image

    if strip.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8)).convert("RGB")
    if strip.mode in {"I", "F"}:
        low, high = value_range
        spread = (np.asarray(strip, dtype=np.float64) - low) * (255.0 / max(high - low, 1e-12))
        bounded = np.clip(np.nan_to_num(spread, nan=0.0), 0.0, 255.0)
        return Image.fromarray(bounded.astype(np.uint8)).convert("RGB")
    if strip.mode in _ALPHA_MODES or "transparency" in strip.info:
        # Premultiplied grey reaches RGBA only by way of plain grey.
        plain = strip.convert("LA") if strip.mode == "La" else strip
        white = Image.new("RGBA", strip.size, "white")
        return Image.alpha_composite(white, plain.convert("RGBA")).convert("RGB")
    return strip.convert("RGB")


def _value_range(image: Image.Image) -> tuple[float, float]:
    """Return the least and greatest finite value; (0, 1) when there is none."""
    low, high = math.inf, -math.inf
    for strip in _strips(image, 1):
        values = np.asarray(strip, dtype=np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 1.0)
