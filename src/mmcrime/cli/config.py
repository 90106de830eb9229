"""``mmcrime config``: write, show and describe the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mmcrime.cli.choices import HELP, ConfigFile

app = typer.Typer(
    no_args_is_help=True,
    context_settings=HELP,
    help="Write, show and describe the configuration.\n\nExample: mmcrime config init",
)


@app.command("init", context_settings=HELP)
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("config.json"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a configuration with every key at its default.

    Only you can read the file: keys of services end up in it.

    Example: mmcrime config init
    """
    from mmcrime.cli.output import written
    from mmcrime.cli.terminal import remark
    from mmcrime.config import settings_example
    from mmcrime.errors import ConfigError

    if path.exists() and not force:
        raise ConfigError(
            f"{str(path)!r} exists already.", next_step="Name another file, or add --force."
        )
    # Keys of services end up in this file: nobody else may read it.
    with written(path, mode=0o600) as out:
        out.write(json.dumps(settings_example(), indent=2) + "\n")
    remark(f"Wrote {str(path)!r}.")


@app.command("show", context_settings=HELP)
def show(config: ConfigFile = None) -> None:
    """Show the settings in use as JSON.

    File, .env and environment are joined; secrets are masked.

    Example: mmcrime config show --config config.json
    """
    from mmcrime.cli.terminal import remark
    from mmcrime.config import find_config, load_settings, masked

    settings = load_settings(config)
    path = find_config(config)
    remark("No configuration file: defaults." if path is None else f"From {str(path)!r}.")
    if settings.notification is not None:
        remark("The section 'notification' is not used by this release.")
    typer.echo(json.dumps(masked(settings), indent=2, ensure_ascii=False))


@app.command("schema", context_settings=HELP)
def schema() -> None:
    """Print the JSON Schema of config.json.

    Example: mmcrime config schema > config.schema.json
    """
    from mmcrime.config import settings_schema

    typer.echo(json.dumps(settings_schema(), indent=2))
