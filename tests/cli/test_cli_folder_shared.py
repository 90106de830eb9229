"""Several runs in one folder of pages: none loses what another one made."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from mmcrime.cli import folder
from mmcrime.cli.folder import Folder
from mmcrime.cli.sources import Sources
from mmcrime.cli.tally import Tally
from mmcrime.errors import ConfigError
from mmcrime.reports import html
from report_samples import report, undetermined

INDEX = html.GENERATOR + html.INDEX_MARK
REPORT = html.GENERATOR + html.REPORT_MARK


def sources(*names: str) -> Sources:
    return Sources(items=tuple(map(Path, names)), skipped=(), empty=(), folders=())


def tree(path: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


def finish_another(path: Path) -> dict[Path, bytes]:
    """Run over three other files with two rows a page, and give what is in the folder then."""
    with Folder(path, sources("x", "y", "z"), Tally()) as pages:
        for _ in range(3):
            pages.write(undetermined())
    return tree(path)


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("written", [0, 1])
def test_a_run_that_is_interrupted_leaves_the_index_that_another_one_finished(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    earlier: bool,
    written: int,
) -> None:
    monkeypatch.setattr(folder, "_PAGE", 2)
    if earlier:
        (tmp_path / "index.html").write_text(f"{INDEX} of an earlier run")
    finished: dict[Path, bytes] = {}

    def stop() -> None:
        with Folder(tmp_path, sources("a", "b", "c"), Tally()) as pages:
            finished.update(finish_another(tmp_path))
            for _ in range(written):
                pages.write(report())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    after = tree(tmp_path)
    assert {path: after[path] for path in finished} == finished
    assert len(after) == len(finished) + written
    assert tmp_path / "index-2.html" in finished
    assert ("is of another run and stays" in capsys.readouterr().err) == bool(written)


def test_a_run_of_which_nothing_came_leaves_the_index_from_the_start_of_another(
    tmp_path: Path,
) -> None:
    first, second = (Folder(tmp_path / "out", sources(*names), Tally()) for names in ("ab", "xyz"))
    with ExitStack() as outer:

        def stop() -> None:
            with first:
                outer.enter_context(second)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stop()
        assert "0 of 3 sources" in (tmp_path / "out/index.html").read_text()
        second.write(report())
    assert "not finished" not in (tmp_path / "out/index.html").read_text()


@pytest.mark.parametrize("link", [True, False])
def test_an_index_that_somebody_took_away_in_the_middle_is_not_brought_back(
    tmp_path: Path, link: bool
) -> None:
    (tmp_path / "index.html").write_text(f"{INDEX} of an earlier run")

    def stop() -> None:
        with Folder(tmp_path, sources("a", "b"), Tally()):
            (tmp_path / "index.html").rename(tmp_path / "moved.html")
            if link:
                (tmp_path / "index.html").symlink_to("moved.html")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert (tmp_path / "index.html").is_symlink() == link
    assert (tmp_path / "index.html").exists() == link
    assert "0 of 2 sources" in (tmp_path / "moved.html").read_text()


def test_an_index_does_not_replace_a_report_nor_a_page_an_index(tmp_path: Path) -> None:
    found = sources("a")
    (tmp_path / "index.html").write_text(REPORT)
    with pytest.raises(ConfigError, match=r"index\.html' is .* no index of mmcrime"):
        Folder(tmp_path, found, Tally())
    page = tmp_path / "reports" / folder.page_names(found.items)[0]
    page.parent.mkdir()
    page.write_text(INDEX)
    (tmp_path / "index.html").unlink()
    with pytest.raises(ConfigError, match="no report of mmcrime"):
        Folder(tmp_path, found, Tally())


def test_a_report_under_the_name_of_a_further_page_of_an_index_stays(tmp_path: Path) -> None:
    (tmp_path / "index-2.html").write_text(REPORT)
    with Folder(tmp_path, sources("a"), Tally()) as pages:
        pages.write(report())
    assert (tmp_path / "index-2.html").read_text() == REPORT
