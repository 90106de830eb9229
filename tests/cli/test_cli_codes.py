"""Exit codes: what gives which, and which comes first."""

from __future__ import annotations

import pytest

from builders import answered, dead
from mmcrime.cli import codes
from mmcrime.results import ErrorRecord, MediaRecord, Report
from report_samples import report, undetermined


def unreadable(error_type: str) -> Report:
    error = ErrorRecord(stage="prepare", type=error_type, message="m")
    return undetermined(media=MediaRecord(kind=None, name="x"), errors=(error,))


@pytest.mark.parametrize(
    ("error_type", "code"),
    [
        ("CorruptMediaError", 3),
        ("UnsafeMediaError", 3),
        ("BudgetExceededError", 5),
        ("EgressError", 2),
        ("RuntimeError", 3),
        ("annotations", 3),
    ],
)
def test_a_source_that_could_not_be_read_has_the_code_of_its_error(
    error_type: str, code: int
) -> None:
    assert set(codes.causes(unreadable(error_type))) == {code}


def test_an_error_that_was_survived_is_no_cause() -> None:
    survived = ErrorRecord(stage="sounds", type="CorruptMediaError", message="m")
    found = report(errors=(survived,), assessments=(answered(),))
    assert set(codes.causes(found)) == set()


def test_providers_that_were_asked_and_did_not_answer_are_4_even_beside_embedded_answers() -> None:
    refused = dead("panel", status="refused", runs="cloud", kind="llm")
    spoke = answered("other", runs="cloud", kind="llm", provider="acme")
    assert set(codes.causes(report(assessments=(answered(), refused)))) == {4}
    assert set(codes.causes(report(assessments=(answered(), refused, spoke)))) == set()
    assert set(codes.causes(report(assessments=(answered(), dead())))) == set()


def test_a_service_that_was_skipped_was_not_asked_and_gives_no_code() -> None:
    """An analyzer of pictures beside a video is skipped; that is no failure of a service."""
    skipped = dead("eyes", status="skipped", runs="cloud", kind="llm")
    assert set(codes.causes(report(assessments=(answered(), skipped)))) == set()
    failed = dead("provider:acme", status="failed", runs="cloud", kind="llm", provider="acme")
    assert set(codes.causes(report(assessments=(answered(), skipped, failed)))) == {4}


def test_a_budget_that_stopped_an_analyzer_is_5() -> None:
    error = ErrorRecord(stage="analyze:x", type="BudgetExceededError", message="m")
    assert 5 in set(codes.causes(report(assessments=(answered(), dead("x", error=error)))))


@pytest.mark.parametrize(("fail_on", "code"), [("medium", 10), ("high", 10), ("critical", 0)])
def test_fail_on_compares_with_the_severity_that_was_found(fail_on: str, code: int) -> None:
    found = report(assessments=(answered(),))
    assert codes.first(codes.causes(found, fail_on=fail_on)) == code
    assert codes.first(codes.causes(found)) == 0


def test_fail_on_makes_undetermined_11() -> None:
    assert set(codes.causes(undetermined(), fail_on="critical")) == {11}
    assert set(codes.causes(undetermined())) == set()


def test_of_several_causes_the_first_of_the_table_is_the_code() -> None:
    order = [2, 5, 4, 3, 10, 11]
    while order:
        assert codes.first(reversed(order)) == order.pop(0)
    assert codes.first([]) == 0
