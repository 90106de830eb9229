"""What a service that embeds the pipeline needs: names of uploads, and deadlines that hold."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from typing import Any

import pytest
from fakes import Scripted, reply

from mmcrime import CrimeDetectionPipeline, Settings
from mmcrime.errors import BudgetExceededError, ConfigError, MediaError

HOSTILE = "../../etc/\r\nX-Evil: 1\u202egpj.<b>door</b>\ud800.wav"
CLEANED = "../../etc/X-Evil: 1gpj.<b>door</b>.wav"


def test_an_upload_bears_the_name_that_its_client_gave_it(
    pipeline: CrimeDetectionPipeline, quiet_wav: bytes
) -> None:
    """The name is shown, cleaned of what cannot be printed, and never opened."""
    report = pipeline.analyze(io.BytesIO(quiet_wav), name=HOSTILE)
    assert (report.source, report.media.name) == (CLEANED, CLEANED)
    assert report.verdict.outcome == "not_detected"


def test_the_given_name_is_in_the_error_and_in_every_event(
    pipeline: CrimeDetectionPipeline, quiet_wav: bytes
) -> None:
    async def sources() -> set[str]:
        return {event.source async for event in pipeline.stream(quiet_wav, name="door.wav")}

    assert asyncio.run(sources()) == {"door.wav"}
    with pytest.raises(MediaError, match=r"'door\.wav'"):
        pipeline.analyze(b"no media", name="door.wav")


def test_one_name_for_many_sources_is_refused(
    pipeline: CrimeDetectionPipeline, quiet_wav: bytes
) -> None:
    with pytest.raises(ConfigError, match="name='door' is given to many sources"):
        next(pipeline.analyze_many([quiet_wav], name="door"))


def test_waiting_for_a_free_place_counts_towards_the_deadline(quiet_wav: bytes) -> None:
    """A client that asked for an answer in half a second is told so, and not minutes later."""
    started, release = threading.Event(), threading.Event()

    async def hold() -> Any:
        started.set()
        await asyncio.to_thread(release.wait, 30)
        return reply()

    settings = Settings.model_validate(
        {"max_concurrent": 1, "analyzers": {"speech": {"enabled": False}}}
    )

    async def go(pipeline: CrimeDetectionPipeline) -> float:
        first = asyncio.create_task(pipeline.analyze_async(quiet_wav))
        await asyncio.to_thread(started.wait, 20)
        began = time.monotonic()
        with pytest.raises(BudgetExceededError, match=r"'door\.wav' waited .*deadline=0\.5"):
            await pipeline.analyze_async(quiet_wav, name="door.wav", deadline=0.5)
        waited = time.monotonic() - began
        release.set()
        assert (await first).verdict.votes_answered == 1
        # The place that was given up is free again.
        assert (await pipeline.analyze_async(quiet_wav)).verdict.votes_answered == 1
        return waited

    with CrimeDetectionPipeline(settings, analyzers=[Scripted(lambda e, c: hold())]) as pipeline:
        assert asyncio.run(go(pipeline)) == pytest.approx(0.5, abs=0.4)
