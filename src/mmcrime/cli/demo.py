"""``mmcrime demo``: a made-up scene through the whole machinery, on this machine only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmcrime.results import Report

_SYNTHETIC = "SYNTHETIC SCENE: this shows the machinery, not accuracy."
_SOURCE = "SYNTHETIC demo: a drawn scene, nobody was in it"
_NOTE = f"{_SYNTHETIC} It was drawn by mmcrime; nobody was in it and nothing happened."
_MAX_SCENE = 10_000_000  # bytes; no scene that we ever wrote is larger
_MAX_REPORT = 20_000_000  # bytes; the report of the scene has some hundred thousand


def command(
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="DIR", help="Where scene and report are written."),
    ] = "mmcrime-demo",
    open_it: Annotated[
        bool, typer.Option("--open", help="Open the report in the browser.")
    ] = False,
) -> None:
    """Draw a street scene, analyze it offline and write a report of it.

    It shows that the machinery works. It says nothing about accuracy: nobody is in the
    scene and nothing happened.

    Example: mmcrime demo --open
    """
    from mmcrime.cli import pages, terminal
    from mmcrime.errors import ConfigError
    from mmcrime.reports.words import clean, wrap

    if not output:
        raise ConfigError("-o is the empty text ''.", next_step="Name a folder; '.' is this one.")
    folder = Path(output)
    clip, page = folder / "synthetic-street.mp4", folder / "report.html"
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _spare(clip, _is_scene)
        _spare(page, _is_report)
    typer.echo(f"{_SYNTHETIC}\n")
    terminal.remark(f"Drawing the scene {str(clip)!r} ...")
    _draw(clip)
    terminal.remark("Analyzing it offline ...")
    report = _analyzed(clip)
    text = report.to_html()
    with _writing(folder):
        _spare(page, _is_report)
        pages.put(page, text)
    for said in _result(report):
        for line in wrap(said, terminal.width(), rest="  "):
            typer.echo(line)
    typer.echo(f"\nThe whole report: {clean(page, limit=2000)}")
    typer.echo(f"In the browser:   {page.resolve().as_uri()}")
    typer.echo(f"\n{_SYNTHETIC}\nTry it on footage of your own:")
    typer.echo("  mmcrime analyze YOUR_FILE -o report.html")
    if open_it:
        _open(page)


def _draw(clip: Path) -> None:
    from mmcrime.cli.progress import working
    from mmcrime.cli.unfinished import unfinished
    from mmcrime.testing.footage import write_footage

    with working("drawing"), _writing(clip.parent), unfinished(clip) as scene:
        write_footage(scene)
        _spare(clip, _is_scene)
        scene.replace(clip)


def _analyzed(clip: Path) -> Report:
    """Return the report on the scene; it is the same whatever is configured, and asks nobody."""
    from mmcrime.cli import terminal
    from mmcrime.cli.progress import working
    from mmcrime.config import Settings
    from mmcrime.pipeline import CrimeDetectionPipeline

    with (
        terminal.quiet_libraries(),
        terminal.logs_to_stderr(),
        CrimeDetectionPipeline(settings=Settings(offline=True)) as pipeline,
        working("analyzing") as advance,
    ):
        # Part of the report, so that its page says it as well.
        told = {"note": _NOTE, "drawn": _drawn()}
        return pipeline.analyze(
            clip,
            offline=True,
            source_id=_SOURCE,
            metadata=told,
            progress=lambda _name, share: advance(share),
        )


def _drawn() -> str:
    """Say what is in the scene, so that people see what the detectors missed."""
    from mmcrime.reports.words import clock, span
    from mmcrime.testing.footage import BANG, LYING, RUNNING, SIREN, STRUGGLE, WALKERS

    return (
        f"people walk {', '.join(span(*walk) for walk in WALKERS)}; two struggle "
        f"{span(*STRUGGLE)}; a bang {clock(BANG)}; one runs off {span(*RUNNING)}, the other "
        f"lies {span(*LYING)}; a siren comes near {span(*SIREN)}"
    )


def _result(report: Report) -> Iterator[str]:
    """Yield the result in a few lines; the report has all of it."""
    from mmcrime.reports.words import BANNER, OUTCOMES, chance, crime_name, span

    yield BANNER.upper()
    yield OUTCOMES[report.verdict.outcome]
    for found in report.incidents:
        said = chance(found.probability, report.verdict.probability_source)
        kind = crime_name(found.crime_type)
        yield f"- {span(found.start, found.end)}: {kind}, severity {found.severity}; {said}"
    for reason in report.verdict.reasons:
        yield f"- {reason.text}"
    for one in report.assessments:
        said = OUTCOMES[one.outcome].lower() if one.status == "answered" else one.status
        yield f"- {one.analyzer} says: {said}"
    yield f"What was drawn, to compare: {_drawn()}"
    if not report.egress:
        yield "Nothing left this machine."


def _open(page: Path) -> None:
    import webbrowser

    from mmcrime.cli import terminal

    try:
        opened = webbrowser.open(page.resolve().as_uri())
    except (OSError, webbrowser.Error):
        opened = False
    if not opened:
        terminal.remark("No browser could be opened; open the report by hand.")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    from mmcrime.errors import ConfigError

    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{str(folder)!r} cannot be written: {error.strerror or error}.",
            next_step="Name another folder with -o.",
        ) from error


def _spare(path: Path, ours: Callable[[Path], bool]) -> None:
    """Raise ConfigError where something would be replaced that is not of an earlier demo."""
    from mmcrime.errors import ConfigError

    if os.path.lexists(path) and (path.is_symlink() or not path.is_file() or not ours(path)):
        raise ConfigError(
            f"{str(path)!r} is there already and is not from an earlier demo.",
            next_step="Name another folder with -o.",
        )


def _is_scene(path: Path) -> bool:
    """Tell whether a file carries the title of our scene, also of one of an earlier version."""
    from mmcrime.testing.footage import TITLE

    return _holds(path, TITLE, most=_MAX_SCENE)


def _is_report(path: Path) -> bool:
    """Tell whether a file is a report on our scene; one on real footage is never replaced."""
    from mmcrime.cli import pages

    return pages.is_ours(path) and _holds(path, _SYNTHETIC, most=_MAX_REPORT)


def _holds(path: Path, text: str, *, most: int) -> bool:
    with path.open("rb") as file:
        data = file.read(most + 1)
    return len(data) <= most and text.encode() in data
