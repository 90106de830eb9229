"""Wall-clock time beside media time."""

from __future__ import annotations

import pytest

from mmcrime.reports.words import wall


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
