"""The estimate of a request is at or above what services counted for recorded ones."""

from __future__ import annotations

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.calls.estimate import input_tokens, sound_tokens, total_tokens
from mmcrime.plugins import Capabilities, Part, Request, TokenEstimate

# How the services document that they count. A picture is scaled first, so that it has a most.
GPT_4O = TokenEstimate(image_tokens=85, tile=512, tile_tokens=170, image_most=85 + 8 * 170)
GPT_5_NANO = TokenEstimate(tile=32, tile_tokens=2.46)
GPT_AUDIO = TokenEstimate(audio_per_second=10)
CLAUDE = TokenEstimate(tile=28, tile_tokens=1)
GEMINI = TokenEstimate(image_tokens=258, tile=768, tile_tokens=258, audio_per_second=32)

PNG = "iVBORw0KGgo"
TRIMMED = re.compile(r"(.*)\.\.\.<(\d+) chars trimmed>", re.DOTALL)


def recorded_request(body: dict[str, Any]) -> tuple[str, list[Part]]:
    """Return all text of a recorded body, and its media with the sizes that their heads say."""
    texts: list[str] = []
    media: list[Part] = []

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                visit(inner)
        elif isinstance(value, list):
            for inner in value:
                visit(inner)
        elif isinstance(value, str):
            trimmed = TRIMMED.fullmatch(value.rpartition("base64,")[2])
            if trimmed is None:
                texts.append(value)
            else:
                media.append(sized(trimmed[1], int(trimmed[2])))

    visit(body)
    return " ".join(texts), media


def sized(start: str, left_out: int) -> Part:
    """Return a part of the size that the head of a PNG, WAV or MP3 file says."""
    length = (len(start) + left_out) * 3 // 4
    head = base64.b64decode(start[: len(start) // 4 * 4])
    if start.startswith(PNG):
        width, height = struct.unpack(">II", head[16:24])
        return Part(media_type="image/png", width=width, height=height)
    if head.startswith(b"RIFF"):
        return Part(
            media_type="audio/wav", seconds=(length - 44) / struct.unpack("<I", head[28:32])[0]
        )
    assert head[:2] == b"\xff\xfb"  # MPEG-1 layer 3; index 7 is 96 kbit/s
    assert head[2] >> 4 == 7
    return Part(media_type="audio/mpeg", seconds=length * 8 / 96_000)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("service", "name", "rule", "counted", "sound"),
    [
        ("openai", "chat_image_200", GPT_4O, 1119, 0),
        ("openai", "responses_image_200_ratelimit_headers", GPT_5_NANO, 38, 0),
        ("openai", "chat_audio_input_200", GPT_AUDIO, 64, 44),
        ("openai", "chat_json_schema_200", TokenEstimate(), 92, 0),
        ("anthropic", "image_200_ratelimit_headers", CLAUDE, 43, 0),
        ("gemini", "image_200", GEMINI, 3367, 0),
        ("gemini", "audio_200", GEMINI, 125, 119),
        ("gemini", "json_schema_200", GEMINI, 8, 0),
    ],
)
def test_no_recorded_request_was_counted_higher_than_it_is_estimated(
    shared: Path, service: str, name: str, rule: TokenEstimate, counted: int, sound: int
) -> None:
    path = shared / "specs" / "recorded" / service / f"{name}.json"
    text, media = recorded_request(json.loads(path.read_text(encoding="utf-8"))["request"]["body"])
    assert bool(media) == ("image" in name or "audio" in name)
    request = Request(instructions=text, parts=tuple(media))
    capabilities = Capabilities(tokens=rule)
    assert counted <= input_tokens(request, capabilities) <= counted + 600
    assert sound <= sound_tokens(request, capabilities) <= sound + 2


def test_a_picture_is_counted_in_squares_up_to_the_most_of_any_picture() -> None:
    """Two by three squares of 512 px are begun by 513 x 1025 px; no picture exceeds eight."""
    assert tokens_of(GPT_4O, width=513, height=1025) == 85 + 6 * 170
    assert tokens_of(GPT_4O, width=9000, height=9000) == 85 + 8 * 170


def test_media_that_do_not_say_their_size_are_taken_for_large() -> None:
    assert tokens_of(TokenEstimate(tile=512, tile_tokens=1)) == 4 * 4
    ten_minutes = Part(media_type="audio/wav")
    rule = TokenEstimate(audio_per_second=10)
    assert sound_tokens(Request(instructions="", parts=(ten_minutes,)), use(rule)) == 6_000


def test_the_sound_of_a_video_is_among_its_tokens() -> None:
    rule = TokenEstimate(audio_per_second=32, video_per_second=290)
    request = Request(instructions="", parts=(Part(media_type="video/mp4", seconds=10.0),))
    silent = Request(instructions="", parts=())
    assert input_tokens(request, use(rule)) - input_tokens(silent, use(rule)) == 2_900
    assert sound_tokens(request, use(rule)) == 320
    assert sound_tokens(request, use(TokenEstimate(audio_per_second=32))) == 0


def test_the_answer_counts_as_far_as_it_may_go() -> None:
    request = Request(instructions="", parts=(), max_output_tokens=77)
    assert total_tokens(request, use()) == input_tokens(request, use()) + 77


@given(
    texts=st.lists(st.text(max_size=50), max_size=4),
    schema=st.none() | st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    seconds=st.floats(0, 1e5),
)
def test_more_of_anything_is_never_estimated_lower(
    texts: list[str], schema: dict[str, str] | None, seconds: float
) -> None:
    rule = TokenEstimate(image_tokens=85, audio_per_second=10, video_per_second=100)
    parts = tuple(Part(text=text) for text in texts)
    request = Request(instructions="Judge.", parts=parts, schema=schema)
    least = sum(len(text) for text in texts) / 4  # of no service is a token longer on average
    assert input_tokens(request, use(rule)) >= least
    for more in (
        Part(text="x"),
        Part(media_type="image/png"),
        Part(media_type="audio/wav", seconds=seconds),
        Part(media_type="video/mp4", seconds=seconds),
    ):
        longer = Request(instructions="Judge.", parts=(*parts, more), schema=schema)
        assert input_tokens(longer, use(rule)) >= input_tokens(request, use(rule))
        assert sound_tokens(longer, use(rule)) <= input_tokens(longer, use(rule))


def use(rule: TokenEstimate | None = None) -> Capabilities:
    return Capabilities(tokens=rule or TokenEstimate())


def tokens_of(rule: TokenEstimate, *, width: int | None = None, height: int | None = None) -> int:
    """Return what a picture adds to an empty request."""
    picture = Part(media_type="image/png", width=width, height=height)
    with_it = Request(instructions="", parts=(picture,))
    without = Request(instructions="", parts=())
    return input_tokens(with_it, use(rule)) - input_tokens(without, use(rule))
