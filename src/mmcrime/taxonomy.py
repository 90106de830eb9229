"""Crime types, severities and the mapping to the UCF-Crime classes.

The table is data (``taxonomy.json``, versioned). It holds only what can be seen or
heard. A label that is not in it is an error in tests and a flag in a report, never a
silent ``no``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

from mmcrime.errors import ConfigError

__all__ = ["CrimeType", "crime_type", "crime_types", "groups", "ucf_classes", "version"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CrimeType:
    """One row of the taxonomy.

    Attributes:
        id: Stable identifier.
        name: What people read.
        group: Identifier of the group.
        severity: Default severity.
        seen: Whether it can be seen.
        heard: Whether it can be heard.
        ucf_crime: The UCF-Crime class it counts as, or None.
    """

    id: str
    name: str
    group: str
    severity: Literal["low", "medium", "high", "critical"]
    seen: bool
    heard: bool
    ucf_crime: str | None


@cache
def _table() -> tuple[str, Mapping[str, str], tuple[str, ...], Mapping[str, CrimeType]]:
    raw = json.loads(files("mmcrime").joinpath("taxonomy.json").read_text("utf-8"))
    types = {row["id"]: CrimeType(**row) for row in raw["types"]}
    return (
        raw["version"],
        MappingProxyType(raw["groups"]),
        tuple(raw["ucf_crime_classes"]),
        MappingProxyType(types),
    )


def version() -> str:
    """Return the version of the table."""
    return _table()[0]


def groups() -> Mapping[str, str]:
    """Return group identifiers with the names people read."""
    return _table()[1]


def ucf_classes() -> tuple[str, ...]:
    """Return the 13 UCF-Crime classes and Normal, in the data set's order."""
    return _table()[2]


def crime_types() -> Mapping[str, CrimeType]:
    """Return all crime types by id."""
    return _table()[3]


def crime_type(type_id: str) -> CrimeType:
    """Return one crime type.

    Raises:
        ConfigError: If the table has no such id.
    """
    try:
        return _table()[3][type_id]
    except KeyError:
        raise ConfigError(
            f"The taxonomy has no crime type {type_id!r}.",
            next_step=f"Known: {', '.join(sorted(_table()[3]))}.",
        ) from None
