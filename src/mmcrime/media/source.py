"""From what a caller hands over to one checked file that can be read again and again.

Paths are read where they are; URLs, bytes, file objects, pictures and arrays are written
once into a private temporary folder that goes away with `Spooled.close`.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeAlias

import blake3

from mmcrime.config import Limits
from mmcrime.egress import Gate
from mmcrime.errors import MediaError, UnsafeMediaError, UnsupportedMediaError
from mmcrime.media.intake import Source, SupportsRead, clean_name, name_of, too_large, write_source
from mmcrime.media.sniff import HEAD_BYTES, Sniffed, sniff

__all__ = ["Source", "Spooled", "SupportsRead", "spool"]


_CHUNK = 1024 * 1024
_SCHEME = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://|(data|file|concat|pipe|subfile):", re.IGNORECASE
)
"""What makes a string a URL; the second group are schemes that work without slashes."""

_Identity: TypeAlias = tuple[int, int, int, int]


class Spooled:
    """One input as a regular file whose first bytes are known to be media.

    A context manager: leaving it closes it. Methods may be called from several threads.

    Attributes:
        name: The name a person knows it by, at most 200 characters and without control
            characters. Never a path to open.
        size_bytes: Size of the input.
        content_id: ``"blake3:" + hex digest`` of all its bytes.
        sniffed: What its first bytes say it is.
    """

    def __init__(self, path: str, *, name: str, limits: Limits, folder: str | None = None) -> None:
        self.name = name
        self._path = path
        self._closed = False
        self._identity: _Identity | None = None
        self._delete = _deleter(self, folder) if folder is not None else None
        try:
            with self.open() as file:
                self._identity = _identity(file)
                self.sniffed: Sniffed = sniff(_head(file, name=name), source=name)
                self.size_bytes, self.content_id = _digest(file, name=name, limits=limits)
        except BaseException:
            self.close()
            raise

    def open(self) -> BinaryIO:
        """Open an independent handle for reading, at the start.

        Raises:
            MediaError: If this was closed, or the file is gone.
            UnsafeMediaError: If the file is no longer the one that was checked.
        """
        if self._closed:
            raise MediaError("it was closed and cannot be read any more.", source=self.name)
        file = _open_regular(self._path, name=self.name)
        if self._identity not in {None, _identity(file)}:
            file.close()
            raise UnsafeMediaError(
                "the file was changed while it was being read.",
                source=self.name,
                next_step="Wait until it is written completely, then analyze it again.",
            )
        return file

    def close(self) -> None:
        """Delete the temporary copy, if one was made. Safe to call twice."""
        self._closed = True
        if self._delete is not None:
            self._delete()

    def __enter__(self) -> Spooled:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def spool(source: Source, *, limits: Limits, gate: Gate, name: str | None = None) -> Spooled:
    """Make one checked, regular file of whatever a caller hands over. Blocks.

    Args:
        source: A path (read where it is; ``~`` is expanded in strings), an http(s) URL,
            bytes, a binary file object (read from where it stands, not closed), a PIL
            image, or an array: uint8 of shape ``(h, w)``, ``(h, w, 3)`` RGB or
            ``(h, w, 4)`` RGBA.
        limits: Caps on bytes, pixels and downloads.
        gate: Where a download is announced, or refused when offline.
        name: The name a person knows it by, in place of the one found.

    Raises:
        UnsupportedMediaError: If it is none of these things, or not in a known format.
        UnsafeMediaError: If it is over a limit, or not a regular file.
        MediaError: If it cannot be read.
        EgressError: If it is a URL and the gate is offline.
    """
    display = clean_name(name if name is not None else name_of(source))
    if isinstance(source, str) and (scheme := _SCHEME.match(source)):
        _require_http((scheme[1] or scheme[2]).lower(), name=display)
        from mmcrime.media.fetch import fetch

        with _temporary(display, limits) as target:
            fetch(source, target.file, limits=limits, gate=gate)
    elif isinstance(source, str | os.PathLike):
        return Spooled(_absolute(source, name=display), name=display, limits=limits)
    else:
        with _temporary(display, limits) as target:
            write_source(source, target.file, name=display, limits=limits)
    return target.spooled()


@dataclass(kw_only=True)
class _Target:
    """A file in a private folder that is about to be filled."""

    folder: str
    file: BinaryIO
    name: str
    limits: Limits

    def spooled(self) -> Spooled:
        return Spooled(self.file.name, name=self.name, limits=self.limits, folder=self.folder)


@contextmanager
def _temporary(name: str, limits: Limits) -> Iterator[_Target]:
    """Yield a file in a new folder that only this user may enter; delete both on failure."""
    folder = tempfile.mkdtemp(prefix="mmcrime-")
    try:
        with (Path(folder) / "media").open("xb") as file:
            yield _Target(folder=folder, file=file, name=name, limits=limits)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise MediaError(
                f"the temporary copy cannot be written ({error.strerror or error}).",
                source=name,
                next_step="Free some space where temporary files go (TMPDIR).",
            ) from error
        raise


def _deleter(owner: Spooled, folder: str) -> weakref.finalize[[], Spooled]:
    """Delete the folder when told, when the owner is forgotten, or when Python ends."""
    made_by = os.getpid()

    def delete() -> None:
        # A forked child runs the same clean-up at its end; the folder is not its own.
        if os.getpid() == made_by:
            shutil.rmtree(folder, ignore_errors=True)

    return weakref.finalize(owner, delete)


def _require_http(scheme: str, *, name: str) -> None:
    if scheme not in {"http", "https"}:
        raise UnsupportedMediaError(
            f"the scheme {scheme[:20]!r} is not read.",
            source=name,
            next_step="Give a path without a scheme, or an http or https URL.",
        )


def _absolute(path: str | os.PathLike[str], *, name: str) -> str:
    """Return the path as it is now, so that a later change of directory does not matter."""
    try:
        plain = os.fsdecode(path)
        if isinstance(path, str):
            plain = str(Path(plain).expanduser())
        # Not resolve(): the name is kept; what was opened is checked by its identity.
        return os.path.abspath(plain)  # noqa: PTH100
    except (RuntimeError, ValueError) as error:
        raise MediaError("the path cannot be expanded.", source=name) from error


def _open_regular(path: str, *, name: str) -> BinaryIO:
    """Open a regular file; a pipe, device, socket or directory is refused, without a hang."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except FileNotFoundError as error:
        raise MediaError(
            "there is no such file.", source=name, next_step="Check the path."
        ) from error
    except OSError as error:
        raise MediaError(f"cannot be opened ({error.strerror}).", source=name) from error
    except ValueError as error:
        raise MediaError("the path holds a null character.", source=name) from error
    if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
        os.close(handle)
        raise _not_regular(mode, name=name)
    return os.fdopen(handle, "rb")


def _not_regular(mode: int, *, name: str) -> MediaError:
    if stat.S_ISDIR(mode):
        return UnsupportedMediaError(
            "is a directory.", source=name, next_step="Analyze the files in it."
        )
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((word for test, word in kinds if test(mode)), "a device")
    return UnsafeMediaError(
        f"is {kind}, not a regular file.",
        source=name,
        next_step="Open it yourself and pass the file object.",
    )


def _identity(file: BinaryIO) -> _Identity:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _head(file: BinaryIO, *, name: str) -> bytes:
    try:
        return file.read(HEAD_BYTES)
    except OSError as error:
        raise _unreadable(error, name=name) from error


def _unreadable(error: OSError, *, name: str) -> MediaError:
    return MediaError(f"cannot be read ({error.strerror}).", source=name)


def _digest(file: BinaryIO, *, name: str, limits: Limits) -> tuple[int, str]:
    """Return size and content id, never reading further than the cap."""
    if os.fstat(file.fileno()).st_size > limits.max_bytes:
        raise too_large(name, limits)
    file.seek(0)
    digest, size = blake3.blake3(), 0
    try:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > limits.max_bytes:
                raise too_large(name, limits)
            digest.update(chunk)
    except OSError as error:
        raise _unreadable(error, name=name) from error
    return size, f"blake3:{digest.hexdigest()}"
