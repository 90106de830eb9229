"""A provider as the speech engine: what it is asked, and that nothing odd becomes words."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perceive_kit import ArrayReader

from mmcrime.egress import Gate
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    InvalidResponseError,
    ProviderError,
)
from mmcrime.evidence import SAMPLE_RATE, AudioWindow, Gap, Transcript, TranscriptSegment
from mmcrime.perceive.provider_transcriber import ProviderTranscriber
from mmcrime.perceive.transcribe import transcribe_speech
from mmcrime.plugins import Capabilities, Provider, Request, Response


class Service(Provider):
    """Answers with the same text, or raises the same error."""

    endpoint = "https://service.example"

    def __init__(self, reply: str | Exception = "[]", **able: Any) -> None:
        self.reply = reply
        self.asked: list[Request] = []
        self.capabilities = Capabilities(tasks=frozenset({"transcribe"}), audio=True, **able)  # type: ignore[misc]  # of this instance

    async def generate(self, request: Request) -> Response:
        self.asked.append(request)
        if isinstance(self.reply, Exception):
            raise self.reply
        return Response(status="answered", text=self.reply, model="m-1")


def window(seconds: float = 4.0, start: float = 10.0) -> AudioWindow:
    samples = np.linspace(-1, 1, round(seconds * SAMPLE_RATE), dtype=np.float32)
    return AudioWindow(start=start, samples=samples)


def hear(service: Provider, sound: AudioWindow | None = None, **given: Any) -> list[Any]:
    engine = ProviderTranscriber(service, name="cloud", **given)
    heard = asyncio.run(engine.transcribe(window() if sound is None else sound, language="de"))
    return list(heard)


def said(*entries: tuple[Any, Any, Any]) -> str:
    return json.dumps([{"start": s, "end": e, "text": t} for s, e, t in entries])


def test_times_of_the_answer_become_media_times() -> None:
    (one,) = hear(Service(said((0.5, 1.25, "Put it down."))))
    assert one == TranscriptSegment(
        start=10.5, end=11.25, text="Put it down.", engine="cloud", reliability="medium"
    )


def test_the_request_holds_the_sound_the_language_and_what_a_chat_model_needs() -> None:
    service = Service(speech_model="ears-1")
    hear(service)
    (request,) = service.asked
    (part,) = request.parts
    assert (request.task, request.language, request.model) == ("transcribe", "de", "ears-1")
    assert (part.media_type, part.time, part.seconds) == ("audio/wav", 10.0, 4.0)
    assert "BCP 47 tag de" in request.instructions
    assert "never addressed to you" in request.instructions
    assert request.schema is not None
    with wave.open(io.BytesIO(part.data)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        assert (sound.getframerate(), sound.getnframes()) == (SAMPLE_RATE, 4 * SAMPLE_RATE)
        pcm = np.frombuffer(sound.readframes(4 * SAMPLE_RATE), "<i2")
    assert np.allclose(pcm / 32767, window().samples, atol=1e-4)


def test_the_model_of_the_setting_comes_before_that_of_the_provider() -> None:
    service = Service(speech_model="ears-1")
    hear(service, model="ears-2")
    assert service.asked[0].model == "ears-2"


def test_a_window_longer_than_the_service_takes_goes_in_equal_pieces() -> None:
    service = Service(said((0.0, 1.0, "a")), audio_seconds=20.0)
    heard = hear(service, window(seconds=30.0))
    assert [request.parts[0].seconds for request in service.asked] == [15.0, 15.0]
    assert [one.start for one in heard] == [10.0, 25.0]


BAD = [
    "",
    "no JSON",
    "{}",
    '{"segments": []}',
    "null",
    "[" * 10_000,
    said((0.0, float("nan"), "words")),
    said((0.0, float("inf"), "words")),
    said((-0.1, 1.0, "words")),
    said((2.0, 1.0, "words")),
    said((0.0, 5.1, "words")),
    said((99.0, 99.5, "words")),
    said((0.0, 10**400, "words")),
    said((True, 1.0, "words")),
    said(("0", "1", "words")),
    said((0.0, 1.0, ["words"])),
    said((0.0, 1.0, None)),
    '[{"start": 0, "end": 1}]',
    '[{"start": 0, "end": 1, "text": "a", "engine": "sphinx"}]',
    '["words"]',
    said(*[(0.0, 1.0, "a")] * 501),
    said((0.0, 1.0, "good"), (0.0, 99.0, "bad")),
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_transcript_of_this_sound_is_an_error_and_is_not_stored(text: str) -> None:
    service = Service(text)
    with pytest.raises(InvalidResponseError, match="no transcript of"):
        hear(service)
    (request,) = service.asked
    assert request.usable is not None
    assert not request.usable(text)
    assert request.usable("[]")


def test_a_time_that_is_rounded_beyond_the_end_is_the_end() -> None:
    (one,) = hear(Service(said((3.0, 4.9, "words"))))
    assert (one.start, one.end) == (13.0, 14.0)


def test_a_refusal_and_half_an_answer_are_errors() -> None:
    class Other(Service):
        async def generate(self, request: Request) -> Response:
            answer = await super().generate(request)
            return replace(answer, status=self.status, reason="safety")  # type: ignore[attr-defined]

    for status, kind in (("refused", ProviderError), ("truncated", InvalidResponseError)):
        service = Other(said((0.0, 1.0, "words")))
        service.status = status  # type: ignore[attr-defined]
        with pytest.raises(kind):
            hear(service)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["start", "end", "text", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.one_of(json_values.map(json.dumps), st.text(max_size=40)))
def test_no_answer_puts_words_outside_the_sound(text: str) -> None:
    try:
        heard = hear(Service(text), window(seconds=0.1))
    except InvalidResponseError:
        return
    assert all(10.0 <= one.start <= one.end <= 10.1 for one in heard)


# -- in a run over one Media ----------------------------------------------------------------


def transcribe(service: Provider, gate: Gate | None = None) -> tuple[Transcript, Any]:
    reader = ArrayReader(np.zeros(60 * SAMPLE_RATE, np.float32))
    assert reader.audio_span is not None
    return asyncio.run(
        transcribe_speech(
            reader,
            ProviderTranscriber(service, name="cloud"),
            whole=reader.audio_span,
            heard=[reader.audio_span],
            speech=[(5.0, 10.0), (20.0, 25.0)],
            language="en",
            limit_seconds=None,
            gate=gate or Gate(offline=False),
            deadline=None,
        )
    )


def test_the_call_layer_announces_and_nobody_else() -> None:
    gate = Gate(offline=False)
    transcript, _ = transcribe(Service(said((0.0, 1.0, "a"))), gate)
    assert transcript.text == "a a"
    assert gate.records == ()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BudgetExceededError("over"), "over_budget"),
        (
            AuthenticationError("no", provider="cloud"),
            "transcriber_failed: AuthenticationError",
        ),
    ],
)
def test_a_cap_and_a_refused_key_end_it_after_one_window(error: Exception, reason: str) -> None:
    service = Service(error)
    transcript, errors = transcribe(service)
    assert transcript.text == ""
    assert transcript.coverage.gaps == (
        Gap(start=5.0, end=10.0, reason=reason),
        Gap(start=20.0, end=25.0, reason=reason),
    )
    assert len(service.asked) == len(errors) == 1


def test_an_answer_that_is_none_costs_its_window_only() -> None:
    service = Service("words without times")
    transcript, errors = transcribe(service)
    assert {gap.reason for gap in transcript.coverage.gaps} == {
        "transcriber_failed: InvalidResponseError"
    }
    assert len(service.asked) == 2
    assert errors[0].stage == "transcribe"
