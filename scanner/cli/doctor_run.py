"""What ``datascan doctor`` does once its options are understood: read, scan, judge, write the reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from ..api import OptionFields, make_options
from ..complain import complain_of_bug
from ..crew import Crew
from ..doctor import examine, gather
from ..finding import Severity
from ..report import SourceReport
from .check_run import Scans, crash_of, write_reports
from .outputs import open_outputs, parse_outputs
from .session import Session
from .targets import Target

AS_FOUND: Mapping[str, Any] = dict.fromkeys(("backend", "database", "layout", "data_root", "work_dir", "cache_dir"))
"""Sources are recognised from their bytes."""


def run_doctor(session: Session, sources: Sequence[str], given: Mapping[str, Any], crew: Crew) -> int:
    """Find the cause, write the reports, and give the exit code."""
    parse_outputs(given["outputs"])  # what can't be written is told before anything is read
    fail_on = None if given["fail_on"] == "never" else Severity(given["fail_on"])
    files = [given[name] for name in ("solver", "net", "log")]
    case, targets = gather(files[0], files[1], files[2], given["data_root"], bool(sources), fail_on)
    read = [*sources, *(target.path for target in targets), *(file for file in files if file is not None)]
    crashes: list[str] = []

    def scan(path: str, fields: Mapping[str, Any]) -> SourceReport:
        chosen: OptionFields = {"fail_on": fail_on}
        chosen.update(fields)  # type: ignore[typeddict-item]  # names of options, made from the net
        make_options(**chosen)
        scans = Scans(session, given, crew, None, fields=lambda _: chosen)
        (report,) = scans.scan_all([Target(path, {**given, **AS_FOUND})])
        crashes.extend(scans.crashes)
        return report

    with ExitStack() as stack:
        outputs, opened = open_outputs(given["outputs"], read, stack)
        report = examine(case, targets, sources, scan, fail_on)
        write_reports(report, outputs, opened, given, session, crew)
    crashes += [crash_of(one) for one in report.reports if one.crashed]
    if crashes:
        complain_of_bug(crashes[0])
    return int(report.exit_code)
