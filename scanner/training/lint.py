"""Solver and net files, read and judged by themselves: one report for each."""

from __future__ import annotations

import os
import re
import stat
import time
import traceback
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from os import PathLike, fspath

from ...backends.errors import StoreError, StoreNotFound
from ..complain import describe
from ..finding import Finding, Severity
from ..report import Coverage, NotRun, Report, RunInfo, SourceInfo, SourceReport
from .prototxt import Message, parse
from .registry import FILE_RULES, JUDGES
from .schema import fields_of
from .solver import Solver
from .text_rules import MESSAGE_TYPES

MOST_BYTES = 16 << 20
"""The largest published nets have below one megabyte; what is larger than this is something else."""

FIELD_LINE = re.compile(rb"^[ \t]*([A-Za-z_][A-Za-z0-9_]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rules are reported, and how.

    ``rules`` are names, ``None`` for all; ``severities`` stand in place of the rules' own.
    """

    rules: Collection[str] | None = None
    severities: Mapping[str, Severity] = field(default_factory=dict)
    fail_on: Severity | None = Severity.ERROR

    def apply(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """The findings asked for, with the severities asked for."""
        return tuple(
            replace(finding, severity=self.severities.get(finding.rule, finding.severity))
            for finding in findings
            if self.rules is None or finding.rule in self.rules
        )

    def rules_of(self, family: str) -> tuple[str, ...]:
        """The rules of a family that are asked for."""
        names = (rule.name for rule in FILE_RULES if rule.name.partition("-")[0] == family)
        return tuple(name for name in names if self.rules is None or name in self.rules)


def lint(*paths: str | PathLike[str], choice: Choice | None = None) -> Report:
    """Judge solvers and nets, recognised from their contents.

    Only these files are read, never one that they name.

    Examples
    --------
    >>> from datascan.scanner.training.lint import lint
    >>> lint("solver.prototxt").raise_for_findings()  # doctest: +SKIP
    """
    chosen = choice or Choice()
    names = [fspath(path) for path in paths]
    return Report(tuple(lint_file(name, names, chosen) for name in names))


def lint_file(path: str, named: Collection[str], choice: Choice) -> SourceReport:
    """The report of one file; ``named`` are all files of this run."""
    started, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    try:
        text = read_text(path)
        message = parse(text)
        kind = kind_of(message, text)
    except StoreError as exc:
        coverage = Coverage(complete=False, reasons=("the file could not be looked at",))
        return SourceReport(SourceInfo(path), coverage, fail_on=choice.fail_on, error=str(exc))
    coverage = coverage_of(message, kind, text, named, choice)
    findings: tuple[Finding, ...] = ()
    tracebacks: tuple[str, ...] = ()
    try:
        findings = choice.apply(JUDGES[kind](message))
    except Exception as exc:  # a bug of ours must not cost the reports of other files
        coverage = replace(coverage, complete=False, reasons=(*coverage.reasons, f"the judge crashed: {describe(exc)}"))
        tracebacks = (traceback.format_exc(),)
    return SourceReport(
        source=SourceInfo(path, layout=kind, bytes=len(text)),
        coverage=coverage,
        findings=findings,
        run=RunInfo(started, time.monotonic() - begin, 1),
        fail_on=choice.fail_on,
        crashed=bool(tracebacks),
        tracebacks=tracebacks,
        rules=choice.rules_of(kind),
    )


def read_text(path: str) -> bytes:
    """The bytes of a text file of bounded size.

    Raises
    ------
    StoreError
        There is none, it can't be read, or it is no text.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"{path}: not a file; name a solver or net in prototxt")
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as exc:
        raise StoreNotFound(f"{path}: no such file") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise StoreError(f"{path}: can't be read: {reason}") from exc
    if len(data) > MOST_BYTES:
        raise StoreError(f"{path}: larger than {MOST_BYTES >> 20} MB, which no solver or net is")
    if b"\0" in data:
        raise StoreError(f"{path}: no text; name a solver or net in prototxt")
    return data


def kind_of(message: Message, text: bytes) -> str:
    """``solver`` or ``net``, whichever knows more of the fields; of an unreadable text, of its lines' first words.

    Raises
    ------
    StoreError
        Neither knows any.
    """
    names = [entry.name for entry in message]
    found = more_familiar(names)
    if found is None and message.fault is not None:
        found = more_familiar([match[1].decode("ascii") for match in FIELD_LINE.finditer(text)])
    if found is None:
        raise StoreError("neither a solver nor a net: it has no field of either")
    return found


def more_familiar(names: Iterable[str]) -> str | None:
    """The kind that knows more of these names; ``None`` where none knows any."""
    counts = dict.fromkeys(MESSAGE_TYPES, 0)
    for name in names:
        for kind, message_type in MESSAGE_TYPES.items():
            counts[kind] += name in fields_of(message_type)
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] else None


def coverage_of(message: Message, kind: str, text: bytes, named: Collection[str], choice: Choice) -> Coverage:
    """Lines read, and what was left out: the rest after a syntax error, nets that nobody named."""
    reasons, not_run = [], []
    if message.fault is not None:
        reasons.append(f"what stands behind the syntax error in line {message.fault.line} was not judged")
    if kind == "solver" and choice.rules_of("net"):
        given = {os.path.basename(name) for name in named}
        absent = [net for net in Solver.of(message).nets if os.path.basename(net) not in given]
        not_run += [NotRun("net", f"{net} is not read: only files named on the command line are") for net in absent]
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    return Coverage(seen=lines, complete=not reasons, reasons=tuple(reasons), not_run=tuple(not_run))
