"""A report as HTML: one file a report, one page a folder, one fragment for a notebook.

No page holds a script or needs anything from elsewhere. Numbers, geometry and words are
computed here; the templates only draw them, and escape all they are given.
"""

from __future__ import annotations

from mmcrime.reports.html.environment import GENERATOR, INDEX_MARK, REPORT_MARK
from mmcrime.reports.html.folder import Row, index, row, worst_first
from mmcrime.reports.html.notebook import compact
from mmcrime.reports.html.page import render

__all__ = [
    "GENERATOR",
    "INDEX_MARK",
    "REPORT_MARK",
    "Row",
    "compact",
    "index",
    "render",
    "row",
    "worst_first",
]
