"""Nothing leaves unannounced (promise 8)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from mmcrime.egress import Gate
from mmcrime.errors import EgressError


def test_what_leaves_is_recorded_before_it_leaves() -> None:
    gate = Gate(offline=False)
    gate.announce(what="GET https://a.example/x", to="a.example", purpose="fetch", size_bytes=None)
    (record,) = gate.records
    assert (record.to, record.purpose) == ("a.example", "fetch")
    assert record.when.tzinfo is not None


def test_offline_makes_every_announcement_an_error_and_records_nothing() -> None:
    gate = Gate(offline=True)
    with pytest.raises(EgressError, match=r"'a\.example'"):
        gate.announce(what="x", to="a.example", purpose="provider")
    assert gate.records == ()


def test_announcements_of_many_threads_are_all_kept() -> None:
    gate = Gate(offline=False)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: gate.announce(what=str(i), to="a", purpose="speech"), range(500)))
    assert {r.what for r in gate.records} == {str(i) for i in range(500)}
