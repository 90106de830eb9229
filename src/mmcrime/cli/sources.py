"""What the arguments of ``mmcrime analyze`` stand for: files, URLs, folders, globs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmcrime.errors import ConfigError
from mmcrime.media.walk import files_below

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SHOWN = 5  # remarks of one kind that are spelt out


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What is to be analyzed.

    Attributes:
        items: Paths of files, and URLs as text; each once, in the order of the arguments.
            Other spellings of a path and links to it count as that path.
        skipped: What was left out of folders, or is named several times, in words.
        empty: Arguments that stand for nothing, in words.
        folders: The folders that were searched.
    """

    items: tuple[Path | str, ...]
    skipped: tuple[str, ...]
    empty: tuple[str, ...]
    folders: tuple[Path, ...]


def expand(arguments: Sequence[str]) -> Sources:
    """Work out what the arguments stand for.

    A path that exists is taken as it is, even if it looks like a glob. A path that does
    not exist is kept, so that its report says so. Folders are searched downwards, sorted;
    hidden entries, symbolic links and special files in them are left out.

    Raises:
        ConfigError: If an argument is empty, ``-`` or a glob that cannot be read.
    """
    items: dict[Path | str, None] = {}
    skipped: list[str] = []
    empty: list[str] = []
    folders: list[Path] = []
    same: list[str] = []
    for argument in arguments:
        if not argument:
            raise ConfigError(
                "A source is the empty text ''.",
                next_step="Name a source; '.' is this folder. Is a variable of a script unset?",
            )
        if argument == "-":
            raise ConfigError(
                "Reading from standard input ('-') is not supported.",
                next_step="Save it to a file; a file of that name is './-'.",
            )
        found = list(_expand_one(argument, skipped, folders))
        if not found:
            kind = "folder holds no file" if _is_folder(argument) else "pattern matches no file"
            empty.append(f"{argument!r}: the {kind} to analyze.")
        same += [f"{str(item)!r} is named several times" for item in found if item in items]
        items.update(dict.fromkeys(found))
    once = _once(items, same)
    _say_some(tuple(dict.fromkeys(same)), "analyzed once", "that are named several times", skipped)
    return Sources(
        items=once,
        skipped=tuple(dict.fromkeys(skipped)),
        empty=tuple(dict.fromkeys(empty)),
        folders=tuple(dict.fromkeys(folders)),
    )


def _once(items: Iterable[Path | str], same: list[str]) -> tuple[Path | str, ...]:
    """Return every source once; one file under two names would be two incidents.

    Args:
        items: Sources, each spelt in one way only once.
        same: Where to say which are the same file.
    """
    first: dict[str, Path | str] = {}
    for item in items:
        kept = first.setdefault(item if isinstance(item, str) else _real(item), item)
        if kept is not item:
            same.append(f"{str(item)!r} is the file {str(kept)!r}")
    return tuple(first.values())


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a name that no file can have; its report says so
        return str(path)


def _say_some(texts: Sequence[str], what: str, which: str, said: list[str]) -> None:
    """Spell out the first few and count the others."""
    said += [f"{what}: {text}" for text in texts[:_SHOWN]]
    if len(texts) > _SHOWN:
        said.append(f"{what}: {len(texts) - _SHOWN} more {which}")


def _expand_one(argument: str, skipped: list[str], folders: list[Path]) -> Iterator[Path | str]:
    path = Path(argument)
    if _URL.match(argument):
        yield argument
    elif _is_folder(path):
        folders.append(path)
        yield from _below(path, skipped)
    elif os.path.lexists(path) or not glob.has_magic(argument):
        yield path
    else:
        for match in _matches(path):
            if _is_folder(match):
                folders.append(match)
                yield from _below(match, skipped)
            else:
                yield match


def _is_folder(path: Path | str) -> bool:
    # Path.is_dir raises for a name that is too long and below a folder that may not be
    # entered. Such a path is kept, and its report says why.
    return os.path.isdir(path)  # noqa: PTH112  # see above


def _matches(pattern: Path) -> list[Path]:
    """Return what a glob matches, as a shell would: sorted, hidden entries only when asked for.

    ``**`` follows no symbolic link to a folder: links may form circles.
    """
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base, rest = Path(*parts[:first]), parts[first:]
    try:
        found = sorted(base.glob("/".join(rest)))
    except OSError:
        return [pattern]  # it cannot be worked out; like any path, its report says why
    except ValueError as error:
        raise ConfigError(
            f"The pattern {str(pattern)!r} is wrong: {error}.",
            next_step="Write '**' as a part of its own, such as 'footage/**/*.mp4'.",
        ) from error
    if any(part.startswith(".") for part in rest):
        return found
    return [m for m in found if not any(p.startswith(".") for p in m.relative_to(base).parts)]


def _below(folder: Path, skipped: list[str]) -> Iterator[Path]:
    left_out: list[str] = []
    yield from files_below(
        folder, left_out=lambda path, why, _failed: left_out.append(f"{str(path)!r} ({why})")
    )
    _say_some(left_out, "left out", f"below {str(folder)!r}", skipped)
