"""The key of a service, and the host that it may be sent to."""

from __future__ import annotations

import os

import httpx2
from pydantic import SecretStr

from mmcrime.errors import ConfigError
from mmcrime_providers._http import public_url

__all__ = ["host_of", "service_key"]


def service_key(
    given: SecretStr | None, *, provider: str, variable: str, own: bool, needed: bool, url: str
) -> str:
    """Return the key to send; empty where there is none and none is needed.

    Args:
        given: The key of the configuration.
        provider: Registered name of the provider.
        variable: The environment variable that the SDK would read.
        own: Whether that variable may be used. A key that was set for one service must not
            go to whatever address a configuration names.
        needed: Whether the service takes nobody without a key.
        url: Where it would be sent.

    Raises:
        ConfigError: If a key is missing, is none, or would be sent where all can read it.
    """
    held = given.get_secret_value() if given else os.environ.get(variable, "") if own else ""
    key = held.strip()
    if needed and not key:
        raise ConfigError(
            f"There is no key for {provider!r}.",
            next_step=f"Set {variable}, or providers.{provider}.api_key.",
        )
    if needed and httpx2.URL(url).scheme != "https":
        raise ConfigError(
            f"The key for {provider!r} would go to {public_url(url)!r} without encryption.",
            next_step=f"Set providers.{provider}.base_url to the same with https://.",
        )
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(
            f"The key for {provider!r} holds characters that no key has.",
            next_step="Copy it again, without spaces and quotation marks.",
        )
    return key


def host_of(url: str, *, provider: str) -> str:
    """Return the host of an address.

    Raises:
        ConfigError: If it is no address of a web service.
    """
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(
            f"The address {public_url(url)!r} of {provider!r} is none of a web service.",
            next_step=f"Set providers.{provider}.base_url to one that begins with https://.",
        )
    return parsed.host
