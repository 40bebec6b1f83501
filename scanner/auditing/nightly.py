"""A night's audit: each source looked at as far as it must be, compared with the nights before, and remembered."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import xxhash

from ...backends.errors import StoreError, UsageError
from ..complain import describe
from ..crew import Crew
from ..finding import Finding, Severity
from ..frames import PARTIALS
from ..journal import identity_of
from ..options import Options
from ..plan import Plan, Request
from ..report import ExitCode, Report, SourceReport, not_looked_at
from ..scan import Clock, ProgressCallback, never_opened, plan_source, wanted_rules
from ..spill import Workspace
from ..supervisor import WorkerDied
from ..version import __version__
from .contents import compared
from .drift import Thresholds, drifts, figures_of
from .history import History, Scan, Settled
from .news import EVENTS, NO_NEWS, News, news_of
from .reading import Reading, read
from .stamp import stamp_of
from .stored import report_from

DAY_S = 86_400.0

MEASURED: Mapping[str, tuple[str, ...]] = {
    "drift-records": (),
    "drift-labels": ("labels",),
    "drift-values": ("channels", "samples"),
}
"""The figures that drift is measured from anew when it was reported; records are always those of the last audit."""


@dataclass(frozen=True, slots=True)
class Job:
    """A source to audit: its name, its path, how it is scanned."""

    name: str
    path: str
    options: Options
    backend: str | None = None
    database: str | None = None
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How much is looked at in one night.

    Attributes
    ----------
    force
        Read everything, also what has not changed.
    reread_days
        Read what has not changed again when it was read so many days ago: that alone finds bit-rot.
    max_duration_s
        Begin nothing more after so many seconds.
    subset
        ``(n, t)``: of what is to be read, only the n-th of t shares tonight.
    drift
        From where on a difference is drift.
    work_dir
        Where what grows with the records goes to disk.
    """

    force: bool = False
    reread_days: float = 7.0
    max_duration_s: float | None = None
    subset: tuple[int, int] | None = None
    drift: Thresholds = field(default_factory=Thresholds)
    work_dir: str | None = None


@dataclass(frozen=True, slots=True)
class Night:
    """What a night says of one source.

    Attributes
    ----------
    action
        ``scanned`` in full; ``part`` of it was read; ``unchanged`` since it was read last, and skipped; ``postponed``
        to another night; ``failed`` to open.
    report
        What is known of the source now: of tonight, or of when it was scanned last.
    records
        How many records are new, gone and changed since the last complete scan; empty where that is not known.
    read_at
        When its contents were read last, from beginning to end; empty if never.
    done, parts
        Partitions read in this round, and how many there are.
    """

    job: Job
    action: str
    report: SourceReport
    news: News = NO_NEWS
    records: Mapping[str, int] = field(default_factory=dict)
    first: bool = False
    read_at: str = ""
    done: int = 0
    parts: int = 0
    why: str = ""

    @property
    def has_news(self) -> bool:
        """Whether anything has changed since the last night, be it good or bad."""
        return bool(self.news.new or self.news.gone or any(self.records.values()))

    @property
    def exit_code(self) -> ExitCode:
        """That of its report; what was postponed was not looked at."""
        code = self.report.exit_code
        return ExitCode.NOT_LOOKED if code is ExitCode.CLEAN and self.action == "postponed" else code

    @property
    def verdict(self) -> str:
        """As the report's; ``incomplete`` for what was not looked at."""
        incomplete = self.action == "postponed" and self.report.verdict == "pass"
        return "incomplete" if incomplete else self.report.verdict


@dataclass(slots=True)
class Audit:
    """A night's audit of all sources. `finish` lets it count."""

    history: History
    run: int
    started: str
    jobs: Sequence[Job] = ()
    nights: list[Night] = field(default_factory=list)
    killed: Sequence[str] = ()
    settled: dict[int, Settled] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def report(self) -> Report:
        """What is known of all sources, as the formats of `check` write it."""
        return Report(tuple(night.report for night in self.nights))

    @property
    def exit_code(self) -> ExitCode:
        """The gravest of the sources': 130 > 4 > 3 > 1 > 0."""
        codes = [night.exit_code for night in self.nights]
        return ExitCode.INTERRUPTED if self.interrupted else max(codes, default=ExitCode.NOT_LOOKED)

    @property
    def has_new(self) -> bool:
        """Whether there is something new that is wrong: a finding, or a source that could not be looked at."""
        return any(night.news.new or night.action == "failed" for night in self.nights)

    def finish(self) -> None:
        """Let it count: the next audit compares with this one. Called when everybody who has to know was told."""
        state = "interrupted" if self.interrupted else "done"
        self.history.end(self.run, _iso(datetime.now(UTC)), state, int(self.exit_code), self.settled)


def audit(
    jobs: Sequence[Job],
    history: History,
    crew: Crew,
    policy: Policy | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Callable[[str], ProgressCallback | None] = lambda path: None,
) -> Audit:
    """Audit sources, those first that were read the longest time ago.

    Parameters
    ----------
    now
        The clock, for what is written down and for how long ago something was.
    progress
        Gives the callback for the progress of a source.

    Raises
    ------
    HistoryError
        The history can't be written.
    """
    policy = policy or Policy()
    began = time.monotonic()
    run, killed = history.begin(_iso(now()))
    found = Audit(history, run, _iso(now()), jobs, killed=killed)
    deadline = None if policy.max_duration_s is None else began + policy.max_duration_s
    numbers = {job.path: history.source(job.name, job.path) for job in jobs}
    lasts = {job.path: history.last(numbers[job.path]) for job in jobs}
    done: dict[int, Night] = {}
    for number, job in sorted(enumerate(jobs), key=lambda one: _urgency(lasts[one[1].path], policy)):
        one = _Source(found, job, numbers[job.path], lasts[job.path], crew, policy, now, deadline)
        done[number] = one.postponed("interrupted before") if found.interrupted else one.contained(progress(job.path))
        found.interrupted |= done[number].report.interrupted
    found.nights = [done[number] for number in range(len(jobs))]
    found.seconds = round(time.monotonic() - began, 3)
    return found


def _urgency(last: Scan | None, policy: Policy) -> str:
    """What was read the longest time ago comes first where time is short; otherwise the order is kept."""
    return "" if last is None or policy.max_duration_s is None else last.read_at


@dataclass(slots=True)
class _Source:
    """One source in one night."""

    audit: Audit
    job: Job
    number: int
    last: Scan | None
    crew: Crew
    policy: Policy
    now: Callable[[], datetime]
    deadline: float | None

    def contained(self, progress: ProgressCallback | None) -> Night:
        """The night of the source; a bug of ours in it costs no other source its night."""
        try:
            return self.night(progress)
        except (StoreError, UsageError):
            raise
        except Exception as exc:
            why = f"the audit crashed, which is a bug in datascan: {describe(exc)}"
            report = not_looked_at(self.job.path, StoreError(why), self.job.options.fail_on)
            coverage = replace(report.coverage, reasons=(why,))
            return self.failed(replace(report, coverage=coverage, crashed=True, tracebacks=(traceback.format_exc(),)))

    def night(self, progress: ProgressCallback | None) -> Night:
        """Look at the source, as far as it must be and may be."""
        job, options = self.job, replace(self.job.options, remember=True)
        if self.out_of_time:
            return self.postponed("the time was up before it")
        clock = Clock()
        request = Request(job.path, options, wanted_rules(options), job.backend, job.database, job.layout)
        try:
            plan = plan_source(request, self.crew)
            stamp: dict[str, Any] = self.crew.call(stamp_of, job.path, plan.source.identity)
        except KeyboardInterrupt:
            self.audit.interrupted = True
            return self.postponed("interrupted before it was opened")
        except WorkerDied as death:
            return self.failed(never_opened(job.path, options, death))
        except (StoreError, UsageError) as exc:
            return self.failed(not_looked_at(job.path, StoreError(str(exc)), options.fail_on))
        left_out = ("identity", "path", "fail_on")
        facts = {name: value for name, value in identity_of(plan).items() if name not in left_out}
        signature = _digest({**facts, "version": __version__})
        if self.may_skip(stamp, signature):
            return self.unchanged(stamp, signature)
        return self.read(plan, stamp, signature, clock, progress)

    # ---- what is not read tonight ----

    @property
    def out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def may_skip(self, stamp: Mapping[str, Any], signature: str) -> bool:
        last = self.last
        if last is None or self.policy.force or last.stamp != stamp or last.signature != signature:
            return False
        age = self.now() - datetime.fromisoformat(last.read_at)
        return age.total_seconds() < self.policy.reread_days * DAY_S

    def carried(self) -> SourceReport | None:
        """What the last scan said, without what was over with its night."""
        if self.last is None:
            return None
        report = report_from(self.last.report, self.job.options.fail_on)
        lasting = tuple(finding for finding in report.findings if finding.rule not in EVENTS)
        return replace(report, findings=lasting)

    def unchanged(self, stamp: Mapping[str, Any], signature: str) -> Night:
        report, last = self.carried(), self.last
        assert report is not None
        assert last is not None
        night = Night(self.job, "unchanged", report, News(known=len(report.findings)), read_at=last.read_at)
        self.remember(night, stamp, signature, figures=last.figures)
        return night

    def postponed(self, why: str) -> Night:
        report = self.carried()
        error = f"not looked at tonight: {why}"
        if report is None:
            report = not_looked_at(self.job.path, StoreError(error), self.job.options.fail_on)
        read_at = "" if self.last is None else self.last.read_at
        news = News(known=len(report.findings))
        night = Night(self.job, "postponed", report, news, first=self.last is None, read_at=read_at, why=why)
        self.remember(night, None, None)
        return night

    def failed(self, report: SourceReport) -> Night:
        before = [] if self.last is None else report_from(self.last.report, None).findings
        read_at = "" if self.last is None else self.last.read_at
        news = news_of(before, report.findings, partly=True)
        night = Night(self.job, "failed", report, news, read_at=read_at, why=report.error or "")
        self.remember(night, None, None)
        return night

    # ---- what is ----

    def read(
        self, plan: Plan, stamp: Mapping[str, Any], signature: str, clock: Clock, progress: ProgressCallback | None
    ) -> Night:
        at = _iso(self.now())
        round_ = _digest({"stamp": stamp, "signature": signature})
        parts = Parts(self.audit.history, self.number, round_, at)
        workspace = Workspace(self.policy.work_dir, sources=[job.path for job in self.audit.jobs])
        reading = read(plan, parts, self.crew, clock, self.tonight(plan), self.deadline, progress, workspace)
        seen = compared(reading, self.audit.history, self.number, stamp, self.crew, self.job.options, at)
        report = replace(reading.report, findings=_in_order([*reading.report.findings, *seen.findings]))
        figures = figures_of(report.to_dict())
        base = None
        if reading.complete:
            report, base = self.drifted(report, figures)
        before = [] if self.last is None else report_from(self.last.report, None).findings
        news = news_of(before, report.findings, partly=not reading.complete)
        night = Night(
            self.job,
            "scanned" if reading.complete else "part",
            self.standing(report, stamp, signature, reading),
            news,
            seen.records if self.last is not None else {},
            first=self.last is None,
            read_at=reading.oldest if reading.complete else ("" if self.last is None else self.last.read_at),
            done=reading.done,
            parts=len(plan.partitions),
            why=reading.why,
        )
        scan = self.remember(night, stamp, signature, figures, report if reading.complete else None, reading, seen.keep)
        self.audit.settled[self.number] = Settled(
            last=scan if reading.complete else None,
            reference=scan if reading.complete and seen.keep else None,
            drift_base=base,
            round=round_ if reading.complete else None,
            rot=seen.rot,
        )
        return night

    def tonight(self, plan: Plan) -> Callable[[int], bool]:
        """Which partitions are read tonight; sources begin at different shares, so that small ones are spread too."""
        if self.policy.subset is None:
            return lambda ordinal: True
        share, of = self.policy.subset
        first = crc32(self.job.name.encode())
        return lambda ordinal: (ordinal + first) % of == share - 1

    def standing(
        self, report: SourceReport, stamp: Mapping[str, Any], signature: str, reading: Reading
    ) -> SourceReport:
        """A part that was read adds to what is known of a set that is as it was; of another one it is all there is."""
        last = self.last
        if reading.complete or report.interrupted or report.crashed or last is None:
            return report
        if last.stamp != stamp or last.signature != signature:
            return report
        known = self.carried()
        assert known is not None
        added = news_of(known.findings, report.findings, partly=True).new
        return replace(known, findings=_in_order([*known.findings, *added]))

    def drifted(
        self, report: SourceReport, figures: Mapping[str, Any]
    ) -> tuple[SourceReport, Mapping[str, Any] | None]:
        """The report with what has drifted, and the figures to measure from if that has to change."""
        base = self.audit.history.drift_base(self.number)
        if base is None:
            return report, figures if report.coverage.complete else None
        wanted = wanted_rules(replace(self.job.options, remember=True))
        last_night = base if self.last is None else {**base, "records": self.last.figures["records"]}
        drifted = [one for one in drifts(last_night, figures, self.policy.drift) if one.rule in wanted]
        if not drifted or not report.coverage.complete:
            return report, None
        severities = self.job.options.severities
        found = [
            Finding(one.rule, severities.get(one.rule, Severity.WARNING), one.message, data=one.data) for one in drifted
        ]
        names = [name for one in drifted for name in MEASURED[one.rule]]
        return (
            replace(report, findings=_in_order([*report.findings, *found])),
            {**base, **{name: figures[name] for name in names}},
        )

    def remember(
        self,
        night: Night,
        stamp: Mapping[str, Any] | None,
        signature: str | None,
        figures: Mapping[str, Any] | None = None,
        report: SourceReport | None = None,
        reading: Reading | None = None,
        keep: bool = False,
    ) -> int:
        values = {
            "at": _iso(self.now()),
            "action": night.action,
            "verdict": night.verdict,
            "stamp": None if stamp is None else dict(stamp),
            "signature": signature,
            "read_at": night.read_at,
            "figures": None if figures is None else dict(figures),
            "news": {"new": len(night.news.new), "gone": len(night.news.gone), **night.records},
            "report": None if report is None else report.to_dict(),
        }
        contents = reading.contents if reading is not None and keep else None
        return self.audit.history.add_scan(self.audit.run, self.number, values, contents)


class Parts:
    """The partial reports of one round of a source, in the history."""

    def __init__(self, history: History, source: int, round_: str, at: str) -> None:
        self.history, self.source, self.round, self.at = history, source, round_, at
        self.stored = history.parts(source, round_)

    def load(self, ordinal: int) -> Any:
        """The partial report of a partition, ``None`` where it is not there."""
        data = self.history.part(self.source, self.round, ordinal) if ordinal in self.stored else None
        return None if data is None else PARTIALS.decode(data)

    def keep(self, ordinal: int, partial: Any) -> None:
        """Write one down."""
        self.history.keep_part(self.source, self.round, ordinal, self.at, PARTIALS.encode(partial))
        self.stored[ordinal] = self.at


def _in_order(findings: Sequence[Any]) -> tuple[Any, ...]:
    """The set as a whole first, then store order."""
    return tuple(sorted(findings, key=lambda one: -1 if one.location.index is None else one.location.index))


def _digest(facts: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True, default=repr).encode())


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
