"""What the index of a folder is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcrime.cli.folder import Folder
from mmcrime.cli.sources import Sources, expand
from mmcrime.cli.tally import Tally
from report_samples import report


@pytest.mark.parametrize(("named", "title"), [(".", "yard"), ("..", "night"), ("clips", "clips")])
def test_a_folder_without_a_name_of_its_own_is_called_by_the_one_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, title: str
) -> None:
    clips = tmp_path / "night" / "yard" / "clips"
    clips.mkdir(parents=True)
    (clips / "a.png").write_bytes(b"")
    monkeypatch.chdir(clips.parent)
    found: Sources = expand([named])
    with Folder(tmp_path / "out", found, Tally()) as pages:
        pages.write(report())
    assert f"<h1>{title}</h1>" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("count", "title"), [(1, "1 source"), (2, "2 sources")])
def test_files_without_a_folder_are_counted(tmp_path: Path, count: int, title: str) -> None:
    items = tuple(Path(f"{i}.png") for i in range(count))
    found = Sources(items=items, skipped=(), empty=(), folders=())
    with Folder(tmp_path, found, Tally()) as pages:
        pages.write(report())
    assert f"<h1>{title}</h1>" in (tmp_path / "index.html").read_text(encoding="utf-8")
