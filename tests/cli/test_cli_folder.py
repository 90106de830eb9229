"""``--format html``: one page, or a folder of pages with the worst first."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmcrime import __version__
from mmcrime.cli import folder
from mmcrime.cli.folder import Folder, page_names
from mmcrime.cli.pages import put
from mmcrime.cli.sources import Sources, expand
from mmcrime.cli.tally import Tally
from mmcrime.errors import ConfigError
from mmcrime.reports import html
from mmcrime.results import Report
from report_samples import report, undetermined

Run = Callable[..., tuple[int, str, str]]
INDEX = html.GENERATOR + html.INDEX_MARK
REPORT = html.GENERATOR + html.REPORT_MARK
_PATIENCE = 60.0  # seconds after which a process counts as stuck


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmcrime: Run) -> Run:
    """Run the command in a folder with two pictures in ``in``: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    Path("in").mkdir()
    for name in ("one", "two"):
        Image.new("RGB", (64, 48), (90, 90, 90)).save(f"in/{name}.png")
    return mmcrime


def tree(path: str = ".") -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {str(p): p.read_bytes() for p in sorted(Path(path).rglob("*")) if p.is_file()}


def links(page: Path) -> list[str]:
    return re.findall(r'href="([^"#]+)"', page.read_text())


def test_a_folder_of_sources_becomes_an_index_and_a_page_for_each(run: Run) -> None:
    code, out, err = run("analyze", "in", "--format", "html", "-o", "out")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        "Wrote 'out/index.html'.",
        "2 sources: 0 detected, 2 undetermined, 0 not detected, 0 unreadable",
    ]
    pages = sorted(p.name for p in Path("out/reports").iterdir())
    assert [re.sub(r"[0-9a-f]{8}", "8", p) for p in pages] == ["one-png-8.html", "two-png-8.html"]
    assert sorted(links(Path("out/index.html"))) == [f"reports/{page}" for page in pages]
    for path in Path("out").rglob("*.html"):
        assert html.GENERATOR in path.read_text()[:4096]


def test_a_second_run_replaces_its_own_pages_and_leaves_the_rest(run: Run) -> None:
    run("analyze", "in", "--format", "html", "-o", "out")
    Path("out/notes.txt").write_text("mine")
    before = tree("out")
    Image.new("RGB", (32, 32)).save("in/one.png")
    assert run("analyze", "in", "--format", "html", "-o", "out")[0] == 0
    after = tree("out")
    assert after.keys() == before.keys()
    assert after["out/notes.txt"] == b"mine"
    changed = [path for path in after if after[path] != before[path]]
    assert any("one-png" in path for path in changed)


def test_the_mark_of_a_page_names_no_release_so_that_older_pages_are_ours_too(run: Run) -> None:
    assert __version__ not in html.GENERATOR
    Path("out").mkdir()
    Path("out/index.html").write_text(f"<!doctype html>{INDEX}")
    assert run("analyze", "in", "--format", "html", "-o", "out")[0] == 0


@pytest.mark.parametrize("place", ["index.html", "page"])
def test_a_file_that_is_not_ours_is_never_replaced(run: Run, place: str) -> None:
    name = page_names([Path("in/two.png")])[0]
    path = Path("out", "index.html" if place == "index.html" else f"reports/{name}")
    path.parent.mkdir(parents=True)
    mark = INDEX if place == "index.html" else REPORT
    path.write_text("<title>mine</title>" + " " * 5000 + mark)
    before = tree()
    code, out, err = run("analyze", "in", "--format", "html", "-o", "out")
    assert (code, out) == (2, "")
    assert f"is no {'index' if place == 'index.html' else 'report'} of mmcrime" in err
    assert tree() == before


@pytest.mark.parametrize("place", ["index.html", "page", "reports"])
def test_a_link_leads_no_page_out_of_the_folder(run: Run, place: str) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/page.html").write_text(INDEX if place == "index.html" else REPORT)
    Path("out/reports").mkdir(parents=True)
    if place == "reports":
        Path("out/reports").rmdir()
        Path("out/reports").symlink_to("../elsewhere")
    else:
        name = (
            "index.html"
            if place == "index.html"
            else "reports/" + page_names([Path("in/one.png")])[0]
        )
        Path("out", name).symlink_to(Path("elsewhere/page.html").resolve())
    before = tree()
    assert run("analyze", "in", "--format", "html", "-o", "out")[0] == 2
    assert tree() == before


def test_a_link_that_appears_in_the_middle_of_a_run_is_not_followed(tmp_path: Path) -> None:
    found = sources("a.png")
    (tmp_path / "mine.html").write_text(REPORT)
    with Folder(tmp_path / "out", found, Tally()) as pages:
        link = tmp_path / "out/reports" / page_names(found.items)[0]
        link.symlink_to(tmp_path / "mine.html")
        with pytest.raises(ConfigError, match="is no report of mmcrime"):
            pages.write(undetermined())
    assert (tmp_path / "mine.html").read_text() == REPORT


@pytest.mark.parametrize("target", ["in", "in/", "in/reports", "./in/../in/deep/er"])
def test_pages_do_not_go_among_what_is_analyzed(run: Run, target: str) -> None:
    before = tree()
    code, _, err = run("analyze", "in", "--format", "html", "-o", target)
    assert code == 2
    assert "which is analyzed" in err
    assert tree() == before
    assert not Path("in/reports").exists()


def test_a_link_to_what_is_analyzed_is_seen_through(run: Run) -> None:
    Path("link").symlink_to("in")
    assert run("analyze", "in", "--format", "html", "-o", "link/out")[0] == 2
    assert run("analyze", "*n", "--format", "html", "-o", "link/out")[0] == 2


def test_a_source_is_never_replaced_by_a_page(run: Run) -> None:
    run("analyze", "in", "--format", "html", "-o", "out")
    before = tree()
    code, _, err = run("analyze", "out/index.html", "in", "--format", "html", "-o", "out")
    assert code == 2
    assert "is a source, and a page would replace it" in err
    assert tree() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["in", "--format", "html"],
        ["in", "--format", "html", "-o", "one.html"],
        ["in", "-o", "one.html"],
        ["in", "--format", "html", "-o", "in/one.png"],
        ["in/one.png", "--format", "html", "-o", ""],
    ],
)
def test_several_reports_in_one_page_are_refused_before_anything_is_analyzed(
    run: Run, arguments: list[str]
) -> None:
    before = tree()
    # A provider that does not exist would be noticed when the analysis starts.
    code, out, err = run("analyze", *arguments, "--provider", "nobody")
    assert (code, out) == (2, "")
    assert "nobody" not in err
    assert "  next: Name a f" in err
    assert tree() == before


def test_one_report_goes_to_stdout_or_into_one_file(run: Run) -> None:
    code, out, _ = run("analyze", "in/one.png", "--format", "html")
    assert code == 0
    assert out.startswith("<!doctype html>")
    code, nothing, err = run("analyze", "in/one.png", "-o", "report.html")
    assert (code, nothing, err) == (0, "", "")
    assert html.GENERATOR in Path("report.html").read_text()[:4096]


def test_a_page_is_not_written_into_a_terminal(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mmcrime", "analyze", "one.png", "--format", "html"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.set_blocking(ours, False)
    with pytest.raises(BlockingIOError):  # nothing is there to be read
        os.read(ours, 1)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"next: Name a file for it, such as -o report.html." in done.stderr


@pytest.mark.parametrize("exists", [True, False])
def test_one_source_into_a_folder_makes_the_folder_form(run: Run, exists: bool) -> None:
    if exists:
        Path("out").mkdir()
    output = "out" if exists else "out/"
    assert run("analyze", "in/one.png", "--format", "html", "-o", output)[0] == 0
    assert Path("out/index.html").is_file()
    assert len(list(Path("out/reports").iterdir())) == 1


def test_a_folder_that_holds_one_file_makes_the_folder_form(run: Run) -> None:
    Path("in/two.png").unlink()
    assert run("analyze", "in", "--format", "html", "-o", "out")[0] == 0
    assert Path("out/index.html").is_file()
    assert run("analyze", "in", "-o", "one.html")[0] == 0
    assert Path("one.html").is_file()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x.html", "<!doctype html>"),
        ("x.HTML", "<!doctype html>"),
        ("x.json", '{"schema_version"'),
        ("x.jsonl", '{"schema_version"'),
        ("x.csv", '"source"'),
        ("x.md", "**automated result"),
        ("x.txt", "====="),
        ("csv", "====="),
    ],
)
def test_the_ending_of_the_output_says_the_form(run: Run, name: str, start: str) -> None:
    assert run("analyze", "in/one.png", "-o", name)[0] == 0
    assert Path(name).read_text().startswith(start)


def test_a_form_that_is_named_wins_over_the_ending(run: Run) -> None:
    assert run("analyze", "in", "--format", "csv", "-o", "x.txt")[0] == 0
    assert Path("x.txt").read_text().startswith('"source"')
    assert run("analyze", "in/one.png", "--json", "-o", "x.csv")[0] == 0
    assert Report.from_json(Path("x.csv").read_text()).media.kind == "image"


def test_a_folder_without_the_form_says_which_form_makes_one(run: Run) -> None:
    for output in ("in", "new/"):
        code, _, err = run("analyze", "in/one.png", "-o", output)
        assert code == 2
        assert "add --format html for a folder of pages" in err


def test_nothing_to_analyze_makes_no_page(run: Run) -> None:
    before = tree()
    for output in ("out/", "one.html"):
        assert run("analyze", "none/*.mp4", "--format", "html", "-o", output)[0] == 3
    assert tree() == before
    assert not Path("out").exists()


def test_a_run_that_cannot_start_leaves_no_folder_behind(run: Run) -> None:
    code, _, err = run("analyze", "in", "--format", "html", "-o", "a/b", "--provider", "nobody")
    assert code == 2
    assert "nobody" in err
    assert not Path("a").exists()


def test_a_folder_that_cannot_be_is_2(run: Run) -> None:
    Path("file").write_text("x")
    Path("circle").symlink_to("circle")
    for output in ("file/out", "a" * 300 + "/", "circle/", "circle/out"):
        code, _, err = run("analyze", "in", "--format", "html", "-o", output)
        assert code == 2
        assert err.startswith("error: ")


def test_hostile_names_stay_text_and_make_harmless_pages(run: Run) -> None:
    for name in ('"><script>alert(1)</script>.png', "a..%2f\u202egnp.png", "\udcff.png", "界.png"):
        Image.new("RGB", (8, 8)).save("x.png")
        os.rename(b"x.png", b"in/" + os.fsencode(name.replace("/", "\u2215")))  # noqa: PTH104  # bytes
    before = set(tree())
    assert run("analyze", "in", "--format", "html", "-o", "out")[0] == 0
    new = set(tree()) - before
    assert len(new) == 7
    assert all(re.fullmatch(r"out/(index|reports/[a-z0-9-]+)\.html", path) for path in new)
    assert "<script" not in Path("out/index.html").read_text()


def sources(*items: Path | str) -> Sources:
    paths = tuple(Path(item) for item in items)
    return Sources(items=paths, skipped=(), empty=(), folders=())


@given(st.lists(st.text(min_size=1).filter(lambda t: "\0" not in t), unique=True, max_size=20))
def test_pages_have_harmless_names_that_do_not_depend_on_the_other_sources(
    names: list[str],
) -> None:
    items = list(dict.fromkeys(Path("in", name.replace("/", "-")) for name in names))
    found = page_names(items)
    assert len(set(found)) == len(items)
    assert all(re.fullmatch(r"[a-z0-9-]{1,60}-[0-9a-f]{8}\.html", name) for name in found)
    assert page_names(items[::-1]) == found[::-1]
    assert [page_names([item])[0] for item in items] == found


def test_hashes_that_collide_make_longer_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_DIGITS", 0)
    items = [Path("a/clip.mp4"), Path("b/clip.mp4"), Path("c/other.mp4")]
    names = page_names(items)
    assert len(set(names)) == 3
    assert page_names(items[::-1]) == names[::-1]


def test_files_of_one_name_in_two_working_folders_have_pages_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for name in ("cam1", "cam2"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        names += page_names([Path("clip.mp4")])
    assert names[0] != names[1]


def test_no_secret_of_a_url_is_in_the_name_of_its_page() -> None:
    urls = [
        "https://me:secret@h.example/a/cam.mp4?key=secret#secret",
        "https://me:secret@h.example",
    ]
    names = page_names(urls)
    assert names[0].startswith("cam-mp4-")
    assert not any("secret" in name for name in names)


def test_a_long_index_has_several_pages_and_an_earlier_longer_one_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_PAGE", 2)
    (tmp_path / "index-9.html").write_text("mine")
    for count in (7, 3):
        found = sources(*(f"{i}.png" for i in range(count)))
        tally = Tally()
        with Folder(tmp_path, found, tally) as pages:
            for i in range(count):
                one = report(source=f"{i}.png") if i == 2 else undetermined(source=f"{i}.png")
                pages.write(one)
                tally.add(one)
    assert sorted(p.name for p in tmp_path.glob("index*")) == [
        "index-2.html",
        "index-9.html",
        "index.html",
    ]
    first = (tmp_path / "index.html").read_text()
    assert "3 sources: 1 detected, 2 undetermined" in first
    shown = [link for link in links(tmp_path / "index.html") if link.startswith("reports/")]
    assert shown[0].startswith("reports/2-png-")
    assert (tmp_path / "index-9.html").read_text() == "mine"


def test_the_worst_keep_their_pictures_and_most_others_lose_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the rows of 100,000 reports fit into memory."""
    monkeypatch.setattr(folder, "_PAGE", 2)
    plain = html.row(report().to_dict(), href="a.html")
    rows = [with_picture(plain, probability=i * 7 % 20 / 20) for i in range(20)]
    monkeypatch.setattr(html, "row", lambda *_, **__: rows.pop())
    with Folder(tmp_path, sources(*(f"{i}.png" for i in range(20))), Tally()) as pages:
        for _ in range(20):
            pages.write(undetermined())
    text = "".join(p.read_text() for p in tmp_path.glob("index*.html"))
    assert text.count("data:image/jpeg") <= 8
    assert (tmp_path / "index.html").read_text().count("data:image/jpeg") == 2


def with_picture(row: html.Row, *, probability: float) -> html.Row:
    return replace(row, probability=probability, thumbnail="data:image/jpeg;base64,AAAA")


def test_an_error_in_the_middle_leaves_an_index_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    def stop_after_one() -> None:
        with Folder(tmp_path, sources("a", "b", "c"), Tally()) as pages:
            pages.write(undetermined())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stop_after_one()
    assert "stopped after 1 of 3 sources" in (tmp_path / "index.html").read_text()
    assert "Stopped after 1 of 3 sources" in capsys.readouterr().err


def test_from_the_start_an_index_says_that_the_run_has_not_ended(tmp_path: Path) -> None:
    """So that a process that is killed leaves no older index beside its pages."""
    for path in ("index.html", "index-2.html"):
        (tmp_path / path).write_text(f"{INDEX} of an earlier run")
    with Folder(tmp_path, sources("a", "b", "c"), Tally()) as pages:
        index = (tmp_path / "index.html").read_text()
        assert "not finished: 0 of 3 sources when this page was written" in index
        assert "Nothing left this machine" not in index  # nobody knows yet
        assert "earlier run" in (tmp_path / "index-2.html").read_text()
        pages.write(undetermined())
        assert not (tmp_path / "index-2.html").exists()
    assert "not finished" not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("earlier", [True, False])
def test_a_run_of_which_nothing_came_leaves_an_earlier_index_as_it_was(
    tmp_path: Path, earlier: bool
) -> None:
    index, before = tmp_path / "out/index.html", INDEX.encode() + b"\xff of an earlier run"
    if earlier:
        index.parent.mkdir()
        index.write_bytes(before)
    with pytest.raises(RuntimeError), Folder(tmp_path / "out", sources("a", "b"), Tally()):
        raise RuntimeError
    assert [p.name for p in tmp_path.rglob("*")] == (["out", "index.html"] if earlier else [])
    assert not earlier or index.read_bytes() == before


def test_a_disk_that_gets_full_leaves_the_index_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f"{INDEX} of an earlier run")
    program = f"""
        import resource
        from pathlib import Path
        from mmcrime.cli.folder import Folder
        from mmcrime.cli.sources import Sources
        from mmcrime.cli.tally import Tally
        from report_samples import undetermined
        found = Sources(items=tuple(map(Path, "abc")), skipped=(), empty=(), folders=())
        with Folder(Path({str(tmp_path)!r}), found, Tally()) as pages:
            pages.write(undetermined())
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            pages.write(undetermined())
    """
    folders = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": folders},
    )
    assert "cannot be written: File too large" in done.stderr
    assert "not finished: 0 of 3 sources" in (tmp_path / "index.html").read_text()
    assert len(list((tmp_path / "reports").iterdir())) == 1
    assert not list(tmp_path.rglob(".*"))


def test_pages_do_not_follow_a_folder_that_becomes_a_link_in_the_middle(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with Folder(tmp_path / "out", sources("a", "b"), Tally()) as pages:
        pages.write(undetermined())
        (tmp_path / "out/reports").rename(tmp_path / "moved")
        (tmp_path / "out/reports").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ConfigError, match="is no folder of its own"):
            pages.write(undetermined())
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_pages_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        put(tmp_path / "page.html", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o640


def test_a_terminal_that_is_closed_leaves_an_index_of_what_is_there(tmp_path: Path) -> None:
    """The bar and the last remark have nowhere to go; that must not cost the index."""
    ours, theirs = pty.openpty()
    with started(tmp_path, stderr=theirs, prefix=_IN_ITS_TERMINAL) as process:
        os.close(theirs)
        wait_for_pages(tmp_path)
        time.sleep(0.8)  # the bar is there
        os.close(ours)
        assert process.wait(_PATIENCE) == 129
    assert_two_of_three(tmp_path)


def test_a_process_that_is_killed_leaves_an_index_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.html").write_text(f"{INDEX} of an earlier run")
    with started(tmp_path, stderr=subprocess.DEVNULL) as process:
        wait_for_pages(tmp_path)
        process.kill()
    assert "not finished: 0 of 3 sources" in (tmp_path / "out/index.html").read_text()


_IN_ITS_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def started(folder: Path, *, stderr: int, prefix: str = "") -> subprocess.Popen[str]:
    """Start a run over two pictures and a sound of an hour."""
    (folder / "config.json").write_text(json.dumps({"analyzers": {"speech": {"enabled": False}}}))
    (folder / "in").mkdir()
    for name in "ab":
        Image.new("RGB", (64, 48)).save(folder / f"in/{name}.png")
    with wave.open(str(folder / "in/long.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        noise = os.urandom(32_000)
        for _ in range(3600):
            out.writeframes(noise)
    command = ["-m", "mmcrime", "analyze", "in", "--format", "html", "-o", "out"]
    before = [sys.executable, *(["-c", prefix] if prefix else [])]
    settings = {**os.environ, "TERM": "xterm"}
    return subprocess.Popen([*before, *command], stderr=stderr, text=True, cwd=folder, env=settings)


def wait_for_pages(folder: Path) -> None:
    latest = time.monotonic() + _PATIENCE
    while len(list(folder.glob("out/reports/*.html"))) < 2 and time.monotonic() < latest:
        time.sleep(0.02)


def assert_two_of_three(folder: Path) -> None:
    index = (folder / "out/index.html").read_text()
    assert "stopped after 2 of 3 sources" in index
    assert len(links(folder / "out/index.html")) == 2
    assert index.rstrip().endswith("</html>")
    assert len(list((folder / "out").rglob("*"))) == 4
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_whole_pages_and_an_index_of_what_is_there(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started(tmp_path, stderr=subprocess.PIPE) as process:
        wait_for_pages(tmp_path)
        time.sleep(0.3)
        process.send_signal(number)
        _, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 128 + number
    assert err == "Stopped after 2 of 3 sources; they are in 'out/index.html'.\n"
    assert_two_of_three(tmp_path)


def test_the_folders_that_are_searched_are_known(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    found = expand([str(tmp_path / "a"), str(tmp_path / "[b]"), str(tmp_path / "gone")])
    assert found.folders == (tmp_path / "a", tmp_path / "b")
