"""Option types that several commands share; light, so that help is fast."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

HELP: dict[str, list[str]] = {"help_option_names": ["-h", "--help"]}
"""Context settings of every command."""


class Format(StrEnum):
    """A form of the results."""

    text = "text"
    json = "json"
    html = "html"
    md = "md"
    csv = "csv"


class LogFormat(StrEnum):
    """A form of what goes to stderr."""

    text = "text"
    json = "json"


class FailOn(StrEnum):
    """The severities that ``--fail-on`` takes."""

    low = "low"
    medium = "medium"
    high = "high"
    critical = "critical"


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration. Default: $MMCRIME_CONFIG, else ./config.json if there is one.",
    ),
]
