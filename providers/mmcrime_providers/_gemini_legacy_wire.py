"""What the end-of-life SDK of Gemini writes. It writes the request, and does not send it.

Its own REST transport waits in a thread that nobody can end, follows a redirect with the key,
asks twice where a key is refused, and reads an answer of any size.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

from mmcrime.plugins import Part, Request

with warnings.catch_warnings():
    # About the age of Python and of the SDK, which `GeminiLegacyProvider.remarks` tells once.
    # The part under `google.generativeai` is imported, since that itself keeps one key for
    # the whole process.
    warnings.simplefilter("ignore", FutureWarning)
    from google.ai.generativelanguage_v1beta import types
    from google.ai.generativelanguage_v1beta.services.generative_service.transports.rest import (
        GenerativeServiceRestTransport,
    )
    from google.auth.credentials import AnonymousCredentials

__all__ = ["Written", "written"]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A request that was not sent yet.

    Attributes:
        url: Where it goes.
        headers: Without the key.
        body: JSON.
    """

    url: str
    headers: Mapping[str, str]
    body: str = field(repr=False)


def written(request: Request, *, model: str, url: str) -> Written:
    """Let the SDK write a request; takes as long as media takes to become base64.

    Args:
        request: What is asked.
        model: The model to ask, which can be named in an address.
        url: Address of the service, without a version.
    """
    transport = GenerativeServiceRestTransport(
        host=url.rstrip("/"),
        # Else it looks for some of this machine.
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # all of google.auth is
    )
    transport.close()
    paper = _Paper()
    transport._session = paper  # noqa: SLF001  # there is no other way to the request
    transport.generate_content(_question(request, model))
    return paper.written


class _Paper:
    """Stands where the SDK has its HTTP session, and keeps what is to be sent."""

    written: Written

    def post(
        self, url: str, *, headers: Mapping[str, str], data: str, **_: object
    ) -> SimpleNamespace:
        """Keep a request, and return the answer that says nothing.

        Left out are the parameters, which would have the service answer with numbers for
        words: what a number means that is newer than the SDK, nobody here knows.
        """
        self.written = Written(url=url, headers=headers, body=data)
        return SimpleNamespace(status_code=200, headers={}, content=b"{}")


def _question(request: Request, model: str) -> types.GenerateContentRequest:
    named = model if "/" in model else f"models/{model}"
    question = types.GenerateContentRequest(
        model=named,
        contents=[types.Content(role="user", parts=[_part(part) for part in request.parts])],
        generation_config=types.GenerationConfig(max_output_tokens=request.max_output_tokens),
    )
    if request.instructions:
        question.system_instruction = types.Content(parts=[types.Part(text=request.instructions)])
    return question


def _part(part: Part) -> types.Part:
    if part.kind == "text":
        return types.Part(text=part.text)
    return types.Part(inline_data=types.Blob(data=part.data, mime_type=part.media_type))
