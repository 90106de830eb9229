"""Where results may go: names decide safely, and nothing that is not ours is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmcrime.cli.choices import Format
from mmcrime.cli.output import opened, written
from mmcrime.cli.sources import Sources
from mmcrime.cli.target import PAGES, plan, spare
from mmcrime.errors import ConfigError
from mmcrime.reports import html

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmcrime: Run) -> Run:
    """Run the command in a folder with a picture: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    Image.new("RGB", (64, 48), (90, 90, 90)).save("one.png")
    return mmcrime


def tree() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path().rglob("*")) if p.is_file()}


def refused(run: Run, *arguments: str) -> str:
    """Run what must be refused before anything is analyzed, and give what was said."""
    before = tree()
    # A provider that does not exist would be noticed when the analysis starts.
    code, out, err = run("analyze", *arguments, "--provider", "nobody")
    assert (code, out) == (2, "")
    assert "nobody" not in err
    assert tree() == before
    return err


@pytest.mark.parametrize("name", ["r.htm", "r.HTM", "r.htm.", ".html"])
def test_every_name_that_a_browser_runs_gets_an_escaped_page(run: Run, name: str) -> None:
    hostile = "x<img src=q onerror=alert(1)>.mp4"
    Path(hostile).write_bytes(b"no video")
    assert run("analyze", hostile, "-o", name)[0] == 3
    page = Path(name).read_text()
    assert page.startswith("<!doctype html>")
    assert "<img src=q" not in page


@pytest.mark.parametrize("form", [form for form in Format if form is not Format.html])
@pytest.mark.parametrize("name", ["r.html", "r.htm", "r.XHTML", "r.shtml", "link.txt"])
def test_no_other_form_goes_under_the_name_of_a_page(run: Run, name: str, form: str) -> None:
    Path("link.txt").symlink_to("behind.html")
    said = refused(run, "one.png", "--format", form, "-o", name)
    assert "is the name of a web page" in said
    assert "next: Name a file that ends in .json" in said


@pytest.mark.parametrize("name", ["r.pdf", "r.xlsx", "clip.mp4", "r.out"])
def test_an_ending_that_says_no_form_is_refused_with_those_that_do(run: Run, name: str) -> None:
    assert ".html, .json, .jsonl, .csv, .md or .txt" in refused(run, "one.png", "-o", name)
    assert run("analyze", "one.png", "--format", "text", "-o", name)[0] == 0
    assert "UNCONFIRMED" in Path(name).read_text()


@pytest.mark.parametrize("name", ["r.xhtml", "r.shtml"])
def test_relatives_of_pages_are_refused_since_browsers_read_them_by_other_rules(
    run: Run, name: str
) -> None:
    assert "says no form" in refused(run, "one.png", "-o", name)


@pytest.mark.parametrize("name", ["result", ".result"])
def test_a_name_without_an_ending_gets_text(run: Run, name: str) -> None:
    assert run("analyze", "one.png", "-o", name)[0] == 0
    assert "UNCONFIRMED" in Path(name).read_text()


@pytest.mark.parametrize("name", ["new", "new.d", "new.csv"])
def test_pages_under_a_name_that_is_no_page_are_a_folder_for_one_source_too(
    run: Run, name: str
) -> None:
    assert run("analyze", "one.png", "--format", "html", "-o", name)[0] == 0
    assert Path(name, "index.html").is_file()
    assert len(list(Path(name, "reports").iterdir())) == 1


def test_a_file_in_the_place_of_a_folder_of_pages_stays(run: Run) -> None:
    Path("notes").write_text("mine")
    assert "is no folder" in refused(run, "one.png", "--format", "html", "-o", "notes")


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("name", ["footage.txt", "footage.csv", "footage"])
def test_footage_is_never_replaced_whatever_it_is_called(run: Run, name: str, link: bool) -> None:
    Image.new("RGB", (8, 8)).save("night.png")
    if link:
        Path(name).symlink_to("night.png")
    else:
        Path("night.png").rename(name)
    assert "a result never replaces one" in refused(run, "one.png", "-o", name)


@pytest.mark.parametrize(
    "head",
    [
        b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel",  # ASF
        b"\x00\x00\x01\xba\x44\x00\x04\x00",  # MPEG-PS
        b"FLV\x01\x05\x00\x00\x00\x09",
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00",
        b"G@\x11\x10" + b"\xff" * 184,  # MPEG-TS
        b"x" * 60_000 + b"\x00",
        b"caf\xe9 au lait",
    ],
)
@pytest.mark.parametrize("name", ["old.txt", "old.csv", "old"])
def test_what_is_no_text_may_be_footage_that_nobody_here_can_read_and_stays(
    run: Run, name: str, head: bytes
) -> None:
    Path(name).write_bytes(head)
    assert "is no text, and may be footage" in refused(run, "one.png", "-o", name)


@pytest.mark.parametrize("text", ["", "mine", "\u20ac" * 30_000, "\ufeffa;b\r\n"])
def test_text_is_replaced_also_where_a_character_is_cut_by_what_is_looked_at(
    run: Run, text: str
) -> None:
    Path("r.txt").write_text(text, encoding="utf-8")
    assert run("analyze", "one.png", "-o", "r.txt")[0] == 0
    assert "UNCONFIRMED" in Path("r.txt").read_text()


def test_one_report_does_not_replace_the_index_of_a_folder(run: Run) -> None:
    assert run("analyze", "one.png", "--format", "html", "-o", "out/")[0] == 0
    assert "is no report of mmcrime" in refused(run, "one.png", "-o", "out/index.html")


@pytest.mark.parametrize("link", [False, True])
def test_a_page_that_is_not_ours_is_never_replaced(run: Run, link: bool) -> None:
    Path("theirs.html").write_text("<title>mine</title>")
    Path("link.html").symlink_to("theirs.html")
    said = refused(run, "one.png", "-o", "link.html" if link else "theirs.html")
    assert "is no report of mmcrime" in said


def test_results_of_an_earlier_run_are_replaced(run: Run) -> None:
    for name in ("r.html", "r.json", "r.csv", "r.md", "r.txt"):
        assert run("analyze", "one.png", "-o", name)[0] == 0
        first = Path(name).read_text()
        Image.new("RGB", (8, 8)).save("one.png")
        assert run("analyze", "one.png", "-o", name)[0] == 0
        assert Path(name).read_text() != first
        Image.new("RGB", (64, 48)).save("one.png")


def test_what_appears_in_the_middle_of_a_run_is_not_replaced(tmp_path: Path) -> None:
    page = tmp_path / "report.html"

    def write() -> None:
        with opened(page) as out:
            out.write("ours")
            page.write_text("theirs")

    with pytest.raises(ConfigError, match="is no report of mmcrime"):
        write()
    assert page.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [page]


def test_a_file_that_may_not_be_written_is_refused_although_its_folder_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)
    path = Path("evidence.txt")
    path.write_text("sealed")
    spare(path)
    path.chmod(0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # nobody; root may write everything
    try:
        with pytest.raises(ConfigError, match="may not be written"):
            spare(path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["circle", "circle.txt", "circle.html"])
def test_a_link_that_leads_to_itself_is_2(run: Run, name: str) -> None:
    Path(name).symlink_to(name)
    assert run("analyze", "one.png", "-o", name)[0] == 2
    assert Path(name).is_symlink()


def test_a_link_to_a_name_that_is_not_there_yet_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to("new.txt")
    with written(link) as out:
        out.write("x")
    assert link.is_symlink()
    assert (tmp_path / "new.txt").read_text() == "x"


@pytest.mark.parametrize("name", ["r.csv", "r.json", "r.txt", "r.html"])
@pytest.mark.parametrize("there", [False, True])
def test_where_nothing_matches_no_result_is_written_or_replaced(
    run: Run, name: str, there: bool
) -> None:
    if there:
        Path(name).write_text(html.GENERATOR + html.REPORT_MARK)
    before = tree()
    code, out, err = run("analyze", "none/*.mp4", "-o", name)
    assert (code, out) == (3, "")
    assert "matches no file" in err
    assert tree() == before


@pytest.mark.parametrize("ending", sorted(PAGES))
def test_every_ending_of_a_page_means_html(ending: str) -> None:
    found = Sources(items=("a",), skipped=(), empty=(), folders=())
    assert plan(None, f"x{ending}", found).form is Format.html
