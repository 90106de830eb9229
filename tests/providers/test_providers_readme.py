"""The page about writing a provider is true."""

from __future__ import annotations

import asyncio
import json
import tomllib
from typing import Any

import pytest
from pydantic import SecretStr

from mmcrime.errors import ProviderError
from mmcrime.plugins import Part, Provider, Request, Response
from mmcrime.testing import WireReply, wire_server
from pages import PROJECT, ROOT, blocks

PAGE = blocks(ROOT / "providers/README.md")
(CODE,) = (block.body for block in PAGE if block.language == "python")
ANSWER = WireReply(body={"text": "calm", "model": "small-vision-1b"})


def provider(url: str) -> Provider:
    names: dict[str, Any] = {"__name__": "mmcrime_small"}
    # Without the future import of this module, which the block does not have.
    code = compile(CODE, "README", "exec", dont_inherit=True)
    exec(code, names)  # noqa: S102  # the block under test
    options = names["SmallOptions"](api_key=SecretStr("secret-key"), base_url=url)
    made: Provider = names["SmallProvider"](
        api_key=options.api_key,
        base_url=options.base_url,
        model=options.model,
        timeout=options.timeout,
    )
    return made


def ask(url: str) -> Response:
    async def work() -> Response:
        async with provider(url) as asked:
            parts = (Part(text="The garage."), Part(data=b"jpeg", media_type="image/jpeg"))
            return await asked.generate(Request(instructions="look", parts=parts))

    return asyncio.run(work())


def test_it_has_forty_lines_after_its_imports() -> None:
    lines = CODE[CODE.index("class SmallOptions") :].splitlines()
    assert len([line for line in lines if line.strip()]) <= 40


def test_it_asks_and_reads() -> None:
    with wire_server(ANSWER) as server:
        found = ask(server.url)
    assert (found.status, found.text, found.model) == ("answered", "calm", "small-vision-1b")
    (sent,) = server.requests
    assert sent.headers["authorization"] == "Bearer secret-key"
    assert json.loads(sent.body) == {
        "model": "small-vision-1",
        "task": "look",
        "parts": ["The garage.", "anBlZw=="],
    }


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (WireReply(status=401), "AuthenticationError"),
        (WireReply(status=429), "RateLimitedError"),
        (WireReply(status=503), "UnavailableError"),
        (WireReply(body=b"<html>"), "InvalidResponseError"),
        (WireReply(body=[]), "InvalidResponseError"),
        (WireReply(fault="reset"), "UnavailableError"),
    ],
)
def test_it_translates_what_goes_wrong(reply: WireReply, kind: str) -> None:
    with wire_server(reply) as server, pytest.raises(ProviderError) as caught:
        ask(server.url)
    assert type(caught.value).__name__ == kind
    assert "secret-key" not in str(caught.value)


def test_its_registration_uses_the_real_door() -> None:
    (written,) = (tomllib.loads(b.body) for b in PAGE if b.language == "toml")
    assert set(written["project"]["entry-points"]) <= set(PROJECT["entry-points"])


def test_it_names_the_providers_that_are_registered() -> None:
    text = (ROOT / "providers/README.md").read_text(encoding="utf-8")
    for name in PROJECT["entry-points"]["mmcrime.providers"]:
        assert f"| `{name}` |" in text
