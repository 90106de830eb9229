"""Still and animated pictures, with the one Pillow plug-in that the content calls for.

Pillow is called by plug-in class and not by `PIL.Image.open`: that pins the format, and
leaves the size check to us. Pillow's own check depends on a global that any code may
change, and answers with a *warning* for sizes that already cost over 250 MiB.

Every plug-in parses hostile bytes and raises almost any built-in exception while it does
so; `_translated` is the border where these become our errors.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, MmcrimeError, UnsafeMediaError
from mmcrime.evidence import Frame
from mmcrime.media.exif import taken_at, upright_turn
from mmcrime.media.gif import count_gif_frames
from mmcrime.media.pixels import fit_size, rgb_pixels, turn
from mmcrime.media.prescan import check_costs
from mmcrime.media.quiet import quiet_pillow
from mmcrime.media.sniff import Sniffed

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["PictureFrames", "PictureInfo", "probe_picture", "read_picture"]

_PLUGINS = {
    "jpeg": ("JpegImagePlugin", "JpegImageFile"),
    "png": ("PngImagePlugin", "PngImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
    "gif": ("GifImagePlugin", "GifImageFile"),
    "tiff": ("TiffImagePlugin", "TiffImageFile"),
}
_ANIMATED = frozenset({"gif", "webp", "png"})
_PARTIAL = frozenset({"jpeg", "png"})
"""Formats that Pillow decodes from the top, so that the start of a broken file is good."""
_WEBP_BYTES = 64 * 1024 * 1024
"""Pillow reads a WebP file whole into memory; no sensible one is larger than this."""
_DECODED_PICTURES = 4
"""An animation may cost as many pixels as this many pictures of the largest size."""
_DEFAULT_DELAY = 0.1
"""Seconds a frame without a duration is shown; what browsers do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureInfo:
    """What the headers of a picture say, before anything is decoded.

    Attributes:
        width: Upright pixels, EXIF orientation applied.
        height: Upright pixels.
        frames: Frames or pages in the file, counted up to one more than
            `Limits.max_image_frames`.
        format: The sniffed format.
        recorded_at: When it was taken, if EXIF says so with a time zone; a time
            without one is not trusted.
    """

    width: int
    height: int
    frames: int
    format: str
    recorded_at: datetime | None = None


class PictureFrames(Iterator[Frame]):
    """The frames of a picture, decoded one at a time; made by `read_picture`.

    Attributes:
        damaged: Whether decoding broke off, so that the last frame is incomplete or
            frames after it are missing. Final once the iteration has ended.
    """

    def __init__(
        self, file: BinaryIO, sniffed: Sniffed, *, limits: Limits, source: str, max_side: int | None
    ) -> None:
        self.damaged = False
        self._file = file
        self._sniffed = sniffed
        self._limits = limits
        self._source = source
        self._max_side = max_side
        self._frames = self._decode_all()

    def __next__(self) -> Frame:
        return next(self._frames)

    def _decode_all(self) -> Iterator[Frame]:
        with _translated(self._source), quiet_pillow():
            image = _open(self._file, self._sniffed, limits=self._limits, source=self._source)
            frame = self._decode(image, time=0.0)
            time, last = _delay(image), self._last_index(image)
        yield frame
        for index in range(1, 1 if self.damaged else last):
            try:
                with _translated(self._source), quiet_pillow():
                    image.seek(index)
                    _check_size(image, self._sniffed, limits=self._limits, source=self._source)
                    frame = self._decode(image, time=time)
                    time += _delay(image)
            except CorruptMediaError as error:
                # A GIF does not say how many frames it has, so that its end is no damage.
                ended = isinstance(error.__cause__, EOFError) and self._sniffed.format == "gif"
                self.damaged = not ended
                return
            yield frame

    def _last_index(self, image: ImageFile) -> int:
        """Return how many frames may be decoded."""
        if self._sniffed.format not in _ANIMATED:
            return 1
        pixels = math.prod(image.size)
        if _DECODED_PICTURES * pixels > self._limits.max_pixels:
            return 1  # blending one frame over the last takes several copies of both
        affordable = _DECODED_PICTURES * self._limits.max_pixels // pixels
        told = self._limits.max_image_frames
        if self._sniffed.format != "gif":
            told = min(told, getattr(image, "n_frames", 1))
        return min(told, affordable)

    def _decode(self, image: ImageFile, *, time: float) -> Frame:
        size = fit_size(image.size, self._max_side)
        orientation = upright_turn(image, self._sniffed)
        if self._sniffed.format == "jpeg":
            # Lets the decoder skip detail that the smaller frame would lose anyway.
            image.draft(image.mode, size)
        try:
            image.load()
        except (OSError, SyntaxError):
            if self._sniffed.format not in _PARTIAL or not _keep_partial(image):
                raise
            self.damaged = True
        return Frame(time=time, pixels=turn(rgb_pixels(image, size), orientation))


def probe_picture(file: BinaryIO, sniffed: Sniffed, *, limits: Limits, source: str) -> PictureInfo:
    """Read the headers of a picture.

    Args:
        file: Open for reading; read from its start, and not closed.
        sniffed: What `mmcrime.media.sniff.sniff` found.
        limits: Most pixels and frames.
        source: The input's name, for messages.

    Raises:
        UnsafeMediaError: If it has more pixels than ``limits`` allow.
        CorruptMediaError: If its headers cannot be read.
    """
    check_costs(file, sniffed.format, source=source)
    with _translated(source), quiet_pillow():
        image = _open(file, sniffed, limits=limits, source=source)
        width, height = image.size
        if upright_turn(image, sniffed) > 4:
            width, height = height, width
        recorded_at = taken_at(image)
        frames = _count_frames(image, file, sniffed, cap=limits.max_image_frames + 1)
        return PictureInfo(
            width=width,
            height=height,
            frames=frames,
            format=sniffed.format,
            recorded_at=recorded_at,
        )


def read_picture(
    file: BinaryIO, sniffed: Sniffed, *, limits: Limits, source: str, max_side: int | None
) -> PictureFrames:
    """Decode a picture upright, as RGB, with transparency on white.

    A still picture and the first page of a TIFF file give one frame at time 0. An
    animation (GIF, WebP, PNG) gives its first `Limits.max_image_frames` frames, fewer
    when they are so large that together they would cost more than four pictures of the
    largest allowed size, and only one when each is larger than a quarter of that. What
    of a cut-off JPEG or PNG decodes is used and flagged.

    Args:
        file: Open for reading; must stay open while the frames are read.
        sniffed: What `mmcrime.media.sniff.sniff` found.
        limits: Most pixels and frames.
        source: The input's name, for messages.
        max_side: Longest side of the frames in pixels; None keeps the size.

    Returns:
        An iterator that decodes on demand and raises while it does so:
        UnsafeMediaError for more pixels than allowed, CorruptMediaError if not even
        the first frame decodes.
    """
    return PictureFrames(file, sniffed, limits=limits, source=source, max_side=max_side)


@contextmanager
def _translated(source: str) -> Iterator[None]:
    """The border between Pillow and us: see the module's docstring."""
    try:
        yield
    except MmcrimeError:
        raise
    except Exception as error:
        from PIL.Image import DecompressionBombError

        if isinstance(error, DecompressionBombError):
            raise UnsafeMediaError(
                "Pillow takes the picture for a decompression bomb.", source=source
            ) from error
        if isinstance(error, MemoryError):
            raise UnsafeMediaError(
                "the picture does not fit into memory.",
                source=source,
                next_step="Make it smaller, or lower media.limits.max_pixels.",
            ) from error
        raise CorruptMediaError(
            f"the picture does not decode ({type(error).__name__}: {str(error)[:200]}).",
            source=source,
            next_step="Open it in an image viewer and save it again.",
        ) from error


def _open(file: BinaryIO, sniffed: Sniffed, *, limits: Limits, source: str) -> ImageFile:
    """Read the headers with the plug-in of the sniffed format, and check the size."""
    if sniffed.format == "webp" and file.seek(0, io.SEEK_END) > _WEBP_BYTES:
        raise UnsafeMediaError(f"is a WebP file of over {_WEBP_BYTES} bytes.", source=source)
    file.seek(0)
    module, plugin = _PLUGINS[sniffed.format]
    image: ImageFile = getattr(import_module(f"PIL.{module}"), plugin)(file)
    _check_size(image, sniffed, limits=limits, source=source)
    return image


def _check_size(image: ImageFile, sniffed: Sniffed, *, limits: Limits, source: str) -> None:
    most = limits.max_pixels // (2 if sniffed.format == "webp" else 1)
    width, height = image.size
    if width < 1 or height < 1:
        raise CorruptMediaError(f"the picture has a size of {width}x{height}.", source=source)
    if width * height > most:
        raise UnsafeMediaError(
            f"the picture has {width}x{height} pixels, more than {most}.",
            source=source,
            next_step="Raise media.limits.max_pixels if you trust it, or make it smaller.",
        )


def _keep_partial(image: ImageFile) -> bool:
    """Stop further decoding; return whether anything was decoded before it broke off.

    Pillow hands out zeroed memory, so that pixels with a value must have been decoded.
    """
    image.tile = []
    extrema = np.asarray(image.getextrema())
    return bool(extrema.max() > 0)


def _delay(image: ImageFile) -> float:
    """Return how long the current frame is shown, in seconds."""
    milliseconds = image.info.get("duration", 0)
    if not isinstance(milliseconds, int | float) or not 0 < milliseconds < math.inf:
        return _DEFAULT_DELAY
    return float(milliseconds) / 1000


def _count_frames(image: ImageFile, file: BinaryIO, sniffed: Sniffed, *, cap: int) -> int:
    """Count frames or pages without decoding them, up to a cap."""
    if sniffed.format == "gif":
        return max(1, count_gif_frames(file, cap=cap))
    if sniffed.format != "tiff":
        return min(cap, max(1, getattr(image, "n_frames", 1)))
    pages = 1
    try:
        while pages < cap:
            image.seek(pages)
            pages += 1
    except Exception:  # noqa: BLE001 - the end of the pages, or a page that cannot be read
        return pages
    return pages
