"""OpenAI's SDK, made to send what it is told once and to whom it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx2
import openai

from mmcrime.plugins import Response
from mmcrime_providers._http import public_url, rate_status
from mmcrime_providers._openai_errors import OpenAIFailure
from mmcrime_providers._openai_wire import model_in, usage_in
from mmcrime_providers._service import Service

__all__ = ["openai_client", "read_answer", "read_body"]


def openai_client(
    line: httpx2.AsyncClient, *, url: str, key: str, own: bool, organization: str | None = None
) -> openai.AsyncOpenAI:
    """Return the SDK's client.

    Args:
        line: The connection, which is closed with the client.
        url: Address of the service; its user and password, if it has them, are sent, and told
            nobody.
        key: The key; empty where the service needs none.
        own: Whether what environment variables add for OpenAI may be sent there.
        organization: Whose account it is, where a key belongs to several.
    """
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
    said = read_body(
        service.json_object(answer.content),
        headers=answer.headers,
        text=answer.text,
        service=service,
        asked=asked,
        failures=failures,
        read=read,
    )
    return replace(said, rate=rate_status(answer.headers))


def read_body(
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    text: str,
    service: Service,
    asked: str,
    failures: type[OpenAIFailure],
    read: Callable[..., Response],
) -> Response:
    """Read the body of an answer; see `read_answer`.

    Args:
        body: What it holds.
        headers: What came with it.
        text: How it was written.
        service: Who gave it.
        asked: The model that was asked.
        failures: What an error in it means.
        read: Reads it where it holds none.
    """
    model = model_in(body) or asked
    failure = failures.inside(body, headers, text)
    if failure is None:
        return read(body, provider=service.provider, asked=asked)
    if not failure.is_refusal:
        raise service.failed(failure, model)
    return Response(
        status="refused", text="", model=model, reason=failure.code, usage=usage_in(body)
    )
