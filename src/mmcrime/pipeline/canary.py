"""One tiny picture or sound to one provider, to see whether it answers at all."""

from __future__ import annotations

import asyncio
import io
import json
import time
from dataclasses import dataclass

from mmcrime.calls.meter import metered
from mmcrime.errors import MmcrimeError
from mmcrime.plugins import Capabilities, Part, Provider, Request, Response, read_labels
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
_TONE = 440.0  # Hz, for a second
_LONGEST = 80  # characters of an answer that are shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What came of asking one provider.

    Attributes:
        provider: Its name.
        ok: Whether it answered, and saw the picture; of a provider that labels, whether it
            gave labels, of which nobody can say that they are right.
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
    """Send a drawn square, or a tone to one that only hears, and say what came back.

    Args:
        name: Name of the provider.
        provider: The provider with the call layer around it, without stored answers.
    """
    tasks = provider.capabilities.tasks
    labels = "label" in tasks and "answer" not in tasks
    request = await asyncio.to_thread(_sample if labels else _question, provider.capabilities)
    model, next_step = provider.model or "", ""
    started = time.perf_counter()
    with metered() as meter:
        try:
            response = await provider.generate(request)
        except MmcrimeError as error:
            ok, said, next_step = False, error.message, error.next_step
        else:
            model = response.model
            ok, told = _labelled(response) if labels else _coloured(response)
            said = f"{response.status}: {told}"
            if not ok:
                what = "labels media" if labels else "looks at pictures"
                next_step = f"Set providers.{name}.model to one that {what}."
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


def _question(_able: Capabilities) -> Request:
    return Request(
        # In words too: not every service takes a schema.
        instructions='Answer with one JSON object that has the one key "colour".',
        parts=(Part(text=_QUESTION), _picture()),
        schema=_SCHEMA,
        schema_name="colour_answer",
        max_output_tokens=1024,
        recipe="canary-2",
    )


def _sample(able: Capabilities) -> Request:
    """Return the request to label the square, or a tone."""
    part = _tone() if able.images == 0 else _picture()
    return Request(
        instructions="", parts=(part,), task="label", max_output_tokens=0, recipe="canary-2"
    )


def _picture() -> Part:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (_SIDE, _SIDE), "white")
    ImageDraw.Draw(image).rectangle((24, 24, 72, 72), fill="blue")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Part(data=buffer.getvalue(), media_type="image/png", width=_SIDE, height=_SIDE)


def _tone() -> Part:
    import numpy as np

    from mmcrime.evidence import SAMPLE_RATE, AudioWindow
    from mmcrime.media.export import encode_sound

    angles = 2 * np.pi * _TONE * np.arange(SAMPLE_RATE) / SAMPLE_RATE
    window = AudioWindow(start=0.0, samples=(0.3 * np.sin(angles)).astype(np.float32))
    data = encode_sound([window], form="wav")
    return Part(data=data, media_type="audio/wav", time=0.0, seconds=1.0)


def _labelled(response: Response) -> tuple[bool, str]:
    """Say whether labels came, and which one scored most."""
    try:
        scores = read_labels(response.text)
    except ValueError:
        return False, repr(response.text[:_LONGEST])
    best = max(scores, key=scores.__getitem__)
    told = f"{best[:_LONGEST]!r} with {scores[best]:.2f}, of {len(scores)} labels"
    return response.status == "answered", told


def _coloured(response: Response) -> tuple[bool, str]:
    colour = _colour(response.text)
    right = response.status == "answered" and colour.strip().lower() == _COLOUR
    return right, repr(colour[:_LONGEST])


def _colour(text: str) -> str:
    try:
        return str(json.loads(text)["colour"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
