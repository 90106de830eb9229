"""HTML pages as files: written whole, and told from files that are not ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mmcrime.cli.unfinished import unfinished, usual_mode
from mmcrime.reports import html

KINDS = {html.INDEX_MARK: "index", html.REPORT_MARK: "report"}
"""What a page is, by its mark: none is ever replaced by one of the other kind."""

_MARK_WITHIN = 4096  # bytes at the start of a page that hold our marks


def is_ours(path: Path, mark: str = html.GENERATOR) -> bool:
    """Tell whether a path is a page that we wrote, in this release or an earlier one.

    A link is not, wherever it leads.

    Args:
        path: The page.
        mark: One of ``KINDS`` for a page of that kind only.

    Raises:
        OSError: If it cannot be looked at.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    with path.open("rb") as page:
        head = page.read(_MARK_WITHIN)
    return html.GENERATOR.encode() in head and mark.encode() in head


def encoded(text: str) -> bytes:
    """Return a page as it stands in its file."""
    return text.encode(errors="backslashreplace")


def put(path: Path, text: str | bytes) -> None:
    """Write a page whole or not at all; a link in its place is replaced, not followed.

    Args:
        path: Where.
        text: The page; text is written as UTF-8.

    Raises:
        OSError: If it cannot be written.
    """
    data = encoded(text) if isinstance(text, str) else text
    with unfinished(path) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        temporary.chmod(usual_mode())
        temporary.replace(path)
