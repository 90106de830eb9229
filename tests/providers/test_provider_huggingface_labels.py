"""Labels of Hugging Face: one picture or sound goes out, scores come back or an error does."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provider_kit import IMAGE, JPEG, REQUEST, WORDS, ask
from pydantic import SecretStr

from mmcrime.errors import InvalidResponseError, ProviderError, UnavailableError
from mmcrime.plugins import MOST_LABELS, Part, Request
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers.huggingface_labels import HuggingFaceLabelsProvider

KEY = "hf_0123456789abcdefghijklmnopqrstuvwx"
LABELS = [{"label": "brawl", "score": 0.9}, {"label": "calm", "score": 0.1}]
GOOD = WireReply(body=LABELS)
SOUND = Part(data=b"RIFF....WAVE", media_type="audio/wav", time=10.0, seconds=4.0)


def make(url: str, **options: Any) -> HuggingFaceLabelsProvider:
    options = {"api_key": SecretStr(KEY), "model": "org/classifier", **options}
    return HuggingFaceLabelsProvider(base_url=url, **options)


def label(*parts: Part, **fields: Any) -> Request:
    return Request(instructions="", parts=parts, task="label", max_output_tokens=0, **fields)


@pytest.mark.parametrize(("modality", "part"), [("image", IMAGE), ("audio", SOUND)])
def test_what_is_sent_is_the_published_form_of_the_task(modality: Any, part: Part) -> None:
    """Base64 and parameters in JSON; all labels are asked for, where five are the default."""
    with wire_server(GOOD) as server:
        provider = make(f"{server.url}/hf-inference", modality=modality)
        (found,) = ask(provider, label(part))
        (sent,) = server.requests
    assert (sent.method, sent.path) == ("POST", "/hf-inference/models/org/classifier")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["content-type"] == sent.headers["accept"] == "application/json"
    data = base64.b64encode(part.data).decode()
    assert json.loads(sent.body) == {"inputs": data, "parameters": {"top_k": MOST_LABELS}}
    assert (found.status, found.model, json.loads(found.text)) == (
        "answered",
        "org/classifier",
        LABELS,
    )


def test_an_endpoint_of_ones_own_is_asked_at_its_own_address_and_serves_one_model() -> None:
    with wire_server(GOOD) as server:
        first, other = ask(make(server.url), label(IMAGE), label(IMAGE, model="org/other"))
        assert [sent.path for sent in server.requests] == ["/", "/"]
    assert first.model == other.model == "org/classifier"


def test_a_model_cannot_lead_to_another_address() -> None:
    with wire_server(GOOD) as server:
        ask(make(f"{server.url}/hf-inference", model="a b?c#d"), label(IMAGE))
        (sent,) = server.requests
    assert sent.path == "/hf-inference/models/a%20b%3Fc%23d"


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        Request(instructions="", parts=(IMAGE,)),
        label(),
        label(WORDS),
        label(IMAGE, IMAGE),
        label(WORDS, IMAGE),
        label(SOUND),
    ],
)
def test_nothing_but_the_labels_of_one_picture_is_asked_for(request_: Request) -> None:
    with wire_server(GOOD) as server:
        with pytest.raises(ProviderError, match="labels one part") as caught:
            ask(make(server.url), request_)
        assert not server.requests
    assert not caught.value.retryable
    assert not caught.value.may_be_billed


def test_what_it_takes_is_what_its_model_takes() -> None:
    pictures, sound = (make("http://127.0.0.1:9", modality=m).capabilities for m in MODALITIES)
    assert pictures.tasks == sound.tasks == {"label"}
    assert (pictures.images, pictures.audio) == (1, False)
    assert (sound.images, sound.audio, sound.audio_formats) == (0, True, ("audio/wav",))


MODALITIES: tuple[Any, ...] = ("image", "audio")
ENTRY = st.fixed_dictionaries(
    {
        "label": st.sampled_from(["brawl", "", None, 7, "a\x00"]),
        "score": st.sampled_from([0.9, 2.0, -1, "0.9", True, None, float("nan"), float("inf")]),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(body=st.lists(ENTRY, max_size=3) | st.sampled_from([{}, {"error": "x"}, "brawl", 0.9, None]))
def test_no_malformed_reply_is_an_answer(body: Any) -> None:
    """What is answered is what stands there: one score from 0 to 1 for each label."""
    good = isinstance(body, list) and body == [{"label": "brawl", "score": 0.9}]
    with wire_server(WireReply(body=body)) as server:
        try:
            (found,) = ask(make(server.url), label(IMAGE))
        except InvalidResponseError:
            assert not good
            return
    assert good
    assert json.loads(found.text) == body


def test_a_model_that_is_loading_says_for_how_long() -> None:
    body = {"error": "Model org/classifier is currently loading", "estimated_time": 20.0}
    reply = WireReply(status=503, body=body)
    with wire_server(reply) as server, pytest.raises(UnavailableError) as caught:
        ask(make(server.url), label(IMAGE))
    assert (caught.value.retryable, caught.value.retry_after) == (True, 20.0)
    assert not caught.value.may_be_billed


def test_a_wrong_path_is_a_wrong_model_at_the_router_and_a_wrong_address_elsewhere() -> None:
    for path, setting in (("/hf-inference", ".model"), ("", ".base_url")):
        reply = WireReply(status=404, body=b"Not Found")
        with wire_server(reply) as server, pytest.raises(ProviderError) as caught:
            ask(make(server.url + path), label(IMAGE))
        assert f"providers.huggingface-labels{setting}" in caught.value.next_step


SCRIPT = """
import asyncio, sys
from mmcrime.plugins import Part, Request
from mmcrime_providers.huggingface_labels import HuggingFaceLabelsProvider

async def work():
    async with HuggingFaceLabelsProvider(model="org/m", base_url=sys.argv[1]) as provider:
        part = Part(data=b"jpeg", media_type="image/jpeg")
        request = Request(instructions="", parts=(part,), task="label")
        print((await provider.generate(request)).text)

asyncio.run(work())
print("huggingface_hub" in sys.modules)
"""


def test_nothing_but_the_one_request_is_sent_and_the_home_is_left_alone(tmp_path: Path) -> None:
    """No hub is looked up, nothing is written, and the token of a log-in stays where it is."""
    token = tmp_path / ".cache" / "huggingface" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("hf_stored", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    with wire_server(GOOD) as server, wire_server(WireReply(body={})) as hub:
        environment = {**keep, "HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "HF_TOKEN": KEY}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, server.url],
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        (sent,) = server.requests
        assert not hub.requests
    assert done.stdout.splitlines() == [json.dumps(LABELS), "False"]
    assert "authorization" not in sent.headers
    assert sorted(tmp_path.rglob("*")) == before


def test_the_picture_is_sent_as_it_is() -> None:
    with wire_server(GOOD) as server:
        ask(make(server.url), label(IMAGE))
        (sent,) = server.requests
    assert base64.b64decode(json.loads(sent.body)["inputs"]) == JPEG
