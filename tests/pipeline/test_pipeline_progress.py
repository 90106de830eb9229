"""How far a run is: told by source, never falling, and inside a long file too."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from fakes import Scripted, Verifier, reply

from mmcrime import ConfigError, CrimeDetectionPipeline, Settings
from mmcrime.pipeline.progress import GATHERING, JUDGING, Progress


def test_a_run_tells_often_how_far_it_is_and_ends_at_one(
    pipeline: CrimeDetectionPipeline, footage: Path
) -> None:
    told: list[tuple[str, float]] = []
    pipeline.analyze(footage, progress=lambda name, share: told.append((name, share)))
    shares = [share for _, share in told]
    assert {name for name, _ in told} == {str(footage)}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    # Within preparing and within judging, not only between them.
    assert sum(0.0 < share < GATHERING for share in shares) > 5
    assert sum(GATHERING < share < 1.0 for share in shares) > 5


def test_every_source_of_many_reaches_one_also_when_it_cannot_be_read(
    pipeline: CrimeDetectionPipeline, quiet_wav: bytes, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.wav", tmp_path / "bad.mp4"
    good.write_bytes(quiet_wav)
    bad.write_bytes(b"nothing")
    last: dict[str, float] = {}
    list(pipeline.analyze_many([good, bad], progress=last.__setitem__))
    assert last == {str(good): 1.0, str(bad): 1.0}


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_a_display_that_raises_does_not_cost_the_report(
    pipeline: CrimeDetectionPipeline, footage: Path, error: BaseException
) -> None:
    def broken(_name: str, _share: float) -> None:
        raise error

    assert pipeline.analyze(footage, progress=broken).assessments
    assert pipeline.analyze(footage).assessments  # the pipeline's loop still runs


def test_what_a_plugin_tells_as_its_share_is_bounded_and_may_come_from_a_thread(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    async def odd(_e: Any, context: Any) -> Any:
        for share in (float("nan"), -3.0, 7.0, 0.2, "half", None):
            context.progress(share)
        worker = threading.Thread(target=context.progress, args=(0.3,))
        worker.start()
        worker.join()
        await asyncio.sleep(0.05)
        return reply()

    told: list[float] = []
    with CrimeDetectionPipeline(
        silent_settings, analyzers=[Scripted(odd, "odd"), Verifier(lambda e, c: reply(), "late")]
    ) as pipeline:
        pipeline.analyze(quiet_wav, progress=lambda _, share: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert all(0.0 <= share <= 1.0 for share in told)
    # "odd" claimed to be done; the other one has not answered yet.
    assert GATHERING + JUDGING / 2 in [pytest.approx(share) for share in told]


def test_nobody_who_was_not_asked_moves_the_share() -> None:
    async def go() -> list[float]:
        told: list[float] = []
        progress = Progress(told.append)
        progress.expect(["a"])
        progress.done("stranger")
        progress.done("a")
        progress.finish()
        progress.finish()
        return told

    assert asyncio.run(go()) == [GATHERING + JUDGING, 1.0]


def test_a_progress_that_cannot_be_called_is_refused(pipeline: CrimeDetectionPipeline) -> None:
    with pytest.raises(ConfigError, match="progress=3"):
        pipeline.analyze(b"x", progress=3)  # type: ignore[arg-type]  # the mistake under test
