"""The table of crime types."""

from __future__ import annotations

import pytest

from mmcrime import taxonomy
from mmcrime.errors import ConfigError


def test_every_type_is_in_a_group_and_can_be_seen_or_heard() -> None:
    for entry in taxonomy.crime_types().values():
        assert entry.group in taxonomy.groups()
        assert entry.seen or entry.heard
        assert entry.severity in ("low", "medium", "high", "critical")
        assert entry.ucf_crime is None or entry.ucf_crime in taxonomy.ucf_classes()


def test_all_thirteen_ucf_classes_and_normal_are_covered() -> None:
    mapped = {entry.ucf_crime for entry in taxonomy.crime_types().values()} - {None}
    assert mapped == set(taxonomy.ucf_classes()) - {"Normal"}
    assert len(taxonomy.ucf_classes()) == 14


def test_an_unknown_type_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="'fraud'"):
        taxonomy.crime_type("fraud")
