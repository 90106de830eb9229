"""``mmcrime analyze``: reports for files, URLs, folders and globs."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from mmcrime.cli.choices import ConfigFile, FailOn, Format

if TYPE_CHECKING:
    from mmcrime.cli.sources import Sources
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
            help="Let analyzers ask this service, which media is then sent to. Repeatable. No "
            "analyzer that comes with mmcrime asks one.",
        ),
    ] = None,
    analyzer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Run only this analyzer. Repeatable."),
    ] = None,
    frame_interval: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Seconds between sampled frames.", parser=_seconds),
    ] = None,
    config: ConfigFile = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Form of the results. Default: text.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Short for --format json: one report a line.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PATH", help="Write to a file, whole or not at all."
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

    Exit codes: 0 done; 2 configuration; 5 budget; 4 providers were asked and none answered;
    3 a source could not be read; 10 and 11 with --fail-on; the first of 2, 5, 4, 3, 10, 11.

    For example:

    `mmcrime analyze clip.mp4`

    `mmcrime analyze footage/ --format csv -o result.csv`

    `mmcrime analyze "night/*.mp4" --json --fail-on high`
    """
    from mmcrime.cli.sources import expand
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
    settings = load_settings(config)
    found = expand(sources)
    for text in (*found.skipped, *found.empty):
        remark(text)
    with quiet_libraries(), logs_to_stderr():
        code = _run(
            settings,
            found,
            options,
            form=Format.json if as_json else form or Format.text,
            output=output,
            fail_on=fail_on,
        )
    raise typer.Exit(code)


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


def _run(
    settings: Settings,
    found: Sources,
    options: CallArguments,
    *,
    form: Format,
    output: Path | None,
    fail_on: FailOn | None,
) -> int:
    """Analyze everything, write every report as it comes, return the exit code."""
    from mmcrime.cli import codes
    from mmcrime.cli.output import Writer, opened
    from mmcrime.cli.terminal import Progress

    causes = {codes.MEDIA} if found.empty else set[int]()
    with (
        opened(output, sources=found.items) as out,
        _pipeline(settings) as pipeline,
        Progress(len(found.items)) as progress,
        closing(_generator(pipeline, found, options)) as reports,
    ):
        writer = Writer(out, form)
        for report in reports:
            with progress.result():
                writer.write(report)
            causes.update(codes.causes(report, fail_on=fail_on.value if fail_on else None))
    return codes.first(causes)
