"""A process of its own that asks one question; `test_shared_properties` starts several."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from calls_kit import question

from mmcrime.calls.budget import RunBudget
from mmcrime.calls.layer import CallLayer, Run
from mmcrime.config import ProviderSettings, Settings
from mmcrime.egress import Gate
from mmcrime.plugins import Provider, Request, Response, TokenUsage


class Remote(Provider):
    """Asks a server over HTTP."""

    model = "m"

    def __init__(self, url: str) -> None:
        self.endpoint = url

    async def generate(self, request: Request) -> Response:
        import httpx2

        async with httpx2.AsyncClient(timeout=60) as client:
            reply = await client.post(self.endpoint, content=request.instructions)
        usage = TokenUsage(input=1, output=1)
        return Response(status="answered", text=reply.text, model="m", usage=usage)


async def ask(settings: Settings, url: str, name: str) -> None:
    layer = CallLayer(settings)
    provider = layer.wrap(
        Remote(url),
        name="remote",
        section=ProviderSettings(),
        options="",
        run=Run(
            request_id=name,
            tenant="default",
            gate=Gate(offline=False),
            budget=RunBudget(settings.budget),
            deadline=None,
        ),
    )
    print("ready", flush=True)
    sys.stdin.readline()
    answer = await provider.generate(question())
    await layer.aclose()
    print(json.dumps([answer.text, answer.cached]), flush=True)


if __name__ == "__main__":
    _, redis, namespace, url, folder = sys.argv
    held = {"url": redis, "namespace": namespace, "directory": folder}
    given = Settings.model_validate({"cache": held, "budget": {"usd_per_run": None}})
    asyncio.run(ask(given, url, Path(folder).name))
