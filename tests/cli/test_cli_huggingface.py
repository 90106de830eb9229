"""`mmcrime analyze` with the providers of Hugging Face, over real HTTP: votes and failures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmcrime.calls import limits, retry
from mmcrime.testing import WireReply, wire_server
from mmcrime.testing.footage import write_footage
from services import nobody, words

Run = Callable[..., tuple[int, str, str]]
NAME = "huggingface-labels"
TYPES = {"violence": "fighting"}
FREE = {"input_per_million": 0, "output_per_million": 0}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmcrime: Run) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    monkeypatch.setattr(retry, "_FIRST", 0.002)
    monkeypatch.setattr(limits, "_BREATH", 0.002)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 90, 90)).save(buffer, "PNG")
    Path("shot.png").write_bytes(buffer.getvalue())
    return mmcrime


def configured(url: str, *, labels: Any = None, **section: Any) -> None:
    held = {
        "providers": {
            NAME: {"base_url": url, "model": "org/seer", "price": FREE, "timeout": 5, **section}
        },
        "analyzers": {
            "speech": {"enabled": False},
            "labels": {"types": TYPES} if labels is None else labels,
        },
        "cache": {"directory": str(Path("c").absolute())},
    }
    Path("config.json").write_text(json.dumps(held), encoding="utf-8")


def scored(violence: Any) -> WireReply:
    rest = 1 - violence if isinstance(violence, float) else 0.5
    labels = [{"label": "violence", "score": violence}, {"label": "peace", "score": rest}]
    return WireReply(body=labels)


def report_of(out: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(out)
    return held


def voter(report: dict[str, Any]) -> dict[str, Any]:
    (found,) = (a for a in report["assessments"] if a["id"] == f"labels:{NAME}")
    return dict(found)


@pytest.mark.parametrize(("score", "outcome"), [(0.93, "detected"), (0.02, "not_detected")])
def test_a_picture_gets_a_vote(run: Run, score: float, outcome: str) -> None:
    """It is one voter of its own, what left is announced, and a second run is served."""
    with wire_server(scored(score)) as server:
        configured(server.url)
        code, out, _ = run("analyze", "shot.png", "--provider", NAME, "--json")
        again, out_again, _ = run("analyze", "shot.png", "--provider", NAME, "--json")
        assert len(server.requests) == 1
    report = report_of(out)
    assert (code, again) == (0, 0)
    assert report["verdict"]["outcome"] == outcome
    assert (report["verdict"]["votes_asked"], report["verdict"]["votes_answered"]) == (1, 1)
    vote = voter(report)
    assert (vote["kind"], vote["status"], vote["outcome"]) == ("objects", "answered", outcome)
    assert (vote["provider"], vote["model"], vote["probability"]) == (NAME, "org/seer", score)
    assert vote["probability_source"] == "claimed"
    assert (vote["cost"]["usd"], vote["cost"]["source"]) == (0.0, "user")
    assert [record["purpose"] for record in report["egress"]] == ["provider"]
    assert voter(report_of(out_again))["cached"] is True


@pytest.mark.parametrize(
    "reply",
    [
        scored(float("nan")),
        scored(2.0),
        scored("0.9"),
        WireReply(body=[]),
        WireReply(body={"error": "no"}),
        WireReply(headers={"content-type": "text/html"}, body=b"<html>sign in</html>"),
    ],
    ids=["nan", "2", "text", "none", "error", "html"],
)
def test_a_malformed_answer_is_a_failed_vote(run: Run, reply: WireReply) -> None:
    with wire_server(reply) as server:
        configured(server.url)
        code, out, _ = run("analyze", "shot.png", "--provider", NAME, "--json")
    report = report_of(out)
    assert code == 4
    assert voter(report)["status"] == "failed"
    assert voter(report)["error"]["type"] == "InvalidResponseError"
    assert report["verdict"]["outcome"] == "undetermined"
    assert [reason["code"] for reason in report["verdict"]["reasons"]] == ["all_failed"]


def test_a_dead_server_is_a_failed_vote(run: Run) -> None:
    configured(nobody())
    code, out, _ = run("analyze", "shot.png", "--provider", NAME, "--json")
    report = report_of(out)
    assert code == 4
    vote = voter(report)
    assert (vote["status"], vote["outcome"], vote["probability"]) == (
        "failed",
        "undetermined",
        None,
    )
    assert (report["verdict"]["votes_asked"], report["verdict"]["votes_answered"]) == (1, 0)
    assert report["verdict"]["outcome"] == "undetermined"


def test_a_video_is_labelled_picture_by_picture_beside_the_embedded_analyzers(run: Run) -> None:
    """The one picture that shows it has its time; a no of other kinds takes nothing from it."""
    write_footage(Path("scene.mp4"), start=26.0, end=38.0)
    replies = [scored(0.1), scored(0.9), scored(0.1)]
    with wire_server(*replies) as server:
        configured(server.url, max_concurrency=1)
        code, out, _ = run("analyze", "scene.mp4", "--provider", NAME, "--json")
        assert len(server.requests) == 3
    report = report_of(out)
    vote = voter(report)
    assert code == 0
    assert (vote["status"], vote["outcome"], vote["usage"]["calls"]) == ("answered", "detected", 3)
    assert vote["coverage"]["frames"] == 3
    (segment,) = vote["segments"]
    assert segment["end"] - segment["start"] == pytest.approx(5.0, abs=0.5)
    assert report["verdict"]["outcome"] == "detected"
    assert len(report["egress"]) == 3


def test_pictures_that_fail_are_gaps_and_too_many_are_no_no(run: Run) -> None:
    """One of three was not judged: that is an error of the report, and nobody says "no"."""
    write_footage(Path("scene.mp4"), start=26.0, end=38.0)
    with wire_server(scored(0.1), WireReply(body=[]), scored(0.1)) as server:
        configured(server.url, max_concurrency=1)
        command = ("analyze", "scene.mp4", "--provider", NAME, "--analyzer", "labels", "--json")
        code, out, _ = run(*command)
    report = report_of(out)
    vote = voter(report)
    assert code == 0
    assert (vote["status"], vote["coverage"]["frames"]) == ("answered", 2)
    assert vote["coverage"]["gaps"][0]["reason"].startswith("not_judged")
    assert [error["stage"] for error in report["errors"]] == [f"analyze:labels:{NAME}"]
    assert report["verdict"]["outcome"] == "undetermined"
    assert [reason["code"] for reason in report["verdict"]["reasons"]] == ["low_coverage"]


def test_sound_goes_to_a_model_that_hears_and_a_picture_does_not(run: Run) -> None:
    write_footage(Path("scene.mp4"), start=26.0, end=34.0)
    with wire_server(scored(0.9)) as server:
        configured(server.url, modality="audio")
        _, out, _ = run("analyze", "scene.mp4", "--provider", NAME, "--json")
        _, still, _ = run("analyze", "shot.png", "--provider", NAME, "--json")
        assert len(server.requests) == 1
    vote = voter(report_of(out))
    assert (vote["kind"], vote["status"], vote["outcome"]) == ("sound", "answered", "detected")
    assert voter(report_of(still))["status"] == "skipped"


def test_without_a_mapping_nothing_is_sent_and_the_error_shows_how_to_write_one(run: Run) -> None:
    with wire_server(scored(0.9)) as server:
        for labels in ({}, {"types": {"violence": "brawling"}}):
            configured(server.url, labels=labels)
            code, _, err = run("analyze", "shot.png", "--provider", NAME)
            assert code == 2
            assert "analyzers.labels.types" in err
        assert not server.requests


def test_labels_sit_nowhere_unless_a_provider_that_labels_is_named(run: Run) -> None:
    """Also where they are configured; asked for by name without one, they say so."""
    configured("http://127.0.0.1:9")
    _, out, _ = run("analyze", "shot.png", "--json")
    assert not any(a["analyzer"].startswith("labels") for a in report_of(out)["assessments"])
    code, _, err = run("analyze", "shot.png", "--analyzer", "labels")
    assert code == 2
    assert "'labels' asks a provider" in err


def test_labels_that_are_switched_off_leave_a_named_provider_unasked(run: Run) -> None:
    configured("http://127.0.0.1:9", labels={"enabled": False})
    _, out, _ = run("analyze", "shot.png", "--provider", NAME, "--json")
    (silent,) = (a for a in report_of(out)["assessments"] if a["id"] == f"provider:{NAME}")
    assert (silent["status"], silent["error"]["type"]) == ("failed", "NotAsked")


def test_a_provider_that_labels_is_no_fallback_for_one_that_answers(run: Run) -> None:
    configured("http://127.0.0.1:9")
    held = json.loads(Path("config.json").read_text(encoding="utf-8"))
    Path("config.json").write_text(json.dumps({**held, "fallback": [NAME]}), encoding="utf-8")
    code, _, err = run("analyze", "shot.png")
    assert code == 2
    assert "fallback" in err


def test_a_model_without_a_price_is_not_asked_under_a_cap_on_money(run: Run) -> None:
    with wire_server(scored(0.9)) as server:
        configured(server.url, price=None)
        code, _, _ = run("analyze", "shot.png", "--provider", NAME)
        assert not server.requests
    assert code == 5


@pytest.mark.parametrize(
    ("modality", "reply", "code", "said"),
    [
        ("image", scored(0.9), 0, "answered: 'violence' with 0.90, of 2 labels"),
        ("audio", scored(0.9), 0, "answered: 'violence' with 0.90, of 2 labels"),
        ("image", WireReply(body=[]), 4, "is no answer"),
    ],
)
def test_a_check_sends_a_square_or_a_tone(
    run: Run, modality: str, reply: WireReply, code: int, said: str
) -> None:
    with wire_server(reply) as server:
        configured(server.url, modality=modality)
        found, out, _ = run("providers", "check", NAME)
        assert len(server.requests) == 1
    assert found == code
    assert said in " ".join(out.split())


def test_the_router_answers_beside_a_provider_that_labels(run: Run) -> None:
    """Two voters of two kinds, each asked once, at its own address."""
    said = {"role": "assistant", "content": words("yes")}
    completion = {"model": "org/writer-2", "choices": [{"finish_reason": "stop", "message": said}]}
    with wire_server(WireReply(body=completion)) as router, wire_server(scored(0.9)) as server:
        configured(server.url)
        held = json.loads(Path("config.json").read_text(encoding="utf-8"))
        held["providers"]["huggingface"] = {
            "base_url": f"{router.url}/v1",
            "model": "org/writer",
            "price": FREE,
        }
        Path("config.json").write_text(json.dumps(held), encoding="utf-8")
        both = ("--provider", "huggingface", "--provider", NAME)
        code, out, _ = run("analyze", "shot.png", *both, "--json")
        assert (len(router.requests), len(server.requests)) == (1, 1)
    report = report_of(out)
    votes = {
        a["id"]: (a["kind"], a["model"], a["outcome"])
        for a in report["assessments"]
        if a["status"] == "answered"
    }
    assert code == 0
    assert votes == {
        "llm:huggingface": ("llm", "org/writer-2", "detected"),
        f"labels:{NAME}": ("objects", "org/seer", "detected"),
    }
    assert report["verdict"]["votes_answered"] == 2


def test_the_list_of_providers_says_that_it_labels(run: Run) -> None:
    configured("http://127.0.0.1:9")
    _, out, _ = run("providers")
    assert "takes one picture, gives labels" in " ".join(out.split())
