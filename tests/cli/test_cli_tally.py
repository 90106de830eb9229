"""The end of a run over several sources."""

from __future__ import annotations

import io
import sys

import pytest

from mmcrime.cli import terminal
from mmcrime.cli.tally import Tally
from mmcrime.results import MediaRecord
from report_samples import report, undetermined


def filled() -> Tally:
    tally = Tally()
    verdict = report().verdict
    for number in range(7):
        worse = verdict.model_copy(
            update={"severity": "critical" if number == 3 else "low", "probability": number / 10}
        )
        tally.add(report(source=f"cam {number}\x1b[2J.mp4", verdict=worse))
    tally.add(undetermined())
    tally.add(undetermined(media=MediaRecord(kind=None, name="x")))
    return tally


def test_every_report_is_counted_once_and_the_unreadable_apart() -> None:
    assert filled().line() == (
        "9 sources: 7 detected, 1 undetermined, 0 not detected, 1 unreadable"
    )
    assert Tally().line().startswith("0 sources: 0 detected")


def test_the_five_worst_are_named_by_severity_then_probability() -> None:
    worst = filled().worst()
    assert [line.split(" ")[-1][0] for line in worst] == ["3", "6", "5", "4", "2"]
    assert worst[0].startswith("critical, probability 0.30, measured: ")


def test_an_incident_without_a_probability_is_not_given_one_and_stands_last() -> None:
    tally = Tally()
    verdict = report().verdict.model_copy(update={"severity": "low"})
    for name, probability in (("a", None), ("b", 0.0)):
        changed = {"probability": probability, "probability_source": probability and "uncalibrated"}
        tally.add(report(source=name, verdict=verdict.model_copy(update=changed)))
    assert tally.worst()[1] == "low, no probability: a"


def test_the_counts_fit_the_width_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    terminal.summary(filled().line(), [])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_details_are_for_a_person_at_a_terminal_and_steer_nothing(
    on_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Out(io.StringIO):
        def isatty(self) -> bool:
            return on_terminal

    monkeypatch.setattr(sys, "stdout", Out())
    terminal.summary(filled().line(), filled().worst())
    err = capsys.readouterr().err
    assert len(err.splitlines()) == (8 if on_terminal else 1)
    assert "\x1b" not in err
