"""Write the tables of measured figures from ``benchmarks/results.json``, their only source.

    python tools/figures.py                            # write the tables
    python tools/figures.py --check                    # write nothing; exit 1 when stale
    python tools/figures.py --measure                  # measure anew what needs no footage
    python tools/figures.py --measure --footage DIR    # and what does: DIR/media/fights, /sounds
    python tools/figures.py --measure import_time      # only these

Each row names what was measured, how the figure is written, the command, the data, the values,
on what and when, if the README shows it, how it is said there, and on which page of docs/ it
stands. A benchmark prints one JSON object; that becomes the values of its rows.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _marked import ROOT, options, settle

RESULTS = ROOT / "benchmarks" / "results.json"
PAGES = ("docs/responsible-use.md", "docs/performance.md")
"""Where rows are told in full: on the page that they name, else on the first."""

Row = dict[str, Any]


def main() -> int:
    parser = options("Write or measure the figures of the README and the documentation.")
    parser.add_argument("--measure", nargs="*", metavar="ID", help="measure anew: all, or these")
    parser.add_argument("--footage", type=Path, help="folder of labelled footage")
    given = parser.parse_args()
    rows: list[Row] = json.loads(RESULTS.read_text(encoding="utf-8"))
    status = 0
    if given.measure is not None:
        status = measure(rows, set(given.measure), given.footage)
        RESULTS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return status or settle(
        {
            "README.md": {"figures": short_table(rows)},
            **{page: {"figures": long_table(rows, page)} for page in PAGES},
        },
        check=given.check,
        command="python tools/figures.py",
    )


def short_table(rows: list[Row]) -> str:
    """Return the table of the README: the rows that help to decide, in fewer words.

    Several figures come from one command, so that the commands stand below with a number.
    """
    chosen = [{**row, **row["readme"]} for row in rows if "readme" in row]
    commands = list(dict.fromkeys(row["command"] for row in chosen))
    body = [
        f"| {row['what']} | {figure(row)} | {commands.index(row['command']) + 1} |"
        for row in chosen
    ]
    said = ", ".join(f"{number}: `{command}`" for number, command in enumerate(commands, 1))
    head = ["| what | figure | command |", "| --- | --- | --- |"]
    return "\n".join([*head, *body, "", f"Commands: {said}."])


def long_table(rows: list[Row], page: str) -> str:
    """Return the table of a page: also on what data, on what machine and when."""
    body = [
        f"| {row['what']} | {figure(row)} | {row['data']}<br>`{row['command']}`"
        f"<br>{row['date']}, {row['machine']} |"
        for row in rows
        if row.get("page", PAGES[0]) == page
    ]
    head = "| what | figure | measured on what, by which command, when and where |"
    return "\n".join([head, "| --- | --- | --- |", *body])


def figure(row: Row) -> str:
    """Return the figure of a row in words, from its values."""
    # A no-break space: a number and its unit stay on one line.
    return re.sub(r"(?<=\d) ?%", "\u00a0%", str(row["figure"]).format(**row["measured"]))


def measure(rows: list[Row], wanted: set[str], footage: Path | None) -> int:
    """Run the benchmarks and put their values into the rows; return the exit status."""
    unknown = wanted - {row["id"] for row in rows}
    if unknown:
        sys.exit(f"no such row: {', '.join(sorted(unknown))}")
    chosen = [row for row in rows if not wanted or row["id"] in wanted]
    failed = 0
    done: dict[str, dict[str, Any] | None] = {}
    for row in chosen:
        command = str(row["run"])
        if "{footage}" in command and footage is None:
            print(f"{row['id']}: needs --footage; kept as measured on {row['date']}")
            continue
        if command not in done:
            done[command] = run(command.format(footage=footage))
        values = done[command]
        if values is None:
            failed = 1
            continue
        row.update(
            measured=kept(row, values), machine=machine(), date=f"{datetime.now(UTC):%Y-%m-%d}"
        )
        print(f"{row['id']}: {figure(row)}")
    return failed


def run(command: str) -> dict[str, Any] | None:
    """Return the JSON object that a benchmark prints; None when it fails."""
    env = {**os.environ, "MMCRIME_OFFLINE": ""}
    done = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(f"failed with {done.returncode}: {command}", file=sys.stderr)
        return None
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def kept(row: Row, values: dict[str, Any]) -> dict[str, Any]:
    """Return only the top-level values that the figures of a row are written from."""
    figures = (row["figure"], row.get("readme", {}).get("figure", ""))
    named = set(re.findall(r"\{(\w+)", "".join(figures)))
    return {name: value for name, value in values.items() if name in named}


def machine() -> str:
    """Return the cores, the processor and the Python that measured."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = found[1] if found else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {processor}, Python {platform.python_version()}"


if __name__ == "__main__":
    raise SystemExit(main())
