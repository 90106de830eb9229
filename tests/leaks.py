"""What must stand in no log: keys, e-mail addresses, and media in the form of text.

Every record of the loggers of mmcrime is looked at, whatever its level, and those of all other
loggers from INFO on. What the SDKs write at DEBUG holds headers and bodies, and is theirs.
"""

from __future__ import annotations

import logging
import re
import threading

_KEY = re.compile(
    r"(?<![\w-])(?:sk-[\w-]{8,}|AIza[\w-]{8,}|hf_[A-Za-z0-9]{8,}|r8_[A-Za-z0-9]{8,}"
    r"|(?i:bearer)\s+[\w.~+/=-]{8,})"
)
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){0,4}\.[A-Za-z]{2,24}(?![\w.])")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"))
_SHOWN = 12  # characters: enough to find it, too few to tell it once more
_FORMATTER = logging.Formatter()


def leaks(text: str) -> list[str]:
    """Return what a text holds that no log may hold, the beginning of each."""
    found = [f"a key: {m[0][:_SHOWN]!r}..." for m in _KEY.finditer(text)]
    found += [f"an address: {m[0][:_SHOWN]!r}..." for m in _ADDRESS.finditer(text)]
    for run in _BASE64.finditer(text):
        # Encoded bytes have all three; a long name of a test has one or two.
        if all(kind.search(run[0]) for kind in _KINDS):
            found.append(f"{len(run[0])} characters of base64: {run[0][:_SHOWN]!r}...")
    return found


class LogGuard(logging.Handler):
    """Looks at every record of every logger.

    Attributes:
        found: What no log may hold, with the logger that it came through.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []
        self._lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Look at the message, the traceback and everything that the record carries."""
        ours = record.name.partition(".")[0] == "mmcrime"
        if not ours and record.levelno < logging.INFO:
            return
        whole = f"{_FORMATTER.format(record)}\n{vars(record)!r}"
        if found := leaks(whole):
            with self._lock:
                self.found += [f"{record.name}: {each}" for each in found]
