"""Two sets beside each other: both are scanned by the crew, then what is remembered of them is joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..backends.errors import StoreError, UsageError
from .conclude import Scanned, keys_of
from .crew import Crew
from .engines import Engine
from .finding import Finding, Further, Severity
from .interrupt import interrupting
from .options import Options
from .plan import Plan, Request
from .report import Coverage, NotRun, Report, SourceInfo, SourceReport, not_looked_at
from .rules import SetRule, StoreRule, rule_named, select
from .scan import Clock, ProgressCallback, begin, conclude_scan, never_opened, plan_source, read_partitions
from .spill import SpillError, Workspace
from .summary.facets import Facets
from .summary.pair import Pair
from .summary.tally import comparison_of
from .supervisor import WorkerDied


@dataclass(slots=True)
class Side:
    """One of the two sets: planned and scanned, or the report of why it could not be."""

    path: str
    plan: Plan | None = None
    scanned: Scanned | None = None
    report: SourceReport | None = None
    clock: Clock | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two sets are compared; ``where`` is backend, database, layout."""

    options: Options
    crew: Crew
    workspace: Workspace
    where: Mapping[str, str | None]
    engine: Engine | None = None
    progress: ProgressCallback | None = None

    def run(self, first: str, second: str) -> Report:
        """Scan both and compare them: findings about the pair stand in the second's report.

        Raises
        ------
        UsageError
            No rule is left, or an option that makes no sense for one of the sets.
        KeyboardInterrupt
            Before there is anything to report.
        """
        chosen = select(self.options.select, self.options.ignore)
        if not any(issubclass(rule, SetRule | StoreRule) for rule in chosen):
            raise UsageError("no rule is left that looks at two sets; those of the families set and store do")
        one = self._scan(first, None)
        if one.scanned is not None and one.scanned.interrupted:
            reports = [self._concluded(one), _left_out(second, self.options)]
            return Report(tuple(reports))
        two = self._scan(second, one.scanned)
        rules = [rule.name for rule in chosen if issubclass(rule, SetRule) and rule.compared(self.options)]
        try:
            with interrupting():
                told, not_run, lost, facts = self._compared(one, two, rules)
        except KeyboardInterrupt:
            if two.scanned is not None:
                two.scanned.interrupted = True
            told, not_run, lost, facts = self._compared(one, two, rules)
        if two.scanned is not None:
            for finding in told:
                two.scanned.total.findings.add(finding)
        reports = [self._concluded(one), self._concluded(two)]
        reports[1] = _with(reports[1], not_run, lost, facts)
        return Report(tuple(reports))

    def _scan(self, path: str, other: Scanned | None) -> Side:
        """Scan one of the sets; the contents of the second are sorted among those of the first."""
        chosen = select(self.options.select, self.options.ignore)
        rules = tuple(rule.name for rule in chosen if issubclass(rule, StoreRule))
        side = Side(path, clock=Clock())
        try:
            side.plan = plan_source(Request(path, self.options, rules, **self.where), self.crew)
        except WorkerDied as death:
            side.report = never_opened(path, self.options, death)
            return side
        except StoreError as exc:
            side.report = not_looked_at(path, exc, self.options.fail_on)
            return side
        side.scanned = begin(side.plan, self.workspace)
        if other is not None:
            side.scanned.total.summary.contents.join(other.total.summary.contents)
            side.scanned.total.summary.near.join(other.total.summary.near)
        read_partitions(side.plan, side.plan.tasks(), side.scanned, self.crew, self.engine, self.progress)
        return side

    def _compared(
        self, one: Side, two: Side, names: Sequence[str]
    ) -> tuple[list[Finding | Further], list[NotRun], list[str], dict[str, Any]]:
        """What the rules say of both; which of them have nothing to look at, what was lost, and the figures."""
        why = next((reason for side in (one, two) if (reason := _unfit(side)) is not None), None)
        if why is not None or one.scanned is None or two.scanned is None or one.plan is None or two.plan is None:
            return [], [NotRun(name, why or "") for name in names], [why or ""], {}
        pair = Pair(
            one.path, one.scanned.total.summary, two.scanned.total.summary, self.workspace, self.options.max_findings
        )
        told: list[Finding | Further] = []
        not_run: list[NotRun] = []
        lost: list[str] = []
        for name in names:
            rule = rule_named(name)(two.plan.context)
            assert isinstance(rule, SetRule)
            missing = rule.cannot(pair)
            try:
                told += [] if missing else list(rule.compare(pair))
            except SpillError as exc:
                missing = str(exc)
                lost += [missing] * (missing not in lost)
            if not missing and (unseen := rule.unseen(pair)) is not None:
                not_run.append(NotRun(name, unseen))
            if missing:
                not_run.append(NotRun(name, missing))
                if name in self.options.select and not lost:
                    lost.append(f"{name} was asked for by name and can't run: {missing}")
        facts = comparison_of(Facets(pair.first, pair.second), one.path)
        facts["shared"] = _shared(pair)
        return list(self._keyed(told, one)), not_run, lost, facts

    def _keyed(self, told: Sequence[Finding | Further], one: Side) -> Iterator[Finding | Further]:
        """Findings with the key of the record of the first set that they are about."""
        assert one.plan is not None
        assert one.scanned is not None
        firsts = [position for finding in told if (position := _first(finding)) is not None]
        keys = keys_of(self.crew.call, one.plan, one.scanned, firsts)
        for finding in told:
            position = _first(finding)
            if isinstance(finding, Further) or position is None or position not in keys:
                yield finding
            else:
                key = keys[position].decode(errors="backslashreplace")
                yield replace(finding, message=f"{finding.message} ({key})", data={**finding.data, "first_key": key})

    def _concluded(self, side: Side) -> SourceReport:
        if side.report is not None or side.plan is None or side.scanned is None or side.clock is None:
            return side.report or _left_out(side.path, self.options)
        return conclude_scan(side.plan, side.scanned, self.crew, side.clock)


def _first(finding: Finding | Further) -> int | None:
    first = finding.data.get("first") if isinstance(finding, Finding) else None
    return first if isinstance(first, int) else None


def _unfit(side: Side) -> str | None:
    """Why nothing can be said of a set beside another."""
    if side.scanned is None:
        return f"{side.path} could not be looked at"
    return f"{side.path} was not read to its end" if side.scanned.ended_early else None


def _shared(pair: Pair) -> dict[str, int] | None:
    try:
        shared = pair.shared()
        conflicts = pair.conflicts()
    except SpillError:
        return None
    return {
        "contents": shared.same.count + shared.conflicting.count,
        "with_another_label": shared.conflicting.count,
        "keys": pair.equal_keys.agreeing + pair.equal_keys.differing,
        "keys_with_other_contents": conflicts.same.count + conflicts.conflicting.count,
    }


def _with(
    report: SourceReport, not_run: Sequence[NotRun], lost: Sequence[str], facts: Mapping[str, Any]
) -> SourceReport:
    """The report of the second set, with what is known of the pair."""
    coverage = replace(
        report.coverage,
        not_run=(*report.coverage.not_run, *not_run),
        complete=report.coverage.complete and not lost,
        reasons=(*report.coverage.reasons, *lost),
    )
    statistics = {**report.statistics, **({"comparison": dict(facts)} if facts else {})}
    return replace(report, coverage=coverage, statistics=statistics)


def _left_out(path: str, options: Options) -> SourceReport:
    why = "not looked at: the run was interrupted before"
    fail_on: Severity | None = options.fail_on
    coverage = Coverage(complete=False, reasons=(why,))
    return SourceReport(SourceInfo(path), coverage, fail_on=fail_on, error=why, interrupted=True)
