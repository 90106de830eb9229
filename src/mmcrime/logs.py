"""What mmcrime logs: under which request, and as JSON for whoever collects it.

Loggers bear the names of the rooms, such as ``mmcrime.calls``. None of their records holds
media, a key, or the words of a question or an answer. Each has a ``request_id``: that of the
report it belongs to, empty outside of a run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

__all__ = ["JsonFormatter", "get_logger"]

_MOST_TEXT = 2_000  # characters of one text; a message of a foreign library may have any length
_MOST_TRACEBACK = 20_000
_BELONGS_TO_LOGGING = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "request_id"}
)
_request: ContextVar[str] = ContextVar("mmcrime_request_id", default="")

# Without a handler above them, logging would print warnings of a library by itself.
logging.getLogger("mmcrime").addHandler(logging.NullHandler())


class _Request(logging.Filter):
    """Writes the request of the present run into a record that names none itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        if not hasattr(record, "request_id"):
            record.request_id = _request.get()
        return True


_write_request = _Request()


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a name, whose records all have a ``request_id``.

    It is the one that ``logging.getLogger`` returns. A filter must be on each of them: one on
    ``mmcrime`` would not see the records of those below it.

    Args:
        name: Such as ``mmcrime.calls``.
    """
    logger = logging.getLogger(name)
    logger.addFilter(_write_request)  # once, however often it is added
    return logger


def current_request() -> str:
    """Return the id of the present run; empty outside of one."""
    return _request.get()


@contextmanager
def of_request(request_id: str) -> Iterator[None]:
    """Give what is logged inside, and in tasks and threads begun inside, the id of a run."""
    token = _request.set(request_id)
    try:
        yield
    finally:
        _request.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a record, in one line.

    It has ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``, ``request_id`` where
    there is one, ``exception`` (the traceback) where there is one, and what a record carries
    beside these (``extra=``). Long texts are cut.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line end."""
        return json_line(
            level=record.levelname,
            logger=record.name,
            message=record.getMessage(),
            time=record.created,
            request_id=getattr(record, "request_id", ""),
            exception=self._traceback(record),
            extra={k: v for k, v in vars(record).items() if k not in _BELONGS_TO_LOGGING},
        )

    def _traceback(self, record: logging.LogRecord) -> str:
        if record.exc_info:
            return self.formatException(record.exc_info)
        return record.exc_text or ""


def json_line(
    *,
    level: str,
    logger: str,
    message: str,
    time: float,
    request_id: str = "",
    exception: str = "",
    extra: Mapping[str, Any] | None = None,
) -> str:
    """Return one line of a log.

    Args:
        level: Name of the level.
        logger: Name of the logger.
        message: What happened.
        time: Seconds since 1970.
        request_id: Of the run; empty for none.
        exception: A traceback; empty for none.
        extra: What else there is to say.
    """
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "logger": logger,
        "message": _cut(message, _MOST_TEXT),
    }
    if request_id:
        line["request_id"] = request_id
    if exception:
        line["exception"] = _cut(exception, _MOST_TRACEBACK)
    plain = {name: _plain(value) for name, value in (extra or {}).items()}
    # A half of a surrogate pair is escaped, so that every line is valid UTF-8.
    return json.dumps(plain | line, allow_nan=False)


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value - value == 0:  # neither infinite nor a NaN
        return value
    return _cut(str(value), _MOST_TEXT)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
