"""The analyzer of labels: what a classifier says of many pieces becomes one honest answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from fit_kit import evidence_of, made_up, sound_file
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.analyzers.labels import LabelsAnalyzer
from mmcrime.egress import Gate
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    EgressError,
    InvalidResponseError,
    MmcrimeError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.evidence import NO_STREAM, SILENT, Coverage, Evidence, Gap
from mmcrime.plugins import Capabilities, Request, Response, RunContext
from mmcrime.results import Assessment
from mmcrime.testing import FakeProvider

EYE = Capabilities(tasks=frozenset({"label"}), images=1)
EAR = Capabilities(tasks=frozenset({"label"}), audio=True, audio_formats=("audio/wav",))
TYPES = {"brawl": "fighting", "gun": "weapon"}
CALM = {"brawl": 0.1, "gun": 0.05, "nothing": 0.85}
Answer = Mapping[str, float] | str | Exception


def response(answer: Answer) -> Response | Exception:
    if isinstance(answer, Exception):
        return answer
    if not isinstance(answer, str):
        answer = json.dumps([{"label": k, "score": v} for k, v in answer.items()])
    return Response(status="answered", text=answer, model="m-1")


def by_time(default: Answer = CALM, /, **at: Answer) -> Callable[[Request], Response | Exception]:
    """Answer by the time of the piece: ``t5`` is that of the piece at 5 s."""
    answers = {float(name[1:]): answer for name, answer in at.items()}
    return lambda request: response(answers.get(request.parts[0].time or 0.0, default))


def make(**options: Any) -> LabelsAnalyzer:
    values = LabelsAnalyzer.Options(**{"provider": "acme", "types": TYPES, **options})
    return LabelsAnalyzer(**{k: getattr(values, k) for k in LabelsAnalyzer.Options.model_fields})


def ask(
    evidence: Evidence,
    reply: Callable[[Request], Any],
    *,
    capabilities: Capabilities = EYE,
    **options: Any,
) -> tuple[Assessment, FakeProvider]:
    provider = FakeProvider(reply, capabilities=capabilities)
    context = RunContext(request_id="r", egress=Gate(offline=False), providers={"acme": provider})
    analyzer = make(hears=capabilities.images == 0, **options)
    return asyncio.run(analyzer.analyze(evidence, context)), provider


def video(pictures: int = 4, **fields: Any) -> Evidence:
    return made_up([(64, 48)] * pictures, **fields)


# -- what becomes of scores -----------------------------------------------------------------


def test_the_highest_score_of_a_mapped_label_is_the_answer() -> None:
    found, provider = ask(video(), by_time(t10={"brawl": 0.8, "gun": 0.15, "nothing": 0.05}))
    assert (found.id, found.kind, found.runs, found.family) == (
        "labels:acme",
        "objects",
        "cloud",
        "acme",
    )
    assert (found.status, found.outcome, found.crime_type) == ("answered", "detected", "fighting")
    assert (found.probability, found.probability_source) == (0.8, "claimed")
    assert (found.provider, found.model, found.severity) == ("acme", "m-1", "high")
    (segment,) = found.segments
    assert (segment.start, segment.end, segment.score) == (10.0, 15.0, 0.8)
    assert segment.crime_type == "fighting"
    assert (found.coverage.examined, found.coverage.frames) == (((0.0, 20.0),), 4)
    assert "'brawl' at 0:10.0" in found.evidence_description
    assert found.error is None
    assert provider.calls == 4
    assert {request.task for request in provider.requests} == {"label"}
    assert all(len(request.parts) == 1 for request in provider.requests)


def test_low_scores_are_a_no_with_the_highest_of_them() -> None:
    found, _ = ask(video(), by_time(t5={"brawl": 0.49, "gun": 0.0, "nothing": 0.51}))
    assert (found.outcome, found.probability, found.crime_type) == ("not_detected", 0.49, None)
    assert (found.segments, found.severity) == ((), "none")


def test_the_threshold_decides_and_is_reached_by_its_own_value() -> None:
    scores = {"brawl": 0.3, "gun": 0.0}
    assert ask(video(), by_time(scores), threshold=0.3)[0].outcome == "detected"
    assert ask(video(), by_time(scores), threshold=0.31)[0].outcome == "not_detected"


def test_labels_that_are_not_mapped_mean_nothing() -> None:
    found, _ = ask(video(), by_time({"brawl": 0.0, "gun": 0.0, "explosion": 1.0}))
    assert (found.outcome, found.probability) == ("not_detected", 0.0)
    assert "explosion" not in found.model_dump_json()


def test_a_picture_file_is_asked_for_once_and_has_no_segments() -> None:
    found, provider = ask(made_up([(64, 48)], kind="image"), by_time({"brawl": 0.1, "gun": 0.9}))
    assert (found.outcome, found.crime_type, found.segments) == ("detected", "weapon", ())
    assert found.coverage == Coverage(frames=1)
    assert provider.calls == 1


def test_most_pictures_are_as_configured() -> None:
    found, provider = ask(video(9), by_time(), max_frames=2)
    assert provider.calls == found.coverage.frames == 2
    assert sum(gap.end - gap.start for gap in found.coverage.gaps) == 30.0


def test_sound_is_asked_for_in_stretches_of_ten_seconds() -> None:
    with evidence_of(sound_file(18.0)) as evidence:
        late = {"brawl": 0.9, "gun": 0.0}
        found, provider = ask(
            evidence,
            lambda r: response(late if (r.parts[0].time or 0.0) > 5.0 else CALM),
            capabilities=EAR,
        )
        assert found.coverage.examined == evidence.sound.examined
    assert [request.parts[0].kind for request in provider.requests] == ["audio", "audio"]
    assert (found.kind, found.outcome) == ("sound", "detected")
    (segment,) = found.segments
    assert abs(segment.start - 9.0) < 0.05


def test_a_stored_answer_serves_and_is_of_one_file_only() -> None:
    _, provider = ask(video(), by_time())
    recipes = {request.recipe for request in provider.requests}
    assert len(recipes) == 1
    assert "blake3:00" in recipes.pop()
    assert all(request.parts[0].id for request in provider.requests)


# -- what is not said -----------------------------------------------------------------------


def test_a_label_that_the_model_does_not_have_makes_no_no() -> None:
    """A mistyped label would otherwise be a "no" for ever."""
    with pytest.raises(InvalidResponseError, match="'gun'") as caught:
        ask(video(), by_time({"brawl": 0.1, "Gun": 0.9}))
    assert "'Gun'" in caught.value.message
    assert "analyzers.labels.types" in caught.value.next_step


def test_a_label_without_a_score_takes_nothing_from_what_another_reached() -> None:
    found, _ = ask(video(), by_time({"brawl": 0.9}))
    assert (found.outcome, found.probability) == ("detected", 0.9)


BAD = ["", "[]", "null", '[{"label": "brawl", "score": NaN}]', '[{"label": "brawl", "score": 2}]']


@pytest.mark.parametrize("text", [*BAD, '[{"label": "brawl", "score": "0.9"}]', "<html>"])
def test_a_malformed_answer_is_none(text: str) -> None:
    with pytest.raises(InvalidResponseError):
        ask(video(), by_time(text))


def test_a_refusal_is_no_answer() -> None:
    refusal = Response(status="refused", text="", model="m-1", reason="safety")
    with pytest.raises(ProviderError, match="safety"):
        ask(video(), lambda _: refusal)


def test_some_pictures_that_fail_are_a_gap_and_an_error() -> None:
    found, provider = ask(video(), by_time(t5=UnavailableError("it is down", provider="acme")))
    assert (found.status, found.outcome) == ("answered", "not_detected")
    assert found.coverage.examined == ((0.0, 5.0), (10.0, 20.0))
    assert (found.coverage.frames, provider.calls) == (3, 4)
    (gap,) = found.coverage.gaps
    assert (gap.start, gap.end, gap.reason.partition(":")[0]) == (5.0, 10.0, "not_judged")
    assert found.error is not None
    assert found.error.type == "UnavailableError"
    assert found.error.message.startswith("1 of 4 pictures were not judged: it is down")


def test_a_picture_file_of_which_a_part_was_not_judged_is_no_no() -> None:
    answers = iter([CALM, UnavailableError("down", provider="acme"), CALM])
    evidence = made_up([(64, 48)] * 3, kind="image")
    found, _ = ask(evidence, lambda _: response(next(answers)))
    assert (found.status, found.outcome) == ("answered", "undetermined")


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (UnavailableError("down", provider="acme"), 40),
        (BudgetExceededError("too dear"), 40),
        (EgressError("offline"), 40),
        (AuthenticationError("bad key", provider="acme"), 8),
        (RateLimitedError("no credit", provider="acme", retryable=False), 8),
    ],
    ids=lambda value: getattr(type(value), "__name__", ""),
)
def test_where_all_fail_the_first_error_is_raised(error: MmcrimeError, calls: int) -> None:
    """After a refused key or a used-up quota nothing more is asked for than is under way."""
    asked = []

    async def fail(request: Request) -> Response:
        asked.append(request)
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)) as caught:
        ask(video(40), fail)
    assert caught.value is error
    assert len(asked) == calls


def test_what_is_no_error_of_ours_costs_one_picture_and_not_the_vote(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found, _ = ask(video(), by_time(t5=ZeroDivisionError("secret")))
    assert found.status == "answered"
    assert [gap.start <= 5 <= gap.end for gap in found.coverage.gaps] == [True]
    assert "secret" not in repr(found)
    assert "for labels failed" in caplog.text


def test_what_the_configuration_breaks_is_raised_as_it_is() -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        ask(video(), by_time(t5=ConfigError("The ledger cannot be used.", next_step="Move it.")))


SILENCE = Coverage(gaps=(Gap(start=0.0, end=20.0, reason=SILENT),))
ABSENT = Coverage(gaps=(Gap(start=0.0, end=20.0, reason=NO_STREAM),))
BROKEN = Coverage(gaps=(Gap(start=0.0, end=20.0, reason="damaged"),))


@pytest.mark.parametrize("coverage", [SILENCE, ABSENT])
def test_where_there_is_nothing_to_hear_nothing_is_asked(coverage: Coverage) -> None:
    evidence = replace(video(), sound=coverage)
    found, provider = ask(evidence, by_time(), capabilities=EAR)
    assert (found.status, found.outcome, provider.calls) == ("skipped", "undetermined", 0)


def test_sound_that_nobody_could_decode_is_a_failure() -> None:
    evidence = video()
    media = replace(evidence.media, has_audio=True)
    with pytest.raises(ProviderError, match="No sound"):
        ask(replace(evidence, media=media, sound=BROKEN), by_time(), capabilities=EAR)


SCORE = st.floats(0, 1)
REPLY = st.one_of(
    st.fixed_dictionaries({"brawl": SCORE, "gun": SCORE, "nothing": SCORE}),
    st.fixed_dictionaries({"brawl": SCORE}),
    st.sampled_from(BAD),
    st.builds(lambda: UnavailableError("down", provider="acme")),
)


@given(st.lists(REPLY, min_size=4, max_size=4))
def test_an_answer_rests_on_what_was_said_and_on_nothing_else(replies: list[Any]) -> None:
    """Promises 1, 3 and 4, whatever a service sends."""
    answers = dict(zip((0.0, 5.0, 10.0, 15.0), replies, strict=True))
    given = [r for r in replies if isinstance(r, dict)]
    usable = [r for r in given if "gun" in r or r["brawl"] >= 0.5]
    high = [max(r["brawl"], r.get("gun", 0.0)) for r in usable]
    try:
        found, _ = ask(video(), lambda r: response(answers[r.parts[0].time or 0.0]))
    except MmcrimeError:
        assert not usable
        return
    assert found.coverage.frames == len(usable)
    assert found.probability == max(high)
    assert (found.outcome == "detected") is (max(high) >= 0.5)
    assert len(found.segments) == sum(score >= 0.5 for score in high)
    assert (found.error is None) is (found.coverage.frames == 4)


# -- settings -------------------------------------------------------------------------------


def test_without_a_mapping_the_error_shows_how_to_write_one() -> None:
    with pytest.raises(ConfigError, match="what it stands for") as caught:
        make(types={})
    assert '{"analyzers": {"labels": {"types": {' in caught.value.next_step


def test_what_is_no_crime_type_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'brawl' to 'brawling'") as caught:
        make(types={"gun": "weapon", "brawl": "brawling"})
    assert "fighting" in caught.value.next_step


@pytest.mark.parametrize("threshold", [0, 1.1, float("nan")])
def test_a_threshold_is_a_score(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        make(threshold=threshold)


def test_a_provider_that_the_run_does_not_have_is_a_setting_to_change() -> None:
    context = RunContext(request_id="r", egress=Gate(offline=False))
    with pytest.raises(ConfigError, match="'labels' is to ask the provider 'acme'"):
        asyncio.run(make().analyze(video(), context))


def test_cancelling_stops_the_requests() -> None:
    begun, stopped = asyncio.Event(), []

    async def slow(_: Request) -> Response:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(True)
            raise
        raise AssertionError("nobody waits so long")

    async def work() -> None:
        provider = FakeProvider(slow, capabilities=EYE)
        context = RunContext(
            request_id="r", egress=Gate(offline=False), providers={"acme": provider}
        )
        task = asyncio.create_task(make().analyze(video(20), context))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 1 <= len(stopped) == provider.calls <= 8

    asyncio.run(work())
