"""Which model is asked when nobody named one, from a dated table.

Models come and go within months, so that the table says when it was made, and its users
are told which model was chosen from it. ``make refresh`` updates what can be updated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files

__all__ = ["ModelTable", "chosen_model", "model_table"]

_OLD = 120  # days; half of the shortest notice that a vendor gave for a model in the table


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTable:
    """The table, as it is shipped.

    Attributes:
        updated: When it was made, or last compared with the vendors' data.
        suggested: For each provider the vendor's mid-size model that takes pictures.
        shutdown: For each provider, when models will be switched off, as far as is known.
    """

    updated: date
    suggested: Mapping[str, str]
    shutdown: Mapping[str, Mapping[str, date]]


@cache
def model_table() -> ModelTable:
    """Read the table."""
    text = files("mmcrime_providers").joinpath("models.json").read_text(encoding="utf-8")
    held = json.loads(text)
    return ModelTable(
        updated=date.fromisoformat(held["updated"]),
        suggested=held["suggested"],
        shutdown={
            provider: {model: date.fromisoformat(day) for model, day in models.items()}
            for provider, models in held["shutdown"].items()
        },
    )


def chosen_model(
    provider: str, configured: str | None, *, listed_as: str = "", today: date | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return the model to ask, and what a person should know about that choice.

    Args:
        provider: ``anthropic``, ``gemini`` or ``openai``.
        configured: The model that the configuration names.
        listed_as: Whose models these are, where that is another name in the table.
        today: The present day; for tests.
    """
    table = model_table()
    day = today or datetime.now(UTC).date()
    listed = listed_as or provider
    model = configured or table.suggested[listed]
    remarks = []
    if configured is None:
        remarks.append(
            f"No model was named, so {model!r} is asked, from the table of "
            f"{table.updated.isoformat()}; providers.{provider}.model names another one."
        )
        age = (day - table.updated).days
        if age > _OLD:
            remarks.append(
                f"The table of models is {age} days old, and the vendor may have switched "
                f"{model!r} off: install a newer mmcrime, or set providers.{provider}.model."
            )
    end = table.shutdown.get(listed, {}).get(model)
    if end is not None:
        word = "was to be" if end <= day else "will be"
        remarks.append(
            f"The model {model!r} {word} switched off on {end.isoformat()}; "
            f"set providers.{provider}.model to a newer one."
        )
    return model, tuple(remarks)
