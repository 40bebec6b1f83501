"""What ``datascan compare`` does once its options are understood: scan both sets, compare, write the reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ..api import OptionFields
from ..api_compare import compare
from ..complain import complain_of_bug
from ..crew import Crew
from ..progress import progress_bar
from ..spill import Workspace
from .check_run import crash_of, write_reports
from .names import check_layout, check_names, names_of
from .outputs import open_outputs
from .session import Session


def run_compare(session: Session, first: str, second: str, given: Mapping[str, Any], crew: Crew) -> int:
    """Compare, write the reports, and give the exit code."""
    fields: OptionFields = {
        "select": check_names(given["select"], "--select"),
        "ignore": check_names(given["ignore"], "--ignore"),
        "severities": {
            rule: level for name, level in given["severities"].items() for rule in names_of(name, "--severity")
        },
        "fail_on": None if given["fail_on"] == "never" else given["fail_on"],
        "max_findings": given["max_findings"],
        "near": given["near"],
    }
    check_layout(given["layout"])
    Workspace(given["work_dir"], sources=[first, second])
    with ExitStack() as stack:
        outputs, files = open_outputs(given["outputs"], [first, second], stack)
        with progress_bar(f"{first} and {second}", sys.stderr, not (given["quiet"] or given["no_progress"])) as bar:
            report = compare(
                first,
                second,
                backend=given["backend"],
                database=given["database"],
                layout=given["layout"],
                crew=crew,
                executor=given["executor"],
                progress=bar,
                work_dir=given["work_dir"],
                **fields,
            )
        write_reports(report, outputs, files, given, session, crew)
    crashed = [one for one in report.reports if one.crashed]
    if crashed:
        complain_of_bug(crash_of(crashed[0]))
    return int(report.exit_code)
