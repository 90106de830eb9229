"""`CrimeDetectionPipeline` and the one-shot `analyze`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
import weakref
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from typing import Any, Literal, Self, Unpack

from mmcrime.calls.budget import RunBudget
from mmcrime.calls.layer import CallLayer
from mmcrime.calls.layer import Run as CallRun
from mmcrime.config import Settings, load_settings
from mmcrime.egress import Gate
from mmcrime.errors import BudgetExceededError, ConfigError, MmcrimeError, ModelNotFoundError
from mmcrime.logs import get_logger
from mmcrime.pipeline import compose
from mmcrime.pipeline.canary import Check, check
from mmcrime.pipeline.files import files_of
from mmcrime.pipeline.job import Emit, Job, deadline_of, new_request_id, show_progress
from mmcrime.pipeline.loop import LoopThread
from mmcrime.pipeline.options import CallArguments, CallOptions
from mmcrime.pipeline.run import run
from mmcrime.pipeline.team import Team
from mmcrime.pipeline.told import abandon, telemetry_of, told
from mmcrime.plugins import Analyzer, Provider, Transcriber
from mmcrime.results import Event, Report

_log = get_logger("mmcrime.pipeline")


def _silent(_event: Event) -> None:
    """Nobody listens to the events of this run."""


class CrimeDetectionPipeline:
    """Footage in, reports out. Keeps clients and models open between calls.

    One pipeline per process, shared by threads and tasks, created after a fork. Use it
    as a context manager (``with`` or ``async with``), or call `close`.

    Args:
        config: Path of a ``config.json``, a mapping in its form, or Settings. With None
            the file named by ``MMCRIME_CONFIG`` or ``./config.json`` is read, if there
            is one.
        settings: Settings that are used as they are, instead of ``config``.
        analyzers: Instances that replace the configured analyzers.
        providers: Instances by name, used beside the configured ones.
        transcriber: Instance that replaces the configured transcriber.
        use_local_llm: Ask a language model on this machine. This release has none.
        local_llm_size: ``tiny``, ``medium`` or ``large``.

    Raises:
        ConfigError: If a setting is wrong or something enabled cannot be built.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Mapping[str, Any] | Settings | None = None,
        *,
        settings: Settings | None = None,
        analyzers: Sequence[Analyzer] | None = None,
        providers: Mapping[str, Provider] | None = None,
        transcriber: Transcriber | None = None,
        use_local_llm: bool = False,
        local_llm_size: Literal["tiny", "medium", "large"] = "medium",
    ) -> None:
        if use_local_llm:
            raise ModelNotFoundError(
                f"use_local_llm=True, but this release has no local {local_llm_size!r} model.",
                next_step="Leave use_local_llm out.",
            )
        if settings is not None and config is not None:
            raise ConfigError("Both config and settings were given.", next_step="Give one of them.")
        self.settings = settings if settings is not None else load_settings(config)
        self._team = Team(
            self.settings, analyzers=analyzers, providers=providers, transcriber=transcriber
        )
        self._layer = CallLayer(self.settings)
        self._telemetry = telemetry_of(self.settings.telemetry)
        self._loop = LoopThread()
        # A pipeline that nobody closed must not keep its threads for ever.
        self._abandoned = weakref.finalize(self, abandon, self._loop, self._telemetry)
        self._abandoned.atexit = False
        self._slots: asyncio.Semaphore | None = None
        self._working = 0
        self._idle: asyncio.Event | None = None

    # -- one source ---------------------------------------------------------------

    def analyze(self, source: Any, **options: Unpack[CallArguments]) -> Report:
        """Analyse one source and wait for its report; works inside a running loop too.

        Args:
            source: A path, URL, bytes, binary file object, PIL image or uint8 array.
            **options: See `CallOptions`.

        Raises:
            MediaError: If the source cannot be read.
            ConfigError: If an option is wrong or names something that is not there.
            BudgetExceededError: If the deadline passed before anything was open; the
                source may have waited for a free place until then.
            EgressError: If the source is a URL and ``offline`` is set.
        """
        return self._loop.run(self._strict(source, _call(options), _silent))

    async def analyze_async(self, source: Any, **options: Unpack[CallArguments]) -> Report:
        """Analyse one source; see `analyze`. Cancelling it stops its work."""
        return await _crossed(self._loop.submit(self._strict(source, _call(options), _silent)))

    async def stream(
        self, source: Any, **options: Unpack[CallArguments]
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of one run as they happen; the last one holds the report.

        Leaving the iteration early cancels the run; ``contextlib.aclosing`` does so at once.
        Raises as `analyze` does.
        """
        here = asyncio.get_running_loop()
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        def emit(event: Event | None) -> None:
            # The caller may have left and closed its loop before the run noticed.
            with contextlib.suppress(RuntimeError):
                here.call_soon_threadsafe(events.put_nowait, event)

        future = self._loop.submit(self._strict(source, _call(options), emit))
        future.add_done_callback(lambda _: emit(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await asyncio.wrap_future(future)
        finally:
            future.cancel()

    # -- many sources -------------------------------------------------------------

    def analyze_many(
        self, sources: Iterable[Any], **options: Unpack[CallArguments]
    ) -> Iterator[Report]:
        """Yield one report a source, in the order given, working ahead on a few.

        What they cost is counted together: the budget of a run is for all of them.

        One source's failure is an undetermined report whose ``errors`` say why; only a
        ConfigError stops the iteration. Leaving it early cancels what is under way.
        """
        call = _call(options)
        budget = self._budget(call)
        if call.name is not None:
            raise ConfigError(
                f"name={call.name!r} is given to many sources.",
                next_step="Leave it out, or analyse them one by one.",
            )
        waiting: deque[Future[Report]] = deque()
        try:
            for source in sources:
                waiting.append(self._loop.submit(self._tolerant(source, call, budget)))
                while len(waiting) >= self.settings.max_concurrent:
                    yield _first_of(waiting)
            while waiting:
                yield _first_of(waiting)
        finally:
            for future in waiting:
                future.cancel()

    def analyze_directory(
        self,
        folder: str | os.PathLike[str],
        *,
        pattern: str | None = None,
        **options: Unpack[CallArguments],
    ) -> Iterator[Report]:
        """Yield one report for every file below ``folder``, sorted by path.

        Hidden files and symbolic links are left out: a link could lead anywhere.

        Args:
            folder: A directory.
            pattern: Only files whose name matches this glob, such as ``"*.mp4"``.
            **options: See `CallOptions`.

        Raises:
            ConfigError: If ``folder`` is no directory.
        """
        return self.analyze_many(files_of(folder, pattern), **options)

    # -- providers ----------------------------------------------------------------

    def check_provider(self, name: str, *, offline: bool | None = None) -> Check:
        """Send one tiny drawn picture to a provider and say what came back.

        No stored answer serves; limits, retries and the budget of a run hold.

        Args:
            name: Its registered name, or that of an injected one.
            offline: Refuse to send; None for the setting.

        Raises:
            ConfigError: If nothing is called so, or its options are wrong.
        """
        return self._loop.run(self._check(name, offline))

    # -- life cycle ---------------------------------------------------------------

    def close(self) -> None:
        """Refuse new work, wait for the runs under way, close everything. Safe twice."""
        self._loop.close(self._drain())
        self._telemetry.close()
        self._abandoned.detach()

    async def aclose(self) -> None:
        """Like `close`, for callers with a loop of their own."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # -- in the pipeline's loop ---------------------------------------------------

    async def _strict(self, source: Any, options: CallOptions, emit: Emit) -> Report:
        job = self._job(source, options, emit, self._budget(options))
        return await self._within_limits(job)

    async def _tolerant(self, source: Any, options: CallOptions, budget: RunBudget) -> Report:
        job = self._job(source, options, _silent, budget)
        try:
            return await self._within_limits(job)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001  # one bad file stops nothing else
            if not isinstance(error, MmcrimeError):
                # Our own bug on one file must not lose the other files of a batch.
                _log.exception("%s failed", job.name, extra={"request_id": job.request_id})
            report = compose.unreadable(
                job.name,
                error,
                request_id=job.request_id,
                egress=job.gate.records,
                given={
                    "source_id": options.source_id,
                    "recorded_at": options.recorded_at,
                    "metadata": dict(options.metadata or {}),
                },
            )
            show_progress(job, 1.0)
            return report

    def _budget(self, options: CallOptions) -> RunBudget:
        tenant = options.run.tenant if options.run else "default"
        return RunBudget(self.settings.budget, tenant=tenant)

    def _job(self, source: Any, options: CallOptions, emit: Emit, budget: RunBudget) -> Job:
        offline = self.settings.offline if options.offline is None else options.offline
        outer = options.run.egress if options.run else None
        gate, request_id = Gate(offline=offline, outer=outer), new_request_id(options)
        return Job(
            source=source,
            name=compose.display_name(source, options.name),
            options=options,
            settings=self.settings,
            team=self._team,
            layer=self._layer,
            budget=budget,
            gate=gate,
            telemetry=self._telemetry.of_run(gate, request_id=request_id),
            request_id=request_id,
            emit=emit,
            deadline=deadline_of(options),
        )

    async def _check(self, name: str, offline: bool | None) -> Check:
        service = self._team.providers([name])[name]
        run = CallRun(
            request_id=uuid.uuid4().hex,
            tenant="default",
            gate=Gate(offline=self.settings.offline if offline is None else offline),
            budget=RunBudget(self.settings.budget),
            deadline=None,
        )
        provider = self._layer.wrap(
            service.provider,
            name=name,
            section=service.section.model_copy(update={"lane": "live"}),  # who asks is waiting
            options=service.options,
            run=run,
            stored=False,
        )
        telemetry = self._telemetry.of_run(run.gate, request_id=run.request_id)
        with told(telemetry, "mmcrime.check", request_id=run.request_id):
            return await check(name, provider)

    async def _within_limits(self, job: Job) -> Report:
        if self._slots is None or self._idle is None:
            self._slots = asyncio.Semaphore(self.settings.max_concurrent)
            self._idle = asyncio.Event()
        self._working += 1
        self._idle.clear()
        try:
            with told(job.telemetry, "mmcrime.analyze", request_id=job.request_id):
                await _free_place(self._slots, job)
                try:
                    return await run(job)
                finally:
                    self._slots.release()
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()

    async def _drain(self) -> None:
        if self._idle is not None:
            await self._idle.wait()
        await self._team.aclose()
        await self._layer.aclose()


def analyze(
    source: Any,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | Settings | None = None,
    **options: Unpack[CallArguments],
) -> Report:
    """Analyse one source with a pipeline of its own; see `CrimeDetectionPipeline.analyze`."""
    with CrimeDetectionPipeline(config) as pipeline:
        return pipeline.analyze(source, **options)


def _first_of(waiting: deque[Future[Report]]) -> Report:
    """Wait for the first report; it stays in the queue until then, so that it is cancelled."""
    report = waiting[0].result()
    waiting.popleft()
    return report


def _call(options: CallArguments) -> CallOptions:
    try:
        return CallOptions(**options)
    except TypeError as error:
        known = ", ".join(CallOptions.__dataclass_fields__)
        raise ConfigError(f"{error}.", next_step=f"Known options: {known}.") from error


async def _free_place(slots: asyncio.Semaphore, job: Job) -> None:
    try:
        async with asyncio.timeout_at(job.deadline):
            await slots.acquire()
    except TimeoutError as error:
        raise BudgetExceededError(
            f"{job.name!r} waited for a free place until its deadline was over "
            f"(deadline={job.options.deadline!r}).",
            next_step="Allow a longer deadline, raise max_concurrent, or send fewer at once.",
        ) from error


async def _crossed(future: Future[Report]) -> Report:
    """Wait in the caller's loop; cancelling here cancels there."""
    return await asyncio.wrap_future(future)
