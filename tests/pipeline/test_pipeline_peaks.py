"""An incident is shown by the frame at its peak, not by the nearest sample."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import Scripted, reply
from PIL import Image

from mmcrime import CrimeDetectionPipeline, Report, Settings
from mmcrime.media.handle import MediaHandle
from mmcrime.pipeline.peaks import MOST_PEAKS
from mmcrime.results import Segment


def seen_at(settings: Settings, source: Any, *spans: tuple[float, float], **options: Any) -> Report:
    segments = tuple(Segment(start=s, end=e, score=0.9, crime_type="fighting") for s, e in spans)

    def act(_e: Any, _c: Any) -> Any:
        return reply("detected", 0.9, segments=segments)

    with CrimeDetectionPipeline(settings, analyzers=[Scripted(act)]) as pipeline:
        return pipeline.analyze(source, frame_interval=10, **options)


def test_the_frame_at_the_peak_is_kept_with_its_picture(
    silent_settings: Settings, footage: Path
) -> None:
    report = seen_at(silent_settings, footage, (13.0, 14.0))
    (incident,) = report.incidents
    (time,) = incident.frames
    assert time == pytest.approx(incident.peak, abs=1 / 15)
    assert incident.peak == 13.5
    (frame,) = [f for f in report.evidence.frames if f.time == time]
    assert frame.thumbnail is not None
    assert Image.open(io.BytesIO(frame.thumbnail)).size == (320, 180)
    assert [f.time for f in report.evidence.frames] == sorted(
        f.time for f in report.evidence.frames
    )
    assert {0.0, 10.0, 20.0} < {round(f.time, 1) for f in report.evidence.frames}


def test_an_incident_at_a_sampled_frame_keeps_that_frame_once(
    silent_settings: Settings, footage: Path
) -> None:
    report = seen_at(silent_settings, footage, (10.0, 10.0))
    times = [f.time for f in report.evidence.frames]
    assert len(times) == len(set(times))
    assert report.incidents[0].frames == (10.0,)


def test_each_of_several_incidents_gets_the_frame_at_its_own_peak(
    silent_settings: Settings, footage: Path
) -> None:
    silent_settings = silent_settings.model_copy(
        update={"media": silent_settings.media.model_copy(update={"max_frames": 2})}
    )
    spans = [(2.5 * k + 0.3, 2.5 * k + 0.35) for k in range(9)]
    report = seen_at(silent_settings, footage, *spans)
    assert 2 < len(report.incidents) <= MOST_PEAKS
    kept = {f.time for f in report.evidence.frames}
    for incident in report.incidents:
        assert incident.frames
        assert set(incident.frames) <= kept
        assert min(abs(t - incident.peak) for t in incident.frames) < 0.1


def test_a_sound_recording_with_an_incident_has_no_frames(
    silent_settings: Settings, quiet_wav: bytes
) -> None:
    report = seen_at(silent_settings, quiet_wav, (0.5, 1.5))
    assert report.incidents[0].frames == ()
    assert report.evidence.frames == ()


def test_a_decoder_that_dies_at_the_peak_costs_the_picture_and_nothing_else(
    silent_settings: Settings, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = MediaHandle.frames

    def dying(self: MediaHandle, at: Any, **options: Any) -> Any:
        if 13.5 in at:
            raise SystemExit("the decoder")
        return frames(self, at, **options)

    monkeypatch.setattr(MediaHandle, "frames", dying)
    report = seen_at(silent_settings, footage, (13.0, 14.0))
    assert report.verdict.outcome == "detected"
    (error,) = report.errors
    assert error.stage == "peaks"
    (time,) = report.incidents[0].frames
    assert round(time, 1) == 10.0  # the nearest sample stands in


def test_the_sound_of_a_run_has_a_level_curve_in_its_report(
    pipeline: CrimeDetectionPipeline, footage: Path
) -> None:
    report = pipeline.analyze(footage)
    curve = report.evidence.loudness
    assert len(curve.times) == len(curve.levels) == pytest.approx(24, abs=1)
    assert max(curve.levels) <= 0
    assert curve.times[curve.levels.index(max(curve.levels))] == 13.0  # the bang
    assert Report.from_json(report.to_json()).evidence.loudness == curve


def test_a_deadline_keeps_the_pictures_that_were_ready_and_says_what_is_missing(
    silent_settings: Settings, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = MediaHandle.frames
    spans = [(4.0 * k + 0.3, 4.0 * k + 0.35) for k in range(6)]

    def slow(self: MediaHandle, at: Any, **options: Any) -> Any:
        for number, frame in enumerate(frames(self, at, **options)):
            if len(at) == len(spans) and number == 2:
                time.sleep(8)
            yield frame

    monkeypatch.setattr(MediaHandle, "frames", slow)
    report = seen_at(silent_settings, footage, *spans, deadline=6)
    assert report.verdict.outcome == "detected"
    assert "peaks" in {error.stage for error in report.errors}
    assert "no time left" in next(e.message for e in report.errors if e.stage == "peaks")


def test_the_time_that_the_peaks_take_is_in_the_report(
    silent_settings: Settings, footage: Path
) -> None:
    assert "peaks" in seen_at(silent_settings, footage, (13.0, 14.0)).timings


def test_a_peak_whose_picture_is_missing_gets_no_other_peaks_picture(
    silent_settings: Settings, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = MediaHandle.frames

    def holed(self: MediaHandle, at: Any, **options: Any) -> Any:
        return (f for f in frames(self, at, **options) if not 15.0 < f.time < 17.0)

    monkeypatch.setattr(MediaHandle, "frames", holed)
    report = seen_at(silent_settings, footage, (12.0, 12.2), (16.0, 16.2))
    first, second = report.incidents
    assert first.frames[0] == pytest.approx(12.1, abs=1 / 15)
    # The nearest sample, and not the picture of the first incident.
    assert [round(t) for t in second.frames] == [20]
