"""Pages that are partly generated: what stands between two marks is replaced, the rest is kept.

``<!-- NAME -->`` begins such a part and ``<!-- /NAME -->`` ends it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def filled(text: str, parts: Mapping[str, str], *, page: str) -> str:
    """Return the page with the named parts replaced.

    Raises:
        SystemExit: If the page lacks the marks of a part.
    """
    for name, body in parts.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if len(marks.findall(text)) != 1:
            sys.exit(f"{page} must hold <!-- {name} --> and <!-- /{name} --> once each")
        text = marks.sub(lambda found, body=body: f"{found[1]}{body}\n{found[2]}", text)  # type: ignore[misc]  # bound at once
    return text


def options(description: str) -> argparse.ArgumentParser:
    """Return a parser with the option ``--check``, which every generator has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    return parser


def settle(pages: Mapping[str, Mapping[str, str]], *, check: bool, command: str) -> int:
    """Write the pages, or with ``check`` only say which are stale; return the exit status."""
    stale = []
    for name, parts in pages.items():
        path = ROOT / name
        held = path.read_text(encoding="utf-8")
        wanted = filled(held, parts, page=name)
        if wanted == held:
            continue
        stale.append(name)
        if not check:
            path.write_text(wanted, encoding="utf-8")
    for name in stale:
        print(f"{name} is stale: run `{command}`" if check else f"wrote {name}")
    return int(check and bool(stale))
