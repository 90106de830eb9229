"""A stranger's distribution, installed by pip into an environment of its own, works like ours."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "examples/plugin"
pytestmark = pytest.mark.slow

USE = """
import json, sys
import mmcrime
from mmcrime.registry import available, load_analyzer, status

pipeline = mmcrime.CrimeDetectionPipeline()
with pipeline:
    report = pipeline.analyze(sys.argv[1], analyzers=["blackout"], offline=True)
print(json.dumps({
    "mmcrime": mmcrime.__file__,
    "available": available("analyzers"),
    "distribution": [s.distribution for s in status("analyzers") if s.name == "blackout"],
    "module": load_analyzer("blackout").__module__,
    "report": report.to_dict(),
}))
"""

USE_PROVIDER = """
import json
from mmcrime.registry import load_provider, status

(found,) = [s for s in status("providers") if s.name == "lantern"]
print(json.dumps([found.distribution, found.problem, load_provider("lantern").__module__]))
"""


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with mmcrime (this tree) and the plug-in, both from wheels.

    Third-party packages are borrowed from the running environment by a .pth file, so that the
    installation needs no network; its own site-packages come first on the path.
    """
    room = tmp_path_factory.mktemp("stranger")
    pip = [sys.executable, "-m", "pip"]
    wheels = [*pip, "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    run([*wheels, "--wheel-dir", room / "wheels", ROOT, PLUGIN])
    run([sys.executable, "-m", "venv", "--without-pip", room / "venv"])
    python = room / "venv/bin/python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run([python, "-c", where]).strip())
    borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    install = [*pip, "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
    # --ignore-installed: the running environment may hold mmcrime as well.
    run([*install, "--ignore-installed", *sorted((room / "wheels").glob("*.whl"))])
    return python


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, of which the camera is covered from 2 to 3."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("clips") / "covered.mp4"
    scene = np.random.default_rng(3).integers(90, 200, (120, 160, 3), dtype=np.uint8)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(40):
            picture = np.zeros_like(scene) if 20 <= number < 30 else scene
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def run(command: list[object]) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_plug_in_is_found_and_votes_honestly(interpreter: Path, clip: Path) -> None:
    found = json.loads(run([interpreter, "-I", "-c", USE, clip]))
    assert Path(found["mmcrime"]).is_relative_to(interpreter.parent.parent)
    assert "blackout" in found["available"]
    assert found["distribution"] == ["mmcrime-example-brightness"]
    assert found["module"] == "mmcrime_example_brightness.blackout"
    (assessment,) = found["report"]["assessments"]
    assert (assessment["analyzer"], assessment["status"]) == ("blackout", "answered")
    assert assessment["outcome"] == "undetermined"
    assert assessment["flags"] == ["picture_black"]
    (gap,) = [g for g in assessment["coverage"]["gaps"] if g["reason"].startswith("black")]
    assert gap["start"] == pytest.approx(2.0, abs=0.1)
    assert gap["end"] == pytest.approx(3.0, abs=0.1)
    assert found["report"]["verdict"]["outcome"] == "undetermined"


def test_the_command_line_lists_and_uses_an_installed_plug_in(
    interpreter: Path, clip: Path
) -> None:
    mmcrime = [interpreter, "-I", "-m", "mmcrime"]
    assert "blackout" in run([*mmcrime, "doctor"])
    report = json.loads(
        run([*mmcrime, "analyze", clip, "--analyzer", "blackout", "--json", "--offline"])
    )
    assert [a["analyzer"] for a in report["assessments"]] == ["blackout"]


def test_an_installed_provider_is_found_and_passes_the_contract(interpreter: Path) -> None:
    """Its own tests are run where it is installed, as its author would."""
    found = json.loads(run([interpreter, "-I", "-c", USE_PROVIDER]))
    assert found == ["mmcrime-example-brightness", "", "mmcrime_example_brightness.lantern"]
    tests = [PLUGIN / "tests", "--rootdir", PLUGIN, "-p", "no:cacheprovider", "-q"]
    said = run([interpreter, "-I", "-m", "pytest", *tests])
    assert " passed" in said
    assert "skipped" not in said


@pytest.mark.parametrize(
    ("module", "doors"),
    [
        ("blackout", {"mmcrime.evidence", "mmcrime.plugins", "mmcrime.results"}),
        ("lantern", {"mmcrime.errors", "mmcrime.plugins"}),
    ],
)
def test_the_plug_in_uses_only_the_public_doors(module: str, doors: set[str]) -> None:
    source = (PLUGIN / f"src/mmcrime_example_brightness/{module}.py").read_text(encoding="utf-8")
    used = {line.split()[1] for line in source.splitlines() if line.startswith("from mmcrime")}
    assert used == doors
    assert "import mmcrime" not in source


def test_the_options_of_the_plug_in_are_checked() -> None:
    module = runpy.run_path(str(PLUGIN / "src/mmcrime_example_brightness/blackout.py"))
    options = module["BlackoutOptions"]
    assert options().darkest == 24
    with pytest.raises(ValueError, match="less than or equal to 255"):
        options(darkest=300)
    with pytest.raises(ValueError, match="Extra inputs"):
        options(brightest=3)
