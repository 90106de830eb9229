"""``mmcrime cache``: the stored answers of services."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import typer

from mmcrime.cli.choices import HELP, ConfigFile

_T = TypeVar("_T")

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
    from mmcrime.calls.shared_answers import SharedAnswers
    from mmcrime.cli.shared import with_link
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
    shared = with_link(settings, lambda link: _told(link.place, SharedAnswers(link).count()))
    if shared is not None:
        table_line("ok", "shared answers", f"{shared[1]} entries in {shared[0]!r}")
    state = "stored answers are used" if settings.cache.enabled else "stored answers are not used"
    table_line("ok", "cache.enabled", state)


@app.command("clear", context_settings=HELP)
def clear(config: ConfigFile = None) -> None:
    """Remove all stored answers and media; whatever is asked again is paid for again.

    Those that machines share through cache.url are removed for all of them; what another
    machine has in its own record of what was paid still serves there, until the same is done
    on it. What was paid, and what today has cost, stays on record.

    Example: mmcrime cache clear
    """
    from mmcrime.calls.layer import stored
    from mmcrime.calls.shared_answers import SharedAnswers
    from mmcrime.cli.shared import with_link
    from mmcrime.cli.terminal import remark
    from mmcrime.config import load_settings

    settings = load_settings(config)
    # First, since it may be away, and then nothing is removed.
    shared = with_link(settings, lambda link: _told(link.place, SharedAnswers(link).clear()))
    with stored(settings) as (directory, store, ledger):
        if directory.is_dir():
            store.clear()
            ledger.forget()
    remark(f"Nothing is stored in {str(directory)!r} any more.")
    if shared is not None:
        remark(f"No answer is stored in {shared[0]!r} any more.")


async def _told(place: str, work: Awaitable[_T]) -> tuple[str, _T]:
    return place, await work
