"""The HTML pages as a browser shows them: readable for everybody, on every screen, alone."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Error, Page, sync_playwright

from builders import answered, dead
from mmcrime.evidence import Coverage, Gap, LoudnessCurve, MotionCurve, SoundEvent
from mmcrime.reports import html
from mmcrime.results import (
    CoverageRecord,
    CrossVerification,
    EvidenceRecord,
    FrameRecord,
    MediaRecord,
    Reason,
    Report,
    Timeline,
    Verdict,
)
from report_samples import HOSTILE, NOW, report, undetermined

pytestmark = pytest.mark.browser

SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
    "dark phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all pages."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("MMCRIME_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium (MMCRIME_CHROMIUM, or chromium on the PATH)")
    with sync_playwright() as playwright:
        # The pages are our own and reach nothing; as root there is no other way to start it.
        launched = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


def jpeg(shade: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (320, 180), (shade, 90, 120)).save(buffer, "JPEG")
    return buffer.getvalue()


def detected() -> Report:
    """A video with everything that is ever drawn."""
    (one,) = report().incidents
    times = tuple(float(second) for second in range(20))
    half = Coverage(
        examined=((0.0, 9.0), (12.0, 15.0)),
        gaps=(
            Gap(start=9.0, end=12.0, reason="damaged: bad packet"),
            Gap(start=15.0, end=20.0, reason="silent"),
        ),
    )
    votes = (
        answered("motion", card={"licence": "MIT", "limits": "fights only"}, severity="high"),
        answered("llm", kind="llm", runs="cloud", cached=True, flags=("suspected_instructions",)),
        dead("acme", status="refused", kind="llm", runs="cloud"),
        dead("globex", status="failed", kind="llm", runs="cloud", fallbacks=("acme",)),
        dead("sound", status="skipped", kind="sound"),
    )
    said = report().verdict.model_copy(
        update={
            "timeline": Timeline(times=(0.0, 4.0, 8.0), scores=(0.1, 0.9, 0.2)),
            "cross_verification": (CrossVerification(first="motion", second="llm", agree=False),),
        }
    )
    severities = ("none", "low", "medium", "high", "critical")
    return report(
        verdict=said,
        assessments=votes,
        incidents=tuple(
            one.model_copy(
                update={
                    "id": f"i{n}",
                    "start": float(n),
                    "end": n + 0.5,
                    "peak": float(n),
                    "severity": severities[n % 5],
                }
            )
            for n in range(19)
        ),
        evidence=EvidenceRecord(
            frames=tuple(
                FrameRecord.model_construct(
                    time=float(n), width=640, height=360, thumbnail=jpeg(12 * n)
                )
                for n in range(15)
            ),
            transcript=report().evidence.transcript,
            sounds=(SoundEvent(start=1.0, end=4.0, peak=1.1, label="siren", score=0.9),),
            motion=MotionCurve(times=times, scores=tuple(t / 20 for t in times), method="m"),
            loudness=LoudnessCurve(times=times, levels=tuple(-60 + t for t in times), method="n"),
        ),
        coverage=CoverageRecord(
            duration=20.0, video=half, sound=half, speech=half, analyzers={"motion": half}
        ),
        timings={"open": 0.1, "total": 2.0},
        versions={"mmcrime": "0.1.0"},
    )


def audio() -> Report:
    """Sound only, with nothing found."""
    return report(
        media=MediaRecord(kind="audio", name="a.wav", duration=20.0, has_audio=True),
        verdict=Verdict(
            outcome="not_detected",
            probability=0.1,
            probability_source="calibrated",
            votes_asked=1,
            votes_answered=1,
        ),
        incidents=(),
        assessments=(answered("sound", kind="sound", outcome="not_detected", probability=0.1),),
        egress=(),
    )


def uncertain() -> Report:
    """A video on which the voters disagree."""
    why = Reason(code="conflict", text="The two contradict each other.", next_step="Look at it.")
    return report(
        verdict=Verdict(outcome="undetermined", reasons=(why,), votes_asked=2, votes_answered=2)
    )


def picture() -> Report:
    """A picture that nobody could judge."""
    frame = FrameRecord.model_construct(time=0.0, width=640, height=360, thumbnail=jpeg(200))
    return undetermined(evidence=EvidenceRecord(frames=(frame,)))


def hostile() -> Report:
    """A report whose every free text wants out."""
    return report("".join(HOSTILE).replace("\ud800", "") + "<script>alert(1)</script>")


SAMPLES: dict[str, Callable[[], Report]] = {
    "detected": detected,
    "undetermined": uncertain,
    "audio": audio,
    "picture": picture,
    "hostile": hostile,
    "unreadable": lambda: undetermined(media=MediaRecord(kind=None, name="x", recorded_at=NOW)),
}


def index() -> str:
    rows = [
        html.row(make().to_dict(thumbnails=True), href=f"reports/{name}.html")
        for name, make in SAMPLES.items()
    ]
    return html.index(rows, title="clips/", note="stopped after 6 of 9 sources", page=2, pages=3)


def notebook(colours: str) -> str:
    views = "".join(make()._repr_html_() for make in SAMPLES.values())
    return (
        f'<!doctype html><html lang="en"><head><title>notebook</title></head>'
        f'<body style="{colours}"><main><h1>Notebook</h1>{views}</main></body></html>'
    )


PAGES: dict[str, Callable[[], str]] = {
    **{name: lambda make=make: make().to_html() for name, make in SAMPLES.items()},
    "index": index,
    "notebook": lambda: notebook("background: #fff; color: #111"),
    "dark notebook": lambda: notebook("background: #111; color: #eee"),
}


@pytest.fixture(params=PAGES)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page as a file, opened as a reader opens it."""
    path = tmp_path / "page.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


def watched(page: Page) -> list[str]:
    """Collect what a page asks for and complains about, but for itself and its own pictures."""
    found: list[str] = []
    page.on("console", lambda message: found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("dialog", lambda dialog: found.append(f"dialog: {dialog.message}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else found.append(request.url)
        ),
    )
    return found


def test_a_page_is_readable_for_everybody_on_every_screen_and_asks_for_nothing(
    browser: Browser, written: Path
) -> None:
    """axe-core finds nothing, nothing is wider than the screen, and nothing is fetched."""
    for screen, options in SCREENS.items():
        page = browser.new_page(**options)
        complaints = watched(page)
        page.goto(written.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= options["viewport"]["width"], screen
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        result = Axe().run(page).response["violations"]
        told = [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in result]
        assert told == [], f"{screen}: {json.dumps(told, indent=1)}"
        assert complaints == [], screen
        page.close()


def test_a_page_forbids_itself_every_script_and_every_address(
    browser: Browser, tmp_path: Path
) -> None:
    """Even if text ever became markup, the browser would run and load nothing of it."""
    path = tmp_path / "page.html"
    smuggled = (
        "<script>document.title = 'taken'</script><img src=https://evil.example/x.png>"
        "<img src=x onerror=\"document.title = 'taken'\">"
    )
    path.write_text(report().to_html().replace("<main>", f"<main>{smuggled}"), encoding="utf-8")
    page = browser.new_page()
    asked: list[str] = []
    page.on("requestfinished", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert "taken" not in page.title()
    assert asked == [path.as_uri()]
    with pytest.raises(Error, match=r"Content Security Policy|unsafe-eval"):
        page.add_script_tag(content="1")
    page.close()


def test_paper_carries_the_banner_on_every_page_and_hides_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(detected().to_html(), encoding="utf-8")
    page = browser.new_page(color_scheme="dark")
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    hidden = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('defs, .defs, title')"
        " && !e.checkVisibility()).map(e => e.outerHTML.slice(0, 90))"
    )
    margins = page.evaluate(
        "[...document.styleSheets[0].cssRules].filter(r => r instanceof CSSPageRule)"
        ".map(r => r.cssText).join()"
    )
    printed = page.pdf(prefer_css_page_size=True)
    page.close()
    assert ground == "rgb(255, 255, 255)"
    assert hidden == []
    assert "Automated result, unconfirmed" in margins
    assert printed.startswith(b"%PDF-")
    assert b"automated result, unconfirmed" in printed  # its title
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
