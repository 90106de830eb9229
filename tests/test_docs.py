"""The documentation is true: its blocks run, its pages are fresh, its site builds strictly."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest

import mmcrime
import report_samples
from mmcrime import Report
from mmcrime.cli import codes
from mmcrime.config import load_settings
from mmcrime.errors import (
    AuthenticationError,
    ConfigError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request
from mmcrime.reports import missed
from mmcrime.results import SCHEMA_VERSION
from pages import (
    KNOWN,
    PROJECT,
    ROOT,
    Block,
    blocks,
    check_pip_line,
    make_footage,
    run,
    run_line,
    run_python,
)

ROOMS = ("config", "errors", "evidence", "logs", "media", "plugins", "results", "taxonomy")
PAGES = sorted(ROOT.glob("docs/**/*.md"))
BLOCKS = [block for page in PAGES for block in blocks(page)]
README = blocks(ROOT / "README.md")  # what is there too, tests/test_readme.py runs
PYTHON = [b for b in BLOCKS if b.language == "python" and b.body not in {r.body for r in README}]
SHELL = sorted({line for b in BLOCKS if b.language == "bash" for line in b.commands})
# The analyzer of examples/plugin is not installed here; tests/test_plugin_distribution.py does.
ELSEWHERE = {line for block in README for line in block.commands}
MMCRIME = [x for x in SHELL if x.startswith("mmcrime ") and "blackout" not in x]
MMCRIME = [x for x in MMCRIME if x not in ELSEWHERE]
PROGRAMS = [b for b in PYTHON if "AnalyzerContract" not in b.body]  # the rest is for pytest
PROVIDER = next(b.body for b in PYTHON if "class AcmeProvider" in b.body)
PACKAGED = {
    "mmcrime_flash": next(b.body for b in PYTHON if "class FlashAnalyzer" in b.body),
    "mmcrime_acme": PROVIDER,
}
"""The plug-ins of the pages under the module names that their registrations give."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    make_footage(folder)
    return folder


@pytest.fixture
def footage(films: Path, tmp_path: Path) -> Path:
    """A fresh copy, so that no line finds what another one wrote."""
    return shutil.copytree(films, tmp_path / "here")


# -- blocks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.label)
def test_python_blocks_of_the_documentation_run(block: Block, footage: Path) -> None:
    run_python(block.body, footage)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_plug_in_of_the_documentation_says_and_runs_nothing(
    name: str, tmp_path: Path
) -> None:
    """No footage is here, so that a run at import would fail."""
    (tmp_path / f"{name}.py").write_text(PACKAGED[name], encoding="utf-8")
    done = run([sys.executable, "-W", "error", "-c", f"import {name}"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.glob("*.*")) == [tmp_path / f"{name}.py"]


def test_the_analyzer_of_the_documentation_passes_the_contract_as_the_page_says(
    tmp_path: Path,
) -> None:
    (tests,) = (b.body for b in PYTHON if "AnalyzerContract" in b.body)
    (tmp_path / "mmcrime_flash.py").write_text(PACKAGED["mmcrime_flash"], encoding="utf-8")
    (tmp_path / "test_flash.py").write_text(tests, encoding="utf-8")
    pytest_here = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = run([*pytest_here, "--rootdir", str(tmp_path), "test_flash.py"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_blocks_use_no_module_that_is_not_public() -> None:
    public = {f"mmcrime.{page.stem}" for page in ROOT.glob("docs/api/*.md")} | {"mmcrime"}
    used = {
        name for b in PYTHON for name in re.findall(r"^from (mmcrime[\w.]*)", b.body, re.MULTILINE)
    }
    assert used - public == {"mmcrime_flash"}  # the reader's own file


@pytest.mark.parametrize("line", MMCRIME)
def test_command_lines_of_the_documentation_run(line: str, footage: Path) -> None:
    run_line(line, footage)


def test_other_shell_lines_name_what_is_there() -> None:
    for line in SHELL:
        assert line.startswith(KNOWN), line
        if "pip install" in line:
            check_pip_line(line)
        if line.startswith("export "):
            variable = line.split()[1].partition("=")[0]
            assert f"`{variable}`" in (ROOT / "docs/providers.md").read_text("utf-8"), line
        if line.startswith(("python examples/", "python benchmarks/")):
            assert (ROOT / line.split()[1]).is_file(), line
    assert "uvicorn --app-dir examples service:app" in SHELL
    assert (ROOT / "examples/service.py").is_file()


def test_configurations_in_the_documentation_load() -> None:
    found = [b.body for b in BLOCKS if b.language == "json"]
    assert found
    for body in found:
        variables = {"ACME_API_KEY": "k", "COLLECTOR_AUTHORIZATION": "Bearer k"}
        load_settings(json.loads(body), environ=variables, dotenv=None)


def test_the_keys_of_later_releases_are_refused() -> None:
    """All that the page calls reserved, and what promise 10 speaks of."""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"The keys (.*?) are reserved for later releases", page, re.DOTALL)
    keys = re.findall(r"`(\w+)`", said)
    assert {"store", "alerts"} <= set(keys)
    for key in keys:
        with pytest.raises(ConfigError, match="Not supported by this release"):
            load_settings({key: {}}, environ={}, dotenv=None)


def test_registrations_in_the_documentation_use_the_real_doors() -> None:
    found = [tomllib.loads(b.body) for b in BLOCKS if b.language == "toml"]
    assert found
    for project in found:
        assert set(project["project"]["entry-points"]) <= set(PROJECT["entry-points"])


def test_every_block_is_of_a_language_that_is_checked() -> None:
    others = [b for b in BLOCKS if b.language not in ("python", "bash", "json", "toml", "text")]
    for block in others:
        # A whole file by name: it has tests of its own.
        named = re.fullmatch(r'--8<-- "(examples/[^"]+)"\n', block.body)
        assert named, block.label
        assert (ROOT / named[1]).is_file()


def test_the_analyzer_of_the_documentation_finds_a_flash(footage: Path) -> None:
    """Not only does it run: it says something where there is something."""
    import av
    import numpy as np

    body = next(b.body for b in PYTHON if "class FlashAnalyzer" in b.body)
    with av.open(str(footage / "clip.mp4"), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(40):
            grey = np.full((48, 64, 3), 220 if number >= 20 else 40, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    done = run([sys.executable, "-c", body + "print(report.verdict.outcome)"], footage)
    assert done.stdout.split("\n")[0].startswith("answered 1 flashes"), done.stdout + done.stderr
    assert "detected" in done.stdout.splitlines()


class Acme(BaseHTTPRequestHandler):
    """The service that the provider of the documentation asks."""

    reply: ClassVar[tuple[int, dict[str, str], str]] = (200, {}, "")
    heard: ClassVar[list[tuple[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.headers["Authorization"], json.loads(body)))
        status, headers, text = self.reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def acme() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Acme)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str) -> Any:
    """Ask the provider of the documentation as the pipeline would build it."""
    names: dict[str, Any] = {"__name__": "page"}
    exec(PROVIDER, names)  # noqa: S102  # the block under test
    options = names["AcmeOptions"](api_key="secret-key", base_url=url)

    async def work() -> Any:
        provider = names["AcmeProvider"](**options.model_dump())
        try:
            return await provider.generate(Request(instructions="look", parts=(Part(data=b"x"),)))
        finally:
            await provider.aclose()
            await provider.aclose()

    return asyncio.run(work())


def test_the_provider_of_the_documentation_asks_and_reads_a_service(acme: str) -> None:
    Acme.reply = (200, {}, json.dumps({"text": "calm", "model": "acme-2", "refused": False}))
    response = ask(acme)
    assert (response.status, response.text, response.model) == ("answered", "calm", "acme-2")
    key, asked = Acme.heard[-1]
    assert key == "Bearer secret-key"
    assert asked["parts"] == ["eA=="]
    Acme.reply = (200, {}, json.dumps({"text": "", "model": "acme-2", "refused": True}))
    assert ask(acme).status == "refused"


@pytest.mark.parametrize(
    ("reply", "kind", "wait"),
    [
        ((401, {}, "no"), AuthenticationError, None),
        ((429, {"Retry-After": "7"}, ""), RateLimitedError, 7.0),
        ((503, {}, ""), UnavailableError, None),
        ((200, {}, "not json"), InvalidResponseError, None),
        ((200, {}, "[]"), InvalidResponseError, None),
    ],
)
def test_the_provider_of_the_documentation_translates_errors(
    acme: str, reply: Any, kind: type[ProviderError], wait: float | None
) -> None:
    Acme.reply = reply
    with pytest.raises(kind) as caught:
        ask(acme)
    assert type(caught.value) is kind
    assert caught.value.retry_after == wait
    assert "secret-key" not in str(caught.value)


# -- pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["docs.py", "figures.py"])
def test_what_is_generated_is_fresh(tool: str) -> None:
    """Whatever the terminal: its width and colours change nothing."""
    env = {**os.environ, "COLUMNS": "37", "FORCE_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / tool, "--check"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_figure_says_what_on_what_when_and_how_it_was_measured() -> None:
    rows = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert all(row[k] for k in ("what", "figure", "data", "command", "measured", "machine"))
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["date"])
        script = row["run"].split()[0]
        assert script == "-m" or (ROOT / script).is_file()
        # Two digits or more are a result, and results come from the values.
        fixed = re.sub(r"\{[^}]*\}", "", row["figure"])
        assert not re.search(r"\d\.\d", fixed), row["id"]


def test_the_promises_name_tests_that_exist() -> None:
    text = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
    promises = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    assert len(promises) == 10
    for promise in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", promise)
        assert named, promise.splitlines()[0]
        for path, test in named:
            text = (ROOT / path).read_text("utf-8")
            assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), test


def documented() -> set[str]:
    """Return the dotted names on the pages of the Python API; a module stands for its names."""
    pages = "".join(p.read_text(encoding="utf-8") for p in ROOT.glob("docs/api/*.md"))
    found = set(re.findall(r"^::: (\S+)", pages, re.MULTILINE))
    found |= {f"mmcrime.errors.{name}" for name in mmcrime.errors.__all__}
    assert "mmcrime.errors" in found
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_the_python_api_holds_exactly_the_public_names(room: str) -> None:
    module = import_module(f"mmcrime.{room}")
    here = {name.rpartition(".")[2] for name in documented() if name.startswith(f"mmcrime.{room}.")}
    assert here <= set(module.__all__)
    for name in set(module.__all__) - here:
        # The same thing under the same name in another room: it stands there.
        homes = [r for r in ROOMS if f"mmcrime.{r}.{name}" in documented()]
        assert homes, name
        assert getattr(import_module(f"mmcrime.{homes[0]}"), name) is getattr(module, name)


def test_the_names_of_the_package_stand_in_the_overview_and_on_their_pages() -> None:
    overview = (ROOT / "docs/api/index.md").read_text(encoding="utf-8")
    for name in mmcrime.__all__:
        assert f"`{name}`" in overview, name
        home = mmcrime._HOMES.get(name)
        assert home is None or f"mmcrime.{home}.{name}" in documented(), name
    assert set(mmcrime.__all__) - set(mmcrime._HOMES) == {"__version__"}


def test_a_reader_is_as_strict_as_the_schema_and_the_page_about_stability() -> None:
    page = (ROOT / "docs/stability.md").read_text(encoding="utf-8")
    assert f"Version {SCHEMA_VERSION} is the first" in page
    schema = json.loads((ROOT / "docs/schema/report-1.json").read_text(encoding="utf-8"))
    assert schema["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    assert schema["additionalProperties"] is False
    whole = report_samples.report().to_dict()
    assert Report.from_json(json.dumps(whole))
    for changed in ({"new_field": 1}, {"schema_version": "2"}, {"schema_version": "0"}):
        with pytest.raises(ConfigError, match="not a report of schema version"):
            Report.from_json(json.dumps({**whole, **changed}))


def test_every_reason_of_a_gap_is_explained() -> None:
    page = (ROOT / "docs/report.md").read_text(encoding="utf-8")
    table = page[page.index("## Not looked at") : page.index("## Who said what")]
    said = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)))
    assert sorted(said) == sorted(missed._GAP_REASONS)


def test_the_short_form_is_read_and_its_default_provider_is_used(footage: Path) -> None:
    """As the page about the configuration says, with the very configuration it shows."""
    (body,) = (b.body for b in BLOCKS if b.language == "json" and '"default_provider"' in b.body)
    short = json.loads(body)
    mmcrime_here = [sys.executable, "-m", "mmcrime"]
    analyze = [*mmcrime_here, "analyze", "clip.mp4", "--json", "--offline"]

    def written() -> list[str]:
        (footage / "config.json").write_text(json.dumps(short), encoding="utf-8")
        return analyze

    written()
    assert run([*mmcrime_here, "config", "show"], footage).returncode == 0
    done = run(written(), footage)
    assert done.returncode == codes.CONFIG, done.stderr  # it would be asked, but for --offline
    found = {a["id"]: a["status"] for a in json.loads(done.stdout)["assessments"]}
    assert found[f"llm:{short['default_provider']}"] == "failed"
    short["default_provider"] = "replicate"
    done = run(written(), footage)
    assert done.returncode == codes.CONFIG
    assert "replicate" in done.stderr
    del short["default_provider"]
    done = run(written(), footage)
    assert done.returncode == 0, done.stderr


def test_the_page_about_reports_has_the_headings_of_a_report_in_their_order() -> None:
    text = (ROOT / "docs/report.md").read_text(encoding="utf-8")
    described = re.findall(r"^## (.+)$", text, re.MULTILINE)[1:]
    described = described[: described.index("In the dark and on a phone")]
    titles = re.findall(r"<h2>(.*?)</h2>", report_samples.report().to_html(), re.DOTALL)
    shown = [title.partition("<")[0].strip() for title in titles]
    assert [heading for heading in shown if heading in described] == described


def test_every_decision_says_why_and_when_to_look_again() -> None:
    for page in sorted(ROOT.glob("docs/decisions/0*.md")):
        text = page.read_text(encoding="utf-8")
        for part in ("Context", "Decided", "Why", "What it costs", "Look again when"):
            assert f"\n**{part}" in text, f"{page.name}: {part}"


# -- site -----------------------------------------------------------------------------------


class Resources(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "audio", "video") and given.get("src"):
            self.loaded.append(str(given["src"]))
        if tag == "link" and given.get("rel") not in ("next", "prev", "canonical"):
            self.loaded.append(str(given.get("href")))


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES) - 1
    for page in pages:
        parser = Resources()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.loaded
        outside = [url for url in parser.loaded if re.match(r"(?i)\s*(?:[a-z]+:)?//", url)]
        assert outside == [], page.name
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?https?:", sheet.read_text("utf-8"))
