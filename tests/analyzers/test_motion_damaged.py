"""The embedded analyzer examines no picture that a decoder made up, and says where."""

from __future__ import annotations

import asyncio
import io

import av
import numpy as np
import pytest
from footage import steady, write_clip
from numpy.typing import NDArray

from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.egress import Gate
from mmcrime.evidence import Evidence
from mmcrime.media import open_media
from mmcrime.plugins import RunContext
from mmcrime.results import Assessment

KEYS = {"g": "50", "keyint_min": "50", "sc_threshold": "0", "bf": "2"}


def street(pixels: NDArray[np.uint8], number: int) -> None:
    """A still place seen by a sensor with little noise."""
    rows, columns = np.mgrid[0:120, 0:160]
    scene = 110 + 50 * np.sin(rows / 9) * np.cos(columns / 13)
    noise = np.random.default_rng(number).integers(-2, 3, pixels.shape)
    pixels[:] = np.clip(scene[:, :, None] + noise, 0, 255)


def film(container: str) -> bytes:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(16), container=container, options=KEYS, paint=street)
    return buffer.getvalue()


def said_of(data: bytes) -> Assessment:
    with open_media(data) as handle:
        evidence = Evidence(media=handle.media, reader=handle)
        context = RunContext(request_id="r", egress=Gate(offline=True))
        return asyncio.run(MotionAnalyzer().analyze(evidence, context))


def assert_gap(said: Assessment, start: float, end: float) -> None:
    (gap,) = said.coverage.gaps
    assert (gap.start, gap.end) == pytest.approx((start, end), abs=0.35)
    assert gap.reason == "damaged"
    assert said.coverage.seconds == pytest.approx(16 - (end - start), abs=0.5)


def test_clusters_that_vanish_without_an_error_were_not_examined() -> None:
    data = film("matroska")
    with av.open(io.BytesIO(data)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    start, stop = packets[130].pos, packets[210].pos
    assert_gap(said_of(data[:start] + bytes(stop - start) + data[stop:]), 5.2, 12.0)


def test_pictures_behind_one_damaged_packet_were_not_examined() -> None:
    """A decoder goes on to show pictures up to the next keyframe, and made them up."""
    data = bytearray(film("mp4"))
    with av.open(io.BytesIO(bytes(data))) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[106]
    data[position : position + size] = b"\xff" * size
    assert_gap(said_of(bytes(data)), 4.2, 6.0)
