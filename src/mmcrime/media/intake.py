"""What callers may hand over besides paths and URLs, and how it becomes bytes in a file."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, TypeGuard, runtime_checkable
from urllib.parse import unquote

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, MediaError, UnsafeMediaError, UnsupportedMediaError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["Source", "SupportsRead", "clean_name", "name_of", "too_large", "write_source"]


@runtime_checkable
class SupportsRead(Protocol):
    """A binary file object: all that is needed of it is ``read(size)``."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end."""


Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | SupportsRead"
    " | Image.Image | NDArray[Any]"
)
"""A path, an http(s) URL, bytes, a binary file object, a PIL image or a numpy array."""

_LIKE_A_URL = re.compile(
    r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:/|(?:data|file|concat|pipe|subfile):)", re.IGNORECASE
)
"""Strings whose name could show a password or a signature if they were taken for paths."""
_CHUNK = 1024 * 1024
_NAME_LIMIT = 200
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
"""Pillow's modes that a PNG holds as they are."""


def clean_name(name: str) -> str:
    """Return a name that is safe to print: no control or invisible characters, cut short."""
    kept = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    return kept[:_NAME_LIMIT] or "unnamed"


def name_of(source: Source) -> str:
    """Return what a person may call a source: never a folder, a query or a password."""
    if isinstance(source, str) and _LIKE_A_URL.match(source):
        return _url_name(source.strip())
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source).rstrip("/").rpartition("/")[2]
    if isinstance(source, bytes | bytearray | memoryview):
        return "bytes"
    if _is_image(source):
        return "image"
    return "array" if _is_array(source) else "stream"


def _url_name(url: str) -> str:
    """Return the last part of a URL that is read, or what is public of one that is not."""
    scheme, _, rest = url.partition(":")
    if scheme.lower() in {"file", "concat", "pipe", "subfile", "data"}:
        return f"{scheme}:"  # what follows is a folder, or the content itself
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.lstrip("/").partition("/")
    host = host.rpartition("@")[2]  # before it stand a user name and a password
    if scheme.lower() not in {"http", "https"}:
        return f"{scheme}://{host}{slash}{unquote(path)}"
    return unquote(path).rstrip("/").rpartition("/")[2] or host.partition(":")[0] or "URL"


def write_source(source: Source, into: BinaryIO, *, name: str, limits: Limits) -> None:
    """Write bytes, a file object, a PIL image or an array into an open file.

    Raises:
        UnsupportedMediaError: If it is none of these, or an array of another shape or type.
        UnsafeMediaError: If it is larger than ``limits`` allow.
        MediaError: If the file object cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        if size > limits.max_bytes:
            raise too_large(name, limits)
        # A strided view has no plain buffer to write, so that it is copied.
        into.write(source.tobytes() if isinstance(source, memoryview) else source)
    elif _is_image(source):
        _write_image(source, into, name=name, limits=limits)
    elif _is_array(source):
        _write_image(_image_of(source, name=name, limits=limits), into, name=name, limits=limits)
    elif isinstance(source, SupportsRead):
        _copy_stream(source, into, name=name, limits=limits)
    else:
        raise UnsupportedMediaError(
            f"a value of type {type(source).__name__!r} is no source.",
            source=name,
            next_step="Give a path, URL, bytes, binary file object, PIL image or numpy array.",
        )


def too_large(name: str, limits: Limits) -> UnsafeMediaError:
    """Return the error for an input over the cap of bytes."""
    return UnsafeMediaError(
        f"is larger than {limits.max_bytes} bytes.",
        source=name,
        next_step="Raise media.limits.max_bytes if you trust this file.",
    )


# A caller who holds an image or an array has imported the library; nobody else pays for it.


def _is_image(source: object) -> TypeGuard[Image.Image]:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(source, module.Image)


def _is_array(source: object) -> TypeGuard[NDArray[Any]]:
    module = sys.modules.get("numpy")
    return module is not None and isinstance(source, module.ndarray)


def _copy_stream(stream: SupportsRead, into: BinaryIO, *, name: str, limits: Limits) -> None:
    size = 0
    while chunk := _read(stream, name=name):
        size += len(chunk)
        if size > limits.max_bytes:
            raise too_large(name, limits)
        into.write(chunk)


def _read(stream: SupportsRead, *, name: str) -> bytes:
    try:
        chunk: object = stream.read(_CHUNK)
    except (OSError, ValueError) as error:
        raise MediaError(
            f"the file object cannot be read ({type(error).__name__}: {str(error)[:200]}).",
            source=name,
            next_step="Pass a binary file object that is open for reading.",
        ) from error
    if isinstance(chunk, Coroutine):
        chunk.close()
        raise UnsupportedMediaError(
            "its read is asynchronous.",
            source=name,
            next_step="Pass the file object inside it, such as upload.file of an upload.",
        )
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise UnsupportedMediaError(
            f"the file object gives {type(chunk).__name__!r} and no bytes.",
            source=name,
            next_step="Open the file in binary mode, and a socket or pipe in blocking mode.",
        )
    return bytes(chunk)


def _image_of(array: NDArray[Any], *, name: str, limits: Limits) -> Image.Image:
    import numpy as np
    from PIL import Image

    shape = array.shape
    shaped = len(shape) == 2 or (len(shape) == 3 and shape[2] in {3, 4})
    if array.dtype != np.uint8 or not shaped or array.size == 0:
        raise UnsupportedMediaError(
            f"an array of shape {shape!r} and type {str(array.dtype)!r} is no picture.",
            source=name,
            next_step="Give uint8 of shape (height, width), (height, width, 3) or (…, 4).",
        )
    _check_pixels(shape[1], shape[0], name=name, limits=limits)
    return Image.fromarray(np.ascontiguousarray(array))


def _write_image(image: Image.Image, into: BinaryIO, *, name: str, limits: Limits) -> None:
    from PIL import Image

    from mmcrime.media.pixels import rgb_pixels
    from mmcrime.media.quiet import quiet_pillow

    _check_pixels(*image.size, name=name, limits=limits)
    try:
        with quiet_pillow():
            image.load()
            exif = image.getexif()
        plain = image
        if image.mode not in _PNG_MODES:
            plain = Image.fromarray(rgb_pixels(image, image.size))
        # Level 1: the copy lives for one run, so that time matters more than its size.
        plain.save(into, "PNG", exif=exif, compress_level=1, save_all=False)
    except Exception as error:
        # A lazily opened image decodes here, and Pillow's plug-ins raise almost anything.
        raise CorruptMediaError(
            f"the picture does not decode ({type(error).__name__}: {str(error)[:200]}).",
            source=name,
        ) from error


def _check_pixels(width: int, height: int, *, name: str, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise UnsafeMediaError(
            f"has {width}x{height} pixels, more than {limits.max_pixels}.",
            source=name,
            next_step="Raise media.limits.max_pixels, or make the picture smaller.",
        )
