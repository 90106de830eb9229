"""The one Jinja environment of the HTML reports: everything is escaped, nothing is undefined."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

GENERATOR = '<meta name="generator" content="mmcrime">'
"""Tells a page of ours from a stranger's, whatever the release; near the start of each page."""

INDEX_MARK = '<meta name="mmcrime-page" content="index">'
"""Tells the page of a folder from a report; in the line after the generator."""

REPORT_MARK = '<meta name="mmcrime-page" content="report">'
"""Tells a report from the page of a folder; in the line after the generator."""


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mmcrime.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def fill(template: str, **values: object) -> str:
    """Return a template with its values, each of them escaped."""
    return _environment().get_template(template).render(**values)
