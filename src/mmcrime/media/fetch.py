"""Downloading one URL without being sent anywhere else.

A URL from a stranger can point at this machine, its network or a cloud's metadata
service, directly, through a redirect, or through a name whose answer changes between
the check and the connection. So every hop is announced, its host is resolved once, all
addresses of the answer are checked, and the connection goes to exactly those addresses
(TLS still verifies the host's name). Size and time are capped on what really arrives.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import httpcore2
import httpx2

from mmcrime.config import Limits
from mmcrime.egress import Gate
from mmcrime.errors import MediaError, UnsafeMediaError
from mmcrime.media.addresses import Address, PinnedBackend, is_public, resolve_host, within

__all__ = ["MAX_REDIRECTS", "fetch"]

MAX_REDIRECTS = 5
"""Redirects that are followed; enough for a link shortener before a storage service."""
_CONNECT_SECONDS = 10.0
"""Longest wait for one address, so that a dead one leaves time for the next."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = [
    ("User-Agent", "mmcrime"),
    ("Accept", "image/*, audio/*, video/*, */*;q=0.5"),
    # A compressed answer would make the size cap a matter of trust in a decompressor.
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
]


def fetch(
    url: str,
    into: BinaryIO,
    *,
    limits: Limits,
    gate: Gate,
    resolve: Callable[[str, int], list[Address]] = resolve_host,
    is_allowed: Callable[[Address], bool] = is_public,
) -> int:
    """Download a URL.

    Args:
        url: An ``http`` or ``https`` URL without user name and password.
        into: Where the bytes go.
        limits: ``max_fetch_bytes``, ``max_bytes`` and ``fetch_timeout`` (seconds for
            everything together); ``allow_private_addresses`` switches the check of
            addresses off.
        gate: Where every hop is announced before anything about it leaves.
        resolve: Gives the addresses of a host; asked once a hop.
        is_allowed: Which addresses may be reached.

    Returns:
        The number of bytes written.

    Raises:
        EgressError: If the gate is offline.
        UnsafeMediaError: For an address that may not be reached, another scheme, too
            many redirects, or a crossed cap of size or time.
        MediaError: If the server cannot be reached or does not answer with a file.
    """
    allowed = (lambda _: True) if limits.allow_private_addresses else is_allowed
    return _Download(into, limits=limits, gate=gate, resolve=resolve, allowed=allowed).run(url)


class _Download:
    """One download: the caps and doors that all its hops share."""

    def __init__(
        self,
        into: BinaryIO,
        *,
        limits: Limits,
        gate: Gate,
        resolve: Callable[[str, int], list[Address]],
        allowed: Callable[[Address], bool],
    ) -> None:
        self._into = into
        self._seconds = limits.fetch_timeout
        self._deadline = time.monotonic() + limits.fetch_timeout
        self._cap = min(limits.max_fetch_bytes, limits.max_bytes)
        self._gate = gate
        self._resolve = resolve
        self._allowed = allowed

    def run(self, text: str) -> int:
        url = _parse(text)
        for _ in range(MAX_REDIRECTS + 1):
            outcome = self._hop(url)
            if isinstance(outcome, int):
                return outcome
            url = outcome
        raise UnsafeMediaError(
            f"the server redirects more than {MAX_REDIRECTS} times.", source=_shown(url)
        )

    def _hop(self, url: httpx2.URL) -> int | httpx2.URL:
        """Ask one server; return the number of bytes of the file, or where it redirects to."""
        shown, port = _shown(url), url.port or (443 if url.scheme == "https" else 80)
        if self._gate.offline or not _is_address(url):
            # A question to a name server leaves this machine too; offline this refuses it all.
            self._gate.announce(
                what=f"name look-up of {_host(url)}", to="name server", purpose="fetch"
            )
        addresses = self._addresses(url, port)
        self._gate.announce(what=f"GET {shown}", to=_host(url), purpose="fetch")
        backend = PinnedBackend(addresses, self._deadline)
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        context = httpx2.create_ssl_context(trust_env=False) if url.scheme == "https" else None
        asked = [("Host", url.netloc.decode("ascii")), *_HEADERS]
        waits = {"timeout": {"connect": _CONNECT_SECONDS}}
        with (
            self._translated(shown),
            httpcore2.ConnectionPool(ssl_context=context, network_backend=backend) as pool,
            pool.stream("GET", target, headers=asked, extensions=waits) as answer,
        ):
            headers = {k.lower(): v.decode("latin-1") for k, v in answer.headers}
            if answer.status in _REDIRECTS and b"location" in headers:
                return _parse(headers[b"location"], base=url)
            self._check_headers(answer.status, headers, shown)
            return self._save(answer.iter_stream(), shown)

    def _addresses(self, url: httpx2.URL, port: int) -> list[str]:
        """Resolve the host once and refuse it if any of its addresses may not be reached."""
        try:
            found = within(lambda: self._resolve(_host(url), port), self._deadline)
        except TimeoutError as error:
            raise self._too_slow(_shown(url)) from error
        # UnicodeError: the resolver encodes names by rules of its own (empty labels).
        except (OSError, UnicodeError) as error:
            raise MediaError(
                f"the host {_host(url)!r} has no known address.",
                source=_shown(url),
                next_step="Check the URL and the network.",
            ) from error
        for address in found:
            if not self._allowed(address):
                raise UnsafeMediaError(
                    f"the host {_host(url)!r} has the private address {str(address)!r}.",
                    source=_shown(url),
                    next_step="Set media.limits.allow_private_addresses if this host is yours.",
                )
        if not found:
            raise MediaError(f"the host {_host(url)!r} has no address.", source=_shown(url))
        return [str(address) for address in found]

    def _check_headers(self, status: int, headers: dict[bytes, str], shown: str) -> None:
        if status != 200:
            raise MediaError(
                f"the server answered with status {status}.",
                source=shown,
                next_step="Check that the URL gives the file itself without signing in.",
            )
        encoding = headers.get(b"content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise UnsafeMediaError(
                f"the server compressed the file ({encoding[:40]!r}) although it was asked not to.",
                source=shown,
                next_step="Download the file yourself and give its path.",
            )
        length = headers.get(b"content-length", "")
        if length.isdecimal() and int(length) > self._cap:
            raise self._too_large(shown)

    def _save(self, chunks: Iterable[bytes], shown: str) -> int:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self._cap:
                raise self._too_large(shown)
            self._into.write(chunk)
        return size

    @contextmanager
    def _translated(self, shown: str) -> Iterator[None]:
        """Translate what the transport raises into our errors."""
        errors = (
            httpcore2.TimeoutException,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.UnsupportedProtocol,
        )
        try:
            yield
        except errors as error:
            if time.monotonic() >= self._deadline:
                raise self._too_slow(shown) from error
            raise MediaError(
                f"the download failed ({type(error).__name__}: {str(error)[:200]}).",
                source=shown,
                next_step="Check the URL and try again.",
            ) from error

    def _too_slow(self, shown: str) -> UnsafeMediaError:
        return UnsafeMediaError(
            f"the download took longer than {self._seconds:g} s.",
            source=shown,
            next_step="Raise media.limits.fetch_timeout, or download the file yourself.",
        )

    def _too_large(self, shown: str) -> UnsafeMediaError:
        return UnsafeMediaError(
            f"the file is larger than {self._cap} bytes.",
            source=shown,
            next_step="Raise media.limits.max_fetch_bytes, or download the file yourself.",
        )


def _parse(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """Parse a URL strictly; errors never show its query, user name or password."""
    source = "URL" if base is None else _shown(base)
    try:
        url = httpx2.URL(text) if base is None else base.join(text)
    except (httpx2.InvalidURL, ValueError, TypeError):
        # Not chained: the parser's message quotes the URL with all its secrets.
        raise MediaError(
            "is not a valid URL." if base is None else "redirects to no valid URL.",
            source=source,
            next_step="Check the URL.",
        ) from None
    if url.scheme not in {"http", "https"}:
        raise UnsafeMediaError(
            f"the scheme {url.scheme[:20]!r} is not fetched.",
            source=source,
            next_step="Use an http or https URL, or a path.",
        )
    if not url.host or (url.port is not None and not 0 < url.port < 65_536):
        raise MediaError(
            "the URL names no host and port.", source=source, next_step="Check the URL."
        )
    if url.userinfo:
        raise UnsafeMediaError(
            "a user name or password in a URL is not sent.",
            source=_shown(url),
            next_step="Download the file yourself and give its path.",
        )
    return url


def _host(url: httpx2.URL) -> str:
    return url.raw_host.decode("ascii")


def _is_address(url: httpx2.URL) -> bool:
    try:
        ipaddress.ip_address(_host(url).strip("[]"))
    except ValueError:
        return False
    return True


def _shown(url: httpx2.URL) -> str:
    """Return what people may see of a URL: no query, no user name, no password."""
    path = url.raw_path.split(b"?", 1)[0].decode("ascii")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}"[:300]
