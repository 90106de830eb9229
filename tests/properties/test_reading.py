"""Promises 3 and 7: what is read strictly, and what has no weights, never answers wrongly."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import answered
from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.analyzers.motion_model import load_model
from mmcrime.errors import ConfigError, ModelNotFoundError
from mmcrime.results import Report
from test_results import report

SHIPPED = Path(load_model.__code__.co_filename).parent / "motion_model.json"
ODD: tuple[Any, ...] = (
    [False], [True], "false", "true", "yes", 0, 1, -1, 2, None, {}, [], "", "0.5", 1e309, "nan",
)  # fmt: skip
NUMBERS_AND_FLAGS = (
    ("verdict", "crime_detected"),
    ("verdict", "probability"),
    ("verdict", "outcome"),
    ("verdict", "votes_answered"),
    ("assessments", 0, "probability"),
    ("assessments", 0, "cached"),
    ("assessments", 0, "outcome"),
    ("assessments", 0, "segments", 0, "score"),
    ("media", "has_audio"),
)


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a document with one value replaced."""
    changed = copy.deepcopy(document)
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


@given(path=st.sampled_from(NUMBERS_AND_FLAGS), value=st.sampled_from(ODD))
def test_no_odd_value_is_read_as_another_boolean_number_or_outcome(
    path: tuple[Any, ...], value: Any
) -> None:
    """Promise 3: an odd value is refused, or it is what it says, or it changes nothing."""
    original = report([answered()])
    document = put(json.loads(original.to_json()), path, value)
    try:
        read = Report.from_json(json.dumps(document))
    except ConfigError:
        return
    # The derived flag is recomputed; whatever else is read must be of the type it claims.
    assert read.verdict.crime_detected is {"detected": True, "not_detected": False}.get(
        read.verdict.outcome
    )
    back = json.loads(read.to_json())
    at: Any = back
    for step in path:
        at = at[step]
    if path != ("verdict", "crime_detected"):
        assert at == value
        assert isinstance(at, bool) == isinstance(value, bool)


@given(st.data())
def test_a_report_that_is_cut_off_anywhere_is_refused(data: st.DataObject) -> None:
    text = report([answered()]).to_json()
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ConfigError):
        Report.from_json(text[:cut])


@given(st.sampled_from(["// no\n", "/* no */", "# no\n", "\ufeff\ufeff", "{"]))
def test_a_report_with_comments_or_rubbish_before_it_is_refused(rubbish: str) -> None:
    with pytest.raises(ConfigError):
        Report.from_json(rubbish + report([answered()]).to_json())


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@given(data=st.data())
def test_a_model_that_is_damaged_anywhere_refuses_to_start(room: Path, data: st.DataObject) -> None:
    """Promise 7: a missing, cut or senseless weight is an error and never a vote."""
    document = json.loads(SHIPPED.read_text("utf-8"))
    weights = [k for k, v in document.items() if isinstance(v, list) and isinstance(v[0], float)]
    fault = data.draw(st.sampled_from(["cut", "drop", "shorten", "senseless", "empty"]))
    text = json.dumps(document)
    if fault == "cut":
        text = text[: data.draw(st.integers(0, len(text) - 1))]
    elif fault == "drop":
        del document[data.draw(st.sampled_from(weights))]
        text = json.dumps(document)
    elif fault == "shorten":
        document[data.draw(st.sampled_from(weights))].pop()
        text = json.dumps(document)
    elif fault == "senseless":
        name = data.draw(st.sampled_from(weights))
        index = data.draw(st.integers(0, len(document[name]) - 1))
        document[name][index] = data.draw(st.sampled_from([None, "1.0", float("nan"), True, []]))
        text = json.dumps(document)
    else:
        text = ""
    target = room / "model.json"
    target.write_text(text, encoding="utf-8")
    with pytest.raises(ModelNotFoundError):
        MotionAnalyzer(model=target)


def test_a_model_that_is_not_there_refuses_to_start(room: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"nowhere\.json"):
        MotionAnalyzer(model=room / "nowhere.json")
