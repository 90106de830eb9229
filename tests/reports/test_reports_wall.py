"""Wall-clock time beside media time."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from mmcrime.reports.words import wall, wall_span
from report_samples import report


@pytest.mark.parametrize(
    ("recorded_at", "seconds", "said"),
    [
        ("2026-05-01T12:00:00Z", 6.5, "2026-05-01 12:00:06 UTC"),
        ("2026-05-01T12:00:00+02:00", 6.99, "2026-05-01 12:00:07 UTC+02:00"),
        ("2026-12-31T23:59:59-05:30", 1.0, "2027-01-01 00:00:00 UTC-05:30"),
        ("2026-05-01T12:00:00.900Z", 0.2, "2026-05-01 12:00:01 UTC"),
    ],
)
def test_wall_clock_time_keeps_the_zone_of_the_recording(
    recorded_at: str, seconds: float, said: str
) -> None:
    assert wall(recorded_at, seconds) == said


@pytest.mark.parametrize(
    "recorded_at", [None, "", "yesterday", "2026-05-01T12:00:00", "9999-12-31T23:59:59Z"]
)
def test_wall_clock_time_is_none_when_it_cannot_be_known(recorded_at: str | None) -> None:
    assert wall(recorded_at, 3600.0) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ((5.0, 9.0), "2026-03-29 23:59:05 to 23:59:09 UTC+01:00"),
        ((5.0, 5.0), "2026-03-29 23:59:05 UTC+01:00"),
        ((50.0, 70.0), "2026-03-29 23:59:50 UTC+01:00 to 2026-03-30 00:00:10 UTC+01:00"),
    ],
)
def test_a_stretch_names_its_offset_and_both_days_where_the_day_changes(
    seconds: tuple[float, float], said: str
) -> None:
    assert wall_span("2026-03-29T23:59:00+01:00", *seconds) == said


def test_across_a_change_of_the_clocks_the_offset_of_the_recording_is_kept_and_named() -> None:
    # At 02:00 the clocks of Berlin go to 03:00; a report knows an offset, and no such rules.
    start = datetime(2026, 3, 29, 1, 59, 50, tzinfo=ZoneInfo("Europe/Berlin"))
    media = report().media.model_copy(update={"recorded_at": start})
    first = report().incidents[0].model_copy(update={"start": 15.0, "end": 18.0, "peak": 16.0})
    found = report(media=media, incidents=(first,))
    assert "2026-03-29 02\\:00\\:05 UTC+01:00".replace("\\", "") in found.to_markdown()
    assert found.to_csv_row()["first_start_wall"] == "2026-03-29 02:00:05 UTC+01:00"
    page = found.to_text()
    assert "Clock UTC+01:00" in page
    assert "02:00:05" in page
