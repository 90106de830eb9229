"""What is read of labels is what stands there, and all else is none (promise 3)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.plugins import MOST_LABELS, read_labels

WORDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=30)
SCORES = st.floats(0, 1) | st.integers(0, 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def labelled(label: Any = "brawl", score: Any = 0.5, **more: Any) -> str:
    return json.dumps([{"label": label, "score": score, **more}])


@given(st.dictionaries(WORDS, SCORES, min_size=1, max_size=8))
def test_good_labels_are_read_as_they_stand(scores: dict[str, float]) -> None:
    text = json.dumps([{"label": label, "score": score} for label, score in scores.items()])
    assert read_labels(text) == read_labels(text.encode()) == scores
    assert all(type(score) is float for score in read_labels(text).values())


@given(JSON | st.lists(st.fixed_dictionaries({"label": JSON, "score": JSON}), max_size=3))
def test_whatever_json_comes_it_is_good_labels_or_an_error(held: Any) -> None:
    """A score is a number from 0 to 1 and a label is text: no true, no "0.9", no NaN."""
    try:
        scores = read_labels(json.dumps(held))
    except ValueError:
        return
    assert isinstance(held, list)
    assert len(scores) == len(held) > 0
    for entry in held:
        assert type(entry["score"]) in (int, float)
        assert 0.0 <= scores[entry["label"]] == entry["score"] <= 1.0
        assert entry["label"].isprintable()


@given(st.binary(max_size=60))
def test_whatever_bytes_come_it_is_good_labels_or_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # no such bytes are labels
        read_labels(data)


BAD = [
    "",
    "[]",
    "{}",
    "null",
    "<html>sign in</html>",
    '[["brawl", 0.9]]',
    '[[{"label": "brawl", "score": 0.9}]]',
    '[{"label": "brawl"}]',
    '[{"score": 0.9}]',
    '[{"label": "brawl", "score": 0.9}',
    '[{"label": "brawl", "score": NaN}]',
    '[{"label": "brawl", "score": Infinity}]',
    '[{"label": "brawl", "score": -Infinity}]',
    '[{"label": "brawl", "score": 1e999}]',
    '[{"label": "brawl", "score": 0.1, "score": 0.9}]',
    '[{"label": "brawl", "score": 0.1}, {"label": "brawl", "score": 0.9}]',
    '[{"label": "brawl", "score": 0.9}, 0.1]',
    *(labelled(score=score) for score in (2.0, 1.0000001, -0.1, "0.9", True, None, [0.9])),
    *(labelled(label=label) for label in ("", " ", None, 1, ["brawl"], "a\nb", "\u202e", "\ud800")),
    labelled(label="x" * 201),
    "[" * 100_000,
    json.dumps([{"label": str(i), "score": 0.0} for i in range(MOST_LABELS + 1)]),
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_list_of_labels_is_an_error(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # whichever it is
        read_labels(text)
    assert len(str(caught.value)) < 120


def test_further_keys_are_left_out_and_no_zero_is_negative() -> None:
    assert read_labels(labelled(score=-0.0, box=[1, 2])) == {"brawl": 0.0}
    assert math.copysign(1.0, read_labels(labelled(score=-0.0))["brawl"]) == 1.0
