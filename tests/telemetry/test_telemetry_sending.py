"""What a collector gets, over real HTTP, and what it never gets."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from telemetry_kit import attributes, collector, received_metrics, received_spans

from mmcrime import ConfigError, CrimeDetectionPipeline
from mmcrime.egress import Gate
from mmcrime.errors import EgressError
from mmcrime.plugins import RunContext
from mmcrime.telemetry import Telemetry
from mmcrime.testing import WireReply
from services import KEYS, answer, config, failed, nobody, serving, shot, words

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = "Zz09collectorZz10token"  # noqa: S105  # opens nothing


def test_the_command_line_sends_to_the_collector_that_is_named(tmp_path: Path) -> None:
    """End to end in a process of its own; markers of all that is private stand in no byte."""
    clip = tmp_path / "markerfile.png"
    clip.write_bytes(shot(5))
    said = words(description="markeranswer")
    with serving({"openai": answer("openai", said)}) as servers, collector() as server:
        given = config(
            {"openai": servers["openai"].url},
            tmp_path / "cache",
            context="markercontext",
            telemetry={"otlp_endpoint": server.url, "headers": {"x-token": "env:COLLECTOR_TOKEN"}},
        )
        (tmp_path / "config.json").write_text(json.dumps(given))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mmcrime", "analyze", str(clip), "--json"),
                *("--provider", "openai", "--source-id", "markersource"),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "COLLECTOR_TOKEN": TOKEN,
                # Of some other collector: nothing of it may be used here.
                "OTEL_EXPORTER_OTLP_ENDPOINT": nobody(),
                "OTEL_EXPORTER_OTLP_HEADERS": "x-other=markerother",
                "OTEL_RESOURCE_ATTRIBUTES": "place=markerplace",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "markeranswer" in done.stdout
    spans = received_spans(server.requests)
    assert {"mmcrime.analyze", "mmcrime.call", "chat gpt-5-nano"} <= {s.name for s in spans}
    (sent,) = (span for span in spans if span.name == "chat gpt-5-nano")
    assert attributes(sent)["gen_ai.usage.input_tokens"] == 1000
    assert attributes(sent)["mmcrime.request.id"] == report["request_id"]
    assert "gen_ai.client.token.usage" in received_metrics(server.requests)
    (record,) = (r for r in report["egress"] if r["purpose"] == "telemetry")
    assert record["to"] == server.url.removeprefix("http://")
    for request in server.requests:
        assert request.headers["x-token"] == TOKEN
        assert request.headers["content-type"] == "application/x-protobuf"
        assert "x-other" not in request.headers
        for private in (b"marker", KEYS["openai"].encode(), shot(5)[:40], str(tmp_path).encode()):
            assert private not in request.body


def test_an_offline_run_sends_and_announces_nothing(tmp_path: Path) -> None:
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            report = pipeline.analyze(shot(), offline=True)
        assert report.egress == ()
        with CrimeDetectionPipeline({**given, "offline": True}) as pipeline:
            pipeline.analyze(shot())
        assert server.requests == []


def test_of_a_pipeline_only_the_runs_that_are_not_offline_are_sent(tmp_path: Path) -> None:
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            hidden = pipeline.analyze(shot(), offline=True).request_id
            told = pipeline.analyze(shot()).request_id
        spans = [attributes(span)["mmcrime.request.id"] for span in received_spans(server.requests)]
        assert set(spans) == {told} != {hidden}
        counted = received_metrics(server.requests)["mmcrime.assessments"].sum.data_points
        assert sum(point.as_int for point in counted) == 2  # motion and sound, skipped, of one run


def test_a_gate_that_refuses_telemetry_keeps_the_run_to_itself(tmp_path: Path) -> None:
    class Strict(Gate):
        def announce(self, **said: object) -> None:
            raise EgressError(f"not allowed: {said['purpose']!r}")

    context = RunContext(request_id="r", egress=Strict(offline=False))
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            assert pipeline.analyze(shot(), run=context).egress == ()
        assert server.requests == []


def test_the_environment_alone_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20x")
        with CrimeDetectionPipeline(config({}, tmp_path)) as pipeline:
            assert pipeline.analyze(shot()).egress == ()
        assert server.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "zzz"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "x"),
    ],
)
def test_no_variable_of_the_environment_changes_what_is_sent_or_ends_a_run(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            assert pipeline.analyze(shot()).verdict
        assert received_spans(server.requests)


def test_the_switch_of_opentelemetry_sends_and_announces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            assert pipeline.analyze(shot()).egress == ()
        assert server.requests == []


def test_a_span_of_the_application_that_is_not_sampled_hides_no_run(tmp_path: Path) -> None:
    from opentelemetry import trace

    unsampled = trace.NonRecordingSpan(
        trace.SpanContext(trace_id=1, span_id=1, is_remote=False, trace_flags=trace.TraceFlags(0))
    )
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline, trace.use_span(unsampled):
            pipeline.analyze(shot())
        assert received_spans(server.requests)


def test_a_collector_that_never_comes_to_the_point_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that sends ``100 Continue`` for ever keeps each read of the line short."""
    monkeypatch.setattr("mmcrime.telemetry.sending._TIMEOUT", 0.2)
    monkeypatch.setattr("mmcrime.telemetry.sending._ATTEMPTS", 1)
    ended = threading.Event()

    def talk(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            while not ended.is_set():
                line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(0.001)

    def serve(door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=talk, args=(door.accept()[0],)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        threads.append(threading.Thread(target=serve, args=(door,)))
        threads[0].start()
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        with CrimeDetectionPipeline(
            config({}, tmp_path, telemetry={"otlp_endpoint": url})
        ) as pipeline:
            assert pipeline.analyze(shot()).verdict
        door.shutdown(socket.SHUT_RDWR)
    ended.set()
    for thread in threads:
        thread.join(5)
    assert "TimeoutError" in caplog.text


@pytest.mark.parametrize(
    "reply", [WireReply(status=400), WireReply(fault="reset"), failed(503), None]
)
def test_a_collector_in_trouble_costs_no_run_and_is_mentioned_once(
    reply: WireReply | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with collector(*(() if reply is None else (reply,))) as server:
        url = nobody() if reply is None else server.url
        given = config({}, tmp_path, telemetry={"otlp_endpoint": url})
        with CrimeDetectionPipeline(given) as pipeline:
            for number in range(2):
                assert pipeline.analyze(shot(number)).verdict
    complaints = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.name for r in complaints] == ["mmcrime.telemetry"]
    assert "dropped" in complaints[0].getMessage()


def test_no_proxy_of_the_environment_comes_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as server, collector() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            pipeline.analyze(shot())
        assert received_spans(server.requests)
        assert proxy.requests == []


def test_a_busy_collector_is_asked_again(tmp_path: Path) -> None:
    with collector(WireReply(status=503), WireReply()) as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            pipeline.analyze(shot())
        first, again = server.requests[:2]
    assert first.path == again.path == "/v1/traces"
    assert first.body == again.body


def test_nothing_follows_where_a_collector_points_to(tmp_path: Path) -> None:
    with collector() as other:
        moved = WireReply(status=307, headers={"location": f"{other.url}/v1/traces"})
        with collector(moved) as server:
            given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
            with CrimeDetectionPipeline(given) as pipeline:
                pipeline.analyze(shot())
            assert server.requests
        assert other.requests == []


def test_closing_waits_for_a_silent_collector_no_longer_than_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mmcrime.telemetry.source._PATIENCE", 0.2)
    with collector(WireReply(fault="silent")) as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        pipeline = CrimeDetectionPipeline(given)
        pipeline.analyze(shot())
        started = time.monotonic()
        pipeline.close()
        assert time.monotonic() - started < 2
    assert "not sent within 0.2 s" in caplog.text
    _wait_until(lambda: not _threads())


def test_a_pipeline_that_nobody_closed_keeps_no_threads_and_sends_what_it_has(
    tmp_path: Path,
) -> None:
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        pipeline = CrimeDetectionPipeline(given)
        pipeline.analyze(shot())
        assert _threads()
        del pipeline
        gc.collect()
        _wait_until(lambda: not _threads())
        assert received_spans(server.requests)


def test_a_forked_child_does_not_send_the_counts_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK starts its threads anew in a child, with all that its parent has counted."""
    with collector() as server:
        given = config({}, tmp_path, telemetry={"otlp_endpoint": server.url})
        with CrimeDetectionPipeline(given) as pipeline:
            pipeline.analyze(shot())
            child = SimpleNamespace(getpid=lambda: os.getpid() + 1)
            monkeypatch.setattr("mmcrime.telemetry.sending.os", child)
        assert server.requests == []


def test_a_closed_pipeline_is_told_to_nobody(tmp_path: Path) -> None:
    with collector() as server:
        telemetry = Telemetry(server.url, {}, version="0")
        telemetry.close()
        assert telemetry.of_run(Gate(offline=False), request_id="late") is None
        assert not _threads()
        telemetry.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "markersecret-s\u00e9"),
        ("authorization", "markersecret\r\nx: y"),
        ("authorization", " markersecret"),
        ("a b", "markersecret"),
        ("b\nc: d", "markersecret"),
        ("Host", "markersecret"),
        ("content-length", "markersecret"),
    ],
)
def test_a_header_that_no_request_can_have_is_refused_without_its_value(
    name: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=r"telemetry\.headers") as caught:
        CrimeDetectionPipeline({"telemetry": {"headers": {name: value}}})
    assert "markersecret" not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "ftp://collector",
        "http://",
        "http://user:markersecret@collector:4318",
        "http://collector:4318?key=markersecret",
        "http://collector:99999",
        "http://collector:abc",
        "http://collector:0",
        "http://coll ector:4318",
        "http://collector:4318/\x00",
    ],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"telemetry\.otlp_endpoint") as caught:
        CrimeDetectionPipeline({"telemetry": {"otlp_endpoint": url}})
    assert "markersecret" not in str(caught.value)


def _threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("Otel", "mmcrime-telemetry"))]


def _wait_until(condition: object) -> None:
    assert callable(condition)
    latest = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.01)
