"""Nothing from the media becomes markup: whatever the text, the elements stay the same."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import answered, jpeg
from html_reader import Page, read
from mmcrime.reports import html
from mmcrime.reports.words import clean
from mmcrime.results import CrossVerification, FrameRecord, Segment, Verdict
from report_samples import HOSTILE, calm, hostile_text, report

MORE_HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></svg><svg onload=alert(1)>",
    "</style><style>*{display:none}",
    "{{ 7 * 7 }}{% include 'base.html' %}{# x #}",
    "javascript:alert(1)",
    "<!-- --><![CDATA[ ]]><?php ?>",
    "&lt;b&gt;&#60;i&#62;",
)
# The schema allows only a few fixed words here.
CLOSED = {
    *("kind", "status", "runs", "outcome", "severity", "confidence", "probability_source"),
    *("verification", "reliability", "label", "purpose", "code", "schema_version", "thumbnail"),
    *("timestamp", "when", "recorded_at"),
}
any_text = st.one_of(st.sampled_from((*HOSTILE, *MORE_HOSTILE)), hostile_text)


def rich() -> dict[str, Any]:
    """A report with every optional field in it."""
    data = report().to_dict(thumbnails=True)
    vote = answered(
        "llm",
        kind="llm",
        runs="cloud",
        fallbacks=("x",),
        severity="high",
        flags=("y",),
        card={"licence": "MIT"},
        alternative_interpretations=("z",),
        evidence_description="w",
        segments=(Segment(start=1.0, end=2.0, score=0.5, text="v"),),
    )
    verdict = data["verdict"]
    checked = CrossVerification(first="a", second="b", agree=False, text="c")
    data["assessments"].append(vote.model_dump(mode="json"))
    verdict["cross_verification"] = [checked.model_dump(mode="json")]
    verdict["timeline"] = {"times": [0.0, 4.0, 8.0], "scores": [0.1, 0.9, 0.0]}
    data["evidence"]["motion"] = {"times": [0.0, 1.0], "scores": [0.1, 0.5], "method": "m"}
    data["evidence"]["loudness"] = {"times": [0.0, 1.0], "levels": [-30.0, -9.0], "method": "n"}
    frame = FrameRecord.model_construct(time=6.5, width=640, height=360, thumbnail=jpeg())
    data["evidence"]["frames"] = [frame.model_dump(mode="json")]
    data["media"]["metadata"] = {"place": "yard"}
    data["timings"], data["versions"] = {"open": 0.1}, {"mmcrime": "0.1.0"}
    return data


def everywhere(value: Any, text: str, key: str = "", parent: str = "") -> Any:
    """Put a text into every field of free text, names in mappings too."""
    if isinstance(value, Mapping):
        named = key in ("metadata", "card", "timings", "versions", "analyzers")
        return {
            (text if named else name): everywhere(item, text, name, key)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [everywhere(item, text, key, parent) for item in value]
    closed = key in CLOSED or (key == "source" and parent == "cost")
    return text if isinstance(value, str) and not closed else value


def as_page(data: Mapping[str, Any]) -> str:
    return html.render(data)


def as_fragment(data: Mapping[str, Any]) -> str:
    return html.compact(data)


def as_index(data: Mapping[str, Any]) -> str:
    said = data["source"]
    row = html.row(data, href="reports/clip.html")
    return html.index([row], title=said, note=said, page=2, pages=3)


FORMS = (as_page, as_fragment, as_index)


def skeleton(page: Page) -> list[Any]:
    """The elements with their attributes, without what is written for readers."""
    return [
        (tag, [(name, None if name == "alt" else value) for name, value in attributes])
        for tag, attributes in page.elements
    ]


@pytest.mark.parametrize("form", FORMS)
@given(text=any_text.filter(lambda text: clean(text, limit=10**6) != ""))
@calm
def test_no_text_of_a_report_makes_an_element_or_an_attribute(
    form: Callable[[Mapping[str, Any]], str], text: str
) -> None:
    harmless = read(form(everywhere(rich(), "harmless")))
    hostile = read(form(everywhere(rich(), text)))
    assert skeleton(hostile) == skeleton(harmless)
    assert hostile.comments == harmless.comments


@pytest.mark.parametrize("form", FORMS)
@given(text=any_text)
@calm
def test_no_text_brings_a_script_an_address_or_an_invisible_character(
    form: Callable[[Mapping[str, Any]], str], text: str
) -> None:
    written = form(everywhere(rich(), text))
    page = read(written)
    names = {name for _, attributes in page.elements for name, _ in attributes}
    assert not any(name.startswith("on") for name in names)
    assert names.isdisjoint({"srcset", "action", "formaction", "background", "xlink:href"})
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "iframe", "object", "link"})
    assert set(page.values("href")) <= {"reports/clip.html", "index.html", "index-3.html"}
    assert all(src.startswith("data:image/jpeg;base64,/9j/") for src in page.values("src"))
    steering = {c for c in written if unicodedata.category(c)[0] == "C" and c != "\n"}
    assert not steering


def test_the_walk_reaches_every_part_of_the_page() -> None:
    """Otherwise the properties above would hold for what nobody filled in."""
    page = read(as_page(everywhere(rich(), "HARMLESS")))
    assert page.text.count("HARMLESS") >= 45
    assert page.all("img")
    assert Verdict.model_fields.keys() == rich()["verdict"].keys() - {"crime_detected"}


def test_a_thumbnail_that_is_no_jpeg_is_left_out() -> None:
    data = rich()
    for wrong in ("aGVsbG8=", '/9j/" onerror="alert(1)', "/9j/<svg>", "data:text/html,x", "/9j/="):
        data["evidence"]["frames"][0]["thumbnail"] = wrong
        sources = read(html.render(data)).values("src")
        assert sources == [] or wrong == "/9j/="


@pytest.mark.parametrize(
    "href",
    [
        *("javascript:alert(1)", "https://evil.example/", "//evil.example", "/etc/passwd", ""),
        *('a" onclick="x', "a b.html", "a?b", "a#b", "a\\b", "a\nb", "%zz", "é.html"),
    ],
)
def test_a_row_leads_only_to_a_relative_percent_encoded_address(href: str) -> None:
    with pytest.raises(ValueError, match="address"):
        html.row(rich(), href=href)


NUMBERS = (0.0, -0.0, 1e-300, 1e-9, 0.1, 3.0, 1e9, 1e308, -1e-9, -3.0, -1e308)
SHARES = ("score", "scores", "probability", "agreement")
NO_NUMBERS = (math.nan, math.inf, -math.inf, 10**400, -(10**400))
"""What JSON can hold where a number should be."""


def renumbered(
    value: Any, draw: Callable[[], float], key: str = "", *, kept: tuple[str, ...] = SHARES
) -> Any:
    """Put other numbers into every field that holds one; counts and scores keep their range."""
    if isinstance(value, Mapping):
        return {name: renumbered(item, draw, name, kept=kept) for name, item in value.items()}
    if isinstance(value, list):
        return [renumbered(item, draw, key, kept=kept) for item in value]
    if isinstance(value, float) and key not in kept:
        return draw()
    return value


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@calm
def test_no_number_breaks_a_page_or_leaves_its_drawing(
    form: Callable[[Mapping[str, Any]], str], data: st.DataObject
) -> None:
    strange = renumbered(rich(), lambda: data.draw(st.sampled_from(NUMBERS)))
    page = read(form(strange))
    for name in ("x", "x1", "x2", "width"):
        shares = [float(v[:-1]) for v in page.values(name) if v.endswith("%")]
        assert all(0 <= share <= 100 for share in shares)
    drawn = " ".join(page.values("d") + page.values("x") + page.values("width"))
    assert "nan" not in drawn
    assert "inf" not in drawn


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@calm
def test_what_is_no_number_breaks_no_page_and_is_not_printed(
    form: Callable[[Mapping[str, Any]], str], data: st.DataObject
) -> None:
    some = st.sampled_from((*NO_NUMBERS, 1.0, 3.0))
    strange = renumbered(rich(), lambda: data.draw(some), kept=())
    for name in ("size_bytes", "width", "height"):
        strange["media"][name] = data.draw(some)
        strange["evidence"]["frames"][0][name] = data.draw(some)
    strange["egress"][0]["size_bytes"] = data.draw(some)
    page = read(form(strange))
    told = " ".join([page.text, *page.values("d"), *page.values("x"), *page.values("width")])
    assert not re.search(r"\b(nan|inf)\b", told)
