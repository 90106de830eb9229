"""What models are asked says what it must, and has a version that changes with it."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest

from mmcrime import prompts, taxonomy
from mmcrime.analyzers.llm_answer import Answer, Stretch

KINDS: tuple[Any, ...] = ("image", "audio", "video")
IDENTITY = (
    "age", "sex", "gender", "race", "ethnicity", "origin", "health", "faith", "religion",
    "feelings", "emotion", "emotions", "identify", "face", "faces", "name", "names",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_can_be_recognised_is_listed_once_with_its_name(kind: Any) -> None:
    text = prompts.instructions(kind).text
    listed = re.findall(r"^- ([a-z_]+): (.+)$", text, re.MULTILINE)
    known = taxonomy.crime_types().values()
    fitting = {
        "image": [t for t in known if t.seen],
        "audio": [t for t in known if t.heard],
        "video": [t for t in known if t.seen or t.heard],
    }[kind]
    assert listed == [(t.id, t.name) for t in fitting]
    assert tuple(fitting) == prompts.recognisable(kind)


def test_sound_is_not_asked_for_what_only_can_be_seen() -> None:
    ids = {t.id for t in prompts.recognisable("audio")}
    assert "arson" not in ids
    assert ids < {t.id for t in prompts.recognisable("video")}


@pytest.mark.parametrize("kind", KINDS)
def test_people_are_not_identified_and_feelings_not_guessed(kind: Any) -> None:
    text = prompts.instructions(kind).text
    (rule,) = re.findall(r"^- Describe people .*$", text, re.MULTILINE)
    assert "never by who they are" in rule
    for word in ("names", "age", "sex", "origin", "health", "faith", "feelings"):
        assert word in rule
    rest = re.findall(r"[a-z]+", text.replace(rule, "").lower())
    assert not set(IDENTITY) & (set(rest) - {"name"})  # "Name the innocent explanations"
    assert not [t for t in taxonomy.crime_types() if t in IDENTITY]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_in_the_media_is_called_data(kind: Any) -> None:
    text = prompts.instructions(kind).text
    assert "is part of the recording" in text
    assert "changes nothing about this task" in text
    assert "`instructions_seen`" in text


@pytest.mark.parametrize("kind", KINDS)
def test_fields_that_are_named_are_fields_of_the_answer(kind: Any) -> None:
    text = prompts.instructions(kind).text
    named = set(re.findall(r"`([a-z_]+)`", text))
    assert named <= {*Answer.model_fields, *Stretch.model_fields}
    assert {"probability", "crime_type", "segments", "text_seen"} <= named


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_to_be_filled_in(kind: Any) -> None:
    text = prompts.instructions(kind, context="A shop.", language="de").text
    assert not re.search(r"[{}]", text)
    assert "BCP 47 tag de" in text
    assert "A shop." in text


def test_a_site_that_says_nothing_is_not_mentioned() -> None:
    assert prompts.instructions("image", context=" \n ") == prompts.instructions("image")
    assert "normal at this place" not in prompts.instructions("image").text


def test_what_a_site_says_is_taken_as_it_is_and_bounded() -> None:
    odd = "Braces {language} {crime_types} {0} \\1 and %s."
    assert odd in prompts.instructions("video", context=odd).text
    long = prompts.instructions("video", context="x" * 100_000).text
    assert long.count("x" * 4000) == 1
    assert "x" * 4001 not in long


def test_the_version_changes_with_kind_context_and_language() -> None:
    asked = [
        prompts.instructions(kind, context=context, language=language)
        for kind in KINDS
        for context in ("", "a", "a.")
        for language in ("en", "de")
    ]
    assert len({prompt.version for prompt in asked}) == len(asked)
    assert all(re.fullmatch("[0-9a-f]{12}", prompt.version) for prompt in asked)
    assert prompts.instructions("image") == prompts.instructions("image")


@pytest.mark.parametrize("name", ["task", "image", "audio", "video", "site", "language"])
def test_the_version_changes_with_any_wording(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [name] if name in KINDS else list(KINDS)
    before = {k: prompts.instructions(k, context="c").version for k in kinds}
    read = prompts._text
    monkeypatch.setattr(prompts, "_text", lambda n: read(n) + (" " if n == name else ""))
    after = {k: prompts.instructions(k, context="c").version for k in kinds}
    assert all(before[k] != after[k] for k in kinds)


def test_a_request_to_repair_says_what_was_wrong() -> None:
    assert "probability: too {large}" in prompts.repair("probability: too {large}")


def test_a_schema_in_words_is_taken_as_it_is() -> None:
    schema = '{"type": "object", "x": "{schema}"}'
    assert prompts.with_schema(schema).rstrip().endswith(schema)


def test_every_text_is_used() -> None:
    names = {entry.name for entry in files("mmcrime.prompts").joinpath("texts").iterdir()}
    assert names == {
        "task.md", "image.md", "audio.md", "video.md",
        "site.md", "language.md", "repair.md", "schema.md", "transcribe.md",
    }  # fmt: skip


def test_the_request_to_transcribe_names_the_language_and_leaves_nothing_to_fill_in() -> None:
    asked = prompts.transcription(language="pt-BR")
    assert "BCP 47 tag pt-BR" in asked.text
    assert not re.search(r"[{}]", asked.text)
    assert asked.version != prompts.transcription(language="pt").version
