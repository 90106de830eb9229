"""The key of an answer changes with all that could change the answer, and with nothing else."""

from __future__ import annotations

import io
import itertools
import random
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmcrime.calls.keys import answer_key
from mmcrime.plugins import Part, Request

# Half a surrogate pair is what a model may write, and no UTF-8.
texts = st.text(st.characters(exclude_categories=()), max_size=6)
numbers = st.none() | st.floats(min_value=-1e9, max_value=1e9)
pixels = st.none() | st.integers(0, 10**12)
names = texts | st.sampled_from(["a", "b", "ab", "a\x00b", "s\x00"])
schemas = st.none() | st.dictionaries(
    texts,
    st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2),
    max_size=3,
)


def media(**given: Any) -> st.SearchStrategy[Part]:
    return st.builds(
        Part,
        text=names,
        media_type=st.sampled_from(["image/jpeg", "audio/wav", "video/mp4"]),
        time=numbers,
        seconds=numbers,
        width=pixels,
        height=pixels,
        **given,
    )


parts = st.one_of(
    st.builds(Part, text=names),
    media(id=names.filter(bool)),
    media(data=st.binary(min_size=1, max_size=6)),
    media(id=names.filter(bool), data=st.binary(max_size=6)),
)
requests = st.builds(
    Request,
    instructions=names,
    parts=st.lists(parts, max_size=3).map(tuple),
    schema=schemas,
    schema_name=names,
    max_output_tokens=st.integers(1, 10**6),
    recipe=names,
)
around = st.fixed_dictionaries(
    {
        "provider": names,
        "endpoint": names,
        "model": st.none() | names,
        "options": names,
        "tenant": names,
    }
)
PLACE: dict[str, Any] = {
    "provider": "p",
    "endpoint": "e",
    "model": "m",
    "options": "o",
    "tenant": "t",
}


def changed(value: Any) -> Any:
    """Return another value of the same kind."""
    if value is None:
        return 7
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return value + b"x"
    return {**value, "more": 1} if isinstance(value, dict) else value + 1


def what_counts(request: Request, place: dict[str, Any]) -> Any:
    """What must be the same for the same key, said in another way than by the key itself."""
    schema = None if request.schema is None else repr(request.schema)
    held = [
        (p.text, p.media_type, p.id or p.data, p.time, p.seconds, p.width, p.height)
        for p in request.parts
    ]
    fields = (request.instructions, request.schema_name, request.max_output_tokens, request.recipe)
    return (fields, schema, held, sorted(place.items()))


@given(requests, around)
def test_equal_inputs_have_equal_keys(request: Request, place: dict[str, Any]) -> None:
    copy = replace(request, parts=tuple(replace(part) for part in request.parts))
    key = answer_key(request, **place)
    assert key == answer_key(copy, **dict(reversed(place.items())))
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


@given(requests, around, requests, around)
def test_two_inputs_share_a_key_only_when_they_are_the_same(
    one: Request, here: dict[str, Any], other: Request, there: dict[str, Any]
) -> None:
    same = what_counts(one, here) == what_counts(other, there)
    assert (answer_key(one, **here) == answer_key(other, **there)) == same


@given(requests, around, st.data())
def test_a_change_of_any_field_changes_the_key(
    request: Request, place: dict[str, Any], data: st.DataObject
) -> None:
    key = answer_key(request, **place)
    for field in PLACE:
        value = place[field]
        other = "x" if value is None else changed(value)
        assert answer_key(request, **{**place, field: other}) != key, field
    for field in ("instructions", "schema_name", "max_output_tokens", "recipe"):
        more: dict[str, Any] = {field: changed(getattr(request, field))}
        assert answer_key(replace(request, **more), **place) != key, field
    schema = {} if request.schema is None else changed(dict(request.schema))
    if schema != request.schema:
        assert answer_key(replace(request, schema=schema), **place) != key
    more_parts = (*request.parts, data.draw(parts))
    assert answer_key(replace(request, parts=more_parts), **place) != key


@given(media(id=names.filter(bool)) | media(data=st.binary(min_size=1, max_size=6)))
def test_a_change_of_any_field_of_a_part_changes_the_key(part: Part) -> None:
    key = answer_key(Request(instructions="i", parts=(part,)), **PLACE)
    fields = ["text", "media_type", "width", "height", "id" if part.id else "data"]
    others = [replace(part, **{name: changed(getattr(part, name))}) for name in fields]
    # Seconds may be so many that one more is the same number.
    for name in ("time", "seconds"):
        more: dict[str, Any] = {name: 1.0 if getattr(part, name) is None else None}
        others.append(replace(part, **more))
    for other in others:
        assert answer_key(Request(instructions="i", parts=(other,)), **PLACE) != key, other


def test_the_same_letters_in_other_fields_are_another_key() -> None:
    # Of the letters that tell fields apart in the bytes that are hashed.
    words = ["".join(word) for size in range(4) for word in itertools.product("sn", repeat=size)]
    keys = {
        answer_key(
            Request(instructions=one, parts=(), recipe=two, schema_name=three),
            **PLACE,
        )
        for one, two, three in itertools.product(words, repeat=3)
    }
    assert len(keys) == len(words) ** 3


def test_the_order_of_parts_counts() -> None:
    one, two = Part(text="one"), Part(text="two")
    keys = {
        answer_key(Request(instructions="", parts=order), **PLACE)
        for order in [(one, two), (two, one), (one,), (one, one)]
    }
    assert len(keys) == 4


def test_the_order_of_the_schema_counts_and_its_kind_of_mapping_does_not() -> None:
    def key(schema: Any) -> str:
        return answer_key(Request(instructions="", parts=(), schema=schema), **PLACE)

    assert key({"a": 1, "b": {"c": 2}}) != key({"b": {"c": 2}, "a": 1})
    assert key({"a": 1, "b": {"c": 2}}) == key({"a": 1, "b": MappingProxyType({"c": 2})})


def test_media_that_says_which_bytes_it_is_has_the_same_key_with_and_without_them() -> None:
    known = Part(media_type="image/jpeg", id="frame-1", load=lambda: b"")
    keys = {
        answer_key(Request(instructions="", parts=(part,)), **PLACE)
        for part in (known, replace(known, data=b"made"))
    }
    assert len(keys) == 1


def test_bytes_cannot_pass_for_an_id() -> None:
    from blake3 import blake3

    real = Part(media_type="image/jpeg", data=b"real")
    for name in (blake3(b"real").hexdigest(), "real"):
        feigned = Part(media_type="image/jpeg", id=name)
        assert answer_key(Request(instructions="", parts=(real,)), **PLACE) != answer_key(
            Request(instructions="", parts=(feigned,)), **PLACE
        )


def test_200_random_pictures_have_200_keys() -> None:
    numbers = random.Random(5)  # noqa: S311 - pictures, not secrets

    def jpeg() -> bytes:
        buffer = io.BytesIO()
        Image.frombytes("RGB", (32, 24), numbers.randbytes(32 * 24 * 3)).save(buffer, "JPEG")
        return buffer.getvalue()

    pictures = [Part(media_type="image/jpeg", data=jpeg()) for _ in range(200)]
    keys = {answer_key(Request(instructions="", parts=(p,)), **PLACE) for p in pictures}
    assert len(keys) == 200


def test_media_of_which_nothing_is_known_has_no_key() -> None:
    part = Part(media_type="image/jpeg", load=lambda: b"x")
    with pytest.raises(ValueError, match="'image/jpeg' has neither an id nor bytes"):
        answer_key(Request(instructions="", parts=(part,)), **PLACE)
