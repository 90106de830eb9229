"""What one call asks for, checked before anything is opened."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, get_args

from mmcrime.errors import ConfigError
from mmcrime.evidence import MediaKind
from mmcrime.plugins import RunContext


class CallArguments(TypedDict, total=False):
    """The keyword arguments of ``analyze``; `CallOptions` says what each one means."""

    name: str | None
    kind: MediaKind | None
    frame_interval: float | None
    providers: Sequence[str] | None
    analyzers: Sequence[str] | None
    offline: bool | None
    notify: bool
    deadline: float | None
    run: RunContext | None
    source_id: str | None
    recorded_at: datetime | None
    metadata: Mapping[str, str] | None
    progress: Callable[[str, float], None] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CallOptions:
    """The keyword arguments of ``analyze``, as the caller gave them.

    Attributes:
        name: What a person knows the source by, such as the name of an uploaded file. Hostile
            names are welcome: it is cleaned, shown, and never opened. Only for one source.
        kind: Refuse the source unless its content is of this kind.
        frame_interval: Seconds between sampled frames; None for the setting.
        providers: Names of the providers to use; None for the configured ones.
        analyzers: Names of the analyzers to run; None for the enabled ones.
        offline: Refuse everything that leaves; None for the setting.
        notify: Send alerts. This release has none, so True is refused.
        deadline: Seconds from the call after which what is not done counts as failed. Waiting
            for a free place (``max_concurrent``) counts as well.
        run: Request id, tenant and progress of a caller that has its own.
        source_id: Camera or collection.
        recorded_at: Wall-clock time of media time 0, with time zone.
        metadata: Recorded in the report, never interpreted.
        progress: Is called with the display name of the source and the share that is done,
            0 to 1, in the pipeline's own thread; it must return at once. What it raises is
            logged and costs nothing else.

    Raises:
        ConfigError: If a value cannot be meant.
    """

    name: str | None = None
    kind: MediaKind | None = None
    frame_interval: float | None = None
    providers: Sequence[str] | None = None
    analyzers: Sequence[str] | None = None
    offline: bool | None = None
    notify: bool = False
    deadline: float | None = None
    run: RunContext | None = None
    source_id: str | None = None
    recorded_at: datetime | None = None
    metadata: Mapping[str, str] | None = None
    progress: Callable[[str, float], None] | None = None

    def __post_init__(self) -> None:
        if self.name is not None and not isinstance(self.name, str):
            raise ConfigError(f"name={self.name!r} is no text.", next_step="Give a str.")
        if self.kind is not None and self.kind not in get_args(MediaKind):
            raise ConfigError(
                f"kind={self.kind!r} is no kind of media.",
                next_step="Use 'image', 'audio' or 'video', or leave it out.",
            )
        _positive("frame_interval", self.frame_interval)
        _positive("deadline", self.deadline)
        for name in ("providers", "analyzers"):
            _names(name, getattr(self, name))
        if self.notify:
            raise ConfigError(
                "notify=True, but this release has no alert channels.",
                next_step="Leave it out and route on report.verdict yourself.",
            )
        when: Any = self.recorded_at
        if when is not None and (not isinstance(when, datetime) or when.tzinfo is None):
            raise ConfigError(
                f"recorded_at={when!r} is no time with a time zone.",
                next_step="Give an aware datetime, such as datetime(..., tzinfo=UTC).",
            )
        _texts("metadata", self.metadata)
        if self.progress is not None and not callable(self.progress):
            raise ConfigError(
                f"progress={self.progress!r} cannot be called.",
                next_step="Give a function of a name and a share.",
            )


def _positive(name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and value > 0):
        raise ConfigError(
            f"{name}={value!r} is not a positive number of seconds.",
            next_step="Give seconds greater than 0, or leave it out.",
        )


def _names(name: str, value: Any) -> None:
    if value is None:
        return
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not (listed and all(isinstance(item, str) for item in value)):
        raise ConfigError(
            f"{name}={value!r} is not a list of names.", next_step=f'Write {name}=["name"].'
        )


def _texts(name: str, value: Any) -> None:
    good = value is None or (
        isinstance(value, Mapping)
        and all(isinstance(key, str) and isinstance(item, str) for key, item in value.items())
    )
    if not good:
        raise ConfigError(
            f"{name}={value!r} is not a mapping of text to text.",
            next_step="Turn keys and values into strings.",
        )
