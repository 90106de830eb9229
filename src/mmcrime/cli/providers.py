"""``mmcrime providers``: which services could be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mmcrime.cli.choices import HELP, ConfigFile

if TYPE_CHECKING:
    from mmcrime.config import Settings

app = typer.Typer(invoke_without_command=True, context_settings=HELP)


@app.callback()
def providers(context: typer.Context, config: ConfigFile = None) -> None:
    """List the services that can be asked.

    For each: is it installed and configured, is there a key, is it the default.

    A service is asked only when it is named with --provider, enabled, or the default. A key
    alone sends nothing.

    Example: mmcrime providers
    """
    if context.invoked_subcommand is None:
        show(config)


@app.command("list", context_settings=HELP)
def show(config: ConfigFile = None) -> None:
    """Do what `mmcrime providers` does.

    Example: mmcrime providers list
    """
    from mmcrime.cli.plugins import statuses
    from mmcrime.cli.terminal import table_line
    from mmcrime.config import load_settings

    settings = load_settings(config)
    found = statuses("providers", settings)
    for status in found:
        state = f"{status.problem} {status.next_step}" if status.problem else "installed"
        table_line(
            "broken" if status.problem else "ok",
            status.name,
            f"{state}; {_configured(settings, status.name)}",
        )
    for name in sorted(set(settings.providers) - {status.name for status in found}):
        said = _configured(settings, name)
        table_line("missing", name, f"no plug-in of that name is installed; {said}")
    if not found:
        table_line("none", "providers", "no plug-in is installed; all work is done on this machine")


def _configured(settings: Settings, name: str) -> str:
    section = settings.providers.get(name)
    if section is None:
        return "not configured"
    parts = ["enabled" if section.enabled else "not enabled"]
    if settings.default_provider == name:
        parts.append("the default")
    if section.api_key is not None:
        parts.append("key present")
    elif section.api_key_env is not None:
        parts.append(f"no key: {section.api_key_env!r} is not set")
    else:
        parts.append("no key in the configuration")
    return ", ".join(parts)
