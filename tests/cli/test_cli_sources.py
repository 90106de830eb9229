"""What the arguments of ``mmcrime analyze`` stand for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmcrime.cli.sources import expand
from mmcrime.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, a hidden one, links and a pipe."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.mp4", "in/a.mp4", "in/sub/c.wav", "in/.hidden.mp4", "in/.git/x", "out.mp4"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    Path("in/link.mp4").symlink_to(tmp_path / "out.mp4")
    Path("in/up").symlink_to(tmp_path)
    os.mkfifo("in/pipe.mp4")
    return tmp_path


def names(*arguments: str) -> list[str]:
    return [str(item) for item in expand(arguments).items]


def test_a_folder_is_searched_downwards_sorted_and_what_is_left_out_is_said(folder: Path) -> None:
    found = expand(["in"])
    assert [str(i) for i in found.items] == ["in/a.mp4", "in/b.mp4", "in/sub/c.wav"]
    said = "\n".join(found.skipped)
    for name, why in [
        (".hidden.mp4", "hidden"),
        (".git", "hidden"),
        ("link.mp4", "symbolic link"),
        ("up", "symbolic link"),
        ("pipe.mp4", "no regular file"),
    ]:
        assert f"'in/{name}' ({why})" in said


def test_many_left_out_are_counted_and_not_listed(folder: Path) -> None:
    for i in range(20):
        Path(f"in/.h{i}").touch()
    assert expand(["in"]).skipped[-1] == "left out: 20 more below 'in'"


def test_a_glob_that_the_shell_left_alone_is_worked_out(folder: Path) -> None:
    assert names("in/*.mp4") == ["in/a.mp4", "in/b.mp4", "in/link.mp4", "in/pipe.mp4"]
    assert names("in/**/*.wav") == ["in/sub/c.wav"]
    assert names("in/s*") == ["in/sub/c.wav"]
    assert names("in/.h*") == ["in/.hidden.mp4"]


def test_a_recursive_glob_follows_no_link_in_circles(folder: Path) -> None:
    assert set(names("in/**/*.mp4")) <= {f"in/{n}.mp4" for n in ("a", "b", "link", "pipe")}
    assert "in/sub/c.wav" in names("in/**")
    with pytest.raises(ConfigError, match="is wrong"):
        expand(["in/**x"])


def test_an_existing_name_that_looks_like_a_glob_is_that_file(folder: Path) -> None:
    Path("in/[a].mp4").touch()
    assert names("in/[a].mp4") == ["in/[a].mp4"]


def test_urls_stay_text_and_missing_files_stay_for_their_report(folder: Path) -> None:
    found = expand(["https://x.example/a.mp4?b=[1]*", "gone.mp4"])
    assert found.items == ("https://x.example/a.mp4?b=[1]*", Path("gone.mp4"))


def test_each_source_is_taken_once_in_the_order_of_the_arguments(folder: Path) -> None:
    assert names("out.mp4", "in", "in/a.mp4", "out.mp4")[:2] == ["out.mp4", "in/a.mp4"]
    assert len(names("in", "in/*.mp4", "in/a.mp4")) == 5


def test_one_file_under_several_names_is_taken_once_and_that_is_said(folder: Path) -> None:
    Path("link.mp4").symlink_to("out.mp4")
    os.link("out.mp4", "hard.mp4")
    spelt = ["out.mp4", "link.mp4", str(folder / "out.mp4"), "in/../out.mp4", "hard.mp4"]
    found = expand([*spelt, "./out.mp4", "in/link.mp4"])
    assert [str(item) for item in found.items] == ["out.mp4", "hard.mp4"]
    assert found.skipped[:2] == (
        "analyzed once: 'out.mp4' is named several times",
        "analyzed once: 'link.mp4' is the file 'out.mp4'",
    )
    assert len(found.skipped) == 5


def test_many_names_of_one_file_are_counted_and_not_listed(folder: Path) -> None:
    found = expand([f"{'./in/../' * n}out.mp4" for n in range(9)])
    assert len(found.items) == 1
    assert found.skipped[5:] == ("analyzed once: 3 more that are named several times",)


def test_arguments_that_stand_for_nothing_are_named(folder: Path) -> None:
    Path("empty").mkdir()
    found = expand(["empty", "*.nothing"])
    assert found.items == ()
    assert "'empty': the folder holds no file" in found.empty[0]
    assert "'*.nothing': the pattern matches no file" in found.empty[1]


def test_an_empty_argument_is_not_the_whole_working_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match="empty text"):
        expand(["in", ""])


def test_a_path_that_cannot_even_be_looked_up_stays_for_its_report(folder: Path) -> None:
    long = "a" * 300
    assert names(long, f"in/{long}") == [long, f"in/{long}"]
    assert names(f"{long}/*.mp4") == [f"{long}/*.mp4"]
    assert names("in/\0x") == ["in/\0x"]


def test_what_lies_below_a_folder_that_may_not_be_entered_stays_for_its_report(
    folder: Path,
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "a.wav").touch()
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # nobody; root may enter everything
    else:
        closed.chmod(0)
    try:
        path = str(closed / "a.wav")
        assert names(path) == [path]
        assert names(str(closed / "*.wav")) == [str(closed / "*.wav")]
    finally:
        os.seteuid(user)
        closed.chmod(0o700)


def test_standard_input_is_refused_with_a_way_out(folder: Path) -> None:
    with pytest.raises(ConfigError, match="standard input"):
        expand(["-"])
