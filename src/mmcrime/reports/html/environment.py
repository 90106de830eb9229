"""The one Jinja environment of the HTML reports: everything is escaped, nothing is undefined."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

# The package itself lies above this room, so that importing it here would turn the rooms around;
# it is loaded before any of its modules.
VERSION: str = sys.modules["mmcrime"].__version__
"""The version of mmcrime that makes the pages."""

GENERATOR = f'<meta name="generator" content="mmcrime {VERSION}">'
"""The line that tells a page of ours from a stranger's; it stands near the start of each."""


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
    return _environment().get_template(template).render(version=VERSION, **values)
