"""Reports: what was found, what was looked at, and the verdict that follows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from importlib import import_module
from typing import Any, Literal

from ..backends.errors import DatascanError, StoreError
from .exhibit import Distributions, Exhibit
from .finding import Finding, Severity
from .rebuilt import Rebuilt
from .version import __version__

SCHEMA = "datascan/1"
Verdict = Literal["pass", "fail", "incomplete"]


LOSING = ("store-unreadable", "store-truncated", "store-damaged", "store-reader-died", "store-external-reference")
"""Rules whose findings may stand for records that nobody could count."""


class ExitCode(IntEnum):
    """How a run ended. Of several sources the gravest wins: 130 > 4 > 3 > 1 > 0."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    NOT_LOOKED = 3
    BUG = 4
    INTERRUPTED = 130


class FindingsError(DatascanError):
    """Raised by `Report.raise_for_findings`; ``report`` is the report."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, slots=True)
class NotRun:
    """A rule (or a dataset) that was not looked at, and why."""

    rule: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """The entry of ``coverage.not_run``."""
        return {"rule": self.rule, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much was looked at.

    ``seen`` records were read and checked; ``unreadable`` could not be given back by the store; ``complete`` is
    ``False`` when anything else was left out, for the ``reasons`` given (a limit, an interruption, a crashed rule).
    """

    seen: int = 0
    unreadable: int = 0
    complete: bool = True
    reasons: tuple[str, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ``coverage`` of the JSON report."""
        return {
            "seen": self.seen,
            "unreadable": self.unreadable,
            "complete": self.complete,
            "reasons": list(self.reasons),
            "not_run": [entry.to_dict() for entry in self.not_run],
        }


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What was scanned. ``store`` and ``layout`` are ``None`` where it could not be opened."""

    path: str
    store: str | None = None
    layout: str | None = None
    records: int | None = None
    bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The ``source`` of the JSON report."""
        return {
            "path": self.path,
            "store": self.store,
            "layout": self.layout,
            "records": self.records,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What differs from run to run: date (ISO 8601, UTC), duration and workers. Nothing else in a report does."""

    started: str
    seconds: float
    workers: int

    def to_dict(self) -> dict[str, Any]:
        """The ``run`` of the JSON report."""
        return {"started": self.started, "seconds": self.seconds, "workers": self.workers}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive positions of a scan: the records of a key-value store, or the rows of datasets that go together."""

    positions: int
    columns: tuple[str, ...] = ()
    file: str | None = None


@dataclass(frozen=True, slots=True)
class SourceReport:
    """The report of one source.

    ``findings`` are in store order, those of the set as a whole first; ``omitted`` counts, per rule, the findings
    beyond ``--max-findings``, by severity; ``error`` says why the source could not be looked at, if it could not.
    ``stopped`` says that the source went away before its end.

    The rest is not in the JSON: ``tracebacks`` for a report of our own bugs; ``rules`` that ran; ``stretches``, what
    positions were scanned, in store order; ``reader``, by which records can be read again (see `exhibits`), and what
    was made of them: ``exhibits`` by the finding's number, and ``distributions`` of values.
    """

    source: SourceInfo
    coverage: Coverage
    findings: tuple[Finding, ...] = ()
    omitted: dict[str, dict[Severity, int]] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    run: RunInfo = RunInfo("", 0.0, 1)
    fail_on: Severity | None = Severity.ERROR
    error: str | None = None
    interrupted: bool = False
    stopped: bool = False
    crashed: bool = False
    tracebacks: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    reader: object = field(default=None, repr=False, compare=False)
    exhibits: Mapping[int, Exhibit] = field(default_factory=dict, repr=False, compare=False)
    accepted: int = 0
    distributions: Distributions | None = field(default=None, repr=False, compare=False)

    def positions(self) -> Iterator[int | None]:
        """The position of each finding in the whole scan, where rows of several tables are counted one after the other.

        ``None`` for findings about the set as a whole, and where the table is not known.
        """
        starts: dict[tuple[str | None, str | None], int] = {}
        start = 0
        for stretch in self.stretches:
            for column in stretch.columns or (None,):
                starts.setdefault((stretch.file, column), start)
            start += stretch.positions
        alone = len(self.stretches) < 2
        for finding in self.findings:
            location, file = finding.location, finding.data.get("file")
            begin = 0 if alone else starts.get((file if isinstance(file, str) else None, location.dataset))
            yield None if location.index is None or begin is None else begin + location.index

    def count(self, severity: Severity) -> int:
        """Findings of a severity, the omitted ones included."""
        kept = sum(finding.severity is severity for finding in self.findings)
        return kept + sum(counts.get(severity, 0) for counts in self.omitted.values())

    def rule_count(self, rule: str) -> int:
        """Findings of a rule, the omitted ones included."""
        kept = sum(finding.rule == rule for finding in self.findings)
        return kept + sum(self.omitted.get(rule, {}).values())

    def to_counts(self) -> dict[str, int]:
        """Findings by severity, the gravest first."""
        return {s.value: self.count(s) for s in (Severity.ERROR, Severity.WARNING, Severity.INFO)}

    @property
    def lost(self) -> bool:
        """Whether damage was met that may have cost records, counted or not."""
        return any(
            finding.rule in LOSING and finding.data.get("records_lost") != 0 and "positions" not in finding.data
            for finding in self.findings
        )

    @property
    def failed(self) -> bool:
        """Whether there is a finding at or above ``fail_on``."""
        return self.fail_on is not None and any(
            self.count(severity) for severity in Severity if severity >= self.fail_on
        )

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of this source alone.

        Findings outrank a scan that was only asked to look at a part; an interruption, a bug and a source that
        could not be opened outrank findings.
        """
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.crashed:
            return ExitCode.BUG
        if self.error is not None:
            return ExitCode.NOT_LOOKED
        if self.failed:
            return ExitCode.FINDINGS
        return ExitCode.CLEAN if self.coverage.complete else ExitCode.NOT_LOOKED

    @property
    def verdict(self) -> Verdict:
        """``fail`` with findings at or above ``fail_on``, ``incomplete`` if anything was left out, else ``pass``."""
        if self.failed:
            return "fail"
        return "pass" if self.exit_code is ExitCode.CLEAN else "incomplete"

    def to_dict(self) -> dict[str, Any]:
        """One entry of the JSON report's ``reports``."""
        return self.frame([finding.to_dict() for finding in self.findings])

    def frame(self, findings: object) -> dict[str, Any]:
        """The same around something that stands for the findings, for who writes them one by one."""
        return {
            "source": self.source.to_dict(),
            "coverage": self.coverage.to_dict(),
            "counts": self.to_counts(),
            "omitted": {rule: sum(counts.values()) for rule, counts in sorted(self.omitted.items())},
            "findings": findings,
            "statistics": self.statistics,
            "error": self.error,
            "run": self.run.to_dict(),
            **({"accepted": self.accepted} if self.accepted else {}),
        }


def not_looked_at(path: str, error: StoreError, fail_on: Severity | None) -> SourceReport:
    """The report of a source that could not be opened."""
    return SourceReport(
        source=SourceInfo(path),
        coverage=Coverage(complete=False, reasons=("the source could not be looked at",)),
        fail_on=fail_on,
        error=str(error),
    )


CauseVerdict = Literal["confirmed", "likely", "possible", "ruled-out", "not-checked"]


@dataclass(frozen=True, slots=True)
class Cause:
    """The verdict on one cause of a loss that is not finite, as ``datascan doctor`` gives it.

    ``rank`` counts from 1; ``evidence`` are sentences that begin with their place (``train.log:112: ...``).
    """

    cause: str
    verdict: CauseVerdict
    rank: int
    summary: str
    evidence: tuple[str, ...] = ()
    remedy: str | None = None

    @property
    def guilty(self) -> bool:
        """Whether it is confirmed or likely."""
        return self.verdict in ("confirmed", "likely")

    def to_dict(self) -> dict[str, Any]:
        """One entry of the JSON report's ``causes``."""
        return {
            "cause": self.cause,
            "verdict": self.verdict,
            "rank": self.rank,
            "summary": self.summary,
            "evidence": list(self.evidence),
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve to draw: iterations and values, and the first bad iteration with how its value is written."""

    title: str
    points: tuple[tuple[int, float], ...]
    bad: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a whole run: one `SourceReport` for each source, in the order given.

    ``causes`` (ranked) and ``charts`` stand only where ``datascan doctor`` ran.
    """

    reports: Sequence[SourceReport]
    causes: tuple[Cause, ...] | None = None
    charts: tuple[Chart, ...] = ()
    rebuild: Rebuilt | None = None

    def __iter__(self) -> Iterator[Finding]:
        for report in self.reports:
            yield from report.findings

    def __len__(self) -> int:
        return sum(len(report.findings) for report in self.reports)

    def __bool__(self) -> bool:
        return True

    @property
    def exit_code(self) -> ExitCode:
        """The gravest of the sources' exit codes; a confirmed or likely cause counts as a finding."""
        if self.rebuild is not None:
            return self._rebuild_code(self.rebuild)
        code = max((report.exit_code for report in self.reports), default=ExitCode.NOT_LOOKED)
        return max(code, ExitCode.FINDINGS) if any(cause.guilty for cause in self.causes or ()) else code

    def _rebuild_code(self, rebuild: Rebuilt) -> ExitCode:
        """How a rebuild ended: findings of the source do not count, for they were left out or accepted.

        What counts is that the target is proven, what a scan of it finds, and whether all of the source was read.
        """
        source, *targets = self.reports
        if rebuild.proof is not None and not rebuild.proof.holds:
            return ExitCode.BUG
        code = max((target.exit_code for target in targets), default=ExitCode.CLEAN)
        if code is ExitCode.CLEAN and (source.coverage.unreadable or not source.coverage.complete or source.lost):
            return ExitCode.NOT_LOOKED
        return code

    @property
    def verdict(self) -> Verdict:
        """The gravest of the sources' verdicts."""
        if self.rebuild is not None:
            code = self._rebuild_code(self.rebuild)
            return "pass" if code is ExitCode.CLEAN else "incomplete" if code is ExitCode.NOT_LOOKED else "fail"
        verdicts = {report.verdict for report in self.reports}
        if "fail" in verdicts or any(cause.guilty for cause in self.causes or ()):
            return "fail"
        return "incomplete" if "incomplete" in verdicts or not verdicts else "pass"

    def to_dict(self) -> dict[str, Any]:
        """The JSON report, schema ``datascan/1``."""
        return self.frame([report.to_dict() for report in self.reports])

    def frame(self, reports: object) -> dict[str, Any]:
        """The same around something that stands for the reports of the sources."""
        report = {
            "schema": SCHEMA,
            "tool": {"name": "datascan", "version": __version__},
            "exit_code": int(self.exit_code),
            "verdict": self.verdict,
            "reports": reports,
        }
        if self.causes is not None:
            report["causes"] = [cause.to_dict() for cause in self.causes]
        if self.rebuild is not None:
            report["rebuild"] = self.rebuild.to_dict()
        return report

    def to_json(self, indent: int | None = 2) -> str:
        """The JSON report as text; NaN and infinities never occur in it."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def to_html(self, pictures: bool = True) -> str:
        """The report as a page; with ``pictures`` the records of findings are read again, in a worker of their own.

        A source that is gone, or is another one now, has none.
        """
        # Above this module: loaded when they are wanted, as the command line loads its commands.
        report = import_module(".gallery", __package__).with_exhibits(self) if pictures else self
        text: str = import_module(".render.html", __package__).html_text(report)
        return text

    @property
    def finished(self) -> bool:
        """Whether nothing would be gained by going on: no scan was interrupted, stopped or crashed."""
        return not any(report.interrupted or report.crashed or report.stopped for report in self.reports)

    def raise_for_findings(self) -> None:
        """Raise `FindingsError` unless everything was looked at and nothing at or above ``fail_on`` was found."""
        if self.exit_code is ExitCode.CLEAN:
            return
        reasons = [
            report.error or f"{report.source.path}: {_sentence(report)}"
            for report in self.reports
            if report.exit_code is not ExitCode.CLEAN
        ]
        raise FindingsError("; ".join(reasons) or "nothing was scanned", self)


def _sentence(report: SourceReport) -> str:
    counts = ", ".join(
        f"{report.count(severity)} {severity.value}{'s' if report.count(severity) != 1 else ''}"
        for severity in (Severity.ERROR, Severity.WARNING)
        if report.count(severity)
    )
    left_out = "" if report.coverage.complete else "not all of it was looked at"
    return "; ".join(part for part in (counts, left_out) if part) or "not looked at"
