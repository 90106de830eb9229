"""``mmcrime demo``: a made-up scene through the whole machinery, on this machine only."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mmcrime.cli.choices import Format


def command(
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where the scene is written.")
    ] = Path("mmcrime-demo"),
) -> None:
    """Make a small drawn street scene, analyze it offline and print the report.

    It shows that the machinery works. It says nothing about accuracy: nobody is in the
    scene and nothing happened.

    Example: `mmcrime demo -o /tmp/demo`
    """
    from mmcrime.cli import terminal
    from mmcrime.cli.output import Writer, unfinished
    from mmcrime.config import Settings
    from mmcrime.errors import ConfigError
    from mmcrime.pipeline import CrimeDetectionPipeline
    from mmcrime.testing.footage import write_footage

    try:
        folder.mkdir(parents=True, exist_ok=True)
        clip = folder / "street.mp4"
        with unfinished(clip) as scene:
            write_footage(scene)
            if os.path.lexists(clip) and not _same(scene, clip):
                raise ConfigError(
                    f"{str(clip)!r} is there already and is not the scene.",
                    next_step="Name another folder with -o.",
                )
            scene.replace(clip)
    except OSError as error:
        raise ConfigError(
            f"{str(folder)!r} cannot be written: {error.strerror or error}.",
            next_step="Name another folder with -o.",
        ) from error
    terminal.remark(f"Wrote the scene {str(clip)!r}; analyzing it offline.")
    # Plain settings: the demo is the same whatever is configured, and asks no service.
    with (
        terminal.quiet_libraries(),
        terminal.logs_to_stderr(),
        CrimeDetectionPipeline(settings=Settings(offline=True)) as pipeline,
    ):
        report = pipeline.analyze(clip, offline=True, source_id="demo: a drawn scene")
    typer.echo("SYNTHETIC SCENE: this shows the machinery, not accuracy.\n")
    Writer(sys.stdout, Format.text).write(report)
    typer.echo("\nSYNTHETIC SCENE: nobody was in it. Try it on your own footage:")
    typer.echo("  mmcrime analyze YOUR_FILE")


def _same(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same bytes; nothing but a regular file does."""
    if other.is_symlink() or not other.is_file() or other.stat().st_size != one.stat().st_size:
        return False
    return one.read_bytes() == other.read_bytes()
