"""A folder becomes a table: one row for every file, written as soon as its report is there.

Run it:  python examples/folder_to_csv.py footage/ table.csv
A file that cannot be read is a row as well: undetermined, with the error in its cells. The cells
are safe to open in a spreadsheet, whatever the files are called.
"""

import csv
import sys
from pathlib import Path

from mmcrime import CrimeDetectionPipeline
from mmcrime.reports.csv_table import COLUMNS


def write_table(folder: str, target: str) -> None:
    """Analyze every file below a folder; memory does not grow with their number."""
    with (
        Path(target).open("w", encoding="utf-8", newline="") as out,
        CrimeDetectionPipeline() as pipeline,
    ):
        table = csv.DictWriter(out, COLUMNS, quoting=csv.QUOTE_ALL)
        table.writeheader()
        for report in pipeline.analyze_directory(folder, offline=True):
            table.writerow(report.to_csv_row())
            out.flush()  # whoever follows the file, or resumes after a crash, sees whole rows
            print(f"{report.verdict.outcome:13} {report.source}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write_table(sys.argv[1], sys.argv[2])
