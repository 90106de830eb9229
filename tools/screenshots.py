"""Make the pictures of the documentation: ``python tools/screenshots.py``.

Runs ``mmcrime demo`` and looks at its report with Chromium: the top of the page for the README,
and the whole page on a desktop, in the dark and on a phone. Needs the ``dev`` extra and a Chromium
(``MMCRIME_CHROMIUM``, else one on the PATH). Look at what it made before you commit it.
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


def main() -> int:
    chromium = os.environ.get("MMCRIME_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)))
    ASSETS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room, sync_playwright() as play:
        # A plain name in a plain place, since the page shows it.
        demo = [sys.executable, "-m", "mmcrime", "demo", "-o", "mmcrime-demo"]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL, cwd=room)
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, how in SHOTS.items():
            picture = shrunk(shot(browser, Path(room) / "mmcrime-demo" / "report.html", **how))
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


def shrunk(png: bytes) -> bytes:
    """Return the picture with few colours; flat areas and text lose nothing by it."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
