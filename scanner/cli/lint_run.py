"""What ``datascan lint`` does once its options are understood: judge file after file, write the reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from ..complain import complain_of_bug
from ..finding import Severity
from ..training.lint import Choice, lint
from ..training.registry import FILE_RULES
from .check_run import crash_of, write_reports
from .names import names_of
from .outputs import open_outputs
from .session import Session


def run_lint(session: Session, files: Sequence[str], given: Mapping[str, Any]) -> int:
    """Judge, write the reports, and give the exit code."""
    choice = choice_of(given)
    with ExitStack() as stack:
        outputs, opened = open_outputs(given["outputs"], files, stack)
        report = lint(*files, choice=choice)
        write_reports(report, outputs, opened, given, session)
    for one in report.reports:
        if one.crashed:
            complain_of_bug(crash_of(one))
            break
    return int(report.exit_code)


def choice_of(given: Mapping[str, Any]) -> Choice:
    """The rules asked for, from the command line's words.

    Raises
    ------
    UsageError
        An unknown rule.
    """
    selected = [rule for name in given["select"] for rule in names_of(name, "--select", FILE_RULES)]
    ignored = [rule for name in given["ignore"] for rule in names_of(name, "--ignore", FILE_RULES)]
    wanted = selected or [rule.name for rule in FILE_RULES]
    return Choice(
        rules=[name for name in wanted if name not in ignored],
        severities={
            rule: Severity(level)
            for name, level in given["severities"].items()
            for rule in names_of(name, "--severity", FILE_RULES)
        },
        fail_on=None if given["fail_on"] == "never" else Severity(given["fail_on"]),
    )
