"""``mmcrime analyze``: reports for files, URLs, folders and globs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from mmcrime.cli.choices import ConfigFile, FailOn, Format

if TYPE_CHECKING:
    from mmcrime.cli.sources import Sources
    from mmcrime.cli.tally import Tally
    from mmcrime.cli.target import Target
    from mmcrime.config import Settings
    from mmcrime.pipeline import CrimeDetectionPipeline
    from mmcrime.pipeline.options import CallArguments
    from mmcrime.results import Report


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number of seconds.") from None


def command(  # noqa: PLR0917  # the command line gives all of them by name
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Files, URLs, folders, globs.", show_default=False),
    ],
    provider: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Ask this service, which media is then sent to. Repeatable; each has one vote.",
        ),
    ] = None,
    analyzer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Run only this analyzer. Repeatable."),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="USD",
            help="US dollars that this run may cost at the most. Default: 1, or the "
            "configuration's.",
            min=0,
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Ask anew: use no stored answer.")
    ] = False,
    frame_interval: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Seconds between sampled frames.", parser=_seconds),
    ] = None,
    config: ConfigFile = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="FORM",
            help="Form of the results: text, json, html, md or csv. Default: what the ending of "
            "-o says, else text.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Short for --format json: one report a line.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Write to a file, whole or not at all. Its ending says the form: .html, .json, "
            ".jsonl, .csv, .md, .txt. With --format html and a name that does not end in .html, "
            "a folder of pages.",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Refuse everything that wants to leave this machine.")
    ] = False,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(
            metavar="SEVERITY",
            help="Exit with 10 for an incident of at least this severity (low, medium, high, "
            "critical), with 11 for an undetermined outcome.",
        ),
    ] = None,
    source_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Camera or collection, for the report.")
    ] = None,
    recorded_at: Annotated[
        str | None,
        typer.Option(
            metavar="ISO", help="When it was recorded, with time zone: 2026-05-01T12:00:00+02:00."
        ),
    ] = None,
) -> None:
    """Say what happened in pictures, sound recordings and videos.

    Goes on through all sources; one that cannot be read gets an undetermined report.

    \b
    Examples:
      mmcrime analyze clip.mp4
      mmcrime analyze clip.mp4 -o report.html
      mmcrime analyze footage/ --format html -o reports/
      mmcrime analyze footage/ -o result.csv
      mmcrime analyze "night/*.mp4" --json --fail-on high
      mmcrime analyze clip.mp4 --provider openai --budget 0.10

    \b
    Exit codes; of several the first that applies:
       0  done
       2  configuration or arguments
       5  a budget was used up
       4  providers were asked and none answered
       3  a source could not be read
      10  with --fail-on: an incident of at least that severity
      11  with --fail-on: an undetermined outcome
    """  # noqa: D301  # click takes the sign itself for "leave these lines as they are"
    from mmcrime.cli.codes import MEDIA
    from mmcrime.cli.sources import expand
    from mmcrime.cli.target import plan
    from mmcrime.cli.terminal import logs_to_stderr, quiet_libraries, remark
    from mmcrime.config import load_settings

    if as_json and form not in (None, Format.json):
        raise typer.BadParameter("--json and another --format were given.")
    options: CallArguments = {
        "providers": provider or None,
        "analyzers": analyzer or None,
        "frame_interval": frame_interval,
        "offline": True if offline else None,
        "source_id": source_id,
        "recorded_at": _moment(recorded_at),
    }
    settings = _adapted(load_settings(config), budget=budget, no_cache=no_cache)
    found = expand(sources)
    target = plan(Format.json if as_json else form, output, found)
    for text in (*found.skipped, *found.empty):
        remark(text)
    if not found.items:
        raise typer.Exit(MEDIA)  # results of nothing would say that all is well
    with quiet_libraries(), logs_to_stderr():
        code = _run(settings, found, options, target=target, fail_on=fail_on)
    raise typer.Exit(code)


def _adapted(settings: Settings, *, budget: float | None, no_cache: bool) -> Settings:
    """Return the settings with what the command line says of money and stored answers."""
    from mmcrime.config import load_settings

    if budget is not None:
        caps = {**settings.budget.model_dump(exclude_unset=True), "usd_per_run": budget}
        settings = load_settings(settings, budget=caps)
    if no_cache:
        settings = load_settings(settings, cache={"enabled": False})
    return settings


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is no ISO 8601 time with a time zone, such as 2026-05-01T12:00:00+02:00.",
            param_hint="--recorded-at",
        )
    return moment


@contextmanager
def _pipeline(settings: Settings) -> Iterator[CrimeDetectionPipeline]:
    """Give a pipeline that is closed at the end.

    Closing waits for the threads that decode, which nothing can stop. After Ctrl-C they get
    half a second to delete their temporary copies; then `main` ends the process.
    """
    from mmcrime.pipeline import CrimeDetectionPipeline

    pipeline = CrimeDetectionPipeline(settings=settings)
    try:
        yield pipeline
    except KeyboardInterrupt:
        closer = Thread(target=pipeline.close, daemon=True)
        closer.start()
        closer.join(timeout=0.5)
        raise
    except BaseException:
        pipeline.close()
        raise
    else:
        pipeline.close()


def _generator(
    pipeline: CrimeDetectionPipeline, found: Sources, options: CallArguments
) -> Generator[Report]:
    # Closed before the pipeline is: an interrupt then cancels what is under way at once.
    yield from pipeline.analyze_many(found.items, **options)


@contextmanager
def _sink(target: Target, found: Sources, tally: Tally) -> Iterator[Callable[[Report], None]]:
    """Give what writes one report."""
    if target.folder and target.path is not None:
        from mmcrime.cli.folder import Folder

        with Folder(target.path, found, tally) as folder:
            yield folder.write
    else:
        from mmcrime.cli.output import Writer, opened

        with opened(target.path, sources=found.items) as out:
            yield Writer(out, target.form).write


def _run(
    settings: Settings,
    found: Sources,
    options: CallArguments,
    *,
    target: Target,
    fail_on: FailOn | None,
) -> int:
    """Analyze everything, write every report as it comes, return the exit code."""
    from mmcrime.cli import codes
    from mmcrime.cli.interrupt import own_temporary_folder
    from mmcrime.cli.progress import Progress
    from mmcrime.cli.tally import Tally
    from mmcrime.cli.terminal import remark, summary

    causes = {codes.MEDIA} if found.empty else set[int]()
    tally = Tally()
    with (
        own_temporary_folder(),
        _sink(target, found, tally) as write,
        _pipeline(settings) as pipeline,
        Progress(len(found.items)) as progress,
        closing(_generator(pipeline, found, {**options, "progress": progress.heard})) as reports,
    ):
        for report in reports:
            with progress.result(report.source):
                write(report)
            tally.add(report)
            causes.update(codes.causes(report, fail_on=fail_on.value if fail_on else None))
    # A person whose results went into a file sees where, and what they come to.
    watched = target.path is not None and sys.stdout.isatty()
    if watched and not target.folder:
        remark(f"Wrote {str(target.path)!r}.")
    if watched or len(found.items) > 1:
        summary(tally.line(), tally.worst())
    return codes.first(causes)
