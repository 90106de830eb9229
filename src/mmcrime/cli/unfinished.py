"""Files that are being written: under a name of their own, and gone whatever happens."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmcrime.cli import interrupt


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` for a file that is gone afterwards, whatever happens."""
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(8)}")
    # Known before it is there: an interrupt may come at any moment.
    interrupt.unfinished.add(temporary)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        interrupt.unfinished.discard(temporary)


def usual_mode() -> int:
    """Return the permissions of a new file: mkstemp ignores the umask, a result should not."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
