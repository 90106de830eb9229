"""One file in, one answer out: the verdict, its reasons, the incidents and what nobody looked at.

Run it:  python examples/one_file.py clip.mp4 [report.html]
Writes the whole report as one HTML page as well, and never over a file that is there already.
"""

import os
import sys
from pathlib import Path

from mmcrime import MmcrimeError, Report, analyze


def show(report: Report) -> None:
    """Print what a person needs to know first."""
    verdict = report.verdict
    print(f"{report.source}: {verdict.outcome} ({report.banner})")
    print(f"votes: {verdict.votes_answered} answered of {verdict.votes_asked} asked")
    # Only an undetermined verdict has reasons. It is no "no": somebody has to do something.
    for reason in verdict.reasons:
        print(f"because: {reason.text}\n   next: {reason.next_step}")
    for incident in report.incidents:
        print(
            f"incident: {incident.start:.1f} to {incident.end:.1f} s, {incident.crime_type}, "
            f"severity {incident.severity}, probability {incident.probability:.2f}"
        )
    for error in report.errors:
        print(f"failed: {error.stage}: {error.message} {error.next_step}")
    # What was not looked at is part of the answer.
    for name, coverage in {**report.coverage.analyzers, "speech": report.coverage.speech}.items():
        for gap in coverage.gaps:
            print(f"not examined for {name}: {gap.start:.1f} to {gap.end:.1f} s ({gap.reason})")


def main() -> None:
    """Analyze the file named on the command line."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    page = Path(sys.argv[2] if len(sys.argv) > 2 else "report.html")
    if os.path.lexists(page):
        sys.exit(f"{str(page)!r} is there already. Name another file for the report.")
    try:
        report = analyze(sys.argv[1], offline=True)
    except MmcrimeError as error:
        sys.exit(str(error))  # the message says what to do about it
    show(report)
    try:
        with page.open("x", encoding="utf-8") as out:  # it may have come in the meantime
            out.write(report.to_html())
    except OSError as error:
        sys.exit(f"The report was not written: {error}")
    print(f"report: {page.resolve()}")


if __name__ == "__main__":
    main()
