"""Every malformed file is read as far as it goes, or gives one typed error that names it.

The files are read in a process of its own, so that a crash, a hang, the memory and
anything printed would be seen. The table holds what a person decided for the files that
matter most: the kind, or the name of the error, and some of what can be read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmcrime.errors import MediaError
from mmcrime.media.sniff import sniff

UNSUPPORTED = {"error": "UnsupportedMediaError"}
UNSAFE = {"error": "UnsafeMediaError"}
CORRUPT = {"error": "CorruptMediaError"}
PICTURE = {"kind": "image", "frames": 1}

EXPECTED: dict[str, dict[str, Any]] = {
    # Texts that make a careless reader open other files.
    "hostile/ffconcat-parent.mp4": UNSUPPORTED,
    "hostile/ffconcat-sibling.mp4": UNSUPPORTED,
    "hostile/m3u8-file-url.mp4": UNSUPPORTED,
    "hostile/m3u8-http.mp4": UNSUPPORTED,
    "hostile/m3u8-sibling.mp4": UNSUPPORTED,
    "hostile/svg-external-entity.svg": UNSUPPORTED,
    "hostile/svg-renamed.png": UNSUPPORTED,
    "hostile/html-renamed.jpg": UNSUPPORTED,
    # Names that lie, and nothing at all.
    "hostile/jpg-renamed.mp4": PICTURE | {"gaps": 0},
    "hostile/mp4-renamed.jpg": {"kind": "video", "duration": 1.0, "frames": 3, "moving": 25},
    "hostile/random.jpg": UNSUPPORTED,
    "hostile/random-jpeg-soi.jpg": CORRUPT,
    "hostile/zero-byte.jpg": UNSUPPORTED,
    "hostile/zero-byte.mp4": UNSUPPORTED,
    # Sizes and headers that lie.
    "hostile/gif-10000-frames.gif": {"kind": "image", "frames": 64, "gaps": 1},
    "hostile/png-13000x13000-1bit.png": UNSAFE,
    "hostile/png-20000x20000-1bit.png": UNSAFE,
    "hostile/mp4-absurd-duration.mp4": {"kind": "video", "duration": 1.1, "moving": 32},
    "hostile/wav-absurd-format.wav": CORRUPT,
    "hostile/wav-absurd-sizes.wav": {"kind": "audio", "duration": 0.1, "heard": 0.1},
    "hostile/wav-zero-channels.wav": CORRUPT,
    "hostile/wav-zero-rate.wav": CORRUPT,
    "image-rs/Bad_reallybig.bmp": UNSAFE,
    "image-rs/Bad_width.bmp": UNSAFE,
    "pillow/decompression_bomb.gif": UNSAFE,
    # Overwritten all over: of seven keyframe intervals one has no damage where motion looks.
    "mp4parse/no_timescale.mp4": {"kind": "video", "duration": 6.04, "frames": 3, "gaps": 2},
    # Cut off: what is there is used, and what is missing is stated.
    "hostile/truncated-half.jpg": PICTURE | {"gaps": 1},
    "hostile/truncated-half.mp4": CORRUPT,
    "hostile/truncated-half.wav": {"kind": "audio", "duration": 0.32, "heard": 0.32},
    "hostile/truncated-header.mp4": CORRUPT,
    "hostile/truncated-header.wav": CORRUPT,
    # One keyframe, and damage at 3 s: what a decoder shows behind it is made up.
    "decord/corrupted.mp4": {"kind": "video", "duration": 5.0, "frames": 2, "gaps": 1},
    "tika/testMP3i18n_truncated.mp3": {"kind": "audio", "duration": 2.46, "heard": 2.46},
    "tika/testMP3truncated.mp3": CORRUPT,
    "tika/testMP4_truncated.m4a": CORRUPT,
    # Rotation, and sample tables out of order.
    "decord/unordered.mov": {"kind": "video", "duration": 0.125, "frames": 3, "moving": 4},
    "decord/video_0.mov": {"kind": "video", "width": 568, "height": 320},
    "decord/video_90.mov": {"kind": "video", "width": 320, "height": 568},
    "decord/video_180.mov": {"kind": "video", "width": 568, "height": 320},
    "decord/video_270.mov": {"kind": "video", "width": 320, "height": 568},
    # Encrypted: noise is no evidence.
    "mp4parse/short-cenc.mp4": UNSUPPORTED,
    "tika/testMP4_drm.m4a": UNSUPPORTED,
    # Headers without data.
    "mp4parse/bipbop_audioinit.mp4": CORRUPT,
    "mp4parse/bipbop_nonfragment_header.mp4": CORRUPT,
    "mp4parse/chunk_out_of_range.mp4": CORRUPT,
    "mp4parse/zero_empty_stsc.mp4": CORRUPT,
    "pydub/test1_empty.wav": CORRUPT,
    "tika/testMP4_StillImageTimeZero.mov": CORRUPT,
    # Sound files.
    "pydub/bach.ogg": {"kind": "audio", "heard": 3.03},
    "pydub/format_test.m4a": {"kind": "audio", "heard": 9.66},
    "pydub/party.mp3": {"kind": "audio", "heard": 6.58},
    "pydub/test5.webm": {"kind": "audio", "heard": 1.48},
    "mp4parse/sine-3s-xhe-aac-44khz-mono.mp4": {"kind": "audio", "heard": 3.0},
    # Good files among them (the first says encrypted and holds clear pictures).
    "mp4parse/av1-clearkey-cbcs-video.mp4": {"kind": "video", "frames": 3, "moving": 24},
    "mp4parse/minimal.mp4": {"kind": "video", "frames": 1, "heard": 0.04},
    "mp4parse/tiny_av1.mp4": {"kind": "video", "frames": 1},
    "mp4parse/white.mp4": {"kind": "video", "duration": 10.0, "frames": 3},
    "tika/testMKV.mkv": {"kind": "video", "duration": 1.17, "moving": 28, "heard": 1.09},
    "tika/testWEBM.webm": {"kind": "video", "duration": 1.17, "moving": 28, "heard": 0.97},
    # Containers that are not read.
    "tika/testFLV.flv": UNSUPPORTED,
    "tika/testWMV.wmv": UNSUPPORTED,
}

MOST_SECONDS = 20.0
MOST_MIB = 512.0


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "media" / "malformed"


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, dict[str, Any]]:
    """What became of each file, by its path in the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.parent != folder)
    assert len(files) > 100
    # libtiff prints its own messages, which Pillow gives no way to turn off.
    tiffs = [p for p in files if _format(p) == "tiff"]
    printed, found = _read_all([p for p in files if p not in tiffs], folder)
    assert printed == ""
    printed_by_libtiff, found_tiffs = _read_all(tiffs, folder)
    assert "Traceback" not in printed_by_libtiff
    assert "Warning" not in printed_by_libtiff
    return found | found_tiffs


def _format(path: Path) -> str:
    with path.open("rb") as file:
        try:
            return sniff(file.read(4096), source=path.name).format
        except MediaError:
            return ""


def _read_all(files: list[Path], folder: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Read files in another process; return what it printed as errors, and the outcomes."""
    script = Path(__file__).with_name("read_everything.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        input="".join(f"{p}\n" for p in files),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = {}
    for line in done.stdout.splitlines():
        outcome = json.loads(line)
        found[str(Path(outcome["file"]).relative_to(folder))] = outcome
    assert done.returncode == 0, f"it ended behind {list(found)[-1:]}: {done.stderr}"
    assert len(found) == len(files)
    return done.stderr, found


@pytest.mark.shared
def test_every_file_is_read_or_gives_one_error_that_names_it(
    outcomes: dict[str, dict[str, Any]],
) -> None:
    for name, outcome in outcomes.items():
        if "error" in outcome:
            assert outcome["named"], f"{name}: {outcome['message']}"
        else:
            read = outcome["frames"] or outcome.get("heard")
            assert read, f"{name} gave no error and nothing else either"


@pytest.mark.shared
def test_no_file_takes_long_or_much_memory(outcomes: dict[str, dict[str, Any]]) -> None:
    slowest = max(outcomes.values(), key=lambda o: o["seconds"])
    assert slowest["seconds"] < MOST_SECONDS, slowest["file"]
    assert max(o["mib"] for o in outcomes.values()) <= MOST_MIB


@pytest.mark.shared
@pytest.mark.parametrize("name", EXPECTED)
def test_the_outcome_is_the_one_that_a_person_decided(
    name: str, outcomes: dict[str, dict[str, Any]]
) -> None:
    outcome = outcomes[name]
    for key, value in EXPECTED[name].items():
        expected = pytest.approx(value, abs=0.02) if isinstance(value, float) else value
        assert outcome.get(key) == expected, outcome
