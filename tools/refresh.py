"""Update what goes stale: prices, and the table of suggested models with its end dates.

Run it with ``make refresh``. It
- fetches the newest genai-prices with pip and pins it in constraints.txt;
- checks that each suggested model is still known to those prices and to the vendor's SDK;
- reads when models will be switched off from the price file in litellm's wheel, which is
  downloaded but never installed, and from Anthropic's SDK;
- writes the day into models.json, unless a suggested model has to be replaced: which one is
  better is for a person to say.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "providers/mmcrime_providers/models.json"
CONSTRAINTS = ROOT / "constraints.txt"
PRICES = "litellm/model_prices_and_context_window_backup.json"
PRICED_AS = {"anthropic": "anthropic", "gemini": "google", "openai": "openai"}
NOTICE = timedelta(days=120)
"""A suggestion has to live this long: as long as the table counts as fresh."""


def main() -> int:
    """Refresh; return 1 if a person has to choose another model."""
    today = datetime.now(UTC).date()
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    refresh_prices()
    ends = fetch_ends(today)
    if ends is not None:
        table["shutdown"] = ends
    wrong = problems(table, today, {name: names_known(name) for name in PRICED_AS})
    if wrong:
        print("\n".join([*wrong, f"{TABLE.name} keeps the date {table['updated']}."]))
    else:
        table["updated"] = today.isoformat()
        print(f"{TABLE.name}: every suggested model is current, {today.isoformat()}.")
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 1 if wrong else 0


def refresh_prices() -> None:
    """Install the newest genai-prices here, and pin it."""
    with tempfile.TemporaryDirectory() as room:
        wheel = download("genai-prices", Path(room))
        if wheel is None:
            print("genai-prices cannot be downloaded: the prices stay as they are.")
            return
        version = wheel.name.split("-")[1]
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps"]
        subprocess.run([*pip, str(wheel)], check=True)
    text = CONSTRAINTS.read_text(encoding="utf-8")
    CONSTRAINTS.write_text(pinned(text, "genai-prices", version), encoding="utf-8")
    print(f"genai-prices {version}.")


def fetch_ends(today: date) -> dict[str, dict[str, str]] | None:
    """Download the dates of litellm; None, and a line that says so, if it is out of reach."""
    with tempfile.TemporaryDirectory() as room:
        wheel = download("litellm", Path(room))
        if wheel is None:
            print("litellm cannot be downloaded: the end dates of models stay as they are.")
            return None
        with zipfile.ZipFile(wheel) as packed:
            ends = shutdown_dates(json.loads(packed.read(PRICES)), today)
    ends["anthropic"] |= sdk_ends(today)
    return ends


def download(package: str, folder: Path) -> Path | None:
    """Return the newest wheel of a package; None if there is none to be had."""
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*pip, "--dest", str(folder), package], check=False, capture_output=True)
    return next(folder.glob("*.whl"), None) if done.returncode == 0 else None


def shutdown_dates(prices: Mapping[str, Any], today: date) -> dict[str, dict[str, str]]:
    """Return, for each provider, the models that answer questions and will be switched off."""
    ends: dict[str, dict[str, str]] = {name: {} for name in PRICED_AS}
    for name, facts in prices.items():
        provider, end = facts.get("litellm_provider"), facts.get("deprecation_date")
        if provider not in ends or facts.get("mode") not in ("chat", "responses"):
            continue
        if not isinstance(end, str) or date.fromisoformat(end) < today:
            continue
        ends[provider][name.removeprefix(f"{provider}/")] = end
    return ends


def sdk_ends(today: date) -> dict[str, str]:
    """Return what Anthropic's SDK says of its vendor's models, which would warn of them."""
    told = importlib.import_module("anthropic.resources.messages").DEPRECATED_MODELS
    days = {
        # Such as "January 22nd, 2027".
        model: datetime.strptime(re.sub(r"(?<=\d)[a-z]+", "", end), "%B %d, %Y").date()  # noqa: DTZ007
        for model, end in told.items()
    }
    return {model: day.isoformat() for model, day in days.items() if day >= today}


def names_known(provider: str) -> tuple[set[str], set[str]]:
    """Return the models that genai-prices knows, and those that the vendor's SDK names."""
    data = importlib.import_module("genai_prices.data")
    (priced,) = (p for p in data.providers if p.id == PRICED_AS[provider])
    return {model.id for model in priced.models}, _of_sdk(provider)


def _of_sdk(provider: str) -> set[str]:
    if provider == "openai":
        return set(get_args(importlib.import_module("openai.types").ChatModel))
    if provider == "anthropic":
        types = importlib.import_module("anthropic.types")
        return {name for part in get_args(types.Model) for name in get_args(part)}
    # This SDK has no list; its examples name the models that its vendor recommends.
    folder = Path(importlib.import_module("google.genai").__path__[0])
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.py"))
    return {name for text in texts for name in re.findall(r"gemini-[\w.-]*\w", text)}


def problems(
    table: Mapping[str, Any], today: date, known: Mapping[str, tuple[set[str], set[str]]]
) -> list[str]:
    """Return a line for each reason to suggest another model."""
    found = []
    for provider, model in sorted(table["suggested"].items()):
        priced, named = known[provider]
        if model not in priced:
            found.append(f"{provider}: genai-prices does not know {model!r}.")
        if model not in named:
            found.append(f"{provider}: its SDK does not name {model!r}.")
        end = table["shutdown"].get(provider, {}).get(model)
        if end is not None and date.fromisoformat(end) < today + NOTICE:
            found.append(f"{provider}: {model!r} will be switched off on {end}.")
    return found


def pinned(constraints: str, package: str, version: str) -> str:
    """Return constraints.txt with another version of a package that it pins."""
    return re.sub(rf"(?m)^{re.escape(package)}==.*$", f"{package}=={version}", constraints)


if __name__ == "__main__":
    raise SystemExit(main())
