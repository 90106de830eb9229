"""What settings may be that are handed to others: addresses and headers."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

__all__ = ["collector_headers", "collector_url", "redis_url"]

_REDIS = re.compile(r"rediss?://([^/?#@]*@)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?(/\d*)?(\?[^#@]*)?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_OURS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})


def redis_url(url: SecretStr) -> SecretStr:
    """Refuse an address of a Redis that could be read in two ways, without showing it."""
    text = url.get_secret_value()
    if not _REDIS.fullmatch(text) or urlsplit(text).port == 0:
        raise ValueError(
            "it must look like redis://HOST:6379/0 or rediss://USER:PASSWORD@HOST:6379/0, with "
            "what is special in a password written as %2F and the like"
        )
    return url


def collector_url(url: str) -> str:
    """Refuse an address of a collector that is none, or holds what must not be shown."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("it must begin with http:// or https:// and name a host")
    try:
        port = address.port
    except ValueError:
        raise ValueError("its port is no number from 1 to 65535") from None
    if port == 0 or not url.isascii() or any(not 32 < ord(letter) < 127 for letter in url):
        raise ValueError("it must have no spaces, no other letters than ASCII, and no port 0")
    if "@" in address.netloc or address.query or address.fragment:
        raise ValueError("it must hold no user, query or fragment; a key belongs into headers")
    return url


def collector_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Refuse headers that no request can have, or that mmcrime sets itself."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} is no header that can be set")
        if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(f"the value of {name!r} must be ASCII in one line; it is not shown")
    return headers
