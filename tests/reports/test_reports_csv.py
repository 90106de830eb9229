"""The table: stable columns, and a spreadsheet computes nothing from it."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import answered
from mmcrime.reports import csv_table
from mmcrime.results import CrossVerification
from report_samples import calm, hostile_text, report, undetermined


def read(table: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table, newline="")))


@calm
@given(hostile_text)
def test_no_cell_starts_a_formula_or_breaks_the_row(hostile: str) -> None:
    rows = read(csv_table.render([report(hostile).to_dict()]))
    assert [len(r) for r in rows] == [len(csv_table.COLUMNS)] * 2
    for cell in rows[1]:
        assert not cell.startswith((*"=+-@\t\r＝＋－＠﹦﹢﹣﹫−",))  # noqa: RUF001  # wide signs
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


def test_new_columns_stand_at_the_end() -> None:
    assert csv_table.COLUMNS[30:] == (
        "schema_version",
        "first_start_wall",
        "first_end_wall",
        "egress_bytes",
        "cached",
        "cross_verification",
        "severity_reasons",
        "recommendations",
    )


def test_the_first_incident_has_its_wall_clock_time_where_that_is_known() -> None:
    row = report().to_csv_row()
    assert row["first_start_wall"] == "2026-05-01 12:00:04 UTC"
    assert row["first_end_wall"] == "2026-05-01 12:00:08 UTC"
    assert undetermined().to_csv_row()["first_start_wall"] == ""


def test_what_left_is_counted_in_bytes_and_an_unknown_size_makes_the_sum_unknown() -> None:
    full = report()
    assert full.to_csv_row()["egress_bytes"] == "512"
    unknown = full.egress[0].model_copy(update={"size_bytes": None})
    assert report(egress=(*full.egress, unknown)).to_csv_row()["egress_bytes"] == ""
    assert undetermined().to_csv_row()["egress_bytes"] == "0"


def test_answers_from_the_cache_and_agreement_are_in_the_row() -> None:
    check = CrossVerification(first="motion", second="sound", agree=True)
    verdict = report().verdict.model_copy(update={"cross_verification": (check,)})
    row = report(verdict=verdict, assessments=(answered("motion", cached=True),)).to_csv_row()
    assert row["cached"] == "1"
    assert row["cross_verification"] == "motion and sound agree"


SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫−"  # noqa: RUF001  # the wide and small signs are the point
DIALECTS: list[dict[str, Any]] = [
    {"delimiter": delimiter, **quoting}
    for delimiter in ",;\t|"
    for quoting in (
        {"quotechar": '"'},
        {"quotechar": '"', "skipinitialspace": True},
        {"quotechar": '"', "doublequote": False},
        {"quotechar": '"', "doublequote": False, "escapechar": "\\"},
        {"quotechar": "'"},
        {"quotechar": "`"},
        {"quoting": csv.QUOTE_NONE},
        {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
    )
]


def formulas(source: str, dialect: dict[str, Any]) -> list[str]:
    """Return the cells that compute something where this dialect reads our table."""
    table = csv_table.render([report(source=source, incidents=()).to_dict()] * 2)
    cells = [
        cell for line in csv.reader(io.StringIO(table, newline=""), **dialect) for cell in line
    ]
    # Some programs drop spaces and quotation marks at the ends of what they split; an
    # apostrophe at the start they keep: it says that the cell is a text.
    return [cell for cell in cells if cell.strip(' \t\r\n"`').startswith(tuple(SIGNS))]


@pytest.mark.parametrize(
    "source",
    [
        'x;"=1+1;',
        'x,"=1+1",y',
        "x,=1+1,y",
        "x|=1+1|y",
        "x;'=1+1';y",
        "x;|=1|;y",
        'x;"""=1+1"";',
        "x\t=1+1\ty",
        '";=1+1',
        "'=1+1",
        '"=1+1"',
        "a\\;=1+1",
        "\\=1+1",
        "a;\\=1+1",
        'a\\",=1+1',
    ],
)
def test_a_formula_is_harmless_however_a_program_splits_and_quotes(source: str) -> None:
    assert not {str(dialect): found for dialect in DIALECTS if (found := formulas(source, dialect))}


@calm
@given(st.text(alphabet=" \t;,|\"'`\\=-1x", max_size=14), st.sampled_from(DIALECTS))
def test_no_text_makes_a_formula_in_any_dialect(source: str, dialect: dict[str, Any]) -> None:
    assert not formulas(source, dialect)


def test_plain_texts_with_separators_stay_as_they_are() -> None:
    name = "yard; gate, door | night -5 = x.mp4"
    assert csv_table.row(report(source=name).to_dict())["source"] == name


@given(st.floats(-1e6, -1e-3))
def test_a_negative_number_stays_a_number_and_a_text_that_looks_like_one_does_not(
    seconds: float,
) -> None:
    early = report().incidents[0].model_copy(update={"start": seconds})
    row = report(incidents=(early,), source=str(seconds)).to_csv_row()
    assert float(row["first_start"]) == seconds
    assert row["source"] == f"'{seconds}"


@given(
    st.text(alphabet=" \t\r\n\xa0\u200b;", max_size=6),
    st.sampled_from("=+-@＝＋－＠﹦﹢﹣﹫−"),  # noqa: RUF001  # the wide and small signs are the point
    st.text(max_size=6),
)
def test_no_formula_sign_comes_first_in_any_part_whatever_space_stands_before_it(
    before: str, sign: str, after: str
) -> None:
    cell = csv_table.row(report(source=before + sign + after).to_dict())["source"]
    for part in cell.split(";"):
        assert not part.strip().startswith(tuple("=+-@＝＋－＠﹦﹢﹣﹫−"))  # noqa: RUF001  # see above
