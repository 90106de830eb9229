"""What the providers share about HTTP: delays, limits, secrets, and answers that are too large.

Headers and bodies come from a service, or from whoever sits in between, so that none of
this raises for anything that they may hold.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import Any

import httpx2

from mmcrime.errors import InvalidResponseError, ProviderError, UnavailableError
from mmcrime.plugins import RateStatus

__all__ = [
    "MOST_BYTES",
    "AnswerTooLargeError",
    "connection_error",
    "http_client",
    "public_url",
    "rate_status",
    "retry_after",
    "scrub_error",
    "scrubbed",
    "secrets_in",
]

MOST_BYTES = 8 * 1024 * 1024
"""Largest answer that is read. An answer of 100,000 tokens has less than 1 MB."""

_LONGEST = 86_400.0  # seconds; whoever is told to wait longer waits for a day, and asks again
_LONGEST_VALUE = 100  # characters of a header that says a time
_MOST_TEXT = 300  # characters of a service's own words that a message quotes
_CONNECT = 10.0  # seconds until a service that does not even take the call counts as down
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?")
_TOKEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:ms|us|µs|ns|d|h|m|s))+")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_SAID = re.compile(r"(?:try again|retry|wait) (?:in|after|for) ([0-9][0-9.hmsd]{0,30})")
_KEYS = re.compile(
    r"(?i)\b(?:sk|pk|rk|gsk|xai|hf|r8|key)[-_][\w*.-]{4,}|\bAIza[\w*-]{6,}|\bbearer\s+\S+"
    r"|[\w.-]*\*{3,}[\w*.-]*"
)
_WORD = re.compile(r"[\w+/=-]{6,}")


def retry_after(
    headers: Mapping[str, str], body_text: str = "", *, now: datetime | None = None
) -> float | None:
    """Return the seconds that this error asks to wait, from 0 to a day; None if it does not.

    Read are ``retry-after-ms``; ``retry-after`` as seconds, as a date of HTTP or RFC 3339,
    and as ``12ms`` or ``1h2m3s``; Google's RetryInfo, ``retry_after`` and "try again in
    3.89s" in the body; and at last the reset of a limit of which nothing is left.

    Args:
        headers: Of the answer; upper and lower case are the same.
        body_text: The body of the answer.
        now: The present; for tests.
    """
    given = _lowered(headers)
    milliseconds = _number(given.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000.0)
    wait = _seconds(given.get("retry-after", ""), now)
    if wait is None:
        wait = _wait_in_body(body_text, now)
    if wait is None:
        wait = _wait_for_limits(rate_status(given, now=now))
    return None if wait is None else _bounded(wait)


def rate_status(headers: Mapping[str, str], *, now: datetime | None = None) -> RateStatus | None:
    """Return what the headers say of the limits; None if they do not.

    Args:
        headers: ``x-ratelimit-*`` as OpenAI writes them, or ``anthropic-ratelimit-*``.
        now: The present; for tests.
    """
    given = _lowered(headers)
    found: dict[str, float | None] = {}
    for what in ("requests", "tokens"):
        for field, word in (("per_minute", "limit"), ("left", "remaining")):
            found[f"{what}_{field}"] = _number(_limit_header(given, what, word))
        reset = _seconds(_limit_header(given, what, "reset"), now)
        found[f"{what}_reset"] = None if reset is None else _bounded(reset)
    return None if all(value is None for value in found.values()) else RateStatus(**found)


def scrubbed(text: str, secrets: Sequence[str] = ()) -> str:
    """Return at most 300 characters of one line, without keys or pieces of them.

    Args:
        text: A service's own words.
        secrets: Keys that were sent. What looks like a key is masked as well.
    """
    known = [secret for secret in secrets if secret]
    reach = max(map(len, known), default=0)
    if len(text) > 4 * _MOST_TEXT + reach:
        # Shortened before it is searched, and by so much that no key is cut into pieces.
        text = text[: 4 * _MOST_TEXT + reach]
        text = text[:-reach] if reach else text
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _KEYS.sub("***", text)
    text = _WORD.sub(lambda m: "***" if any(m[0] in secret for secret in known) else m[0], text)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 1] + "…"


def scrub_error(error: BaseException, secrets: Sequence[str]) -> None:
    """Take keys out of the words of an SDK's error, and of those behind it.

    It is chained to ours, and a traceback in a log prints its words.
    """
    for one in _chain(error):
        one.args = tuple(scrubbed(a, secrets) if isinstance(a, str) else a for a in one.args)


def public_url(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    try:
        parsed = httpx2.URL(url)
        return str(parsed.copy_with(username="", password="", query=None, fragment=None))
    except (httpx2.InvalidURL, ValueError, TypeError):
        return ""


def secrets_in(url: str) -> tuple[str, ...]:
    """Return what of an address no message may hold: its password, also as it is sent."""
    given = httpx2.URL(url)
    if not given.password:
        return ()
    pair = f"{given.username}:{given.password}".encode()
    userinfo = given.userinfo.decode("ascii", "replace")
    quoted = userinfo.partition(":")[2]
    return tuple(dict.fromkeys((given.password, quoted, base64.b64encode(pair).decode())))


def connection_error(
    error: BaseException, *, provider: str, endpoint: str, timeout: float
) -> ProviderError:
    """Return our error for one that is about the line, and not about what the service said.

    Args:
        error: What the SDK raised, the causes behind it included.
        provider: Registered name of the provider.
        endpoint: Where the request went, without secrets.
        timeout: Seconds that the request was given.
    """
    chain = list(_chain(error))
    if any(isinstance(one, AnswerTooLargeError) for one in chain):
        return InvalidResponseError(
            f"{provider} sent an answer that was not read: {_words(chain, AnswerTooLargeError)}.",
            provider=provider,
            next_step=f"Check that {endpoint!r} is the address of the service.",
        )
    if any(isinstance(one, _NEVER_SENT) for one in chain):
        return UnavailableError(
            f"{provider} cannot be reached at {endpoint!r}.",
            provider=provider,
            may_be_billed=False,
            next_step=f"Check the network and providers.{provider}.base_url.",
        )
    if any(isinstance(one, (httpx2.TimeoutException, TimeoutError)) for one in chain):
        return UnavailableError(
            f"{provider} did not answer within {timeout:g} s.",
            provider=provider,
            next_step=f"Try again, or raise providers.{provider}.timeout.",
        )
    return UnavailableError(
        f"The connection to {provider} at {endpoint!r} broke before the answer was complete.",
        provider=provider,
    )


class AnswerTooLargeError(httpx2.TransportError):
    """An answer has more bytes than are read, or may have them once it is unpacked."""


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, request: httpx2.Request, most: int) -> None:
        self._stream = stream
        self._request = request
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._stream:
            read += len(chunk)
            if read > self._most:
                raise AnswerTooLargeError(_too_large(self._most), request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(most: int, response: httpx2.Response) -> None:
    """Make an answer raise as soon as more than so many bytes of it are read."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    length = _number(response.headers.get("content-length", "")) or 0
    if response.status_code != httpx2.codes.OK:
        most = min(most, MOST_BYTES)  # only what was asked for may be larger
    if packed not in ("", "identity"):
        # A small packed answer may unpack to any size, all of it at once.
        raise AnswerTooLargeError("it is packed, which was not asked for", request=response.request)
    if length > most:
        raise AnswerTooLargeError(_too_large(most), request=response.request)
    # All that is read is JSON. The charset that a header names may be one that takes minutes, or
    # that is none of text at all.
    response.encoding = "utf-8"
    assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # of an async client
    response.stream = _Bounded(response.stream, response.request, most)


@cache
def _trusted(*_where: str | None) -> ssl.SSLContext:
    """Return whom to trust, which takes long to read; by where it stands, if that is told."""
    return httpx2.create_ssl_context()


def http_client(*, timeout: float, url: str = "", most: int = MOST_BYTES) -> httpx2.AsyncClient:
    """Return a client for an SDK: its answers are bounded, and it follows no redirect.

    Args:
        timeout: Seconds that one step of a request may take. What a whole request may take
            is bounded by whoever makes it, since an answer may drip for ever.
        url: An address whose user and password, if it has them, go into the header of every
            request. The SDK is given the address without them, since it is logged.
        most: Bytes of an answer that are read at most.
    """
    given = httpx2.URL(url)
    known = bool(given.username or given.password)
    return httpx2.AsyncClient(
        verify=_trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        auth=httpx2.BasicAuth(given.username, given.password) if known else None,
        timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT)),
        # Places are given out by the call layer; a pool that is full would look like an outage.
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
        headers={"accept-encoding": "identity"},
        follow_redirects=False,  # a redirect would carry the media somewhere unannounced
        event_hooks={"response": [partial(_bound, most)]},
    )


_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _words(chain: Sequence[BaseException], kind: type[BaseException]) -> str:
    return next(str(one) for one in chain if isinstance(one, kind))


def _too_large(most: int) -> str:
    return f"it is larger than {most} bytes"


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _limit_header(given: Mapping[str, str], what: str, word: str) -> str:
    names = (f"x-ratelimit-{word}-{what}", f"anthropic-ratelimit-{what}-{word}")
    return next((given[name] for name in names if name in given), "")


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST)


def _number(value: str) -> float | None:
    value = value.strip()
    return float(value) if _NUMBER.fullmatch(value) else None


def _seconds(value: str, now: datetime | None = None) -> float | None:
    """Read seconds, a duration or an instant; None for anything else."""
    value = value.strip()
    if not value or len(value) > _LONGEST_VALUE:
        return None
    number = _number(value)
    if number is not None:
        return number
    if _DURATION.fullmatch(value):
        return sum(float(n) * _UNITS[unit.replace("µ", "u")] for n, unit in _TOKEN.findall(value))
    return _until(value, now)


def _until(value: str, now: datetime | None) -> float | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            instant = read(value)
            if instant.tzinfo is None:
                instant = instant.replace(tzinfo=UTC)
            seconds = (instant - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    return None


def _wait_in_body(text: str, now: datetime | None) -> float | None:
    try:
        body: Any = json.loads(text[:65_536])
    except (ValueError, RecursionError):
        return None
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and "retryDelay" in detail:
            wait = _seconds(str(detail["retryDelay"])[:_LONGEST_VALUE], now)
            if wait is not None:
                return wait
    wait = _seconds(str(error.get("retry_after", ""))[:_LONGEST_VALUE], now)
    if wait is not None:
        return wait
    said = _SAID.search(str(error.get("message", ""))[:4096])
    return _seconds(said[1].rstrip("."), now) if said else None


def _wait_for_limits(rate: RateStatus | None) -> float | None:
    if rate is None:
        return None
    waits = [
        reset
        for left, reset in (
            (rate.requests_left, rate.requests_reset),
            (rate.tokens_left, rate.tokens_reset),
        )
        if left == 0 and reset is not None
    ]
    return max(waits, default=None)
