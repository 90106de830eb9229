"""Write the JSON Schema of the report: ``python tools/schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from mmcrime.results import SCHEMA_VERSION, Report


def main() -> None:
    target = Path(__file__).parent.parent / "docs" / "schema" / f"report-{SCHEMA_VERSION}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(Report.json_schema(), indent=1) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
