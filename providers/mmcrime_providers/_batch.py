"""What the batches of all services share: names from outside, and answers line by line."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2

from mmcrime.errors import ProviderError
from mmcrime.plugins import Response
from mmcrime_providers._failures import Failure
from mmcrime_providers._http import MOST_BYTES
from mmcrime_providers._json import as_mapping, as_text, parsed
from mmcrime_providers._service import Service

__all__ = [
    "HALF",
    "MOST_RESULTS",
    "PAGE",
    "PAGES",
    "SUBMITTING",
    "address_part",
    "costing_nothing",
    "lines_of",
    "objects_in",
    "outcome",
    "too_many",
]

HALF = 0.5
"""Share of the usual price that all three vendors charge for batches."""
MOST_RESULTS = 1024 * 1024 * 1024
"""Most bytes of the answers of a batch. Read line by line, they are never held at once."""
SUBMITTING = 600.0
"""Seconds that handing over a batch may take."""
PAGES, PAGE = 5, 100
"""How many pages of how many batches are looked through for one that was lost sight of."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def address_part(service: Service, value: object) -> str:
    """Return a name that a service gave, as it may stand in an address.

    Raises:
        InvalidResponseError: If it is none; it could lead the key anywhere.
    """
    text = as_text(value)
    if _NAME.fullmatch(text) is None:
        raise service.unreadable("a name of a batch or a file that is none")
    return text


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield whole lines; one that is larger than any answer may be is left out."""
    held, skipped = bytearray(), False
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            held += piece
            if not skipped and len(held) <= MOST_BYTES:
                yield bytes(held)
            held.clear()
            skipped = False
        held += rest
        if len(held) > MOST_BYTES:
            held.clear()
            skipped = True
    if held and not skipped:
        yield bytes(held)


async def objects_in(
    answer: httpx2.Response, service: Service, failure: type[Failure]
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the objects of an answer that has one a line; what is none is left out.

    Raises:
        ProviderError: If the service sends an error instead.
    """
    if answer.status_code != httpx2.codes.OK:
        await answer.aread()
        raise service.failed(failure.of(answer.status_code, answer.headers, answer.text), "")
    async for line in lines_of(answer.aiter_bytes()):
        held = as_mapping(parsed(line))
        if held:
            yield held


@contextmanager
def costing_nothing() -> Iterator[None]:
    """Say of the errors inside that nothing is charged for."""
    try:
        yield
    except ProviderError as error:
        error.may_be_billed = False
        raise


def outcome(read: Callable[[], Response]) -> Response | ProviderError:
    """Return what reading one line gives; what is wrong with it concerns no other."""
    try:
        return read()
    except ProviderError as error:
        return error


def too_many(service: Service) -> ProviderError:
    """Return the error for a batch that is not among the newest ones, nor sure not to be."""
    return ProviderError(
        f"{service.provider} holds so many batches that the one looked for was not among the "
        f"newest {PAGES * PAGE}.",
        provider=service.provider,
        next_step="Look for it in the console of the service.",
    )
