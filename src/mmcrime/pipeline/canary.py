"""One tiny picture to one provider, to see whether it answers at all."""

from __future__ import annotations

import asyncio
import io
import json
import time
from dataclasses import dataclass

from mmcrime.calls.meter import metered
from mmcrime.errors import MmcrimeError
from mmcrime.plugins import Part, Provider, Request
from mmcrime.results import Cost, Usage

_SIDE = 96  # pixels
_QUESTION = "Name the colour of the square in the picture, in one English word."
_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string"}},
    "required": ["colour"],
    "additionalProperties": False,
}
_COLOUR = "blue"
_LONGEST = 80  # characters of an answer that are shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What came of asking one provider.

    Attributes:
        provider: Its name.
        ok: Whether it answered, and saw the picture.
        said: What it answered, or why it did not; untrusted text.
        next_step: What to do about it; empty when nothing is.
        model: The model that answered.
        seconds: Wall time of the call.
        usage: Calls and tokens.
        cost: Money, with its source.
        remarks: What the provider itself remarks, such as how its model was chosen.
    """

    provider: str
    ok: bool
    said: str
    next_step: str
    model: str
    seconds: float
    usage: Usage
    cost: Cost
    remarks: tuple[str, ...]


async def check(name: str, provider: Provider) -> Check:
    """Send a drawn square and say what came back.

    Args:
        name: Name of the provider.
        provider: The provider with the call layer around it, without stored answers.
    """
    request = await asyncio.to_thread(_request)
    model, next_step = provider.model or "", ""
    started = time.perf_counter()
    with metered() as meter:
        try:
            response = await provider.generate(request)
        except MmcrimeError as error:
            ok, said, next_step = False, error.message, error.next_step
        else:
            model = response.model
            colour = _colour(response.text)
            ok = response.status == "answered" and colour.strip().lower() == _COLOUR
            said = f"{response.status}: {colour[:_LONGEST]!r}"
            if not ok:
                next_step = f"Set providers.{name}.model to one that looks at pictures."
    return Check(
        provider=name,
        ok=ok,
        said=said,
        next_step=next_step,
        model=model,
        seconds=time.perf_counter() - started,
        usage=meter.usage,
        cost=meter.cost if meter.calls else Cost(usd=0.0, source="none"),
        remarks=provider.remarks,
    )


def _request() -> Request:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (_SIDE, _SIDE), "white")
    ImageDraw.Draw(image).rectangle((24, 24, 72, 72), fill="blue")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    picture = Part(data=buffer.getvalue(), media_type="image/png", width=_SIDE, height=_SIDE)
    return Request(
        # In words too: not every service takes a schema.
        instructions='Answer with one JSON object that has the one key "colour".',
        parts=(Part(text=_QUESTION), picture),
        schema=_SCHEMA,
        schema_name="colour_answer",
        max_output_tokens=1024,
        recipe="canary-2",
    )


def _colour(text: str) -> str:
    try:
        return str(json.loads(text)["colour"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
