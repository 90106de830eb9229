"""The application: its commands, and the border where errors become exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Annotated

import typer

from mmcrime import __version__
from mmcrime.cli import analyze, cache, config, demo, doctor, providers
from mmcrime.cli.choices import HELP, LogFormat
from mmcrime.cli.interrupt import INTERRUPTED, interruptible, leave
from mmcrime.cli.terminal import complain, write_json_lines
from mmcrime.errors import ConfigError, MmcrimeError

_CONFIG = 2  # the code of a ConfigError; `codes` is not loaded for --help

app = typer.Typer(
    name="mmcrime",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, keys among them
    rich_markup_mode=None,  # boxes take half of an 80-column line
    context_settings=HELP,
)
app.command(
    "analyze", short_help="Report on files, URLs, folders and globs.", context_settings=HELP
)(analyze.command)
app.command("doctor", short_help="Say what works here and what is missing.", context_settings=HELP)(
    doctor.command
)
app.add_typer(providers.app, name="providers")
app.add_typer(config.app, name="config")
app.add_typer(cache.app, name="cache")
app.command("demo", short_help="Make a scene and analyze it, offline.", context_settings=HELP)(
    demo.command
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mmcrime {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[  # noqa: ARG001  # its callback has done all there is to do
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say the version."),
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            metavar="FORM",
            help="Form of logs, remarks and errors on stderr: text, or json for a program, one "
            "object a line.",
        ),
    ] = LogFormat.text,
) -> None:
    """Footage in, an honest incident report out.

    Pictures, sound recordings and videos: what happened, when, how sure, who says so, and
    what was not looked at. Every verdict is an automated result, unconfirmed. Nothing
    leaves this machine unless you name a provider or a URL.

    \b
    Examples:
      mmcrime demo
      mmcrime analyze clip.mp4
      mmcrime analyze footage/ --format html -o reports/
      mmcrime doctor
      mmcrime --log-format json analyze footage/ --json 2>> mmcrime.log
    """  # noqa: D301  # click takes the sign itself for "leave these lines as they are"
    write_json_lines(log_format is LogFormat.json)


def main() -> None:
    """Run the command line and exit with one of the codes of `mmcrime.cli.codes`."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end a run with a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _fill_gaps()
    with interruptible() as guard:
        try:
            _run()
        except BaseException as end:
            # Typer makes an exit of a KeyboardInterrupt; and where the terminal was closed,
            # what is still said there fails: none of it changes why the command ends.
            typers = isinstance(end, SystemExit) and end.code == INTERRUPTED
            if guard.noticed or typers or isinstance(end, KeyboardInterrupt):
                leave(guard.code)
            raise


def _fill_gaps() -> None:
    """Send what is closed of the standard streams nowhere.

    What is opened next would get descriptor 2, and libraries write their noise there: it
    would end up in a result. A closed standard output stays closed for Python.
    """
    while (found := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(found)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # for good


def _run() -> None:
    """Run the command line; an error becomes words on stderr and an exit code."""
    try:
        if sys.stdout is None:
            raise ConfigError(
                "Standard output is closed.", next_step="Send it to /dev/null, or to a file."
            )
        app(prog_name="mmcrime")
    except MmcrimeError as error:
        from mmcrime.cli.codes import code_of

        complain(error)
        sys.exit(code_of(type(error).__name__) or 1)
    except OSError as error:
        # Output that cannot be written, such as on a full disk. What is still buffered goes
        # nowhere, or Python would try and complain once more at its end.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
        complain(
            ConfigError(
                f"Reading or writing failed: {error.strerror or error}.",
                next_step="See whether the disk is full and the output can be written.",
            )
        )
        sys.exit(_CONFIG)
