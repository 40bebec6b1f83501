"""What ``datascan demo`` does: plant, scan, compare."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...backends.errors import UsageError
from ..api import check
from ..demo import Planted, run_demo
from ..printable import fill, pad, printable, width
from ..render.numbers import counted
from ..render.style import Style
from ..render.terminal import report_lines, rule_pages
from ..report import ExitCode, SourceReport
from .session import Session
from .terminal import stdout_style, write_lines


def run_demo_command(session: Session, folder: str | None, color: str) -> int:
    """Run the demo in a folder, or in a temporary one."""
    if folder is not None:
        return _demo(session, _new_folder(folder), color)
    with tempfile.TemporaryDirectory(prefix="datascan-demo-") as temporary:
        return _demo(session, Path(temporary), color)


def _new_folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as exc:
        raise UsageError(f"can't make the folder {name}: {exc.strerror}; choose another") from exc
    if taken:
        raise UsageError(f"{name} is not empty; choose a new folder, the demo overwrites nothing")
    return folder


def _demo(session: Session, folder: Path, color: str) -> int:
    planted = run_demo(folder)
    sources = list(dict.fromkeys(fault.path for fault in planted))
    report = check(*sources, jobs=1)
    style = replace(stdout_style(color), places=3)
    lines = list(report_lines(report, style, rule_pages(report)))
    by_path = {one.source.path: one for one in report.reports}
    found = [is_found(fault, by_path[str(fault.path)]) for fault in planted]
    lines += ["", "", *planted_lines(planted, found, style)]
    session.write(lambda stream: write_lines(lines, stream))
    return int(ExitCode.CLEAN if all(found) else ExitCode.BUG)


def planted_lines(planted: Sequence[Planted], found: Sequence[bool], style: Style) -> Iterator[str]:
    """What was planted, and whether the scan found it there."""
    yield style.paint(f"{sum(found)} of {counted(len(planted), 'planted fault')} found", "name")
    names = max(width(fault.path.name) for fault in planted)
    rules = max(width(fault.rule) for fault in planted)
    for fault, hit in zip(planted, found, strict=True):
        word = style.paint("found ", "pass") if hit else style.paint("MISSED", "fail")
        place = "" if fault.index is None else f"#{fault.index}"
        yield f"  {word}  {pad(fault.path.name, names)}  {pad(place, 3)}  {pad(fault.rule, rules)}"
        yield from ("          " + line for line in fill(printable(fault.what), style.width - 10))


def is_found(fault: Planted, report: SourceReport) -> bool:
    """Whether the rule fired where the fault is, or anywhere for a fault without a place."""
    return any(
        finding.rule == fault.rule and fault.index in (None, finding.location.index) for finding in report.findings
    )
