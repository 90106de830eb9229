"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared media folder; the test is skipped where there is none."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared"
    folder = Path(os.environ.get("MMCRIME_SHARED", default))
    if not folder.is_dir():
        pytest.skip("no shared media folder (MMCRIME_SHARED)")
    return folder
