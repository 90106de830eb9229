"""Many sources, many callers, and the life of a pipeline."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes import EchoProvider, Scripted, reply

from mmcrime import CrimeDetectionPipeline, Settings
from mmcrime.errors import ConfigError, MediaError, MmcrimeError


@pytest.fixture
def folder(tmp_path: Path, quiet_wav: bytes, picture: bytes) -> Path:
    """Two good files, one broken one, and some that must be left out."""
    root = tmp_path / "clips"
    (root / "sub").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "a.wav").write_bytes(quiet_wav)
    (root / "b.jpg").write_bytes(b"\xff\xd8\xff broken")
    (root / "sub" / "c.png").write_bytes(picture)
    (root / ".hidden" / "d.png").write_bytes(picture)
    (root / "e.png").symlink_to("/etc/hostname")
    return root


def test_one_bad_file_stops_nothing_else(pipeline: CrimeDetectionPipeline, folder: Path) -> None:
    reports = list(pipeline.analyze_directory(folder))
    assert [Path(r.source).name for r in reports] == ["a.wav", "b.jpg", "c.png"]
    broken = reports[1]
    assert broken.verdict.outcome == "undetermined"
    assert broken.errors[0].stage == "prepare"
    assert "CorruptMediaError" in broken.errors[0].type
    assert broken.verdict.reasons[0].next_step
    assert reports[0].verdict.outcome == "not_detected"


def test_a_pattern_chooses_files_by_name(pipeline: CrimeDetectionPipeline, folder: Path) -> None:
    reports = list(pipeline.analyze_directory(folder, pattern="*.png"))
    assert [Path(r.source).name for r in reports] == ["c.png"]


def test_a_folder_that_is_none_is_a_configuration_error(pipeline: CrimeDetectionPipeline) -> None:
    with pytest.raises(ConfigError, match="'/nowhere'"):
        list(pipeline.analyze_directory("/nowhere"))


def test_only_a_configuration_error_stops_a_batch(
    pipeline: CrimeDetectionPipeline, folder: Path
) -> None:
    with pytest.raises(ConfigError):
        list(pipeline.analyze_directory(folder, analyzers=["nope"]))


def test_our_own_bug_on_one_file_does_not_lose_the_others(
    silent_settings: Settings, quiet_wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_a: Any, **_k: Any) -> Any:
        raise ZeroDivisionError("bug")

    with CrimeDetectionPipeline(silent_settings) as pipeline:
        first = next(iter(pipeline.analyze_many([quiet_wav])))
        monkeypatch.setattr("mmcrime.pipeline.run.fuse", broken)
        (second,) = pipeline.analyze_many([quiet_wav])
    assert first.verdict.outcome == "not_detected"
    assert second.verdict.outcome == "undetermined"
    assert second.errors[0].type == "ZeroDivisionError"


def test_sources_are_drawn_lazily(pipeline: CrimeDetectionPipeline, picture: bytes) -> None:
    drawn = 0

    def endless() -> Any:
        nonlocal drawn
        while True:
            drawn += 1
            yield picture

    reports = pipeline.analyze_many(endless())
    next(reports)
    assert drawn <= pipeline.settings.max_concurrent
    reports.close()


def test_the_event_stream_ends_with_the_report(
    pipeline: CrimeDetectionPipeline, quiet_wav: bytes
) -> None:
    async def collect() -> list[Any]:
        return [event async for event in pipeline.stream(quiet_wav)]

    events = asyncio.run(collect())
    kinds = [e.event for e in events]
    assert kinds[0] == "prepared"
    assert kinds[-1] == "report"
    assert set(kinds) == {"prepared", "assessed", "spent", "report"}
    assert events[-1].report.media.kind == "audio"


def test_the_event_stream_raises_what_analyze_raises(pipeline: CrimeDetectionPipeline) -> None:
    async def collect() -> None:
        async for _ in pipeline.stream(b"not media at all"):
            pass

    with pytest.raises(MediaError):
        asyncio.run(collect())


def test_leaving_the_stream_early_cancels_the_run(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    cancelled = threading.Event()

    async def hang() -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def leave(pipeline: CrimeDetectionPipeline) -> None:
        stream = pipeline.stream(quiet_wav)
        async for event in stream:
            if event.event == "prepared":
                await asyncio.sleep(0.2)
                break
        await stream.aclose()

    with CrimeDetectionPipeline(
        silent_settings, analyzers=[Scripted(lambda e, c: hang())]
    ) as pipeline:
        asyncio.run(leave(pipeline))
        assert cancelled.wait(10)


def test_cancelling_the_caller_cancels_the_work(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def hang() -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def go(pipeline: CrimeDetectionPipeline) -> None:
        task = asyncio.create_task(pipeline.analyze_async(quiet_wav))
        await asyncio.to_thread(started.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with CrimeDetectionPipeline(
        silent_settings, analyzers=[Scripted(lambda e, c: hang())]
    ) as pipeline:
        asyncio.run(go(pipeline))
        assert cancelled.wait(10)


def test_the_sync_door_works_inside_a_running_loop(
    pipeline: CrimeDetectionPipeline, picture: bytes
) -> None:
    async def notebook() -> Any:
        return pipeline.analyze(picture)

    assert asyncio.run(notebook()).media.kind == "image"


def test_one_pipeline_serves_threads_and_several_loops(
    pipeline: CrimeDetectionPipeline, picture: bytes, quiet_wav: bytes
) -> None:
    async def both() -> Any:
        return await asyncio.gather(
            pipeline.analyze_async(picture), pipeline.analyze_async(quiet_wav)
        )

    def work(number: int) -> list[str | None]:
        if number % 2:
            return [r.media.kind for r in asyncio.run(both())]
        return [pipeline.analyze(picture).media.kind]

    with ThreadPoolExecutor(6) as pool:
        kinds = list(pool.map(work, range(12)))
    assert kinds == [["image"], ["image", "audio"]] * 6


def test_no_more_inputs_are_worked_on_than_allowed(quiet_wav: bytes) -> None:
    busy, most, lock = 0, 0, threading.Lock()

    async def count() -> Any:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        await asyncio.sleep(0.05)
        with lock:
            busy -= 1
        return reply()

    settings = Settings.model_validate(
        {"max_concurrent": 2, "analyzers": {"speech": {"enabled": False}}}
    )
    with (
        CrimeDetectionPipeline(settings, analyzers=[Scripted(lambda e, c: count())]) as pipeline,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: pipeline.analyze(quiet_wav), range(8)))
    assert most == 2


def test_closing_waits_for_the_work_and_closes_everybody_once(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    async def slow() -> Any:
        await asyncio.sleep(0.5)
        return reply()

    analyzer, provider = Scripted(lambda e, c: slow()), EchoProvider()
    pipeline = CrimeDetectionPipeline(
        silent_settings, analyzers=[analyzer], providers={"echo": provider}
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(pipeline.analyze, quiet_wav)
        time.sleep(0.3)
        pipeline.close()
        assert running.result().verdict.outcome == "not_detected"
    pipeline.close()
    assert (analyzer.closed, provider.closed) == (1, 1)


def test_a_closed_pipeline_says_so(silent_settings: Settings, picture: bytes) -> None:
    pipeline = CrimeDetectionPipeline(silent_settings)
    pipeline.close()
    with pytest.raises(ConfigError, match="closed"):
        pipeline.analyze(picture)


def test_an_analyzer_that_fails_to_close_stops_nobody_else(silent_settings: Settings) -> None:
    class Stubborn(Scripted):
        async def aclose(self) -> None:
            raise RuntimeError("no")

    provider = EchoProvider()
    with CrimeDetectionPipeline(
        silent_settings, analyzers=[Stubborn(lambda e, c: reply())], providers={"e": provider}
    ):
        pass
    assert provider.closed == 1


def test_it_works_as_an_async_context_manager(silent_settings: Settings, picture: bytes) -> None:
    async def go() -> Any:
        async with CrimeDetectionPipeline(silent_settings) as pipeline:
            return await pipeline.analyze_async(picture)

    assert asyncio.run(go()).media.kind == "image"


def _in_child(pipeline: CrimeDetectionPipeline, picture: bytes, out: Any) -> None:
    try:
        pipeline.analyze(picture)
    except MmcrimeError as error:
        out.send(str(error))
    os._exit(0)


# Python 3.12 and later warn of a fork while threads run; that misuse is what is tested.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_pipeline_from_before_a_fork_refuses_instead_of_hanging(
    pipeline: CrimeDetectionPipeline, picture: bytes
) -> None:
    pipeline.analyze(picture)
    receive, send = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=_in_child, args=(pipeline, picture, send)
    )
    child.start()
    assert receive.poll(30)
    assert "forked" in receive.recv()
    child.join()


def test_config_and_settings_together_are_refused(silent_settings: Settings) -> None:
    with pytest.raises(ConfigError, match="Both"):
        CrimeDetectionPipeline({}, settings=silent_settings)


def test_two_injected_analyzers_need_two_names(silent_settings: Settings) -> None:
    with pytest.raises(ConfigError, match="'scripted'"):
        CrimeDetectionPipeline(
            silent_settings, analyzers=[Scripted(lambda e, c: reply()) for _ in range(2)]
        )


def test_work_that_comes_while_closing_is_refused_and_never_hangs(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    class Slow(Scripted):
        async def aclose(self) -> None:
            await asyncio.sleep(1.0)

    pipeline = CrimeDetectionPipeline(silent_settings, analyzers=[Slow(lambda e, c: reply())])
    pipeline.analyze(quiet_wav)
    with ThreadPoolExecutor(2) as pool:
        closing = pool.submit(pipeline.close)
        time.sleep(0.3)
        late = pool.submit(pipeline.analyze, quiet_wav)
        with pytest.raises(ConfigError, match="closed"):
            late.result(timeout=10)
        closing.result(timeout=10)


def test_a_plug_in_that_exits_while_closing_stops_nobody(silent_settings: Settings) -> None:
    class Quitter(Scripted):
        async def aclose(self) -> None:
            raise SystemExit(3)

    provider = EchoProvider()
    with CrimeDetectionPipeline(
        silent_settings, analyzers=[Quitter(lambda e, c: reply())], providers={"e": provider}
    ):
        pass
    assert provider.closed == 1


def test_a_pipeline_that_nobody_closed_gives_its_threads_back(
    silent_settings: Settings, picture: bytes
) -> None:
    before = threading.active_count()
    for _ in range(3):
        CrimeDetectionPipeline(silent_settings).analyze(picture)
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_the_ids_of_a_report_are_unique_and_those_of_the_events(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    analyzers = [Scripted(lambda e, c: reply(), name) for name in ("x-2", "x")]

    async def collect(pipeline: CrimeDetectionPipeline) -> list[Any]:
        return [event async for event in pipeline.stream(quiet_wav)]

    with CrimeDetectionPipeline(
        silent_settings, analyzers=analyzers, providers={"x": EchoProvider()}
    ) as pipeline:
        events = asyncio.run(collect(pipeline))
    told = [e.assessment.id for e in events if e.event == "assessed"]
    report = events[-1].report
    assert told == [a.id for a in report.assessments] == ["x-2", "x", "provider:x"]


def test_a_provider_without_options_of_its_own_can_be_enabled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmcrime.registry.load_provider", lambda name, **_: EchoProvider)
    with CrimeDetectionPipeline({"providers": {"acme": {"enabled": True}}}):
        pass
    with pytest.raises(ConfigError, match=r"providers\.acme\.model"):
        CrimeDetectionPipeline({"providers": {"acme": {"enabled": True, "model": "m"}}})
