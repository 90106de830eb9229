"""The files below a folder, and what is left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmcrime.media.walk import files_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files in two levels, hidden ones, links and a pipe."""
    for name in ("z.mp4", "b/c.wav", "b/a.wav", "a.mp4", ".hidden.mp4", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    return tmp_path


def test_files_come_sorted_before_those_of_folders_below(folder: Path) -> None:
    found = [str(path.relative_to(folder)) for path in files_below(folder)]
    assert found == ["a.mp4", "z.mp4", "b/a.wav", "b/c.wav"]


def test_everything_left_out_is_told_with_its_reason(folder: Path) -> None:
    told: list[tuple[str, str, bool]] = []
    list(files_below(folder, left_out=lambda p, why, bad: told.append((p.name, why, bad))))
    assert sorted(told) == [
        (".git", "hidden", False),
        (".hidden.mp4", "hidden", False),
        ("link.mp4", "symbolic link", False),
        ("pipe.mp4", "no regular file", False),
        ("up", "symbolic link", False),
    ]


def test_a_folder_that_cannot_be_read_is_told_as_a_failure(folder: Path) -> None:
    told: list[tuple[Path, str, bool]] = []
    gone = folder / "gone"
    found = list(files_below(gone, left_out=lambda *what: told.append(what)))
    assert found == []
    assert told == [(gone, "cannot be read: No such file or directory", True)]
