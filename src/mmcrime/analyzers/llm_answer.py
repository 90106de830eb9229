"""What a language model must answer, and reading it strictly (promise 3).

`[false]`, `"false"`, `0`, `null`, JSON with comments and JSON that stops in the middle are
violations and never an answer: the outcome is one of three words, numbers are numbers, and
nothing stands before or after the object but a code fence.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmcrime.results import Outcome, Severity

__all__ = ["Answer", "Stretch", "ViolationError", "answer_schema", "is_answer", "read_answer"]

NO_TYPE = "none"
"""What a model says where no kind of incident fits."""
SCHEMA_VERSION = "1"
"""Version of the schema; part of the key under which an answer is stored."""
_FENCE = "```"
_LONGEST = 200_000  # characters; an answer is a few thousand
_TOLERANCE = 1.0  # seconds by which a time may miss the end: models round
_OUTCOMES: dict[str, Outcome] = {
    "yes": "detected",
    "no": "not_detected",
    "unsure": "undetermined",
}


class ViolationError(Exception):
    """An answer is not what was asked for; the message says how, to be quoted to the model."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


_Chance = Annotated[float, Field(ge=0.0, le=1.0)]


class Stretch(_Strict):
    """A stretch in which an incident may be under way."""

    start: float
    end: float
    chance: _Chance
    crime_type: str
    observation: str


class Answer(_Strict):
    """What a model says about one recording; all its texts are untrusted."""

    observations: tuple[str, ...]
    incident: Literal["yes", "no", "unsure"]
    crime_type: str
    probability: _Chance
    severity: Severity
    description: str
    alternative_interpretations: tuple[str, ...]
    segments: tuple[Stretch, ...]
    text_seen: str
    instructions_seen: bool

    @property
    def outcome(self) -> Outcome:
        """The answer in the words of a report."""
        return _OUTCOMES[self.incident]


def read_answer(text: str, *, duration: float | None, kinds: Collection[str]) -> Answer:
    """Read a model's answer.

    Args:
        text: What the model wrote.
        duration: Length of the media in seconds; None where it has none.
        kinds: The crime types that may be named.

    Raises:
        ViolationError: If it is anything but one complete, consistent answer.
    """
    if len(text) > _LONGEST:
        raise ViolationError(f"it is longer than {_LONGEST} characters")
    try:
        data = json.loads(_unfenced(text), object_pairs_hook=_without_doubles)
        # Through JSON once more: there a list is a tuple, strict is strict, and NaN is no number.
        plain = json.dumps(data)
    except (ValueError, RecursionError) as error:
        raise ViolationError(f"it is not one JSON object ({error})") from error
    if not isinstance(data, dict):
        raise ViolationError(f"it is a JSON {type(data).__name__} and not an object")
    try:
        answer = Answer.model_validate_json(plain)
    except ValidationError as error:
        raise ViolationError(_told(error)) from error
    _check(answer, kinds)
    _check_segments(answer, duration)
    return answer


def _unfenced(text: str) -> str:
    """Return what stands in a code fence, if it is all that there is."""
    text = text.strip()
    if len(text) < 2 * len(_FENCE) or not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    opening, line, rest = text[: -len(_FENCE)].partition("\n")
    return rest if line and opening.strip() in (_FENCE, f"{_FENCE}json") else text


def is_answer(text: str, *, duration: float | None, kinds: Collection[str]) -> bool:
    """Return whether `read_answer` takes a text for an answer."""
    try:
        read_answer(text, duration=duration, kinds=kinds)
    except ViolationError:
        return False
    return True


def _check(answer: Answer, kinds: Collection[str]) -> None:
    """Refuse what contradicts itself."""
    for name in (answer.crime_type, *(s.crime_type for s in answer.segments)):
        if name != NO_TYPE and name not in kinds:
            raise ViolationError(f"crime_type {name[:80]!r} is none of the listed ids")
    if answer.incident == "yes" and answer.probability < 0.5:
        raise ViolationError(f"incident is 'yes' and probability {answer.probability}")
    if answer.incident == "no" and answer.probability > 0.5:
        raise ViolationError(f"incident is 'no' and probability {answer.probability}")
    if answer.incident == "yes" and answer.crime_type == NO_TYPE:
        raise ViolationError("incident is 'yes' and crime_type 'none'")
    if answer.incident == "no" and answer.crime_type != NO_TYPE:
        raise ViolationError(f"incident is 'no' and crime_type {answer.crime_type!r}")


def _check_segments(answer: Answer, duration: float | None) -> None:
    """Refuse stretches that contradict the answer or the media."""
    for stretch in answer.segments:
        if duration is None:
            raise ViolationError("segments are given for media that has no time")
        if not 0.0 <= stretch.start <= stretch.end <= duration + _TOLERANCE:
            raise ViolationError(
                f"the segment {stretch.start} to {stretch.end} lies outside of the recording, "
                f"which is {duration:.1f} s long"
            )
        if answer.incident == "no" and stretch.chance > 0.5:
            raise ViolationError(f"incident is 'no' and a segment has the chance {stretch.chance}")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _told(error: ValidationError) -> str:
    """Say what is wrong in our own words: a name that the model made up is not repeated."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    known = {*Answer.model_fields, *Stretch.model_fields}
    path = [str(part) if isinstance(part, int) or part in known else "?" for part in first["loc"]]
    return f"{'.'.join(path) or 'the answer'}: {first['msg']}"


def answer_schema(kinds: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON schema of an answer, in the keywords that every service takes.

    Args:
        kinds: The crime types that may be named.
    """
    types = {"type": "string", "enum": [NO_TYPE, *kinds]}
    chance = {"type": "number", "description": "From 0 to 1."}
    seconds = {"type": "number", "description": "Seconds from the beginning."}
    stretch = {
        "start": seconds,
        "end": seconds,
        "chance": chance,
        "crime_type": types,
        "observation": {"type": "string"},
    }
    texts = {"type": "array", "items": {"type": "string"}}
    return _object(
        {
            "observations": texts,
            "incident": {"type": "string", "enum": list(_OUTCOMES)},
            "crime_type": types,
            "probability": chance,
            "severity": {"type": "string", "enum": ["none", "low", "medium", "high", "critical"]},
            "description": {"type": "string"},
            "alternative_interpretations": texts,
            "segments": {"type": "array", "items": _object(stretch)},
            "text_seen": {"type": "string"},
            "instructions_seen": {"type": "boolean"},
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
