"""``mmcrime cache``: the stored answers of services."""

from __future__ import annotations

import typer

from mmcrime.cli.choices import HELP, ConfigFile

app = typer.Typer(
    no_args_is_help=True,
    context_settings=HELP,
    help="Say what answers of services are stored, or remove them.\n\nExample: mmcrime cache stats",
)


@app.command("stats", context_settings=HELP)
def stats(config: ConfigFile = None) -> None:
    """Say where answers are stored, how many, and how much room they take.

    Example: mmcrime cache stats
    """
    from mmcrime.calls.layer import stored
    from mmcrime.cli.terminal import table_line
    from mmcrime.config import load_settings

    settings = load_settings(config)
    with stored(settings) as (directory, store, _):
        there = directory.is_dir()
        found = store.stats() if there else None
    table_line("ok" if there else "none", "cache", repr(str(directory)))
    if found is not None:
        size = f"{found.bytes / 1e6:.1f} MB of {settings.cache.size_gb:g} GB"
        table_line("ok", "answers and media", f"{found.entries} entries, {size}")
    state = "stored answers are used" if settings.cache.enabled else "stored answers are not used"
    table_line("ok", "cache.enabled", state)


@app.command("clear", context_settings=HELP)
def clear(config: ConfigFile = None) -> None:
    """Remove all stored answers and media; whatever is asked again is paid for again.

    What was paid, and what today has cost, stays on record.

    Example: mmcrime cache clear
    """
    from mmcrime.calls.layer import stored
    from mmcrime.cli.terminal import remark
    from mmcrime.config import load_settings

    with stored(load_settings(config)) as (directory, store, ledger):
        if directory.is_dir():
            store.clear()
            ledger.forget()
    remark(f"Nothing is stored in {str(directory)!r} any more.")
