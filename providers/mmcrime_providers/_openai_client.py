"""OpenAI's SDK, made to send what it is told once and to whom it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx2
import openai

from mmcrime.plugins import Response
from mmcrime_providers._http import http_client, public_url, rate_status
from mmcrime_providers._openai_errors import OpenAIFailure
from mmcrime_providers._openai_wire import model_in, usage_in
from mmcrime_providers._service import Service

__all__ = ["openai_client", "read_answer", "read_body"]


def openai_client(
    *,
    url: str,
    key: str,
    timeout: float,
    own: bool,
    organization: str | None = None,
    line: httpx2.AsyncClient | None = None,
) -> openai.AsyncOpenAI:
    """Return the SDK's client.

    Args:
        url: Address of the service; its user and password, if it has them, are sent, and told
            nobody.
        key: The key; empty where the service needs none.
        timeout: Seconds that one step of a request may take.
        own: Whether what environment variables add for OpenAI may be sent there.
        organization: Whose account it is, where a key belongs to several.
        line: The connection, where it is not to be a usual one.
    """
    line = line or http_client(timeout=timeout, url=url)
    client = openai.AsyncOpenAI(
        api_key=key or "unused",  # the SDK wants one, servers of one's own do not
        base_url=public_url(url),
        organization=organization,
        max_retries=0,
        timeout=line.timeout,  # said aloud: as one number it would be that of each step
        http_client=line,
    )
    if not own:
        # What variables add for OpenAI is no business of another address.
        client.organization = organization
        client.project = None
        client._custom_headers = {}  # noqa: SLF001  # there is no other way
    return client


def read_answer(
    answer: httpx2.Response,
    *,
    service: Service,
    asked: str,
    failures: type[OpenAIFailure],
    read: Callable[..., Response],
) -> Response:
    """Read an answer of status 200, which may hold an error or nothing at all.

    Args:
        answer: The answer.
        service: Who gave it.
        asked: The model that was asked, where the answer names none.
        failures: What an error in it means.
        read: Reads it where it holds none, such as `read_chat`.

    Raises:
        ProviderError: If there is no answer in it.
    """
    body = service.json_object(answer.content)
    response = read_body(
        body,
        service=service,
        asked=asked,
        failure=failures.inside(body, answer.headers, answer.text),
        read=read,
    )
    return replace(response, rate=rate_status(answer.headers))


def read_body(
    body: Mapping[str, Any],
    *,
    service: Service,
    asked: str,
    failure: OpenAIFailure | None,
    read: Callable[..., Response],
) -> Response:
    """Read the body of an answer, wherever it comes from; see `read_answer`.

    Args:
        body: The body.
        service: Who gave it.
        asked: The model that was asked, where the answer names none.
        failure: The error in it; None where it holds none.
        read: Reads it where it holds none.

    Raises:
        ProviderError: If there is no answer in it.
    """
    model = model_in(body) or asked
    if failure is not None and not failure.is_refusal:
        raise service.failed(failure, model)
    if failure is not None:
        return Response(
            status="refused", text="", model=model, reason=failure.code, usage=usage_in(body)
        )
    return read(body, provider=service.provider, asked=asked)
