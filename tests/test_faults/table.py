"""The fault matrix as a page of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.test_faults.faults import Fault, Made

from datascan.scanner import Report

INTRODUCTION = """# What damage costs

Written by the tests (`tests/test_faults`), which make each of these faults in a store that the format's own library
wrote, scan it, and compare. *Read* is the number of records that the scan gave to its rules, *written* the number that
the store held before the damage; what is read is always all that stands on sound bytes. *Lost* is the number that the
report counts as unreadable; `?` where no byte tells how many there were. Nothing in the source is changed by any of
these scans: bytes, names, permissions and times are compared.
"""

UNSEEN = """## What can't be seen

A scan sees damage where the format keeps a checksum, where a structure does not fit, or where a value can't be decoded.
The rest is silent in every reader.
"""

ELSEWHERE = """## Readers that die, scans that are stopped

| fault | test |
|---|---|
| a worker that dies of SIGSEGV, SIGBUS, SIGKILL or SIGABRT, that hangs, that takes too much memory; the first, the \
last and three records in a row | `tests/test_containment.py` |
| a file that is cut while a worker looks at it in the page cache | `tests/test_mapped.py` |
| a source that is written to, replaced or removed during the scan | `tests/test_changing_sources.py` |
| Ctrl-C, SIGTERM and SIGKILL; going on with `--resume` | `tests/test_resume.py` |
| {hostile} HDF5 files with sizes, addresses, counts and types of their metadata overwritten at random: each has a \
verdict | `tests/test_faults/test_fault_matrix.py` |
| random damage of every kind of store and of every decoder's input | `tests/test_fuzz` |
"""


@dataclass(frozen=True)
class Row:
    """A fault and what a scan said of it."""

    fault: Fault
    made: Made
    report: Report


def fault_table(rows: Mapping[str, Sequence[Row]], hostile: int) -> str:
    """The page, Markdown."""
    parts = [INTRODUCTION]
    for store, some in rows.items():
        parts.append(f"## {store}\n\n" + "\n".join(_table([row for row in some if not row.fault.unseen])) + "\n")
    parts.append(UNSEEN + "\n" + "\n".join(_unseen([row for some in rows.values() for row in some])) + "\n")
    parts.append(ELSEWHERE.format(hostile=hostile))
    return "\n".join(parts)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield "| fault | what is done | found | exit | written | read | lost | |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        coverage = row.report.reports[0].coverage
        lost = f"{coverage.unreadable:,}" if row.made.unreadable is not None else "?"
        yield (
            f"| {row.fault.name} | {row.fault.what} | {_found(row.report)} | {int(row.report.exit_code)} "
            f"| {row.made.written:,} | {coverage.seen:,} | {lost} | {row.fault.remark} |"
        )


def _found(report: Report) -> str:
    counts = Counter(finding.rule for finding in report)
    return ", ".join(f"`{rule}`" + f" x {count}" * (count > 1) for rule, count in sorted(counts.items())) or "nothing"


def _unseen(rows: Sequence[Row]) -> Iterator[str]:
    yield "| fault | what is done | why it can't be seen |"
    yield "|---|---|---|"
    for row in rows:
        if row.fault.unseen:
            assert len(row.report) == 0
            yield f"| {row.fault.name} | {row.fault.what} | {row.fault.unseen} |"
