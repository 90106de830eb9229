"""A process of its own that asks one question; `test_shared_properties` starts several."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
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
        async with httpx2.AsyncClient(timeout=60) as client:
            reply = await client.post(self.endpoint, content=request.instructions)
        usage = TokenUsage(input=1, output=1)
        return Response(status="answered", text=reply.text, model="m", usage=usage)


def ask(door: Connection, redis: str, namespace: str, url: str, folder: Path) -> None:
    held = {"url": redis, "namespace": namespace, "directory": str(folder)}
    settings = Settings.model_validate({"cache": held, "budget": {"usd_per_run": None}})
    door.send("ready")
    door.recv()
    door.send(asyncio.run(_asked(settings, url, folder.name)))


async def _asked(settings: Settings, url: str, name: str) -> list[object]:
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
    answer = await provider.generate(question())
    await layer.aclose()
    return [answer.text, answer.cached]
