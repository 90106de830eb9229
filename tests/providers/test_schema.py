"""A schema becomes one that strict modes take, and asks for no less than before."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from mmcrime_providers._schema import strict_schema


def objects(schema: Any) -> list[dict[str, Any]]:
    found = []
    if isinstance(schema, dict):
        found += [schema] if "properties" in schema else []
        found += [one for value in schema.values() for one in objects(value)]
    if isinstance(schema, list):
        found += [one for value in schema for one in objects(value)]
    return found


class Inner(BaseModel):
    start: float
    label: str = "none"


class Outer(BaseModel):
    outcome: bool | None
    events: list[Inner]
    notes: dict[str, int] | None = None


@pytest.mark.parametrize("model", [Inner, Outer])
def test_every_object_is_closed_and_requires_all_it_names(model: type[BaseModel]) -> None:
    strict = strict_schema(model.model_json_schema())
    Draft202012Validator.check_schema(strict)
    assert objects(strict)
    for one in objects(strict):
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])


def test_what_may_be_left_out_may_be_null_instead() -> None:
    strict = strict_schema(Inner.model_json_schema())
    assert strict["properties"]["label"] == {"type": ["string", "null"]}
    assert strict["properties"]["start"] == {"type": "number"}
    choice = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}}
    kind = strict_schema(choice)["properties"]["kind"]
    assert kind == {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]}


def test_keywords_that_not_all_services_know_are_left_out_unless_asked_for() -> None:
    number = {"type": "number", "minimum": 0, "title": "Share", "default": 1, "format": "x"}
    schema = {"type": "object", "properties": {"share": number}, "required": ["share"]}
    assert strict_schema(schema)["properties"]["share"] == {"type": "number"}
    kept = strict_schema(schema, also=frozenset({"minimum"}))["properties"]["share"]
    assert kept == {"type": "number", "minimum": 0}


def test_a_property_called_like_a_keyword_is_a_property() -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "string", "minLength": 2}}}
    strict = strict_schema({**schema, "required": ["minimum"]})
    assert strict["properties"] == {"minimum": {"type": "string"}}


def test_choices_and_definitions_are_walked() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "integer", "maximum": 3}}}
    schema = {"$defs": {"I": inner}, "oneOf": [{"$ref": "#/$defs/I"}, inner]}
    strict = strict_schema(schema)
    assert strict["$defs"]["I"]["additionalProperties"] is False
    assert [*strict] == ["$defs", "anyOf"]
    assert strict["anyOf"][1]["properties"]["x"] == {"type": ["integer", "null"]}


def test_the_schema_that_was_given_stays_as_it_was() -> None:
    schema = Outer.model_json_schema()
    before = Outer.model_json_schema()
    strict_schema(schema)
    assert schema == before
