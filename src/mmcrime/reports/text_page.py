"""The page that the text report is written on: wrapped lines, labels, a line of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmcrime.evidence import Interval
from mmcrime.reports.missed import silent_about, timed, voters
from mmcrime.reports.words import cells, clock, wrap

BOLD, RED, GREEN, YELLOW, _RESET = (f"\x1b[{n}m" for n in (1, 31, 32, 33, 0))
_LABEL = 10  # columns of a label
_NARROW = 64  # below it, rows are wrapped like list items


class Page:
    """Collects lines, wrapped to the width. Every line that goes on is indented.

    So no text of the media can start a line of its own.

    Args:
        colour: Whether ANSI colours are used.
        width: Columns of a line.
    """

    def __init__(self, *, colour: bool, width: int) -> None:
        self._colour, self.width, self._lines = colour, width, list[str]()

    def line(self, text: str, *, first: str = "", rest: str = "") -> None:
        """Write a paragraph after a prefix."""
        self._lines += wrap(text, self.width, first=first, rest=rest)

    def item(self, text: str) -> None:
        """Write an entry of a list."""
        self.line(text, first="  - ", rest="    ")

    def note(self, text: str) -> None:
        """Write an indented paragraph."""
        self.line(text, first="    ", rest="    ")

    def row(self, columns: Sequence[tuple[str, int]], text: str) -> None:
        """Write short cells, each padded to its width, and then a text.

        Args:
            columns: The cells and their widths.
            text: What comes last; it is wrapped under its own beginning.
        """
        if self.width < _NARROW:
            self.item(": ".join([*(cell for cell, _ in columns), text]))
            return
        first = "  " + "".join(
            cell + " " * max(2, wide + 2 - cells(cell)) for cell, wide in columns
        )
        self.line(text, first=first, rest=" " * cells(first))

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write rows under titles; where that is too wide, each as an entry of a list."""
        if self.width < _NARROW:
            for row in rows:
                pairs = zip(titles, row, strict=True)
                self.item(", ".join(f"{title} {cell}" for title, cell in pairs))
            return
        widths = [max(map(cells, column)) for column in zip(titles, *rows, strict=True)]
        for *row, text in (titles, *rows):
            self.row(list(zip(row, widths[:-1], strict=True)), text)

    def label(self, label: str, texts: Iterable[str]) -> None:
        """Write paragraphs beside a label, nothing without any."""
        for text in texts:
            self.line(text, first=f"{label:<{_LABEL}}", rest=" " * _LABEL)
            label = ""

    def styled(self, text: str, style: str) -> None:
        """Write a paragraph in a style, the style being of no meaning."""
        self._styled(wrap(text, self.width, rest="  "), style)

    def _styled(self, lines: Iterable[str], style: str) -> None:
        self._lines += [f"{style}{line}{_RESET}" if self._colour else line for line in lines]

    def heading(self, text: str) -> None:
        """Start a section."""
        self._lines.append("")
        self.styled(text, BOLD)

    def rule(self, style: str) -> None:
        """Draw a line across the page."""
        self._styled(["=" * self.width], style)

    def text(self) -> str:
        """Return the page, the last line ended."""
        return "\n".join(self._lines) + "\n"

    def axis(self, marks: str, *, end: float, legend: str) -> None:
        """Draw a line of time with its two ends and what the marks mean."""
        self.label("Timeline", [f"|{marks}|"])
        first, last = clock(0.0), clock(end)
        gap = len(marks) + 2 - len(first) - len(last)
        # Spaces in a row would be one word break: these lines are put together here.
        self._lines.append(" " * _LABEL + first + " " * gap + last)
        self.label("", [legend])

    @property
    def axis_width(self) -> int:
        """How many marks `axis` takes."""
        return self.width - _LABEL - 2


def marks(
    columns: int, *, end: float, incidents: Sequence[Interval], gaps: Sequence[Interval]
) -> str:
    """Return a line of time: ``#`` where an incident is, ``x`` in a gap, else ``-``.

    Args:
        columns: How many marks.
        end: Media seconds at the end of the line, more than 0.
        incidents: Every one gets a mark at least.
        gaps: Those of at least 0.1 s get one at least.
    """
    line = ["-"] * columns
    for mark, spans, least in (("x", gaps, 0.1), ("#", incidents, 0.0)):
        for start, stop in spans:
            if stop - start < least or start >= end:
                continue
            low = min(columns - 1, int(max(0.0, start) / end * columns))
            reached = -int(-min(max(0.0, stop), end) / end * columns // 1)
            high = min(columns, max(low + 1, reached))
            line[low:high] = mark * (high - low)
    return "".join(line)


def gaps(report: Mapping[str, Any], *, end: float) -> list[Interval]:
    """Return what preprocessing or an analyzer that answered did not examine.

    Args:
        report: What ``Report.to_dict`` gives.
        end: Media seconds up to which all should be examined.
    """
    sense = "sound" if report["media"].get("kind") == "audio" else "video"
    covered = [(report.get("coverage") or {}).get(sense) or {}]
    covered += [own for _, own in voters(report)]
    stated = ((gap["start"], gap["end"]) for own in covered for gap in own.get("gaps") or ())
    return [*timed(stated), *(gap for own in covered for gap in silent_about(own, end))]
