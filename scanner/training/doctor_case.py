"""What `doctor` has to go by: solver, net, log and scanned sources, each judged with all that the others tell."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from ...backends.errors import StoreError
from ..complain import describe
from ..finding import Finding, Severity
from ..report import Coverage, NotRun, RunInfo, SourceInfo, SourceReport
from .doctor_data import source_facts
from .doctor_weights import Weights, read_weights
from .lint import Choice, kind_of, read_text
from .log_check import check_log
from .log_facts import LogFacts, LogRun, TextBlock
from .log_reader import read_log
from .net import check_net
from .net_data import DataSource, data_sources
from .net_facts import DataFacts, SourceFacts
from .net_spec import Net, read_net
from .prototxt import Message, parse
from .solver import Solver
from .solver_check import check_solver


@dataclass(slots=True)
class Document:
    """A solver or net: a file, or what Caffe printed of it into the log.

    ``path`` and the lines of ``message`` are those of the log where it was printed there.
    """

    path: str
    message: Message
    lines: int
    size: int
    printed: bool = False


@dataclass(frozen=True, slots=True)
class Scanned:
    """A source with its report; ``reader`` is the data layer that reads it, ``None`` for one named by the user."""

    report: SourceReport
    reader: DataSource | None = None

    @property
    def trains(self) -> bool:
        """Whether training reads it."""
        return self.reader is None or "TRAIN" in self.reader.phases or not self.reader.phases

    @property
    def looked_at(self) -> bool:
        """Whether all of it was."""
        report = self.report
        return report.error is None and report.coverage.complete and not report.coverage.unreadable


@dataclass(slots=True)
class Case:
    """Everything known of one training run.

    Attributes
    ----------
    missing
        Sources that the net names and that are in no folder.
    folders
        Where files that the net and the log name are looked for.
    weights
        The files that the run began with, as far as they were found.
    lost
        Files of weights that are named and in no folder.
    """

    solver: Document | None = None
    net: Document | None = None
    log_path: str | None = None
    log: LogFacts | None = None
    reports: list[SourceReport] = field(default_factory=list)
    scanned: list[Scanned] = field(default_factory=list)
    missing: list[DataSource] = field(default_factory=list)
    folders: Sequence[Path] = ()
    weights: list[Weights] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    solver_findings: list[Finding] = field(default_factory=list)
    net_findings: list[Finding] = field(default_factory=list)
    log_findings: list[Finding] = field(default_factory=list)
    facts: DataFacts = field(default_factory=DataFacts)

    @property
    def run(self) -> LogRun | None:
        """The run of the log that is looked into: the last one that something is wrong with, or the last."""
        if self.log is None or not self.log.understood or not self.log.runs:
            return None
        return next((run for run in reversed(self.log.runs) if run.troubled), self.log.runs[-1])

    @property
    def settings(self) -> Solver | None:
        """The solver's fields."""
        return None if self.solver is None else Solver.of(self.solver.message)

    @property
    def layers(self) -> Net | None:
        """The net's layers."""
        return None if self.net is None else read_net(self.net.message)


# ---- reading ----


def open_document(path: str) -> Document:
    """A solver or net from its file.

    Raises
    ------
    StoreError
        It can't be read, or is no text.
    """
    text = read_text(path)
    return Document(path, parse(text), text.count(b"\n") + (not text.endswith(b"\n")), len(text))


def open_named(path: str, kind: str) -> Document:
    """The same, where it is known what it must be.

    Raises
    ------
    StoreError
        It is something else.
    """
    document = open_document(path)
    found = kind_of(document.message, read_text(path))
    if found != kind:
        raise StoreError(f"{path}: a {found}, where a {kind} was wanted")
    return document


def printed_document(block: TextBlock | None, path: str) -> Document | None:
    """What Caffe printed into the log; nothing where it is not all there."""
    if block is None or not block.lines or not block.complete:
        return None
    text = block.text
    message = parse(text, block.line)
    if message.fault is not None:
        return None
    return Document(path, message, len(block.lines), len(text), printed=True)


def read_case(
    solver: str | None, net: str | None, log: str | None, folders: Sequence[Path], fail_on: Severity | None
) -> Case:
    """Read what there is; what can't be read has a report that says so."""
    case = Case(folders=folders)
    if log is not None:
        case.log_path = log
        try:
            case.log = read_log(log)
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            case.reports.append(unread(log, "log", f"{log}: can't be read: {reason}", fail_on))
    case.solver = given_document(case, solver, "solver", fail_on)
    case.net = given_document(case, net, "net", fail_on)
    run = case.run
    if run is not None and case.log_path is not None:
        if solver is None:
            case.solver = printed_document(run.solver, case.log_path)
        if net is None and run.train_net is not None:
            case.net = printed_document(run.train_net.text, case.log_path)
    if net is None and case.net is None and case.solver is not None:
        case.net = net_of_solver(case)
    return case


def given_document(case: Case, path: str | None, kind: str, fail_on: Severity | None) -> Document | None:
    """A file that the user named."""
    if path is None:
        return None
    try:
        return open_named(path, kind)
    except StoreError as exc:
        case.reports.append(unread(path, kind, str(exc), fail_on))
        return None


def net_of_solver(case: Case) -> Document | None:
    """The net that the solver names, where it is at hand."""
    assert case.solver is not None
    folders = [*case.folders, Path(case.solver.path).parent]
    for name in Solver.of(case.solver.message).nets[:1]:
        for folder in folders:
            try:
                return open_named(str(folder / name), "net")
            except (StoreError, OSError):
                continue
    return None


def unread(path: str, kind: str, error: str, fail_on: Severity | None) -> SourceReport:
    """The report of a file that could not be looked at."""
    coverage = Coverage(complete=False, reasons=("the file could not be looked at",))
    return SourceReport(SourceInfo(path, layout=kind), coverage, fail_on=fail_on, error=error)


def find(name: str, folders: Sequence[Path]) -> Path | None:
    """A file or folder that is named in a net or log, in the first of the folders that has it."""
    for folder in folders:
        path = folder / name
        try:
            if name and path.exists():
                return path
        except (OSError, ValueError):
            continue
    return None


# ---- judging ----


def judge(case: Case, fail_on: Severity | None) -> None:
    """Judge solver, net and log, and read the weights that the run began with; reports come in this order."""
    reports = []
    solver, net, facts = case.solver, case.net, data_facts(case)
    case.facts = facts
    if solver is not None:
        case.solver_findings, report = judged(
            solver, "solver", lambda: check_solver(solver.message), not_run_solver(case), fail_on
        )
        reports.append(report)
    if net is not None:
        case.net_findings, report = judged(
            net,
            "net",
            lambda: check_net(read_net(net.message), facts, case.folders),
            [
                NotRun(one.source, "the source is not at hand; name the folder that it counts from with --data-root")
                for one in case.missing
            ],
            fail_on,
        )
        reports.append(report)
    if case.log is not None and case.log_path is not None:
        log = case.log
        document = Document(case.log_path, Message(1, 1), log.lines, log.bytes_read)
        case.log_findings, report = judged(document, "log", lambda: check_log(log), [], fail_on)
        if log.damage is not None:
            report = replace(
                report,
                coverage=replace(report.coverage, complete=False, reasons=(f"not read to its end: {log.damage}",)),
            )
        reports.append(report)
    case.reports = [*case.reports, *reports]
    read_all_weights(case)


def not_run_solver(case: Case) -> list[NotRun]:
    """Nets that the solver names and that nobody read."""
    assert case.solver is not None
    if case.net is not None:
        return []
    return [NotRun("net", f"{name} is not at hand") for name in Solver.of(case.solver.message).nets]


def judged(
    document: Document,
    kind: str,
    judge: Callable[[], list[Finding]],
    not_run: Sequence[NotRun],
    fail_on: Severity | None,
) -> tuple[list[Finding], SourceReport]:
    """The findings of one file and its report; a bug of ours costs this file alone."""
    started, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    findings: list[Finding] = []
    reasons: list[str] = []
    tracebacks: tuple[str, ...] = ()
    fault = document.message.fault
    if fault is not None:
        reasons.append(f"what stands behind the syntax error in line {fault.line} was not judged")
    try:
        findings = judge()
    except Exception as exc:
        reasons.append(f"the judge crashed: {describe(exc)}")
        tracebacks = (traceback.format_exc(),)
    report = SourceReport(
        source=SourceInfo(document.path, layout=kind, bytes=document.size),
        coverage=Coverage(seen=document.lines, complete=not reasons, reasons=tuple(reasons), not_run=tuple(not_run)),
        findings=tuple(findings),
        run=RunInfo(started, time.monotonic() - begin, 1),
        fail_on=fail_on,
        crashed=bool(tracebacks),
        tracebacks=tracebacks,
        rules=Choice().rules_of(kind),
    )
    return findings, report


def data_facts(case: Case) -> DataFacts:
    """What the scans and the log tell about the data."""
    sources: dict[str, SourceFacts] = {}
    for one in case.scanned:
        if one.reader is not None:
            sources.setdefault(one.reader.source, source_facts(one.report, one.reader))
    tops: dict[str, tuple[int, ...]] = {}
    run = case.run
    if run is not None and run.train_net is not None:
        tops = dict(run.train_net.shapes)
    mode = None
    if case.solver is not None:
        mode = case.solver.message.enum("solver_mode", ("CPU", "GPU"), "GPU")
    return DataFacts(sources, tops, solver_mode=mode)


def read_all_weights(case: Case) -> None:
    """The files of weights that the log or the solver name, and those that a solver state names."""
    run, names = case.run, []
    if case.solver is not None:
        names += [name.strip() for text in case.solver.message.strings("weights") for name in text.split(",")]
    if run is not None:
        names += [one[0] for one in (run.finetuned, run.restored) if one is not None]
    seen = set()
    while names:
        name = names.pop(0)
        if not name or name in seen:
            continue
        seen.add(name)
        path = find(name, case.folders)
        if path is None:
            case.lost.append(name)
            continue
        weights = replace(read_weights(path), path=name)
        case.weights.append(weights)
        if weights.learned_net:
            names.append(weights.learned_net)


def sources_of(net: Net) -> list[DataSource]:
    """The sources that a net names."""
    return data_sources(net)
