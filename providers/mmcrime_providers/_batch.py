"""What the batches of all services share: names from outside, and answers line by line."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import httpx2

from mmcrime.errors import ProviderError, UnavailableError
from mmcrime.plugins import BatchLimits, Request, Response
from mmcrime_providers._failures import Failure
from mmcrime_providers._http import MOST_BYTES, http_client, scrub_error
from mmcrime_providers._json import as_mapping, as_text, parsed
from mmcrime_providers._service import Service

__all__ = [
    "HALF",
    "MOST_RESULTS",
    "PAGE",
    "PAGES",
    "SKEW",
    "SUBMITTING",
    "address_part",
    "check_requests",
    "check_size",
    "costing_nothing",
    "lines_of",
    "objects_in",
    "outcome",
    "results_at",
    "sdk_errors",
    "too_many",
    "unasked",
]

HALF = 0.5
"""Share of the usual price that all three vendors charge for batches."""
MOST_RESULTS = 1024 * 1024 * 1024
"""Most bytes of the answers of a batch. Read line by line, they are never held at once."""
SUBMITTING = 600.0
"""Seconds that handing over a batch may take."""
PAGES, PAGE = 5, 100
"""How many pages of how many batches are looked through for one that was lost sight of."""
SKEW = timedelta(minutes=2)
"""By which the clocks of a service and of this machine may differ."""
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


def check_requests(service: Service, limits: BatchLimits, requests: Mapping[str, Request]) -> None:
    """Raise ProviderError for more requests than a batch holds, or one that none answers."""
    if len(requests) > limits.requests:
        raise _too_large(service, f"{len(requests)} requests", f"{limits.requests}")
    for key, request in requests.items():
        if request.task != "answer":
            raise ProviderError(
                f"{service.provider} answers no request {request.task!r} in a batch, as {key!r} "
                "is one.",
                provider=service.provider,
                next_step=f"Set providers.{service.provider}.lane to 'live' for it.",
            )


def check_size(service: Service, limits: BatchLimits, size: int) -> None:
    """Raise ProviderError for more bytes than a batch holds, all its requests together."""
    if size > limits.bytes:
        raise _too_large(service, f"{size} bytes", f"{limits.bytes}")


def _too_large(service: Service, held: str, most: str) -> ProviderError:
    return ProviderError(
        f"A batch of {held} is larger than {service.provider} takes, which is {most}.",
        provider=service.provider,
        next_step="Submit fewer requests at once.",
    )


@asynccontextmanager
async def results_at(
    url: str, headers: Mapping[str, object], *, service: Service, known: str
) -> AsyncIterator[httpx2.Response]:
    """Open an answer that is read line by line, and may be larger than any other.

    Args:
        url: Where it is.
        headers: What the SDK would send; what is no text among them is left out.
        service: Whose it is.
        known: The address of the service, with its user and password, if it has them.
    """
    given = {name: value for name, value in headers.items() if isinstance(value, str)}
    given["Accept"] = "application/binary"  # as the SDKs say for files
    line = http_client(timeout=service.timeout, url=known, most=MOST_RESULTS)
    async with line, line.stream("GET", url, headers=given) as answer:
        yield answer


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


def unasked(service: Service, kind: str) -> ProviderError:
    """Return the error for a request that the service did not work on.

    Args:
        service: The service.
        kind: ``expired``, after which it may be asked again, or ``canceled``.
    """
    if kind == "expired":
        return UnavailableError(
            f"{service.provider} did not come to this request before the batch expired.",
            provider=service.provider,
            may_be_billed=False,
        )
    return ProviderError(
        f"{service.provider} did not come to this request before the batch was cancelled.",
        provider=service.provider,
        may_be_billed=False,
        next_step="Ask again, if the batch was not cancelled on purpose.",
    )


def too_many(service: Service) -> ProviderError:
    """Return the error for a batch that is not among the newest ones, nor sure not to be."""
    return ProviderError(
        f"{service.provider} holds so many batches that the one looked for was not among the "
        f"newest {PAGES * PAGE}.",
        provider=service.provider,
        next_step="Look for it in the console of the service.",
    )


@contextmanager
def sdk_errors(sdk: Any, failures: type[Failure], service: Service, model: str) -> Iterator[None]:
    """Turn the errors of an SDK into ours.

    Args:
        sdk: The module `openai` or `anthropic`, whose errors have the same names.
        failures: What an unsuccessful answer means.
        service: Who is asked.
        model: The model that was asked; empty where that does not matter.
    """
    try:
        yield
    except sdk.APIStatusError as error:
        scrub_error(error, service.secrets)
        answer = error.response
        failure = failures.of(error.status_code, answer.headers, answer.text)
        raise service.failed(failure, model) from error
    except (sdk.APIConnectionError, httpx2.HTTPError, TimeoutError) as error:
        raise service.broke(error) from error
