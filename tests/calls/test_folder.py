"""What lies in the cache directory is its owner's alone."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from mmcrime.calls.breaker import Breakers, Door
from mmcrime.calls.caps import Amount
from mmcrime.calls.day_budget import DayBudget
from mmcrime.calls.folder import private_folder, replace_file
from mmcrime.config import BudgetSettings
from mmcrime.errors import AuthenticationError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and links of POSIX")


def test_a_file_is_replaced_whole_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "days.json"
    path.write_text("old")
    path.chmod(0o666)
    replace_file(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_somebody_left_is_not_written_through(tmp_path: Path) -> None:
    """What a day has cost, and which services fail, in a folder where others may write."""
    victim, cache = tmp_path / "victim", tmp_path / "cache"
    victim.write_text("precious")
    cache.mkdir()
    for name in ("days.json.new", "breakers.json.new"):
        (cache / name).symlink_to(victim)

    async def work() -> None:
        day = DayBudget(cache / "days.json", BudgetSettings(usd_per_day=1.0))
        await day.reserve("default", Amount(calls=1))
        breakers, door = Breakers(cache / "breakers.json"), Door("service", "", "m")
        for _ in range(5):
            error = AuthenticationError("no", provider="service")
            await breakers.failed(door, await breakers.admit(door), error)

    asyncio.run(work())
    assert victim.read_text() == "precious"
    for name in ("days.json", "breakers.json"):
        assert (cache / name).stat().st_mode & 0o777 == 0o600


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 4242, -1)
    owner = tmp_path.stat().st_uid
    private_folder(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        private_folder(tmp_path)
