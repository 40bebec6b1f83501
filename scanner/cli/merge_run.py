"""What ``datascan merge`` does, and ``datascan check --shard``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TextIO

from ...backends.errors import UsageError
from ..crew import Crew
from ..printable import printable
from ..progress import progress_bar
from ..report import ExitCode
from ..shards import ShardScan
from ..spread import check_shard, merge
from .check_run import option_fields, write_reports
from .names import check_layout
from .outputs import open_outputs
from .session import Session
from .targets import Target


def run_merge(session: Session, files: Sequence[str], given: Mapping[str, Any], crew: Crew) -> int:
    """Merge, write the reports, and give the exit code."""
    with ExitStack() as stack:
        outputs, opened = open_outputs(given["outputs"], files, stack)
        report = merge(*files, crew=crew, work_dir=given["work_dir"])
        write_reports(report, outputs, opened, given, session, crew)
    return int(report.exit_code)


def run_shard(session: Session, targets: Sequence[Target], given: Mapping[str, Any], crew: Crew) -> int:
    """Scan a shard, say what came of it, and give the exit code: 0 is a share that is done, whatever it found."""
    given, sources = targets[0].given, [target.path for target in targets]
    if any(target.given != given for target in targets):
        raise UsageError("a shard scans all sources with the same options, and these are configured with their own")
    check_layout(given["layout"])
    number, count = given["shard"]
    with progress_bar(sources[0], sys.stderr, not (given["quiet"] or given["no_progress"])) as bar:
        scans = check_shard(
            sources,
            (number, count),
            given["partial"],
            backend=given["backend"],
            database=given["database"],
            layout=given["layout"],
            crew=crew,
            executor=given["executor"],
            cache_dir=given["cache_dir"],
            progress=bar,
            **option_fields(given),
        )
    said = [scan for scan in scans if scan.error or not given["quiet"]]

    def write(stream: TextIO) -> None:
        stream.writelines(f"{line_of(scan, number, count)}\n" for scan in said)

    session.write(write)
    if any(scan.tally.interrupted for scan in scans):
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.NOT_LOOKED if any(scan.error for scan in scans) else ExitCode.CLEAN)


def line_of(scan: ShardScan, number: int, count: int) -> str:
    """What came of a shard of a source, in one line."""
    tally = scan.tally
    unreadable = f", {tally.unreadable:,} unreadable" if tally.unreadable else ""
    found = (
        f"{tally.records:,} records{unreadable}, {tally.findings:,} finding{'s' if tally.findings != 1 else ''} so far"
    )
    head = f"shard {number}/{count} of {printable(scan.path)}"
    return f"{head}: {found}" if scan.error is None else f"{head} is not done ({printable(scan.error)}): {found}"
