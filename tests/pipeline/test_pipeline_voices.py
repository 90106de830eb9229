"""A provider is asked by the analyzers of the tasks that it has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmcrime import ConfigError, CrimeDetectionPipeline
from mmcrime.plugins import Capabilities, Request, Response
from mmcrime.testing import FakeProvider
from services import words

LABELS = json.dumps([{"label": "brawl", "score": 0.9}])


def reply(request: Request) -> Response:
    text = LABELS if request.task == "label" else words("yes")
    return Response(status="answered", text=text, model="m-1")


def asked(*tasks: Any, picture: bytes, **analyzers: Any) -> dict[str, str]:
    """Return the status of each assessment of a provider with these tasks."""
    able = Capabilities(tasks=frozenset(tasks), images=4)
    settings = {
        "analyzers": {
            "speech": {"enabled": False},
            "labels": {"types": {"brawl": "fighting"}},
            **analyzers,
        },
        "budget": {"calls_per_run": 9},
        "cache": {"enabled": False},
    }
    with CrimeDetectionPipeline(
        settings, providers={"acme": FakeProvider(reply, capabilities=able)}
    ) as pipeline:
        report = pipeline.analyze(picture)
    return {a.id: a.status for a in report.assessments if a.status != "skipped"}


@pytest.mark.parametrize(
    ("tasks", "seats"),
    [
        (("answer",), ["llm:acme"]),
        (("label",), ["labels:acme"]),
        (("answer", "label"), ["llm:acme", "labels:acme"]),
    ],
)
def test_each_task_has_its_seat(tasks: tuple[str, ...], seats: list[str], picture: bytes) -> None:
    assert asked(*tasks, picture=picture) == dict.fromkeys(seats, "answered")


@pytest.mark.parametrize(("status", "ok"), [("answered", True), ("truncated", False)])
def test_a_check_takes_nothing_but_a_whole_answer_for_labels(status: Any, ok: bool) -> None:
    able = Capabilities(tasks=frozenset({"label"}), images=1)
    provider = FakeProvider(
        lambda _: Response(status=status, text=LABELS, model="m-1"), capabilities=able
    )
    settings = {
        "analyzers": {"labels": {"types": {"brawl": "fighting"}}},
        "budget": {"calls_per_run": 1},
    }
    with CrimeDetectionPipeline(settings, providers={"acme": provider}) as pipeline:
        found = pipeline.check_provider("acme")
    assert (found.ok, found.model) == (ok, "m-1")
    assert ("providers.acme.model" in found.next_step) is not ok


def test_one_of_two_analyzers_may_be_switched_off(picture: bytes) -> None:
    found = asked("answer", "label", picture=picture, llm={"enabled": False})
    assert found == {"labels:acme": "answered"}


def test_a_provider_that_only_transcribes_is_no_voter_but_may_be_the_speech_engine(
    picture: bytes,
) -> None:
    with pytest.raises(ConfigError, match=r"'acme' only transcribes.* analyzers\.speech\.engine"):
        asked("transcribe", picture=picture)
    assert asked("transcribe", picture=picture, speech={"engine": "acme"}) == {}
