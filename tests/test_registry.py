"""Names to classes, and what is said when that fails."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmcrime import CrimeDetectionPipeline, Settings, registry
from mmcrime.errors import ConfigError, MissingDependencyError, UnknownProviderError

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with one analyzer entry point on the path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(distribution: str, module: str, code: str, *, name: str, extras: str = "") -> None:
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{extras}", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(
            f"[mmcrime.analyzers]\n{name} = {module}:Mine\n", encoding="utf-8"
        )
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


GOOD = """
    from mmcrime.plugins import Analyzer
    class Mine(Analyzer):
        name = "mine"; modalities = frozenset({"image"}); kind = "objects"; family = "mine"
        async def analyze(self, evidence, context):
            raise RuntimeError
"""


def test_a_strangers_plug_in_is_found_by_name(install: Install) -> None:
    install("mmcrime-acme", "acme_good", GOOD, name="mine")
    assert "mine" in registry.available("analyzers")
    assert registry.load_analyzer("mine").__name__ == "Mine"


def test_an_installed_plug_in_runs_only_when_it_is_configured_or_named(install: Install) -> None:
    install("mmcrime-acme", "acme_quiet", GOOD, name="mine")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "PNG")

    def ran(analyzers: dict[str, Any], named: list[str] | None = None) -> bool:
        settings = Settings.model_validate({"analyzers": analyzers})
        with CrimeDetectionPipeline(settings) as pipeline:
            report = pipeline.analyze(buffer.getvalue(), analyzers=named, offline=True)
        return "mine" in {a.analyzer for a in report.assessments}

    assert not ran({})
    assert ran({}, named=["mine"])
    assert ran({"mine": {}})
    assert not ran({"mine": {"enabled": False}})
    assert ran({"mine": {"enabled": False}}, named=["mine"])


def test_listing_names_imports_no_plug_in(install: Install) -> None:
    install("mmcrime-acme", "acme_bomb", "raise RuntimeError('imported')", name="bomb")
    assert "bomb" in registry.available("analyzers")
    assert "acme_bomb" not in sys.modules


def test_an_unknown_name_lists_what_is_installed() -> None:
    with pytest.raises(UnknownProviderError, match=r"'nope'.*motion, sound"):
        registry.load_analyzer("nope")


def test_a_missing_package_gives_the_pip_line_of_the_plug_ins_own_extra(install: Install) -> None:
    install("mmcrime-acme", "acme_sdk", "import acme_sdk_x", name="mine",
            extras="Provides-Extra: mine\n")  # fmt: skip
    with pytest.raises(MissingDependencyError) as caught:
        registry.load_analyzer("mine")
    assert caught.value.pip == 'pip install "mmcrime-acme[mine]"'


def test_a_missing_package_without_an_extra_is_named_itself(install: Install) -> None:
    install("mmcrime-acme", "acme_sdk2", "import acme_sdk_y.deep", name="mine")
    with pytest.raises(MissingDependencyError, match="pip install acme_sdk_y"):
        registry.load_analyzer("mine")


@pytest.mark.parametrize(
    "code",
    [
        "import mmcrime.no_such_room",
        "from acme_own import nothing_there",
        "raise ValueError('boom')",
        "class Mine: pass",
        "def Mine(): pass",
        "from mmcrime.plugins import Analyzer\nclass Mine(Analyzer): pass",
        GOOD.replace('name = "mine";', 'name = "mine"; api_version = 99;'),
    ],
)
def test_a_broken_plug_in_looks_broken_and_not_absent(install: Install, code: str) -> None:
    install("mmcrime-acme", "acme_own", code, name="mine")
    with pytest.raises(ConfigError, match="'mine'") as caught:
        registry.load_analyzer("mine")
    assert not isinstance(caught.value, MissingDependencyError | UnknownProviderError)
    (status,) = [s for s in registry.status("analyzers") if s.name == "mine"]
    assert status.problem
    assert status.distribution == "mmcrime-acme"


def test_a_name_claimed_twice_names_both_owners(install: Install) -> None:
    install("mmcrime-acme", "acme_one", GOOD, name="mine")
    install("mmcrime-other", "acme_two", GOOD, name="mine")
    with pytest.raises(ConfigError, match="'mmcrime-acme' and 'mmcrime-other'"):
        registry.load_analyzer("mine")


def test_a_plug_in_that_is_not_allowed_is_refused(install: Install) -> None:
    install("mmcrime-acme", "acme_allow", GOOD, name="mine")
    with pytest.raises(ConfigError, match=r"plugins\.allow"):
        registry.load_analyzer("mine", allow=frozenset({"mmcrime"}))
    assert registry.load_analyzer("mine", allow=frozenset({"mmcrime-acme"}))
