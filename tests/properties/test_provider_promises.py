"""Promises 1, 2, 5 and 8 for any mixture of what services may do, in whole runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrime import CrimeDetectionPipeline
from mmcrime.calls import limits, retry
from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
    UnfitMediaError,
)
from mmcrime.plugins import Capabilities, Request, Response, TokenUsage
from mmcrime.results import Assessment, Report
from mmcrime.testing import FakeProvider
from services import shot, words

NAMES = ("one", "two", "three")
IN, OUT = 1000, 100
PRICE = {"input_per_million": 1.0, "output_per_million": 10.0}
EACH = 0.002  # US dollars that one reply costs
LIVING = ("yes", "no", "unsure")
WHOLE = words("yes")
GARBAGE = (
    "",
    "null",
    "[false]",
    '"false"',
    "false",
    "0",
    "{}",
    "[]",
    "I see an assault.",
    WHOLE[:-1],
    WHOLE[: len(WHOLE) // 2],
    WHOLE + WHOLE,
    WHOLE.replace('"yes"', "[true]"),
    WHOLE.replace('"yes"', '"true"'),
    WHOLE.replace('"yes"', "null"),
    WHOLE.replace("0.9", "1.5"),
    WHOLE.replace("0.9", "NaN"),
    WHOLE.replace("0.9", '"0.9"'),
    WHOLE.replace("{", "{ // sure\n", 1),
    WHOLE.replace('"assault"', '"mutiny"'),
    json.dumps(json.loads(WHOLE) | {"confidence": 1}),
    json.dumps({k: v for k, v in json.loads(WHOLE).items() if k != "incident"}),
)
ERRORS: dict[str, Any] = {
    "key": lambda name: AuthenticationError("refused", provider=name),
    "rate": lambda name: RateLimitedError("slow down", provider=name, retry_after=0.0),
    "quota": lambda name: RateLimitedError("used up", provider=name, retryable=False),
    "outage": lambda name: UnavailableError("gone", provider=name, retry_after=0.0),
    "unbilled outage": lambda name: UnavailableError(
        "never there", provider=name, retry_after=0.0, may_be_billed=False
    ),
    "bad request": lambda name: ProviderError("refused", provider=name),
    "unreadable": lambda name: InvalidResponseError("html", provider=name),
    "unfit": lambda name: UnfitMediaError("too large", provider=name),
    "bug": lambda _: RuntimeError("a bug of the provider"),
}
UNBILLED = {"key", "rate", "quota", "unbilled outage", "bad request", "unfit"}


class Service:
    """Does what is drawn, the last of it for ever, and counts what it is paid for."""

    def __init__(self, name: str, fate: Sequence[str]) -> None:
        self.name, self.fate = name, list(fate)
        self.replies = 0
        self.doubtful = 0
        self.last_reply = ""
        self.provider = FakeProvider(
            self.answer, capabilities=Capabilities(images=8, json_schema=True), model=f"m-{name}"
        )

    def answer(self, request: Request) -> Response | Exception:
        act = self.fate.pop(0) if len(self.fate) > 1 else self.fate[0]
        if act in ERRORS:
            self.doubtful += act not in UNBILLED
            error: Exception = ERRORS[act](self.name)
            return error
        self.replies += 1
        usage = TokenUsage(input=IN, output=OUT)
        model = f"{request.model}-2026"
        if act == "refused":
            return Response(status="refused", text="", model=model, reason="safety", usage=usage)
        if act == "truncated":
            text = WHOLE[: len(WHOLE) // 2]
            return Response(status="truncated", text=text, model=model, usage=usage)
        said = words(act) if act in LIVING else act
        return Response(status="answered", text=said, model=model, usage=usage)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Wait for nothing where an attempt is repeated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "_FIRST", 0.0)
        patch.setattr(retry, "_JITTER", 0.0)
        patch.setattr(limits, "_BREATH", 0.0)
        yield


def run(services: Sequence[Service], *, fallback: Sequence[str] = ()) -> Report:
    """Analyse one picture with all services and nothing stored."""
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "providers": {s.name: {"price": PRICE} for s in services},
            "fallback": list(fallback),
            "cache": {"directory": folder},
            "analyzers": {"speech": {"enabled": False}},
        }
        providers = {s.name: s.provider for s in services}
        with CrimeDetectionPipeline(config, providers=providers) as pipeline:
            return pipeline.analyze(shot())


def votes(report: Report) -> list[Assessment]:
    return [a for a in report.assessments if a.kind == "llm"]


dying = st.sampled_from([*ERRORS, "refused", "truncated", *GARBAGE])
deaths = st.lists(dying, min_size=1, max_size=3)
fates = st.lists(st.one_of(dying, st.sampled_from(LIVING)), min_size=1, max_size=4)


@settings(max_examples=60)
@given(drawn=st.lists(deaths, min_size=1, max_size=3), chained=st.booleans())
def test_nothing_but_a_valid_answer_decides(drawn: list[list[str]], chained: bool) -> None:
    services = [Service(name, fate) for name, fate in zip(NAMES, drawn, strict=False)]
    report = run(services, fallback=[s.name for s in services[1:]] if chained else ())
    assert report.verdict.outcome == "undetermined"
    assert report.verdict.crime_detected is None
    assert report.verdict.probability is None
    assert report.verdict.votes_answered == 0
    assert report.verdict.reasons[0].code in ("all_failed", "all_refused")
    assert {v.status for v in votes(report)} <= {"failed", "refused"}
    assert all(v.probability is None and v.outcome == "undetermined" for v in votes(report))
    assert all(v.error is not None for v in votes(report))


@settings(max_examples=80)
@given(drawn=st.lists(fates, min_size=1, max_size=3), chained=st.booleans())
def test_who_answered_votes_and_what_was_sent_and_paid_is_what_the_services_saw(
    drawn: list[list[str]], chained: bool
) -> None:
    services = {n: Service(n, fate) for n, fate in zip(NAMES, drawn, strict=False)}
    report = run(list(services.values()), fallback=list(services)[1:] if chained else ())
    asked = {name: service.provider.calls for name, service in services.items()}
    sent = [record.to.partition(" ")[0] for record in report.egress]
    assert {name: sent.count(name) for name in services} == asked
    assert sum(v.usage.calls or 0 for v in votes(report)) == len(sent)
    for cast in votes(report):
        if cast.status != "answered":
            continue
        # The voter is who answered, after any fallback, by the model that it names itself.
        assert cast.provider in services
        assert cast.model == f"m-{cast.provider}-2026"
        own = cast.analyzer.removeprefix("llm:")
        assert (cast.provider == own) == (cast.fallbacks == ())
    keys = {v.vote_key for v in votes(report) if v.status == "answered"}
    assert report.verdict.votes_answered == len(keys)
    if not keys:
        assert report.verdict.outcome == "undetermined"
    replies = sum(s.replies for s in services.values())
    if any(s.doubtful for s in services.values()):
        assert report.cost.usd is None  # some of it may have been billed
    else:
        assert report.cost.usd == pytest.approx(replies * EACH)
    for cast in votes(report):
        assert cast.cost.usd is None or cast.cost.usd >= 0.0
