"""Footage and analyzers for the pipeline's tests."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmcrime import CrimeDetectionPipeline, Settings
from mmcrime.testing.footage import write_footage


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the made-up street scene, 24 s with sound: a struggle, and a bang at 13.5 s."""
    path = tmp_path_factory.mktemp("footage") / "scene.mp4"
    return write_footage(path, start=25.0, end=49.0)


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small grey PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def quiet_wav() -> bytes:
    """Two seconds of faint noise."""
    noise = np.random.default_rng(0).normal(0, 30, 32_000).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(noise.tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="session")
def silent_settings() -> Settings:
    """Settings without speech recognition, which most of these tests do not need."""
    return Settings.model_validate({"analyzers": {"speech": {"enabled": False}}})


@pytest.fixture
def pipeline(silent_settings: Settings) -> Iterator[CrimeDetectionPipeline]:
    with CrimeDetectionPipeline(silent_settings) as opened:
        yield opened
