"""Make the pictures of the documentation: ``python tools/screenshots.py``.

Runs ``mmcrime demo`` and looks at its report with Chromium: the verdict and the first curve cut
out for the README, and the top of the page on a desktop, in the dark and on a phone. Needs the
``dev`` extra and a Chromium (``MMCRIME_CHROMIUM``, else one on the PATH). Look at what it made
before you commit it.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _marked import ROOT
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ASSETS = ROOT / "docs" / "assets"
LIMIT = 250_000  # bytes of one picture: the README must load on a slow line
COLOURS = 128
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHOTS: dict[str, dict[str, Any]] = {
    "report": {"width": 1120, "scheme": "light"},
    "report-dark": {"width": 1120, "scheme": "dark"},
    "report-phone": {"width": 390, "scheme": "light"},
}
TALLEST = 2000  # pixels of a page that are shown
CUTS = (
    (".banner", ".verdict h2"),  # the answer with its figures
    (".timeline h2", ".timeline h3:has-text('Motion')"),  # the time axis with its first curve
)
"""What the picture of the README is cut out of the page: from an element to before another."""
GAP = 8  # pixels around a cut: what lies between two things of the page


def main() -> int:
    chromium = os.environ.get("MMCRIME_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)))
    ASSETS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room, sync_playwright() as play:
        # A plain name in a plain place, since the page shows it.
        demo = [sys.executable, "-m", "mmcrime", "demo", "-o", "mmcrime-demo"]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL, cwd=room)
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = Path(room) / "mmcrime-demo" / "report.html"
        pictures = {name: shot(browser, page, **how) for name, how in SHOTS.items()}
        for name, png in {**pictures, "readme": cut_out(browser, page)}.items():
            picture = shrunk(png)
            target = ASSETS / f"{name}.png"
            target.write_bytes(picture)
            print(f"{target.relative_to(ROOT)}: {len(picture) // 1000} kB")
            if len(picture) > LIMIT:
                sys.exit(f"larger than {LIMIT // 1000} kB: lower COLOURS, or show less of the page")
        browser.close()
    return 0


def shot(browser: Browser, page: Path, *, width: int, scheme: Any) -> bytes:
    """Return a PNG of a page from its top to the end of its timeline."""
    context = browser.new_context(
        viewport={"width": width, "height": TALLEST}, color_scheme=scheme, device_scale_factor=1
    )
    tab = context.new_page()
    tab.goto(page.as_uri())
    timeline = tab.locator("section", has=tab.get_by_role("heading", name="Timeline", exact=True))
    box = timeline.last.bounding_box()
    height = min(TALLEST, round(box["y"] + box["height"]) + 16 if box else TALLEST)
    picture: bytes = tab.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    context.close()
    return picture


def cut_out(browser: Browser, page: Path) -> bytes:
    """Return a PNG of the parts of a page that `CUTS` names, one below the other."""
    width: int = SHOTS["report"]["width"]
    context = browser.new_context(
        viewport={"width": width, "height": TALLEST}, color_scheme="light", device_scale_factor=1
    )
    tab = context.new_page()
    tab.goto(page.as_uri())
    parts = []
    for first, before in CUTS:
        top = tab.locator(first).first.bounding_box()
        end = tab.locator(before).first.bounding_box()
        if top is None or end is None:
            sys.exit(f"the page has changed: {first} or {before} is not shown")
        png = tab.screenshot(
            clip={"x": 0, "y": top["y"] - GAP, "width": width, "height": end["y"] - top["y"]}
        )
        parts.append(Image.open(io.BytesIO(png), formats=["PNG"]))
    context.close()
    whole = Image.new("RGB", (width, sum(part.height for part in parts)))
    for number, part in enumerate(parts):
        whole.paste(part, (0, sum(above.height for above in parts[:number])))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    return buffer.getvalue()


def shrunk(png: bytes) -> bytes:
    """Return the picture with few colours; flat areas and text lose nothing by it."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
