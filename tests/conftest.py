"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the shared media folder's parent, or skip."""
    default = Path(__file__).resolve().parents[1].parent / "shared"
    folder = Path(os.environ.get("MMCRIME_SHARED", default))
    if not folder.is_dir():
        pytest.skip("no shared media folder (MMCRIME_SHARED)")
    return folder
