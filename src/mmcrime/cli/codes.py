"""Exit codes.

| code | meaning |
|---|---|
| 0 | done |
| 1 | ``doctor``: a part that comes with every installation is broken |
| 2 | configuration, arguments, output that cannot be written, or ``offline`` in the way |
| 5 | a budget was used up |
| 4 | providers were asked and none answered (the report is still printed) |
| 3 | a source could not be read |
| 10 | with ``--fail-on``: an incident of at least that severity was detected |
| 11 | with ``--fail-on``: the outcome is undetermined |
| 130 | interrupted (Ctrl-C) |
| 143 | told to end (SIGTERM) |
| 129 | the terminal was closed (SIGHUP) |

Several causes: the first of 2, 5, 4, 3, 10, 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mmcrime import errors
from mmcrime.results import SEVERITIES, Report, Severity

CONFIG, MEDIA, PROVIDERS, BUDGET, FOUND, UNDETERMINED = 2, 3, 4, 5, 10, 11
_ORDER = (CONFIG, BUDGET, PROVIDERS, MEDIA, FOUND, UNDETERMINED)
_BASES: tuple[tuple[type[errors.MmcrimeError], int], ...] = (
    (errors.ConfigError, CONFIG),
    # What offline refused needs another setting, like any configuration error.
    (errors.EgressError, CONFIG),
    (errors.BudgetExceededError, BUDGET),
    (errors.ProviderError, PROVIDERS),
    (errors.MediaError, MEDIA),
)

_NO_SERVICE = (None, "embedded")  # what the detectors that come with mmcrime name as provider


def code_of(error_type: str) -> int | None:
    """Return the exit code for the name of an error class; None when it has none."""
    found = getattr(errors, error_type, None)
    for base, code in _BASES:
        if isinstance(found, type) and issubclass(found, base):
            return code
    return None


def first(causes: Iterable[int]) -> int:
    """Return the exit code of a run with these causes; 0 without any."""
    present = set(causes)
    return next((code for code in _ORDER if code in present), 0)


def causes(report: Report, *, fail_on: Severity | None = None) -> Iterator[int]:
    """Yield every reason that one report gives for an exit code other than 0.

    Args:
        report: The report.
        fail_on: The severity of ``--fail-on``, if it was given.
    """
    for record in report.errors:
        # A further stream that is stated and left alone is no failure to read the source.
        if record.stage == "prepare" and record.type != "StreamNotExamined":
            # Whatever the reason is called, nothing of the source was read.
            yield code_of(record.type) or MEDIA
    asked = [
        a
        for a in report.assessments
        if a.status != "skipped" and (a.runs == "cloud" or a.provider not in _NO_SERVICE)
    ]
    if asked and not any(a.status == "answered" for a in asked):
        yield PROVIDERS
    for assessment in report.assessments:
        code = code_of(assessment.error.type) if assessment.error else None
        if code in (BUDGET, CONFIG):
            yield code
    if fail_on is None:
        return
    if report.verdict.outcome == "undetermined":
        yield UNDETERMINED
    elif report.verdict.outcome == "detected":
        found = (report.verdict.severity, *(i.severity for i in report.incidents))
        if max(map(SEVERITIES.index, found)) >= SEVERITIES.index(fail_on):
            yield FOUND
