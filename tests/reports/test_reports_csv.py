"""The table: stable columns, and a spreadsheet computes nothing from it."""

from __future__ import annotations

import csv
import io

from hypothesis import given

from mmcrime.reports import csv_table
from report_samples import calm, hostile_text, report, undetermined


def read(table: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table, newline="")))


@calm
@given(hostile_text)
def test_no_cell_starts_a_formula_or_breaks_the_row(hostile: str) -> None:
    rows = read(csv_table.render([report(hostile).to_dict()]))
    assert [len(r) for r in rows] == [len(csv_table.COLUMNS)] * 2
    for cell in rows[1]:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))  # noqa: RUF001  # wide signs
        assert cell.isprintable()


def test_a_formula_behind_a_semicolon_is_harmless_where_that_separates_cells() -> None:
    for name in ("a;=HYPERLINK(1);.wav", "a; =1", "a;+1;-1;@x"):
        table = csv_table.line(report(source=name).to_dict())
        assert table.startswith('"')
        for cell in table.split(";"):
            assert not cell.strip().lstrip('"').startswith(("=", "+", "-", "@"))
    plain = csv_table.row(report(source="cam;1.mp4").to_dict())
    assert plain["source"] == "cam;1.mp4"


def test_the_row_holds_the_answer_under_stable_names() -> None:
    assert csv_table.COLUMNS[:9] == (
        "source",
        "note",
        "kind",
        "duration",
        "outcome",
        "crime_detected",
        "crime_type",
        "probability",
        "probability_source",
    )
    row = report().to_csv_row()
    assert row["note"] == "automated result, unconfirmed"
    assert row["crime_detected"] == "true"
    assert row["reasons"] == "conflict"
    assert row["assessments"] == "motion=answered:detected; acme=refused:undetermined"
    assert (row["first_start"], row["first_end"]) == ("4.0", "8.0")
    assert row["egress"] == "1"


def test_an_undetermined_row_is_neither_true_nor_false_and_an_unknown_cost_is_empty() -> None:
    row = undetermined().to_csv_row()
    assert row["crime_detected"] == ""
    assert row["outcome"] == "undetermined"
    assert row["cost_usd"] == ""


def test_the_header_is_written_once() -> None:
    rows = read(csv_table.render([report().to_dict(), undetermined().to_dict()]))
    assert len(rows) == 3
    assert rows[0] == list(csv_table.COLUMNS)
