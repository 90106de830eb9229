"""Fixtures of the room's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from perceive_kit import load


@pytest.fixture(scope="session")
def speech(shared: Path) -> NDArray[np.float32]:
    """Eleven seconds of one man speaking, with pauses."""
    return load(shared / "media" / "speech" / "jfk.mp3")
