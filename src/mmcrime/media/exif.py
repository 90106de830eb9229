"""The two EXIF tags that matter here, read from tags that may be broken or hostile."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mmcrime.media.sniff import Sniffed

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

__all__ = ["taken_at", "upright_turn"]

_ORIENTATION, _EXIF_IFD, _TAKEN, _TAKEN_OFFSET = 0x0112, 0x8769, 0x9003, 0x9011
"""EXIF 2.32: Orientation, the Exif sub-directory, DateTimeOriginal, OffsetTimeOriginal."""


def _exif(image: ImageFile) -> Image.Exif:
    """Return the EXIF tags, none when they are broken: the picture itself may be sound."""
    from PIL import Image

    # Pillow decodes a whole PNG to look for EXIF behind its pixels; hardly anyone puts it there.
    told = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
    if image.format == "PNG" and not told & image.info.keys():
        return Image.Exif()
    try:
        return image.getexif()
    except Exception:  # noqa: BLE001 - hostile tags raise anything, and only cost us the tags
        return Image.Exif()


def upright_turn(image: ImageFile, sniffed: Sniffed) -> int:
    """Return the EXIF orientation, 1 (upright) if there is none that makes sense."""
    if sniffed.format == "tiff":
        return 1  # Pillow turns these itself, and has swapped their size already
    value = _exif(image).get(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def taken_at(image: ImageFile) -> datetime | None:
    """Return when the picture was taken, if its EXIF says so with a time zone."""
    try:
        tags = _exif(image).get_ifd(_EXIF_IFD)
        return datetime.strptime(f"{tags[_TAKEN]}{tags[_TAKEN_OFFSET]}", "%Y:%m:%d %H:%M:%S%z")
    except Exception:  # noqa: BLE001 - broken or missing tags are no time
        return None
