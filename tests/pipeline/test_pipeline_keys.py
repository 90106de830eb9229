"""A key is no permission: nothing is asked unless somebody names it (promise 8)."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fakes import Scripted, reply

from mmcrime import CrimeDetectionPipeline
from mmcrime.config import load_settings
from mmcrime.plugins import Request, RunContext
from mmcrime.results import Assessment, Report

ACME = """
from mmcrime.plugins import PluginOptions, Provider, Response

calls = []

class Options(PluginOptions):
    api_key: str

class Acme(Provider):
    Options = Options
    free = True

    def __init__(self, *, api_key):
        self.api_key = api_key

    async def generate(self, request):
        calls.append(request)
        return Response(status="answered", text="calm", model="acme-1")

def recorded():
    return len(calls)
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed provider that records what it is asked, and its keys in the environment."""
    (tmp_path / "acme_keys.py").write_text(ACME, encoding="utf-8")
    info = tmp_path / "mmcrime_acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmcrime-acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mmcrime.providers]\nacme = acme_keys:Acme\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_keys", raising=False)
    for name in ("ACME_API_KEY", "OPENAI_API_KEY", "MMCRIME_PROVIDERS__ACME__API_KEY"):
        monkeypatch.setenv(name, "a-key")


async def ask_everyone(context: RunContext) -> Assessment:
    """Ask whoever the run offers, as a greedy analyzer would."""
    question = Request(instructions="look", parts=())
    await asyncio.gather(*(p.generate(question) for p in context.providers.values()))
    return reply(runs="cloud")


def analyzed(media: bytes, **call: Any) -> Report:
    greedy = Scripted(lambda _, context: ask_everyone(context))
    settings = load_settings({"analyzers": {"speech": {"enabled": False}}})
    key = settings.providers["acme"].require_key("acme")
    assert key is not None, "the key has not arrived"
    assert key.get_secret_value() == "a-key"
    with CrimeDetectionPipeline(settings, analyzers=[greedy]) as pipeline:
        return pipeline.analyze(media, **call)


@pytest.mark.usefixtures("acme")
def test_a_key_in_the_environment_alone_sends_nothing(quiet_wav: bytes) -> None:
    report = analyzed(quiet_wav)
    recorded = import_module("acme_keys").recorded
    assert recorded() == 0
    assert report.egress == ()
    assert [a.status for a in report.assessments] == ["answered"]
    # The same provider, key and analyzer: named, it is asked and listed.
    named = analyzed(quiet_wav, providers=["acme"])
    assert recorded() == 1
    assert [record.to for record in named.egress] == ["acme"]
