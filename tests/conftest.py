"""What all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared media folder, or a skip that says how to name it."""
    folder = Path(os.environ.get("MMCRIME_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("no shared media folder (MMCRIME_SHARED)")
    return folder
