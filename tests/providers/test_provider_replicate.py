"""Replicate: what is written keeps the official contract, and answers are read rightly."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from provider_kit import IMAGE, JPEG, REQUEST, WORDS, ask, replay, timeouts
from pydantic import SecretStr, ValidationError
from replicate_kit import KEY, MODEL, VERSION, body, failed, make, prediction, problem

from mmcrime.calls.prices import Pricing
from mmcrime.errors import (
    AuthenticationError,
    ConfigError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request, Response, TokenUsage
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers import _replicate_run as run
from mmcrime_providers._replicate_client import UnsuccessfulError
from mmcrime_providers._replicate_inputs import known_inputs
from mmcrime_providers.replicate import ReplicateInputs, ReplicateOptions, ReplicateProvider
from wire import contract_server, recorded

OWN = f"acme/watcher:{VERSION}"
OTHER = ReplicateInputs(prompt="question", image="picture")
CLIP = Part(data=b"\x00clip", media_type="video/mp4", seconds=4.0)
SOUND = Part(data=b"RIFF....WAVE", media_type="audio/wav", seconds=4.0)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_FIRST_LOOK", 0.01)


def sent_of(request: Request, **options: Any) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of what is sent."""
    with wire_server(prediction()) as server:
        ask(make(server.url, **options), request)
    (sent,) = server.requests
    return sent.path, json.loads(sent.body)


# -- the official contract ------------------------------------------------------------------

LIVE: list[tuple[Request, dict[str, Any], str]] = [
    (REQUEST, {}, f"/v1/models/{MODEL}/predictions"),
    (Request(instructions="i", parts=(WORDS, CLIP)), {}, f"/v1/models/{MODEL}/predictions"),
    (REQUEST, {"model": OWN, "inputs": OTHER}, "/v1/predictions"),
    (REQUEST, {"model": f"yorickvp/llava-13b:{VERSION}"}, "/v1/predictions"),
]


@pytest.mark.shared
def test_what_is_sent_keeps_the_contract(shared: Path) -> None:
    """Making a prediction, looking at it, and nothing else."""
    script = [(201, {}, body("starting")), (200, {}, body("processing")), (200, {}, body())]
    with contract_server(shared, "replicate", script * len(LIVE)) as server:
        for request, options, path in LIVE:
            server.log.clear()
            (found,) = ask(make(server.url, **options), request)
            assert found.status == "answered"
            assert [one["errors"] for one in server.log] == [[], [], []]
            asked = [(one["method"], one["path"]) for one in server.log]
            look = ("GET", "/v1/predictions/p1")
            assert asked == [("POST", path), look, look]


@pytest.mark.shared
def test_files_and_cancellation_keep_the_contract(shared: Path) -> None:
    large = Part(data=b"x" * 300_000, media_type="image/jpeg")
    script = [
        (201, {}, {"id": "f1", "urls": {"get": "https://api.replicate.com/v1/files/f1"}}),
        (201, {}, body("processing")),
        (200, {}, body("processing")),
    ]
    request = Request(instructions="", parts=(WORDS, large))
    with (
        contract_server(shared, "replicate", script) as server,
        pytest.raises(UnavailableError),
    ):
        ask(make(server.url, timeout=0.3), request)
    assert not any(one["errors"] for one in server.log)
    asked = [(one["method"], one["path"]) for one in server.log]
    assert asked[0] == ("POST", "/v1/files")
    assert asked[-2:] == [("POST", "/v1/predictions/p1/cancel"), ("DELETE", "/v1/files/f1")]


def _an_unknown_key(path: str, body: Any) -> tuple[str, Any]:
    return path, {**body, "max_tokens": 5}


def _no_input(path: str, body: Any) -> tuple[str, Any]:
    return path, {key: value for key, value in body.items() if key != "input"}


def _an_input_of_words(path: str, body: Any) -> tuple[str, Any]:
    return path, {**body, "input": "Say what you see."}


def _a_version_at_an_official_model(path: str, body: Any) -> tuple[str, Any]:
    return path, {**body, "version": VERSION}


def _a_model_of_no_owner(path: str, body: Any) -> tuple[str, Any]:
    return "/v1/models/flash/predictions", body


def _no_version(path: str, body: Any) -> tuple[str, Any]:
    return "/v1/predictions", body


MUTATIONS = [
    _an_unknown_key,
    _no_input,
    _an_input_of_words,
    _a_version_at_an_official_model,
    _a_model_of_no_owner,
    _no_version,
]


@pytest.mark.shared
def test_the_contract_refuses_what_is_wrong(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same request with one thing wrong does not get through."""
    right = run.ReplicateClient.send
    with contract_server(shared, "replicate", [(201, {}, body())]) as server:
        for mutate in MUTATIONS:

            async def wrong(
                self: Any, method: str, path: str, *, mutate: Any = mutate, **content: Any
            ) -> bytes:
                path, content["json"] = mutate(path, content["json"])
                return await right(self, method, path, **content)

            monkeypatch.setattr(run.ReplicateClient, "send", wrong)
            server.log.clear()
            with pytest.raises(ProviderError):
                ask(make(server.url), REQUEST)
            (sent,) = server.log
            assert sent["errors"], mutate.__name__


# -- recorded answers -----------------------------------------------------------------------


@pytest.mark.shared
def test_a_recorded_bad_token_is_the_right_error_of_ours(shared: Path) -> None:
    error = replay(shared, "replicate", "err_401", make)
    assert type(error) is AuthenticationError
    assert (error.retryable, error.may_be_billed) == (False, False)
    assert "Unauthenticated" in error.message
    assert "valid authentication token" in error.message
    assert isinstance(error.__cause__, UnsuccessfulError)


@pytest.mark.shared
def test_recorded_files_are_no_answer_and_are_not_fetched(shared: Path) -> None:
    """The recorded models draw pictures: an address of one is not taken for words."""
    with wire_server(WireReply(body=b"a picture")) as elsewhere:
        status, headers, held = recorded(shared, "replicate", "prediction_succeeded_200").reply
        for output in (held["output"], held["output"][0], [f"{elsewhere.url}/out-0.png"]):
            reply = WireReply(status=status, headers=headers, body={**held, "output": output})
            with wire_server(reply) as server, pytest.raises(InvalidResponseError, match="files"):
                ask(make(server.url), REQUEST)
            assert len(server.requests) == 1
        assert not elsewhere.requests


@pytest.mark.shared
@pytest.mark.parametrize("name", ["prediction_created_201", "prediction_blocking_201"])
def test_a_recorded_prediction_that_runs_is_looked_at_until_it_has_ended(
    shared: Path, name: str
) -> None:
    """One of them has an output already, and has not ended: that is no answer yet."""
    replies = [
        WireReply(status=status, headers=headers, body=held)
        for status, headers, held in [recorded(shared, "replicate", name).reply]
    ]
    made = replies[0].body
    ended = WireReply(body={**made, "status": "succeeded", "output": "calm", "error": None})
    with wire_server(*replies, ended) as server:
        (found,) = ask(make(server.url), REQUEST)
    assert (found.status, found.text) == ("answered", "calm")
    assert found.model == f"stability-ai/sdxl:{made['version']}"
    assert found.usage == TokenUsage()
    assert server.requests[1].path == f"/v1/predictions/{made['id']}"


# -- the input of a model -------------------------------------------------------------------


def test_pictures_go_into_a_list_and_leave_marks_in_the_words() -> None:
    """What is said before a picture, such as its time, stays with it."""
    later = Part(text="Picture at 2.000 s:")
    _, sent = sent_of(Request(instructions="Look.", parts=(WORDS, IMAGE, later, IMAGE)))
    encoded = f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"
    assert sent == {
        "input": {
            "system_instruction": "Look.",
            "prompt": "Frame at 1.5 s:\n\n[image 1]\n\nPicture at 2.000 s:\n\n[image 2]",
            "images": [encoded, encoded],
            "max_output_tokens": 4096,
        }
    }


def test_a_model_without_a_place_for_them_gets_the_instructions_before_the_prompt() -> None:
    path, sent = sent_of(REQUEST, model=OWN, inputs=OTHER)
    assert path == "/v1/predictions"
    assert sent["version"] == OWN
    assert sent["input"]["question"] == "Say what you see.\n\nFrame at 1.5 s:\n\n[image]"
    assert sent["input"]["picture"].startswith("data:image/jpeg;base64,")
    assert set(sent["input"]) == {"question", "picture"}


def test_sound_and_video_go_where_the_model_takes_them() -> None:
    _, sent = sent_of(Request(instructions="", parts=(SOUND, CLIP)))
    assert sent["input"]["audio"].startswith("data:audio/wav;base64,")
    assert sent["input"]["videos"][0].startswith("data:video/mp4;base64,")
    _, sent = sent_of(
        Request(instructions="", parts=(CLIP,)), inputs=ReplicateInputs(video="v", video_fps=2)
    )
    assert sent["input"]["v"].startswith("data:video/mp4;base64,")


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("yorickvp/llava-13b", (IMAGE, IMAGE)),
        ("yorickvp/llava-13b", (CLIP,)),
        ("openai/gpt-5.1", (SOUND,)),
        (MODEL, (IMAGE,) * 11),
        (MODEL, (Part(data=b"x", media_type="image/tiff"),)),
    ],
)
def test_media_that_the_model_has_no_input_for_is_not_sent(
    model: str, parts: tuple[Part, ...]
) -> None:
    with wire_server(prediction()) as server, pytest.raises(ProviderError, match="is not sent"):
        ask(make(server.url, model=model), Request(instructions="", parts=parts))
    assert not server.requests


def test_every_model_of_the_table_takes_pictures_and_can_be_asked() -> None:
    for model, inputs in known_inputs().items():
        able = make("http://127.0.0.1:9", model=model).capabilities
        assert able.images != 0, model
        assert able.images == (inputs.most_images if inputs.images else 1)
    able = make("http://127.0.0.1:9").capabilities
    assert (able.images, able.video_seconds, able.audio_seconds) == (10, 2700, 28_800)
    assert not able.json_schema
    own = ReplicateInputs(video="clip", video_fps=0.5)
    assert make("http://127.0.0.1:9", inputs=own).capabilities.video_fps == 0.5


@pytest.mark.parametrize(
    "inputs",
    [
        {"image": "a", "images": "b"},
        {"video": "a", "videos": "b", "video_fps": 1},
        {"video": "a"},
        {"video": "a", "video_fps": 0},
        {"image": "prompt"},
        {"images": "media", "videos": "media", "video_fps": 1},
        {"picture": "image"},
        {"most_images": 0},
        {"prompt": ""},
    ],
)
def test_inputs_that_contradict_themselves_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReplicateOptions.model_validate({"inputs": inputs})


# -- how a prediction ends ------------------------------------------------------------------


def answer_to(reply: WireReply, **options: Any) -> Response:
    with wire_server(reply) as server:
        (found,) = ask(make(server.url, **options), REQUEST)
        assert len(server.requests) == 1
    return found


def error_of(reply: WireReply) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        answer_to(reply)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "words",
    [
        "NSFW content detected. Try running it again, or try a different prompt.",
        "The input or output was flagged as sensitive. Please try again with different inputs.",
        "Prediction failed (E005)",
        "Content was flagged by the safety system. Try different prompts or inputs.",
        "Your request violates our content policy.",
    ],
)
def test_a_filter_is_a_refusal(words: str) -> None:
    found = answer_to(failed(words))
    assert (found.status, found.text, found.reason) == ("refused", words, "flagged by a filter")
    assert found.usage == TokenUsage()


@pytest.mark.parametrize(
    ("words", "kind", "retryable"),
    [
        ("CUDA out of memory", ProviderError, False),
        ("The safety checker could not be loaded", ProviderError, False),
        ("", ProviderError, False),
        ("x" * 100_000, ProviderError, False),
        ("Prediction interrupted; please retry (code: PA)", UnavailableError, True),
        ("Timeout starting prediction (E6716)", UnavailableError, True),
        ("Service is temporarily unavailable. Please try again later.", UnavailableError, True),
    ],
)
def test_a_failure_is_an_error_that_may_be_billed(
    words: str, kind: type[ProviderError], retryable: bool
) -> None:
    error = error_of(failed(words))
    assert type(error) is kind
    assert (error.retryable, error.may_be_billed) == (retryable, True)
    assert "'p1'" in error.message
    assert words[:200] in error.message
    assert len(error.message) < 500


def test_what_others_ended_is_an_error() -> None:
    error = error_of(prediction("canceled", output=None))
    assert (type(error), error.retryable, error.may_be_billed) == (ProviderError, False, True)
    assert "cancelled by somebody else" in error.message
    error = error_of(prediction("aborted", output=None))
    assert (type(error), error.retryable, error.may_be_billed) == (UnavailableError, True, False)


def test_only_a_prediction_that_failed_was_refused() -> None:
    said = "NSFW content detected."
    assert type(error_of(prediction(error=said))) is InvalidResponseError
    assert type(error_of(prediction("canceled", error=said))) is ProviderError


def test_words_beside_a_failure_are_no_answer() -> None:
    """A model may say half of it before it fails."""
    error = error_of(prediction("failed", error="broken", output=["not_", "detected"]))
    assert "detected" not in error.message


@pytest.mark.parametrize("output", [{"a": 1}, 3, True, [1, 2], ["calm", None], [["calm"]]])
def test_an_output_of_another_shape_is_no_answer(output: Any) -> None:
    assert type(error_of(prediction(output=output))) is InvalidResponseError


def test_the_pieces_of_a_list_are_one_text() -> None:
    assert answer_to(prediction(output=["{", '"a": 1', "}"])).text == '{"a": 1}'
    assert answer_to(prediction(output="See https://x.example")).text == "See https://x.example"


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "paused"},
        {"status": None},
        {"status": ["succeeded"]},
        {"id": "../files"},
        {"id": None},
        {"id": 7},
    ],
)
def test_what_describes_no_prediction_is_never_taken_for_one(wrong: dict[str, Any]) -> None:
    """And an id that could be another path is in none."""
    with wire_server(prediction(**wrong)) as server, pytest.raises(InvalidResponseError):
        ask(make(server.url), REQUEST)
    assert not any("files" in sent.path for sent in server.requests)


def test_a_price_counts_for_models_that_count_their_tokens_and_else_the_cost_is_unknown() -> None:
    from mmcrime.config import Price

    price = Price(input_per_million=1.0, output_per_million=2.0)
    pricing = Pricing("replicate", "https://api.replicate.com", price)
    counted = answer_to(prediction())
    assert pricing.cost_of(counted.model, counted.usage).usd == pytest.approx(195e-6)
    timed = answer_to(prediction(metrics={"predict_time": 3.8}))
    assert timed.usage == TokenUsage()
    assert pricing.cost_of(timed.model, timed.usage).usd is None
    unpriced = Pricing("replicate", "https://api.replicate.com")
    assert unpriced.cost_of(counted.model, counted.usage).usd is None


@pytest.mark.parametrize(
    ("reply", "kind", "word"),
    [
        (
            problem(422, "Invalid version or not permitted", "The version does not exist."),
            ProviderError,
            ".model",
        ),
        (problem(422, "Input validation failed", "- image: is required"), ProviderError, ".inputs"),
        (WireReply(status=404, body=b"<h1>no</h1>"), ProviderError, ".base_url"),
        (problem(403, "Forbidden", "no"), AuthenticationError, "key"),
        (problem(429, "", "Your rate limit resets in ~5s.", retry_after=5), RateLimitedError, ""),
    ],
)
def test_an_error_of_a_request_says_which_setting_it_is_about(
    reply: WireReply, kind: type[ProviderError], word: str
) -> None:
    error = error_of(reply)
    assert type(error) is kind
    assert word in error.next_step
    assert not error.may_be_billed


@pytest.mark.parametrize(("status", "billed"), [(408, True), (500, True), (503, False)])
def test_a_failure_that_may_have_made_a_prediction_may_be_billed(status: int, billed: bool) -> None:
    error = error_of(problem(status, "x", "y"))
    assert type(error) is UnavailableError
    assert error.may_be_billed is billed


# -- how it is made -------------------------------------------------------------------------


def test_a_model_must_be_named_and_its_inputs_be_known() -> None:
    for model, step in (
        (None, "providers.replicate.model"),
        ("acme/../files", "providers.replicate.model"),
        ("acme/watcher:", "providers.replicate.model"),
        ("a/b/c", "providers.replicate.model"),
        ("acme/watcher", "providers.replicate.inputs"),
        (VERSION, "providers.replicate.inputs"),
    ):
        with pytest.raises(ConfigError) as caught:
            make("http://127.0.0.1:9", model=model)
        assert step in caught.value.next_step


def test_a_model_of_a_request_whose_inputs_are_not_known_is_not_asked() -> None:
    with wire_server(prediction()) as server, pytest.raises(ProviderError, match="not known"):
        ask(make(server.url), Request(instructions="i", parts=(WORDS,), model="acme/watcher"))
    assert not server.requests


def test_a_missing_token_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    monkeypatch.delenv("REPLICATE_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="no key") as caught:
        ReplicateProvider(model=MODEL)
    assert "REPLICATE_API_TOKEN" in caught.value.next_step
    monkeypatch.setenv("REPLICATE_API_TOKEN", KEY)
    assert ReplicateProvider(model=MODEL).endpoint == "https://api.replicate.com"


def test_the_token_of_the_environment_goes_nowhere_but_to_its_own_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The SDK by itself would send it to whatever address it is given."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", KEY)
    with wire_server(prediction()) as server:
        ask(make(server.url, api_key=None), REQUEST)
        monkeypatch.setenv("REPLICATE_BASE_URL", server.url)
        ask(ReplicateProvider(model=MODEL), REQUEST)
        configured, beside = (sent.headers for sent in server.requests)
    assert KEY not in str(configured)
    assert beside["authorization"] == f"Bearer {KEY}"


def test_a_password_in_the_address_is_sent_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    with wire_server(prediction()) as server:
        ask(make(server.url.replace("http://", "http://somebody:passwort@")), REQUEST)
        (sent,) = server.requests
    encoded = base64.b64encode(b"somebody:passwort").decode()
    assert sent.headers["authorization"] == f"Basic {encoded}"
    assert "passwort" not in caplog.text
    assert KEY not in caplog.text


def test_the_limits_of_all_providers_hold_below_the_older_http_library_of_the_sdk() -> None:
    given = timeouts(partial(make, timeout=45.0), lambda p: p._opened()._line, prediction())
    assert (given["connect"], given["read"]) == (10.0, 51.0)  # some more than the whole may take
    with wire_server(prediction()) as server:
        ask(make(server.url), REQUEST)
    assert server.requests[0].headers["accept-encoding"] == "identity"
    packed = WireReply(headers={"content-encoding": "gzip"}, body=b"\x1f\x8b")
    assert type(error_of(packed)) is InvalidResponseError


def test_importing_it_loads_no_other_sdk() -> None:
    code = "import sys, mmcrime_providers.replicate; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "replicate" in loaded
    assert not loaded & {"openai", "anthropic", "google", "torch", "cv2", "av", "PIL"}


def test_a_secret_token_is_not_in_its_options() -> None:
    assert KEY not in repr(ReplicateOptions(api_key=SecretStr(KEY), model=MODEL))
