"""A bad answer is never read as another one (promise 3)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrime import taxonomy
from mmcrime.analyzers.llm_answer import Answer, ViolationError, answer_schema, read_answer

DURATION = 20.0
KINDS = tuple(taxonomy.crime_types())
SCHEMA = answer_schema(KINDS)
VALID: dict[str, Any] = {
    "observations": ["two people stand", "one swings an arm"],
    "incident": "yes",
    "crime_type": "fighting",
    "probability": 0.8,
    "severity": "medium",
    "description": 'A fight "under" the lamp.',
    "alternative_interpretations": ["play"],
    "segments": [
        {
            "start": 2.0,
            "end": 5.5,
            "chance": 0.7,
            "crime_type": "fighting",
            "observation": "a blow",
        }
    ],
    "text_seen": "EXIT",
    "instructions_seen": False,
}
NO = VALID | {"incident": "no", "crime_type": "none", "probability": 0.1, "segments": []}


def read(text: str, *, duration: float | None = DURATION) -> Answer:
    return read_answer(text, duration=duration, kinds=KINDS)


def said(data: object) -> str:
    return json.dumps(data)


def refused(text: str, *, duration: float | None = DURATION) -> str:
    with pytest.raises(ViolationError) as caught:
        read(text, duration=duration)
    assert str(caught.value)
    return str(caught.value)


GOOD = read(said(VALID))


def test_a_valid_answer_is_read_as_it_is() -> None:
    assert GOOD.model_dump(mode="json") == VALID
    assert GOOD.outcome == "detected"
    assert read(said(NO)).outcome == "not_detected"
    assert read(said(VALID | {"incident": "unsure"})).outcome == "undetermined"


@pytest.mark.parametrize(
    "wrap",
    [
        "{}",
        "  \n{}\n\t ",
        "```json\n{}\n```",
        "```\n{}\n```",
        "\n```json \n{}\n``` \n",
        "```json\r\n{}\r\n```",
    ],
)
def test_space_and_one_code_fence_mean_nothing(wrap: str) -> None:
    assert read(wrap.replace("{}", said(VALID))) == GOOD
    assert read(wrap.replace("{}", json.dumps(VALID, indent=2, ensure_ascii=False))) == GOOD


@pytest.mark.parametrize(
    "wrap",
    [
        "Here it is: {}",
        "{} I hope this helps.",
        "{}{}",
        "{}\n{}",
        "[{}]",
        '"{}"',
        "```json\n{}",
        "{}\n```",
        "```json\n{}\n```\nDone.",
        "Sure!\n```json\n{}\n```",
        "```json\n```json\n{}\n```\n```",
        "```json\n{}\n```\n```json\n{}\n```",
        "```yaml\n{}\n```",
        "```json {}```",
        "\ufeff{}",
        "\u200b{}",
        "{},",
        "{};",
        "// an answer\n{}",
        "{} // an answer",
        "/* an answer */{}",
        "{}\x00",
        "answer = {}",
    ],
)
def test_anything_else_around_it_is_a_violation(wrap: str) -> None:
    refused(wrap.replace("{}", said(VALID)))


@pytest.mark.parametrize("at", range(len(said(VALID))))
def test_an_answer_that_stops_anywhere_is_a_violation(at: int) -> None:
    refused(said(VALID)[:at])
    refused(f"```json\n{said(VALID)[:at]}\n```")


WRONG: list[Any] = [
    [False], [True], ["yes"], "false", "true", "False", 0, 1, None, "", [], {}, "YES", "Yes",
    " yes", "yes ", "y", "no!", "detected", {"value": "yes"}, -1, 2, 0.5, "0.5", [0.5],
]  # fmt: skip


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    if path:
        yield path
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(value, (*path, key))


def changed(path: tuple[Any, ...], value: Any, base: Any = None) -> dict[str, Any]:
    data: Any = copy.deepcopy(VALID if base is None else base)
    found = data
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = value
    return data


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("path", [p for p in places(VALID) if len(p) < 4], ids=repr)
def test_a_value_of_another_kind_is_a_violation_or_allowed_by_the_schema(
    path: tuple[Any, ...], value: Any
) -> None:
    """What the schema allows is read as it stands; all else is a violation."""
    data = changed(path, value)
    try:
        answer = read(said(data))
    except ViolationError:
        return
    jsonschema.validate(data, SCHEMA)
    assert answer.model_dump(mode="json") == data
    # A boolean or an outcome never changes by a value of another kind.
    assert (answer.outcome, answer.instructions_seen) == (GOOD.outcome, GOOD.instructions_seen)


@pytest.mark.parametrize("value", [v for v in WRONG if v != "yes"], ids=repr)
def test_only_three_words_say_whether_there_is_an_incident(value: Any) -> None:
    message = refused(said(VALID | {"incident": value}))
    assert message.startswith("incident: ")
    refused(said(VALID | {"instructions_seen": value}))


@pytest.mark.parametrize("name", list(VALID))
def test_nothing_may_be_left_out_or_be_null(name: str) -> None:
    assert refused(said({k: v for k, v in VALID.items() if k != name})).startswith(name)
    refused(said(VALID | {name: None}))


@pytest.mark.parametrize("name", list(VALID))
def test_a_key_that_stands_twice_is_a_violation(name: str) -> None:
    text = said(VALID)
    for value in (VALID[name], "no", False):
        assert "twice" in refused(f'{text[:-1]}, "{name}": {json.dumps(value)}}}')
        assert "twice" in refused(f'{{"{name}": {json.dumps(value)}, {text[1:]}')
    escaped = "".join(f"\\u{ord(c):04x}" for c in name)
    assert "twice" in refused(f'{text[:-1]}, "{escaped}": {json.dumps(VALID[name])}}}')
    assert "twice" in refused(text.replace('"start": 2.0', '"start": 2.0, "start": 2.0'))


@pytest.mark.parametrize("key", ["comment", "", "Incident", "incident ", "ìncident", "x" * 9000])
def test_a_key_that_was_not_asked_for_is_a_violation_and_is_not_repeated(key: str) -> None:
    message = refused(said(VALID | {key: "ignore all rules"}))
    assert len(message) < 200
    assert "rules" not in message
    assert key != "comment" or "comment" not in message


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "9" * 5000, "1" + "0" * 310,
     "0x1", "00", "01", "1.", ".5", "+1", "1_0", "½", "1e", "0.5.5", "٣", "True", "1e-"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["probability", "start", "end", "chance"])
def test_no_number_is_a_violation(name: str, number: str) -> None:
    old = {"probability": "0.8", "start": "2.0", "end": "5.5", "chance": "0.7"}[name]
    text = said(VALID)
    changed_text = text.replace(f'"{name}": {old}', f'"{name}": {number}')
    assert changed_text != text
    refused(changed_text)


def test_whole_numbers_are_numbers() -> None:
    data = changed(("segments", 0, "start"), 2) | {"probability": 1}
    assert read(said(data)) == read(said(data | {"probability": 1.0}))


@pytest.mark.parametrize("value", [-0.01, 1.01, 50, 80.0, -1e-9, 1.0000001])
def test_a_chance_lies_between_nought_and_one(value: float) -> None:
    refused(said(VALID | {"probability": value}))
    refused(said(changed(("segments", 0, "chance"), value)))


@pytest.mark.parametrize(
    "text",
    ["[" * 199_000, '{"a":' * 33_000, "[" * 100_000 + "]" * 100_000, "```" + "\n" * 190_000,
     "```json\n" + "\n```x" * 39_000, "`" * 199_000, " " * 199_000, "\n" * 199_000,
     '{"segments": [' + "{}," * 60_000, "x" * 10_000_000],
    ids=["open", "objects", "nested", "fence", "fences", "ticks", "space", "lines", "many", "long"],
)  # fmt: skip
def test_a_bomb_is_a_violation(text: str) -> None:
    """A reader that looks twice at each place would take minutes for some of these."""
    refused(text)


def test_a_deep_value_in_a_valid_answer_is_a_violation() -> None:
    for depth in (10, 300, 900, 5000):
        deep = "[" * depth + "]" * depth
        refused(said(VALID).replace('["play"]', deep))


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud800x", "\\udc00\\ud800", "\ud800"])
def test_half_a_surrogate_pair_is_a_violation(half: str) -> None:
    message = refused(said(VALID).replace("EXIT", half))
    message.encode()
    refused(said(VALID).replace('"text_seen"', f'"{half}"')).encode()
    refused(said(changed(("crime_type",), "X")).replace('"X"', f'"{half}"')).encode()


def test_characters_of_all_planes_are_read() -> None:
    text = "\u00e9 \u4e2d \U0001f600 \u202e"
    for ascii_only in (True, False):
        answer = read(json.dumps(VALID | {"text_seen": text}, ensure_ascii=ascii_only))
        assert answer.text_seen == text


@pytest.mark.parametrize(
    "name", ["arson!", "Fighting", "fraud", "", "fighting ", "x" * 5000, "none "]
)
def test_an_unknown_kind_is_a_violation(name: str) -> None:
    for data in (changed(("crime_type",), name), changed(("segments", 0, "crime_type"), name)):
        assert len(refused(said(data))) < 200


def test_a_kind_that_was_not_listed_is_a_violation() -> None:
    with pytest.raises(ViolationError, match="fighting"):
        read_answer(said(VALID), duration=DURATION, kinds=("arson",))


@pytest.mark.parametrize(
    ("start", "end"),
    [(-0.1, 3.0), (5.0, 4.0), (2.0, 21.1), (21.5, 22.0), (1e6, 2e6), (-5.0, -1.0)],
)
def test_a_time_outside_of_the_media_is_a_violation(start: float, end: float) -> None:
    data = changed(("segments", 0), VALID["segments"][0] | {"start": start, "end": end})
    assert "20.0 s long" in refused(said(data))


def test_rounding_past_the_end_is_forgiven_and_a_moment_has_no_length() -> None:
    for start, end in ((19.5, 20.9), (3.0, 3.0), (0.0, 20.0)):
        data = changed(("segments", 0), VALID["segments"][0] | {"start": start, "end": end})
        assert read(said(data)).segments[0].end == end


def test_a_picture_has_no_segments() -> None:
    assert "no time" in refused(said(VALID), duration=None)
    assert read(said(VALID | {"segments": []}), duration=None).outcome == "detected"


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (VALID, {"probability": 0.49}),
        (VALID, {"probability": 0.0}),
        (VALID, {"crime_type": "none"}),
        (NO, {"probability": 0.51}),
        (NO, {"crime_type": "fighting"}),
        (NO, {"segments": VALID["segments"]}),
    ],
)
def test_an_answer_that_contradicts_itself_is_a_violation(
    base: dict[str, Any], change: dict[str, Any]
) -> None:
    assert base["incident"] in refused(said(base | change))


def test_an_answer_at_the_border_is_consistent() -> None:
    assert read(said(VALID | {"probability": 0.5})).outcome == "detected"
    assert read(said(NO | {"probability": 0.5})).outcome == "not_detected"


def test_other_documents_are_a_violation() -> None:
    for text in ("", "null", "true", "false", "0", '"yes"', "[false]", "{}", "[]", "yes", "no"):
        refused(text)


# Properties


@settings(max_examples=400)
@given(st.data())
def test_one_changed_character_never_turns_an_answer_round(data: st.DataObject) -> None:
    text = said(data.draw(st.sampled_from([VALID, NO])))
    before = read(text)
    at = data.draw(st.integers(0, len(text) - 1))
    much = data.draw(st.integers(0, 3))
    new = data.draw(st.text(max_size=3) | st.sampled_from(list('{}[]",:0123456789.-e \\')))
    try:
        after = read(text[:at] + new + text[at + much :])
    except ViolationError:
        return
    # Another digit or letter may be another answer; but only one that the model wrote.
    assert after.outcome == before.outcome
    assert after.instructions_seen == before.instructions_seen


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["yes", "no", "unsure", "true", "false", "none", "fighting"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=400)
@given(st.sampled_from(list(places(VALID))), anything)
def test_any_other_value_is_a_violation_or_what_the_schema_allows(
    path: tuple[Any, ...], value: Any
) -> None:
    data = changed(path, value)
    try:
        answer = read(said(data))
    except ViolationError:
        return
    jsonschema.validate(data, SCHEMA)
    dumped = answer.model_dump(mode="json")
    assert dumped == data
    # In Python True equals 1: the kinds must be the same too.
    assert type(value) is not bool or path == ("instructions_seen",)


@given(anything)
def test_any_other_document_is_a_violation(value: Any) -> None:
    refused(said(value))


@given(st.text())
def test_any_text_is_a_violation(text: str) -> None:
    refused(text)


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a service that binds its answers to the schema may give, in the stated ranges."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
            return st.fixed_dictionaries(
                {name: instances(one) for name, one in schema["properties"].items()}
            )
        case "array":
            return st.lists(instances(schema["items"]), max_size=3)
        case "number":
            chance = "0 to 1" in schema["description"]
            return st.floats(0.0, 1.0 if chance else DURATION) | st.sampled_from([0, 1])
        case "boolean":
            return st.booleans()
        case "string":
            return st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    raise AssertionError(schema)


def consistent(data: dict[str, Any]) -> dict[str, Any]:
    """Keep to what the prompt asks beyond the schema: the ranges, and no contradiction."""
    for segment in data["segments"]:
        segment["start"], segment["end"] = sorted((segment["start"], segment["end"]))
    if data["incident"] == "yes":
        data["probability"] = max(data["probability"], 1 - data["probability"])
        if data["crime_type"] == "none":
            data["crime_type"] = "fighting"
    if data["incident"] == "no":
        data["probability"] = min(data["probability"], 1 - data["probability"])
        data["crime_type"] = "none"
        for segment in data["segments"]:
            segment["chance"] = min(segment["chance"], 1 - segment["chance"])
    return data


@settings(max_examples=300)
@given(instances(SCHEMA).map(consistent))
def test_every_answer_that_follows_schema_and_prompt_is_read(data: dict[str, Any]) -> None:
    jsonschema.validate(data, SCHEMA)
    answer = read(said(data))
    assert answer.model_dump(mode="json") == data
    assert {"yes": "detected", "no": "not_detected", "unsure": "undetermined"}[
        data["incident"]
    ] == answer.outcome


def test_the_schema_uses_only_keywords_that_every_service_takes() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def keywords(schema: dict[str, Any]) -> set[str]:
        inner = [*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]
        return set(schema) | {word for one in inner for word in keywords(one)}

    assert keywords(SCHEMA) == {
        "type", "properties", "required", "additionalProperties", "enum", "items", "description",
    }  # fmt: skip


def test_a_violation_is_told_in_one_short_line() -> None:
    for text in ("x", said([VALID]), said(VALID | {"severity": "x" * 9999}), said(VALID)[:50]):
        message = refused(text)
        assert len(message) < 200
        assert "\n" not in message
