"""The preprocessing benchmark measures what it says, on files of two seconds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import _methods  # noqa: E402 - from the folder above
import preprocessing  # noqa: E402
from _comparisons import Comparison  # noqa: E402
from _footage import long_film, make_film, make_sound  # noqa: E402

sys.path.remove(str(BENCHMARKS))

HERE = [name for name in _methods.METHODS if not name.startswith(("moviepy", "pydub"))]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four seconds of film with sound, made of the packets of two."""
    folder = tmp_path_factory.mktemp("benchmark")
    pictures, sound, film = (folder / name for name in ("pictures.mp4", "sound.mp4", "film.mp4"))
    make_film(pictures, seconds=2, size=(160, 96), codec="libx264", gop=25)
    make_sound(sound, seconds=2, rate=44_100, layout="stereo", codec="aac")
    long_film(film, pictures=pictures, sound=sound, seconds=4)
    return film


@pytest.mark.parametrize("method", HERE)
def test_every_method_gives_what_it_is_compared_by(
    method: str, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_methods, "INTERVAL", 1.0)
    monkeypatch.setattr(_methods, "FIRST", 0.4)
    found = _methods.work(method, str(film))
    assert found["cpu"] > 0
    assert found["peak_mib"] >= found["imported_mib"] > 0
    if "sound" in method:
        assert found["count"] == pytest.approx(4 * 16_000, abs=1600)
    elif method == "pyav_decode":
        assert found["count"] == 100
    elif method.startswith("motion"):
        assert found["count"] > 0
    elif method == "frames_keyframes":
        assert found["times"] == pytest.approx([0, 1, 2, 3], abs=0.02)
    else:
        assert found["times"] == pytest.approx([0.4, 1.4, 2.4, 3.4], abs=0.02)


def test_a_worker_prints_one_json_object(film: Path) -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "_methods.py", "pyav_decode", film],
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["count"] == 100


def ran(cpu: float, **given: Any) -> dict[str, Any]:
    return {"cpu": cpu, "peak_mib": 9.0, "imported_mib": 5.0, **given}


ONE = Comparison(id="x", what="", file="f", ours="mine", others={"its": 0.5}, slack=0.02)


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    times = [1.32, 6.32]
    runs = {
        ("f", "mine"): [ran(cpu, times=times) for cpu in (1.0, 2.0, 9.0)],
        ("f", "its"): [ran(10.0, times=times)] * 3,
    }
    found = preprocessing.ratio(ONE, "its", 0.5, runs, {})
    assert (found["ratio"], found["low"], found["high"]) == (0.2, 0.1, 0.9)
    assert found["met"] is True
    assert found["said"] == "0.20 (0.10 to 0.90)"


@pytest.mark.parametrize("times", [[1.32], [1.32, 6.42], [1.32, 6.32, 11.32]])
def test_other_output_is_not_compared(times: list[float]) -> None:
    runs = {("f", "mine"): [ran(1.0, times=times)], ("f", "its"): [ran(1.0, times=[1.32, 6.32])]}
    found = preprocessing.ratio(ONE, "its", 0.5, runs, {})
    assert found["ratio"] is None
    assert found["said"].startswith("not compared")


def test_what_cannot_be_measured_says_so(tmp_path: Path) -> None:
    (tmp_path / "f.mp4").touch()
    (tmp_path / "aac.mp4").touch()
    bench = preprocessing.Bench(tmp_path, 1, 0, "left out by --without moviepy")
    found = preprocessing.compare(bench, [ONE], 1)  # neither is a method
    assert found["x"]["its"]["said"].startswith("not measured (mine: ")
    assert "not measured" in preprocessing.table(
        {"frames_exact_h264_1080p_gop50": found["x"]}, {}, 0
    )
    with pytest.raises(preprocessing.NotMeasuredError, match="left out"):
        bench.run("moviepy_sound", "aac")
