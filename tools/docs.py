"""Write what the documentation says of the command line and the settings, from the code.

``python tools/docs.py`` writes, ``python tools/docs.py --check`` says what is stale. Nothing here
depends on the width of a terminal, on colours or on what else is installed.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import typer
from _marked import ROOT, options, settle
from _provider_table import installed_apart, provider_table, speech_table
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mmcrime.cli import codes
from mmcrime.cli.app import app
from mmcrime.config import (
    AnalyzerSettings,
    AnalyzersSettings,
    BudgetSettings,
    CacheSettings,
    LanguageSettings,
    Limits,
    MediaSettings,
    PluginSettings,
    Price,
    ProviderSettings,
    Settings,
    SpeechSettings,
    TelemetrySettings,
)
from mmcrime.plugins import PluginOptions

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", Settings),
    ("budget", BudgetSettings),
    ("cache", CacheSettings),
    ("analyzers", AnalyzersSettings),
    ("analyzers.speech", SpeechSettings),
    ("media", MediaSettings),
    ("media.limits", Limits),
    ("language", LanguageSettings),
    ("plugins", PluginSettings),
    ("telemetry", TelemetrySettings),
)
GROUPS = ("analyzers", "transcribers", "providers")
LEFT_OUT: Mapping[str, frozenset[str]] = {
    "analyzers": frozenset({"provider", "hears"}),  # the pipeline sets them
    "providers": frozenset(ProviderSettings.model_fields),  # they have a table of their own
}


def main() -> int:
    check = options("Generate parts of the documentation.").parse_args().check
    return settle(
        {
            "docs/cli.md": {"commands": commands(), "exit-codes": exit_codes()},
            "docs/configuration.md": {
                "settings": settings(),
                "provider-keys": provider_keys(),
                "plug-ins": plug_ins(),
            },
            "docs/providers.md": {
                "providers": provider_table(_meanings),
                "speech": speech_table(),
            },
        },
        check=check,
        command="python tools/docs.py",
    )


# -- command line ---------------------------------------------------------------------------


def commands() -> str:
    """Return a section for every command, in the order of ``mmcrime --help``."""
    root = typer.main.get_command(app)
    return "\n\n".join(text for _, text in _command(root, "mmcrime"))


def _command(command: Any, path: str) -> Iterator[tuple[str, str]]:
    yield path, "\n\n".join(_section(command, path))
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _command(child, f"{path} {name}")


def _section(command: Any, path: str) -> Iterator[str]:
    kinds = typing.get_type_hints(inspect.unwrap(command.callback)) if command.callback else {}
    given = [(p, _metavar(p, kinds.get(p.name))) for p in command.params if not p.hidden]
    usage = [path, "[OPTIONS]"]
    usage += [_usage(p, value) for p, value in given if p.param_type_name == "argument"]
    if getattr(command, "commands", {}):
        usage.append("COMMAND")
    yield f"{'##' if ' ' not in path else '###'} `{path}`"
    yield f"```text\n{' '.join(usage)}\n```"
    yield from map(_paragraph, inspect.cleandoc(command.help or "").split("\n\n"))
    if given:
        rows = "\n".join(_parameter(p, value) for p, value in given)
        yield f"| option | what it does |\n| --- | --- |\n{rows}"


def _paragraph(text: str) -> str:
    """Return a paragraph of a help text; a backspace marks one whose lines stay as they are."""
    if "\b" not in text:
        return text.strip()
    lines = text.replace("\b", "").strip("\n")
    return f"```text\n{textwrap.dedent(lines)}\n```"


def _usage(argument: Any, value: str) -> str:
    several = f"{value}..." if argument.nargs == -1 else value
    return several if argument.required else f"[{several}]"


def _parameter(parameter: Any, value: str) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{value}`"
    else:
        names = ", ".join(f"`{f'{name} {value}'.rstrip()}`" for name in parameter.opts)
    said = _cell(parameter.help or "")
    default = parameter.default
    if isinstance(default, Enum):
        default = default.value
    if default not in (None, False, ()) and parameter.show_default:
        said += f" Default: `{default}`."
    return f"| {names} | {said} |"


def _metavar(parameter: Any, kind: Any) -> str:
    """Return what stands for the value in the usage: a word in capitals, or the choices."""
    if getattr(parameter, "is_flag", False):
        return ""
    if parameter.metavar:
        return str(parameter.metavar)
    choices = [k for k in (kind, *typing.get_args(kind)) if inspect.isclass(k)]
    for choice in choices:
        if issubclass(choice, Enum):
            return "{" + ",".join(member.value for member in choice) + "}"
    return str(parameter.name).upper()


def exit_codes() -> str:
    """Return the table of `mmcrime.cli.codes`."""
    return inspect.cleandoc(codes.__doc__ or "").partition("\n\n")[2].replace("``", "`")


# -- settings -------------------------------------------------------------------------------


def settings() -> str:
    """Return a table for each section of the settings."""
    parts = []
    for path, model in SECTIONS:
        title = f"### `{path}`" if path else "### The top level"
        parts.append(f"{title}\n\n{_HEAD}\n" + "\n".join(_rows(path, model)))
    return "\n\n".join(parts)


def _rows(path: str, model: type[BaseModel]) -> list[str]:
    if model is AnalyzersSettings:
        # Every analyzer has a section of the same form, a stranger's too.
        own = [n for n, f in model.model_fields.items() if f.annotation is AnalyzerSettings]
        return [_analyzer_row(name) for name in (*own, "NAME")]
    elsewhere = {name for name, _ in SECTIONS} | {"providers"}
    meanings = _meanings(model)
    return [
        _setting(path, name, field, meanings)
        for name, field in model.model_fields.items()
        if ".".join(filter(None, (path, name))) not in elsewhere
    ]


_HEAD = "| key, and in the environment | type | default | meaning |\n| --- | --- | --- | --- |"


def _setting(path: str, name: str, field: FieldInfo, meanings: Mapping[str, str]) -> str:
    key = ".".join(filter(None, (path, name)))
    return _row(key, _type(field), _default(field), meanings.get(name, ""))


def _analyzer_row(name: str) -> str:
    own = AnalyzersSettings.model_fields.get(name)
    section = own.get_default() if own else AnalyzerSettings()
    enabled = f"`{str(section.enabled).lower()}`"
    meaning = "Whether this analyzer runs."
    if name in ("llm", "labels"):
        what = "answers" if name == "llm" else "labels"
        meaning = f"Whether this analyzer runs, once for each provider that {what} and is used."
    if own is None:
        enabled += " in a section, however empty; without a section it does not run"
        meaning = (
            "Whether the installed analyzer of that name runs in every call that names none. "
            "Naming it (``--analyzer NAME``, ``analyzers=``) needs no section."
        )
    return _row(f"analyzers.{name}.enabled", _WORDS[bool], enabled, meaning)


def _row(key: str, kind: str, default: str, meaning: str) -> str:
    variable = "MMCRIME_" + key.upper().replace(".", "__")
    return f"| `{key}`<br><small>`{variable}`</small> | {kind} | {default} | {_cell(meaning)} |"


def provider_keys() -> str:
    """Return the keys that every provider section has."""
    rows = [
        _setting(path, name, field, _meanings(model))
        for path, model in (("providers.NAME", ProviderSettings), ("providers.NAME.price", Price))
        for name, field in model.model_fields.items()
    ]
    return f"{_HEAD}\n" + "\n".join(rows)


def plug_ins() -> str:
    """Return what comes with mmcrime behind each door, with its own options."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = []
    for group in GROUPS:
        points: Mapping[str, str] = project["entry-points"].get(f"mmcrime.{group}", {})
        for name, value in points.items():
            if name in installed_apart(project):
                continue
            module, _, attribute = value.partition(":")
            plugin = getattr(import_module(module), attribute)
            extra = f"`[{name}]`" if name in project["optional-dependencies"] else "base"
            own = _own_options(plugin.Options, leave=LEFT_OUT.get(group, frozenset()))
            rows.append(f"| {group[:-1]} | `{name}` | {extra} | {own} |")
    return "| door | name | comes with | own options |\n| --- | --- | --- | --- |\n" + "\n".join(
        rows
    )


def _own_options(model: type[PluginOptions], *, leave: frozenset[str]) -> str:
    meanings = _meanings(model)
    said = []
    for name, field in model.model_fields.items():
        if name in leave:
            continue
        default = "required" if field.is_required() else f"default {_default(field)}"
        meaning = f": {_cell(meanings[name])}" if name in meanings else ""
        said.append(f"`{name}` ({_type(field)}, {default}){meaning}")
    return "<br>".join(said) or "none"


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what the Google style docstring says of each attribute."""
    text = inspect.cleandoc(model.__doc__ or "")
    _, _, listed = text.partition("Attributes:\n")
    listed = listed.split("\n\n", maxsplit=1)[0]
    found = re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", listed, re.MULTILINE | re.DOTALL)
    return {name: " ".join(said.split()) for name, said in found}


def _type(field: FieldInfo) -> str:
    said = _words(field.annotation)
    limits = [
        f"{word} {bound:.15g}" if isinstance(bound, float) else f"{word} {bound}"
        for rule in field.metadata
        for name, word in (("gt", "over"), ("ge", "from"), ("lt", "under"), ("le", "to"))
        if (bound := getattr(rule, name, None)) is not None
    ]
    return f"{said} {' '.join(limits)}".strip()


_WORDS: Mapping[object, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    type(None): "null",
    dict: "section",
    Path: "path",
    SecretStr: "text (secret)",
}


def _words(kind: Any) -> str:
    """Return a type in words.

    Raises:
        KeyError: If a setting has a type that no words stand for yet.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        # A limit inside of a union stands in the annotation and not in the field.
        return _type(FieldInfo.from_annotation(kind))
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_words(part) for part in inner)
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in inner)
    if origin is tuple:
        return f"list of {_words(inner[0])}"
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return "section"
    return _WORDS[origin or kind]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, bool) or value is None:
        return f"`{str(value).lower()}`" if value is not None else "`null`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        value = list(value)
    return f"`{value:.15g}`" if isinstance(value, float) else f"`{value}`"


def _cell(text: str) -> str:
    """Return docstring text for one cell of a Markdown table."""
    plain = text.replace("``", "`").replace("|", "\\|")
    return " ".join(re.sub(r"\bNone\b", "null", plain).split())


if __name__ == "__main__":
    raise SystemExit(main())
