"""A folder becomes a table: one row for every file, written as soon as its report is there.

Run it:  python examples/folder_to_csv.py footage/ table.csv
A file that cannot be read is a row as well: undetermined, with the error in its cells. The cells
are safe to open in a spreadsheet, whatever the files are called. The rows go to `table.csv.part`,
which becomes the table when it is whole; after a crash it holds the rows so far.
"""

import csv
import sys
from pathlib import Path

from mmcrime import CrimeDetectionPipeline, MmcrimeError
from mmcrime.errors import ConfigError
from mmcrime.reports.csv_table import COLUMNS


def write_table(folder: str, target: str) -> None:
    """Analyze every file below a folder; memory does not grow with their number.

    Raises:
        ConfigError: If there is no such folder, or the table must not be written there.
    """
    if not Path(folder).is_dir():
        raise ConfigError(f"{folder!r} is no folder.", next_step="Name the one with the footage.")
    if Path(target).resolve().is_relative_to(Path(folder).resolve()):
        # It could replace what is analyzed, and would be a row of the next table.
        raise ConfigError(f"{target!r} lies in that folder.", next_step="Name a file outside it.")
    if Path(target).is_dir():
        raise ConfigError(f"{target!r} is a folder.", next_step="Name a file.")
    if Path(target).suffix.lower() != ".csv":
        raise ConfigError(f"{target!r} is no name of a table.", next_step="Let it end in .csv.")
    if Path(target).exists() and not is_text(Path(target)):
        raise ConfigError(f"{target!r} is no text; it stays.", next_step="Name another file.")
    unfinished = Path(f"{target}.part")
    with (
        CrimeDetectionPipeline() as pipeline,
        unfinished.open("x", encoding="utf-8", newline="") as out,  # never over another one's rows
    ):
        table = csv.DictWriter(out, COLUMNS, quoting=csv.QUOTE_ALL)
        table.writeheader()
        for report in pipeline.analyze_directory(folder, offline=True):
            table.writerow(report.to_csv_row())
            out.flush()  # whoever follows the file sees whole rows
            print(f"{report.verdict.outcome:13} {report.source}")
    unfinished.replace(target)


def is_text(path: Path) -> bool:
    """Tell whether a file looks like a table and not like footage under its name."""
    if not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8") as there:
            return "\0" not in there.read(65536)
    except UnicodeDecodeError:
        return False


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        write_table(sys.argv[1], sys.argv[2])
    except FileExistsError as error:
        sys.exit(f"{error.filename!r} is left from another run. Move it away first.")
    except (MmcrimeError, OSError) as error:
        sys.exit(str(error))  # the message says what to do about it
