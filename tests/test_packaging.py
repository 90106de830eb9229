"""What is installed is what the tree says, and importing it is cheap."""

from __future__ import annotations

import importlib
import json
import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, entry_points
from itertools import product
from pathlib import Path

import pytest

import mmcrime
from mmcrime.errors import MissingDependencyError
from mmcrime.registry import status

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Extras that fit into no environment with the others, and what each is tested with.
APART = {"gemini-legacy": "constraints-gemini-legacy.txt"}
GROUPS = ("mmcrime.providers", "mmcrime.analyzers", "mmcrime.transcribers")
MODULES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("providers/**/*.py")])
HEAVY = {
    *("numpy", "PIL", "torch", "cv2", "av", "transformers", "scipy", "sklearn", "onnxruntime"),
    *(
        "jinja2",
        "pocketsphinx",
        "speech_recognition",
        "pydub",
        "faster_whisper",
        "httpx2",
        "rich",
        "typer",
    ),
    *("openai", "anthropic", "google", "replicate", "huggingface_hub", "mmcrime_providers"),
}


@pytest.mark.parametrize("group", GROUPS)
def test_the_installed_entry_points_are_those_of_the_tree(group: str) -> None:
    installed = {
        point.name: point.value
        for point in entry_points(group=group)
        if point.dist and point.dist.name == "mmcrime"
    }
    assert installed == PROJECT["project"]["entry-points"][group], (
        "pyproject.toml has changed since mmcrime was installed here: run `pip install -e .` again"
    )


@pytest.mark.parametrize("group", GROUPS)
def test_every_entry_point_names_a_class_that_can_be_imported_or_says_what_it_needs(
    group: str,
) -> None:
    for name, value in PROJECT["project"]["entry-points"][group].items():
        module, _, attribute = value.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, MissingDependencyError) as error:
            if name in APART:
                (said,) = (one for one in status("providers") if one.name == name)
                assert f'"mmcrime[{name}]"' in said.next_step
                assert f"-c constraints-{name}.txt" in said.next_step
                continue
            pytest.fail(f"{group} {name}: {error}")
        if group != "mmcrime.providers":  # a provider has the name that it is asked under
            assert found.name == name


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_400_lines(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_command_is_the_module_that_can_be_interrupted_while_it_loads() -> None:
    """`mmcrime` and ``python -m mmcrime`` are the same program."""
    assert PROJECT["project"]["scripts"] == {"mmcrime": "mmcrime.__main__:main"}


def test_every_public_name_is_listed_once_in_order_and_resolves() -> None:
    assert mmcrime.__all__ == sorted(set(mmcrime.__all__))
    assert set(mmcrime.__all__) == {*mmcrime._HOMES, "__version__"}
    assert dir(mmcrime) == mmcrime.__all__
    for name in mmcrime.__all__:
        assert getattr(mmcrime, name) is not None


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'CrimeDetector'"):
        _ = mmcrime.CrimeDetector


def test_importing_mmcrime_loads_nothing_heavy() -> None:
    code = "import json, sys, mmcrime; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in json.loads(done.stdout))


def test_a_room_imports_only_the_rooms_below_it() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_written_once() -> None:
    assert "version" not in PROJECT["project"]
    assert distribution("mmcrime").version == mmcrime.__version__
    written = re.compile(
        rf"""version\w* *=+ *["']{re.escape(mmcrime.__version__)}["']""", re.IGNORECASE
    )
    holders = [path for path in MODULES if written.search(path.read_text(encoding="utf-8"))]
    assert holders == [ROOT / "src/mmcrime/__init__.py"]


@pytest.mark.parametrize("name", ["constraints.txt", *APART.values()])
def test_the_constraints_are_names_and_versions_only(name: str) -> None:
    pins = [line for line in constraints(name) if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    names = [pin.partition("==")[0] for pin in pins]
    assert names == sorted(set(names))
    assert ("torch==2.13.0" in pins) == (name == "constraints.txt")


def test_the_lock_drops_local_versions_and_ourselves_and_always_pins_torch() -> None:
    lock = runpy.run_path(str(ROOT / "tools/lock.py"))
    whole, legacy = lock["LOCKS"]
    versions = {"Foo_Bar": "1.0+cpu", "mmcrime": "0.1.0", "torch": "2.9.0", "a.b": "3"}
    text = lock["render"](versions, whole)
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    assert pins == ["a-b==3", "foo-bar==1.0", "torch==2.13.0"]
    del versions["torch"]
    assert "torch" not in lock["render"](versions, legacy)
    assert [one.target.name for one in (whole, legacy)] == ["constraints.txt", *APART.values()]


def test_every_dependency_of_the_base_and_of_the_extras_is_constrained() -> None:
    project = PROJECT["project"]
    for extra, wanted in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        files = {APART.get(extra, "constraints.txt")}
        if not extra:
            files |= set(APART.values())
        for file, requirement in product(files, wanted):
            name = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")
            # audioop left the standard library in 3.13; the lock is made with 3.11.
            if name not in {"mmcrime", "audioop-lts"}:
                pinned = {line.partition("==")[0] for line in constraints(file)}
                assert name in pinned, f"{name} is not in {file}: run `make lock`"


def test_an_extra_that_fits_with_no_other_is_not_in_all() -> None:
    """``[all]`` must resolve, and its users get no package of which support has ended."""
    together = re.findall(r"[\w-]+", " ".join(PROJECT["project"]["optional-dependencies"]["all"]))
    assert not set(together) & set(APART)


def test_the_tests_of_gemini_legacy_are_run_with_all_others() -> None:
    """They are not collected here, so that nothing but this would notice if nobody ran them."""
    files = "tests/providers/test_provider_gemini_legacy*.py"
    assert len(list(ROOT.glob(files))) == 2
    done = subprocess.run(
        ["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f".venv-legacy/bin/python -m pytest -q {files}" in done.stdout.splitlines()
    last = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()[-1]
    assert last == 'MMCRIME_STRICT=1 stage "tests" make test'


def constraints(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def test_moviepy_and_torch_are_no_dependency_of_any_extra() -> None:
    assert not re.search(
        r"^\s*\"(moviepy|torch)\b", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
