"""What language models are asked, as versioned data.

The texts are Markdown files of this package; the version of a prompt is a digest of all
that it was made of, so that an answer to another wording is another answer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from mmcrime import taxonomy
from mmcrime.evidence import MediaKind

__all__ = ["Prompt", "instructions", "recognisable", "repair", "transcription", "with_schema"]

_LONGEST_CONTEXT = 4000  # characters of what a site owner may say


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What is asked of a model.

    Attributes:
        text: The whole of it.
        version: Digest of the text, 12 hex digits.
    """

    text: str
    version: str


def instructions(kind: MediaKind, *, context: str = "", language: str = "en") -> Prompt:
    """Return the fixed part of a question about one kind of media.

    Args:
        kind: Kind of the media.
        context: What is normal at this site, in the words of its owner.
        language: BCP 47 tag of the language that texts are wanted in.
    """
    parts = [_text("task").replace("{crime_types}", _crime_types(kind)), _text(kind)]
    if context.strip():
        parts.append(_text("site").replace("{context}", context.strip()[:_LONGEST_CONTEXT]))
    parts.append(_text("language").replace("{language}", language))
    return _versioned("\n".join(parts))


def transcription(*, language: str) -> Prompt:
    """Return the request to write down what is said in a stretch of sound.

    Args:
        language: BCP 47 tag of the language that is most likely spoken.
    """
    return _versioned(_text("transcribe").replace("{language}", language))


def repair(violation: str) -> str:
    """Return the request to answer once more.

    Args:
        violation: What was wrong with the answer, in words.
    """
    return _text("repair").replace("{violation}", violation)


def with_schema(schema: str) -> str:
    """Return the request to follow a JSON schema, for services that cannot bind it."""
    return _text("schema").replace("{schema}", schema)


def _versioned(text: str) -> Prompt:
    return Prompt(text=text, version=hashlib.sha256(text.encode()).hexdigest()[:12])


@cache
def _text(name: str) -> str:
    return files("mmcrime.prompts").joinpath(f"texts/{name}.md").read_text("utf-8")


def recognisable(kind: MediaKind) -> tuple[taxonomy.CrimeType, ...]:
    """Return the crime types that can be seen or heard in a kind of media."""
    return tuple(
        crime_type
        for crime_type in taxonomy.crime_types().values()
        if (crime_type.seen and kind != "audio") or (crime_type.heard and kind != "image")
    )


def _crime_types(kind: MediaKind) -> str:
    return "\n".join(f"- {crime_type.id}: {crime_type.name}" for crime_type in recognisable(kind))
