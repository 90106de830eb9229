"""OpenCV on one thread while motion is measured.

Optical flow between pictures of 160 pixels takes a tenth of a millisecond. Shared among
threads, as OpenCV does it, the threads take four times as much CPU time to wake and to
wait for each other, in each pair of pictures anew. The result is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

__all__ = ["one_thread"]

_lock = threading.Lock()
_inside = 0  # blocks that are being run
_before = 0  # threads that OpenCV had outside of them


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenCV from sharing work among threads, for as long as the block runs.

    OpenCV knows one number of threads for the whole process. So of blocks that overlap,
    the first sets it and the last sets it back.
    """
    global _inside, _before  # noqa: PLW0603 - what they describe is global, too
    with _lock:
        if _inside == 0:
            _before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                cv2.setNumThreads(_before)
