"""Decoding hostile pictures without Pillow's warnings about them reaching the program."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from typing import Any, cast

__all__ = ["quiet_pillow"]

_quiet_lock = threading.Lock()
_quiet_users = 0
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""A warning filter for what Pillow's own modules say, and for nothing else."""


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence what Pillow says through `warnings`, in all threads, while this is held.

    `warnings.catch_warnings` puts back a whole list of filters, which two threads can do
    in the wrong order and so leave somebody else's filters broken. Here one narrow entry
    is added while at least one thread decodes, and taken out by the last; nothing else
    in the list is ever touched.
    """
    global _quiet_users  # noqa: PLW0603 - counts the threads, under the lock
    with _quiet_lock:
        _quiet_users += 1
        filters = cast("MutableSequence[Any]", warnings.filters)
        if _QUIET not in filters:
            filters.insert(0, _QUIET)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users -= 1
            filters = cast("MutableSequence[Any]", warnings.filters)
            if _quiet_users == 0 and _QUIET in filters:
                filters.remove(_QUIET)
