"""``mmcrime doctor``: what works here, what is missing, and what brings it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import typer

from mmcrime.cli.choices import ConfigFile

if TYPE_CHECKING:
    from pathlib import Path

    from mmcrime.config import Settings
    from mmcrime.errors import ConfigError
    from mmcrime.registry import Group


class Line(NamedTuple):
    """One part: how it is, what it is called, what there is to say."""

    mark: str
    label: str
    text: str


_BASE = (
    # module, distribution, what it does
    ("PIL", "pillow", "reads pictures"),
    ("av", "av", "decodes video and sound; brings its own FFmpeg libraries"),
    ("cv2", "opencv-python-headless", "measures motion"),
    ("pocketsphinx", "pocketsphinx", "finds speech and hears it, roughly"),
    ("speech_recognition", "SpeechRecognition", "the door to speech engines"),
    ("httpx2", "httpx2", "fetches URLs"),
)


def command(config: ConfigFile = None) -> None:
    """Say in one line per part what works, what is missing and what brings it.

    Exits with 2 when the configuration is broken or the Redis that it names cannot be used,
    with 1 when a part that comes with every installation is, else with 0.

    Example: mmcrime doctor
    """
    from mmcrime import __version__
    from mmcrime.cli.progress import working
    from mmcrime.cli.terminal import table_line
    from mmcrime.config import Settings, find_config, load_settings
    from mmcrime.errors import ConfigError

    system = f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
    broken: ConfigError | None = None
    settings = Settings()
    with working("looking at what is installed"):
        base = list(_base())
        whole = all(line.mark == "ok" for line in base)
        try:
            settings = load_settings(config)
            if whole:  # else this would only say once more what is broken
                _build(settings)
        except ConfigError as error:
            broken = error
        shared = _shared(settings)
        lines = [
            Line("ok", f"mmcrime {__version__}", system),
            *base,
            *_plugins(settings),
            _train(),
            _otel(settings),
            *_configuration(settings, broken, find_config(config)),
            shared,
            *([] if shared.mark == "broken" else _shut(settings)),
        ]
    for line in lines:
        table_line(*line)
    if broken or shared.mark == "broken":
        raise typer.Exit(2)
    raise typer.Exit(0 if whole else 1)


def _build(settings: Settings) -> None:
    """Build everything that the settings name, as the start of every analysis does.

    Raises:
        ConfigError: If that is not possible.
    """
    from mmcrime.pipeline.team import Team
    from mmcrime.pipeline.told import telemetry_of

    Team(settings)
    telemetry_of(settings.telemetry).close()


def _base() -> Iterator[Line]:
    for module, distribution, use in _BASE:
        try:
            import_module(module)
            yield Line("ok", distribution, f"{version(distribution)}; {use}")
        except PackageNotFoundError:
            yield Line("ok", distribution, f"another build of it; {use}")
        except Exception as error:  # noqa: BLE001  # a broken library may raise anything; doctor is here to say so
            reason = f"{type(error).__name__}: {error}"
            yield Line("broken", distribution, f"{reason}. Run: pip install {distribution}")


def _plugins(settings: Settings) -> Iterator[Line]:
    from mmcrime.cli.plugins import statuses

    groups: tuple[Group, ...] = ("analyzers", "transcribers", "providers")
    for group in groups:
        found = statuses(group, settings)
        for status in found:
            label = f"{group[:-1]} {status.name}"
            needed = [] if status.problem else _needed(group, status.name, settings)
            if needed:
                yield Line("unset", label, f"works once {' and '.join(needed)} is set")
            elif not status.problem:
                origin = "" if status.distribution == "mmcrime" else f"from {status.distribution}"
                # Whether there is a key, and what it opens, is what `providers` says.
                installed = "installed; see: mmcrime providers" if group == "providers" else ""
                yield Line("ok", label, "; ".join(part for part in (origin, installed) if part))
            else:
                # A package that is not installed is a choice; all else is a defect.
                mark = "missing" if status.next_step.startswith("Run: pip") else "broken"
                yield Line(mark, label, f"{status.problem} {status.next_step}")
        if not found:
            yield Line("none", group, "no plug-in is installed; nothing is sent to any service")


def _needed(group: Group, name: str, settings: Settings) -> list[str]:
    """Return the settings that a transcriber cannot do without and that are not there."""
    if group != "transcribers":
        return []
    from mmcrime import registry

    speech = settings.analyzers.speech
    given = speech.options if speech.engine == name else {}
    options = registry.load_transcriber(name, allow=None).Options.model_fields
    required = [key for key, field in options.items() if field.is_required()]
    return [f"'analyzers.speech.options.{key}'" for key in required if key not in given]


def _train() -> Line:
    use = "fits and measures the coefficients of motion"
    if find_spec("sklearn") is None:
        return Line("missing", "extra train", f"{use}. Run: pip install 'mmcrime[train]'")
    return Line("ok", "extra train", use)


def _otel(settings: Settings) -> Line:
    use = "sends traces and counts to a collector"
    if settings.telemetry.otlp_endpoint is not None:
        use = f"{use}, which is {settings.telemetry.otlp_endpoint!r}"
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        return Line("missing", "extra otel", f"{use}. Run: pip install 'mmcrime[otel]'")
    return Line("ok", "extra otel", use)


def _configuration(
    settings: Settings, broken: ConfigError | None, path: Path | None
) -> Iterator[Line]:
    if broken is not None:
        yield Line("broken", "configuration", f"{broken.message} {broken.next_step}")
        return
    source = "no file; defaults and environment" if path is None else f"{str(path)!r}"
    yield Line("ok", "configuration", source)
    if settings.notification is not None:
        yield Line("unused", "notification", "this release sends no notifications")
    used = sorted({n for n, s in settings.providers.items() if s.enabled} | _default(settings))
    from mmcrime.cli.plugins import speech_provider

    hears = speech_provider(settings)
    idle = sorted(set(settings.providers) - {*used, hears})
    if hears:
        yield Line("ok", "speech engine", f"{hears}: the sound of speech is sent to it")
    if used:
        yield Line("ok", "providers in use", ", ".join(used))
    if idle:
        yield Line("unused", "providers", f"{', '.join(idle)}: not enabled, used when named")
    said = "nothing may leave this machine" if settings.offline else "not set"
    yield Line("ok", "offline", said)


def _shared(settings: Settings) -> Line:
    """Say whether the Redis that machines share can be reached, and relied on."""
    from mmcrime.cli.shared import health
    from mmcrime.errors import ConfigError, EgressError

    try:
        mark, text = health(settings)
    except EgressError as error:
        mark, text = "unused", f"{error.message} {error.next_step}"
    except ConfigError as error:
        mark, text = "broken", f"{error.message} {error.next_step}"
    return Line(mark, "shared cache", text)


def _shut(settings: Settings) -> Iterator[Line]:
    """Say which services kept failing, so that they are left alone for a while."""
    from mmcrime.cli.shared import doors
    from mmcrime.errors import ConfigError, EgressError

    try:
        found = doors(settings)
    except EgressError:
        return
    except ConfigError as error:  # it went away just now
        yield Line("broken", "services", f"{error.message} {error.next_step}")
        return
    for door in found:
        model = f" ({door.model})" if door.model else ""
        until = "" if door.until is None else f"{door.until:%Y-%m-%d %H:%M:%S} UTC"
        again = f"one call is let through from {until} on"
        if door.state == "half_open":
            again = "the next call is let through, to see whether it is well again"
        text = f"{door.provider}{model} failed {door.failures} times in a row: {door.why} {again}"
        yield Line("shut", f"service {door.provider}", text)


def _default(settings: Settings) -> set[str]:
    return {settings.default_provider} if settings.default_provider else set()
