"""What spans and metrics say of a run, over real HTTP with the real SDKs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from opentelemetry.trace import SpanKind, StatusCode
from telemetry_kit import Memory, in_application

from mmcrime import CrimeDetectionPipeline
from mmcrime.plugins import Request, Response
from mmcrime.telemetry import RunTelemetry, current_run, observed, span
from mmcrime.telemetry.instruments import of_provider, operation
from mmcrime.testing import FakeProvider
from services import KEYS, USD, answer, bad_key, config, failed, serving, shot, words


@pytest.fixture
def memory() -> Iterator[Memory]:
    with in_application() as memory:
        yield memory


def test_a_run_is_one_tree_below_the_span_of_whoever_asked(memory: Memory, tmp_path: Path) -> None:
    tracer = memory.tracers.get_tracer("application")
    with (
        serving({"openai": answer("openai")}) as servers,
        CrimeDetectionPipeline(config({"openai": servers["openai"].url}, tmp_path)) as pipeline,
        tracer.start_as_current_span("upload"),
    ):
        report = pipeline.analyze(shot(), providers=["openai"])
    parents = {span.name: span.parent.span_id if span.parent else None for span in memory.spans()}
    ids = {span.name: span.context.span_id for span in memory.spans()}
    assert parents == {
        "upload": None,
        "mmcrime.analyze": ids["upload"],
        "mmcrime.open": ids["mmcrime.analyze"],
        "mmcrime.prepare": ids["mmcrime.analyze"],
        "mmcrime.assess": ids["mmcrime.analyze"],
        "mmcrime.call": ids["mmcrime.assess"],
        "chat gpt-5-nano": ids["mmcrime.call"],
    }
    for each in memory.spans("mmcrime."):
        assert each.attributes is not None
        assert each.attributes["mmcrime.request.id"] == report.request_id
        if each.name != "mmcrime.open":
            assert each.attributes["mmcrime.media.kind"] == "image"
            assert each.attributes["mmcrime.media.content_id"] == report.media.content_id


def test_every_door_keeps_the_span_of_whoever_asked(memory: Memory, tmp_path: Path) -> None:
    """Async, event by event and in a row, and two callers at once keep their own."""
    tracer = memory.tracers.get_tracer("application")
    given = config({}, tmp_path)

    async def call(pipeline: CrimeDetectionPipeline, name: str, *, stream: bool) -> None:
        with tracer.start_as_current_span(name):
            if not stream:
                await pipeline.analyze_async(shot())
                return
            async for _ in pipeline.stream(shot()):
                pass

    async def all_of_them(pipeline: CrimeDetectionPipeline) -> None:
        await asyncio.gather(
            call(pipeline, "async", stream=False), call(pipeline, "stream", stream=True)
        )

    with CrimeDetectionPipeline(given) as pipeline:
        asyncio.run(all_of_them(pipeline))
        with tracer.start_as_current_span("many"):
            list(pipeline.analyze_many([shot(1)]))
    ids = {s.context.span_id: s.name for s in memory.spans() if not s.name.startswith("mmcrime")}
    found = [ids[s.parent.span_id] for s in memory.spans("mmcrime.analyze") if s.parent]
    assert sorted(found) == ["async", "many", "stream"]


def test_each_attempt_is_a_client_span_of_its_own(memory: Memory, tmp_path: Path) -> None:
    with (
        serving({"openai": (failed(503), answer("openai"))}) as servers,
        CrimeDetectionPipeline(config({"openai": servers["openai"].url}, tmp_path)) as pipeline,
    ):
        pipeline.analyze(shot(), providers=["openai"])
    first, second = memory.spans("chat")
    (call,) = memory.spans("mmcrime.call")
    assert first.kind is second.kind is SpanKind.CLIENT
    assert call.kind is SpanKind.INTERNAL
    assert first.attributes is not None
    assert second.attributes is not None
    assert call.attributes is not None
    said = dict(second.attributes)
    assert said.pop("mmcrime.wait.seconds") >= 0  # type: ignore[operator]
    port = int(servers["openai"].url.rpartition(":")[2])
    (assess,) = (s for s in memory.spans("mmcrime.assess") if s.attributes)
    common = {k: v for k, v in (assess.attributes or {}).items() if k in said}
    assert said == {
        **common,
        gen_ai_attributes.GEN_AI_OPERATION_NAME: "chat",
        gen_ai_attributes.GEN_AI_PROVIDER_NAME: "openai",
        gen_ai_attributes.GEN_AI_REQUEST_MODEL: "gpt-5-nano",
        gen_ai_attributes.GEN_AI_REQUEST_MAX_TOKENS: 4096,
        gen_ai_attributes.GEN_AI_RESPONSE_MODEL: "gpt-5-nano-2025-08-07",
        gen_ai_attributes.GEN_AI_RESPONSE_FINISH_REASONS: ("stop",),
        gen_ai_attributes.GEN_AI_USAGE_INPUT_TOKENS: 1000,
        gen_ai_attributes.GEN_AI_USAGE_OUTPUT_TOKENS: 100,
        gen_ai_attributes.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: 0,
        server_attributes.SERVER_ADDRESS: "127.0.0.1",
        server_attributes.SERVER_PORT: port,
        "mmcrime.attempt": 2,
        "mmcrime.cost.usd": USD,
        "mmcrime.response.status": "answered",
    }
    assert len(common) == 3  # request, kind and content of the media
    assert first.attributes["mmcrime.attempt"] == 1
    assert first.attributes[error_attributes.ERROR_TYPE] == "UnavailableError"
    assert first.status.status_code is StatusCode.ERROR
    assert "mmcrime.cost.usd" not in first.attributes  # it may be billed; unknown is not nothing
    assert call.attributes["mmcrime.call.attempts"] == 2
    assert call.attributes["mmcrime.cached"] is False
    assert second.status.status_code is call.status.status_code is StatusCode.UNSET
    # Tokens and money must be found once by whoever adds them up.
    assert not [name for name in call.attributes if name.startswith("gen_ai.") or "usd" in name]
    assert first.end_time is not None
    assert second.start_time is not None
    assert first.end_time <= second.start_time


def test_metrics_have_the_names_units_and_boundaries_of_the_conventions(
    memory: Memory, tmp_path: Path
) -> None:
    with (
        serving({"openai": (failed(503), answer("openai"))}) as servers,
        CrimeDetectionPipeline(config({"openai": servers["openai"].url}, tmp_path)) as pipeline,
    ):
        for _ in range(2):
            pipeline.analyze(shot(), providers=["openai"])
    tokens = {
        point.attributes[gen_ai_attributes.GEN_AI_TOKEN_TYPE]: point
        for point in memory.points(gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE)
    }
    assert {kind: point.sum for kind, point in tokens.items()} == {"input": 1000, "output": 100}
    assert tokens["input"].explicit_bounds[:4] == (1, 4, 16, 64)
    assert tokens["input"].explicit_bounds[-1] == 67_108_864
    bad, good = memory.points(gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION)
    assert bad.attributes["error.type"] == "UnavailableError"
    assert "error.type" not in good.attributes
    assert (bad.count, good.count) == (1, 1)
    assert good.explicit_bounds[0] == 0.01
    assert good.explicit_bounds[-1] == 81.92
    (cost,) = memory.points("mmcrime.cost")
    assert cost.value == pytest.approx(USD)  # the second run was served from the store
    (hits,) = memory.points("mmcrime.cache.hits")
    assert hits.value == 1
    counted = {
        (p.attributes["mmcrime.analyzer"], p.attributes["mmcrime.assessment.status"]): p.value
        for p in memory.points("mmcrime.assessments")
        if not p.attributes["mmcrime.cached"]
    }
    assert counted == {
        ("motion", "skipped"): 2,
        ("sound", "skipped"): 2,
        ("llm:openai", "answered"): 1,
    }
    for name in ("mmcrime.cost", "mmcrime.assessments", "gen_ai.client.token.usage"):
        for point in memory.points(name):
            assert not {k for k in point.attributes if "request.id" in k or "content" in k}


def test_a_stored_answer_has_a_call_and_nothing_that_was_sent(
    memory: Memory, tmp_path: Path
) -> None:
    with (
        serving({"openai": answer("openai")}) as servers,
        CrimeDetectionPipeline(config({"openai": servers["openai"].url}, tmp_path)) as pipeline,
    ):
        for _ in range(2):
            pipeline.analyze(shot(), providers=["openai"])
    fresh, stored = (span.attributes or {} for span in memory.spans("mmcrime.call"))
    assert (fresh["mmcrime.cached"], stored["mmcrime.cached"]) == (False, True)
    assert (fresh["mmcrime.call.attempts"], stored["mmcrime.call.attempts"]) == (1, 0)
    assert len(memory.spans("chat")) == 1


def test_what_a_budget_refuses_is_counted_and_nothing_was_sent(
    memory: Memory, tmp_path: Path
) -> None:
    with serving({"openai": answer("openai")}) as servers:
        given = config({"openai": servers["openai"].url}, tmp_path, budget={"calls_per_run": 0})
        with CrimeDetectionPipeline(given) as pipeline:
            pipeline.analyze(shot(), providers=["openai"])
    (refused,) = memory.points("mmcrime.budget.refusals")
    assert refused.value == 1
    assert refused.attributes["gen_ai.provider.name"] == "openai"
    assert not memory.spans("chat")
    (call,) = memory.spans("mmcrime.call")
    assert (call.attributes or {})["error.type"] == "BudgetExceededError"


def test_a_refusal_is_an_answer_and_is_told_in_the_word_of_the_conventions(
    memory: Memory, tmp_path: Path
) -> None:
    with (
        serving({"gemini": answer("gemini", stop="refused")}) as servers,
        CrimeDetectionPipeline(config({"gemini": servers["gemini"].url}, tmp_path)) as pipeline,
    ):
        pipeline.analyze(shot(), providers=["gemini"])
    (sent,) = memory.spans("generate_content gemini-3.8-flash")
    said = sent.attributes or {}
    assert said["gen_ai.provider.name"] == "gcp.gemini"
    assert said["gen_ai.response.finish_reasons"] == ("content_filter",)
    assert said["mmcrime.response.status"] == "refused"
    assert sent.status.status_code is StatusCode.UNSET


def test_waiting_for_a_place_is_no_part_of_what_was_sent(memory: Memory, tmp_path: Path) -> None:
    """Two calls, of which one may be under way: the second says how long it waited."""

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.3)
        return Response(status="answered", text=words(), model=request.model or "fake-1")

    given = config({}, tmp_path, budget={"usd_per_run": None})
    given["providers"] = {"mine": {"max_concurrency": 1}}
    with CrimeDetectionPipeline(given, providers={"mine": FakeProvider(slow)}) as pipeline:
        reports = list(pipeline.analyze_many([shot(1), shot(2)]))
    assert [report.verdict.votes_answered for report in reports] == [1, 1]
    first, second = memory.spans("chat fake-1")
    assert first.end_time is not None
    assert second.start_time is not None
    assert second.start_time >= first.end_time
    waits = [(span.attributes or {})["mmcrime.wait.seconds"] for span in (first, second)]
    assert all(isinstance(wait, float) for wait in waits)
    assert waits[0] < 0.1 < waits[1]  # type: ignore[operator]  # they are, as said above
    (point,) = memory.points("gen_ai.client.operation.duration")
    assert point.count == 2
    assert point.max < 0.5
    # Nobody knows what this provider costs, which is not nothing.
    assert not memory.points("mmcrime.cost")
    assert "mmcrime.cost.usd" not in (first.attributes or {})


def test_no_word_file_name_key_or_error_is_told(memory: Memory, tmp_path: Path) -> None:
    """Markers in all that goes in and comes back stand nowhere in what is told."""
    path = tmp_path / "markerfile.png"
    path.write_bytes(shot(3))
    said = words(description="markeranswer", observations=["markeranswer"])
    with serving({"openai": answer("openai", said), "anthropic": bad_key("anthropic")}) as servers:
        urls = {name: server.url for name, server in servers.items()}
        given = config(urls, tmp_path / "cache", context="markercontext of this site")
        with CrimeDetectionPipeline(given) as pipeline:
            report = pipeline.analyze(
                path,
                providers=["openai", "anthropic"],
                name="markername.png",
                source_id="markersource",
                metadata={"markerkey": "markervalue"},
            )
            with pytest.raises(Exception, match="markermissing"):
                pipeline.analyze(tmp_path / "markermissing.png")
        assert b"markercontext" in servers["openai"].requests[0].body
    assert "markeranswer" in report.to_json()
    told = memory.everything()
    assert "UnsupportedMediaError" in told or "MediaError" in told  # the run that failed is told
    assert "AuthenticationError" in told
    for secret in ("marker", str(tmp_path), *KEYS.values(), "Incorrect API key", "Traceback"):
        assert secret not in told
    assert all(not span.events for span in memory.spans())


def test_a_run_within_a_run_that_nobody_may_hear_of_is_not_told(memory: Memory) -> None:
    """As when an analyzer of a run asks another pipeline, offline."""
    outer = RunTelemetry(memory.instruments, request_id="outer")
    with observed(outer, "outer"):
        with observed(None, "inner"), span("stage"):
            assert current_run() is None
        assert current_run() is outer
    assert [each.name for each in memory.spans()] == ["outer"]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://api.openai.com/v1", {"server.address": "api.openai.com", "server.port": 443}),
        ("http://[::1]:8000", {"server.address": "::1", "server.port": 8000}),
        ("fake://provider", {"server.address": "provider"}),
        ("http://[::1", {}),
        ("http://host:port", {}),
        ("", {}),
    ],
)
def test_the_server_is_named_as_far_as_the_address_says_it(
    endpoint: str, expected: dict[str, object]
) -> None:
    assert of_provider("acme", endpoint) == {"gen_ai.provider.name": "acme", **expected}


def test_tasks_of_our_own_keep_their_names() -> None:
    assert operation("label", "acme") == "label"
    assert operation("transcribe", "openai") == "transcribe"


APPLICATION = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from mmcrime import CrimeDetectionPipeline
sys.path.insert(0, "tests")
from services import shot

spans = InMemorySpanExporter()
given = {"cache": {"directory": sys.argv[1]}, "analyzers": {"speech": {"enabled": False}}}
with CrimeDetectionPipeline(given) as pipeline:
    pipeline.analyze(shot(0))  # before anything is set up
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    pipeline.analyze(shot(1), offline=True)
names = [span.name for span in spans.get_finished_spans()]
assert names == ["mmcrime.open", "mmcrime.prepare", "mmcrime.analyze"], names
assert "opentelemetry.exporter" not in " ".join(sys.modules)
"""

WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from mmcrime import CrimeDetectionPipeline
from mmcrime.errors import MissingDependencyError
sys.path.insert(0, "tests")
from services import answer, config, serving, shot
from pathlib import Path

with serving({"openai": answer("openai")}) as servers:
    given = config({"openai": servers["openai"].url}, Path(sys.argv[1]))
    with CrimeDetectionPipeline(given) as pipeline:
        report = pipeline.analyze(shot(), providers=["openai"])
assert report.verdict.votes_answered == 1
try:
    CrimeDetectionPipeline({**given, "telemetry": {"otlp_endpoint": "http://127.0.0.1:1"}})
except MissingDependencyError as error:
    assert error.pip == 'pip install "mmcrime[otel]"', error.pip
else:
    raise AssertionError("nothing is missing")
"""

UNUSED = """
import sys
from mmcrime import CrimeDetectionPipeline
sys.path.insert(0, "tests")
from services import shot

given = {"cache": {"directory": sys.argv[1]}, "analyzers": {"speech": {"enabled": False}}}
with CrimeDetectionPipeline(given) as pipeline:
    pipeline.analyze(shot(0))
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(APPLICATION, id="an_application_gets_them_with_no_setting_even_set_up_late"),
        pytest.param(WITHOUT, id="all_works_without_the_package_and_a_setting_names_the_pip_line"),
        pytest.param(UNUSED, id="nothing_is_imported_for_whoever_does_not_use_it"),
    ],
)
def test_what_is_installed_and_set_up_decides(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
