"""Which addresses a download may reach, and a connection that reaches no other.

The guard behind `mmcrime.media.fetch`: the rule for public addresses, one question to
the resolver, and a transport that is pinned to the answer and to one deadline.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import httpcore2

__all__ = ["Address", "PinnedBackend", "is_public", "resolve_host", "within"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_T = TypeVar("_T")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    IPv6 addresses that carry an IPv4 address (mapped, 6to4, NAT64) are judged by that
    address as well; anything outside the global unicast range is refused.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address.sixtofour is not None and not is_public(address.sixtofour):
        return False
    # Teredo lies in a block that is not global, so that it needs no rule of its own.
    return address in _GLOBAL_UNICAST and address.is_global


def resolve_host(host: str, port: int) -> list[Address]:
    """Ask the system's resolver for the addresses of a host.

    Raises:
        OSError: If there is no answer.
    """
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = [ipaddress.ip_address(str(sockaddr[0])) for *_, sockaddr in answers]
    return list(dict.fromkeys(found))


def within(call: Callable[[], _T], deadline: float) -> _T:
    """Run a call that knows no timeout (a name server may take minutes) until a deadline.

    The thread of a call that is too slow is left behind; as a daemon it holds up nothing.

    Raises:
        TimeoutError: If the call is not done in time.
    """
    done: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread, not kept
            done.put((None, error))

    threading.Thread(target=work, name="mmcrime-resolve", daemon=True).start()
    try:
        result, error = done.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise TimeoutError("no answer in time") from None
    if error is not None:
        raise error
    return cast("_T", result)


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects to the addresses that were checked, whatever the host's name says now."""

    def __init__(self, addresses: list[str], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the whole point: only the checked addresses are used
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first checked address that answers."""
        failure: Exception = httpcore2.ConnectError("no address")
        for address in self._addresses:
            wait = _left(self._deadline, timeout)
            try:
                stream = self._sockets.connect_tcp(
                    address, port, wait, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _DeadlineStream(stream, self._deadline)
        raise failure


class _DeadlineStream(httpcore2.NetworkStream):
    """A connection on which every read and write gets only the time that is left.

    A timeout of the usual kind starts anew with each byte, so that a server that drips
    its headers or body could hold a caller for ever.
    """

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        wait = _left(self._deadline, timeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, wait)
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    """Return the seconds that the next step may take."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time for the whole download is over")
    return left if timeout is None else min(left, timeout)
