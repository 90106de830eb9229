"""``mmcrime providers``: which services could be asked, and whether they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmcrime.cli.choices import HELP, ConfigFile

if TYPE_CHECKING:
    from mmcrime.config import Settings
    from mmcrime.pipeline.canary import Check
    from mmcrime.plugins import Capabilities

app = typer.Typer(invoke_without_command=True, context_settings=HELP)


@app.callback()
def providers(context: typer.Context, config: ConfigFile = None) -> None:
    """List the services that can be asked.

    For each: is it installed and configured, is there a key, which model would be asked,
    what it takes. Nothing is sent.

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
        said = _configured(settings, status.name)
        if status.problem:
            mark = "missing" if status.next_step.startswith("Run: pip") else "broken"
            table_line(mark, status.name, f"{said}; {status.problem} {status.next_step}")
        else:
            table_line(*_built(settings, status.name, said))
    for name in sorted(set(settings.providers) - {status.name for status in found}):
        said = _configured(settings, name)
        table_line("missing", name, f"{said}; no plug-in of that name is installed")
    if not found:
        table_line("none", "providers", "no plug-in is installed; all work is done on this machine")


@app.command("check", context_settings=HELP)
def check(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Only this one. Default: those in use."),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Send one tiny drawn picture to a service and say what came back.

    It says whether the answer was right, which model gave it, how long it took and what it
    cost. Stored answers are not used. Exits with 4 when one did not answer rightly, with 2
    when there is none to ask.

    Example: mmcrime providers check openai
    """
    from mmcrime.cli.codes import CONFIG, PROVIDERS
    from mmcrime.cli.progress import working
    from mmcrime.cli.terminal import logs_to_stderr, remark, table_line
    from mmcrime.config import load_settings
    from mmcrime.pipeline import CrimeDetectionPipeline

    settings = load_settings(config)
    names = [name] if name else _in_use(settings)
    if not names:
        remark("No provider is enabled: name one, such as in: mmcrime providers check openai")
        raise typer.Exit(CONFIG)  # nobody was asked, which is no sign that all is well
    failed = False
    with logs_to_stderr(), CrimeDetectionPipeline(settings=settings) as pipeline:
        for each in names:
            with working(f"asking {each}"):
                outcome = pipeline.check_provider(each)
            table_line("ok" if outcome.ok else "failed", each, _told(outcome))
            failed = failed or not outcome.ok
    raise typer.Exit(PROVIDERS if failed else 0)


@app.command("batches", context_settings=HELP)
def batches(config: ConfigFile = None) -> None:
    """List the batches that wait to be collected.

    Nothing is sent.

    They are collected by the next run that asks the same provider with "lane": "batch" and
    this cache directory, whatever it analyzes.

    Example: mmcrime providers batches
    """
    import time

    from mmcrime.calls.batches_around import open_batches
    from mmcrime.calls.layer import cache_directory
    from mmcrime.cli.terminal import table_line
    from mmcrime.config import load_settings
    from mmcrime.reports.words import clean

    found = open_batches(cache_directory(load_settings(config)))
    for batch, left in found:
        name = clean(batch.service_id, limit=100) if batch.service_id else "of unknown name"
        hours = max(0.0, time.time() - batch.time) / 3600
        said = f"batch {name}: {left} of {batch.requests} requests without an answer, "
        said += f"model {clean(batch.model, limit=100)}, submitted {hours:.1f} h ago"
        mark = "open" if batch.service_id else "unsure"
        table_line(mark, batch.provider, said + (f" to {batch.endpoint}" if batch.endpoint else ""))
    if not found:
        table_line("none", "batches", "no batch waits to be collected")


def _in_use(settings: Settings) -> list[str]:
    enabled = [name for name, section in settings.providers.items() if section.enabled]
    default = [settings.default_provider] if settings.default_provider else []
    return list(dict.fromkeys((*enabled, *default)))


def _told(outcome: Check) -> str:
    from mmcrime.reports.words import money

    used, cost = outcome.usage, money(outcome.cost.model_dump())
    counts = [
        f"{count} {unit}"
        for count, unit in (
            (used.input_tokens, "tokens in"),
            (used.output_tokens, "tokens out"),
        )
        if count is not None
    ]
    parts = [
        outcome.said.rstrip("."),
        f"model {outcome.model}" if outcome.model else "",
        f"{outcome.seconds:.1f} s",
        *counts,
        cost if "cost" in cost else f"cost: {cost}",
    ]
    told = "; ".join(part for part in parts if part)
    return " ".join([f"{told}.", *outcome.remarks, outcome.next_step]).strip()


def _built(settings: Settings, name: str, said: str) -> tuple[str, str, str]:
    """Say of a provider that is installed what it would do."""
    from mmcrime.errors import ConfigError
    from mmcrime.pipeline.service import built
    from mmcrime.registry import load_provider

    try:
        provider = built(name, settings).provider
    except ConfigError as error:
        able = load_provider(name, allow=None).capabilities
        return "unset", name, f"{said}; takes {_takes(able)}; {error}"
    model = f"model {provider.model}" if provider.model else "no model named"
    takes = _takes(provider.capabilities)
    key = "" if "key" in said else "key in the environment, or none needed; "
    told = f"{said}; {key}{model} at {provider.endpoint or 'its own address'}; takes {takes}."
    return "ok", name, " ".join([told, *provider.remarks])


def _takes(able: Capabilities) -> str:
    pictures = "no pictures"
    if able.images is None:
        pictures = "pictures"
    elif able.images:
        pictures = "one picture" if able.images == 1 else f"up to {able.images} pictures"
    if able.tasks == {"transcribe"}:
        return "sound, to transcribe it"
    parts = [pictures]
    parts += ["sound"] if able.audio else []
    parts += ["sound to transcribe"] if not able.audio and "transcribe" in able.tasks else []
    parts += ["video"] if able.video else []
    parts += ["a JSON schema"] if able.json_schema else []
    parts += ["gives labels"] if "label" in able.tasks else []
    return ", ".join(parts)


def _configured(settings: Settings, name: str) -> str:
    from mmcrime.cli.plugins import speech_provider

    section, hears = settings.providers.get(name), speech_provider(settings) == name
    if section is None:
        return "the speech engine" if hears else "not configured"
    parts = ["the speech engine"] if hears else []
    parts += ["enabled"] if section.enabled else [] if hears else ["not enabled"]
    if settings.default_provider == name:
        parts.append("the default")
    if section.api_key is not None:
        parts.append("key present")
    elif section.api_key_env is not None:
        parts.append(f"no key: {section.api_key_env!r} is not set")
    return ", ".join(parts)
