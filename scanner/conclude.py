"""The end of a scan: whole-set rules, the store's last word, absolute locations, the report."""

from __future__ import annotations

import traceback
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..backends.base import Damage, Partition
from ..backends.errors import StoreError
from .finding import Finding, Location, Severity
from .partial import Partial
from .plan import WHOLE_SET_RULES, Plan
from .plugged import is_foreign
from .reader import Reader
from .report import Coverage, NotRun, RunInfo, SourceInfo, SourceReport, Stretch
from .rules import RULE_PLUGINS, instantiate
from .rules.base import Rule
from .rules.store import StoreReaderDied
from .spill import SpillError
from .supervisor import WorkerDied
from .worker import Checker, closing_damage, keys_at


@dataclass(slots=True)
class Scanned:
    """Merged partial reports, and which positions of the scan each partition spans.

    ``stopped`` says why the rest of the partitions could not be scanned.
    """

    total: Partial
    spans: list[tuple[int, Partition]] = field(default_factory=list)
    interrupted: bool = False
    stopped: str | None = None

    @property
    def ended_early(self) -> bool:
        """Whether some partitions are missing."""
        return self.interrupted or self.stopped is not None

    def merge(self, partition: Partition, partial: Partial) -> None:
        """Take in the next partition in store order."""
        self.spans.append((self.total.positions, partition))
        self.total.merge(partial)

    def partition_at(self, position: int) -> tuple[int, Partition] | None:
        """Where the partition of a position starts, and which it is."""
        number = bisect_right(self.spans, position, key=lambda span: span[0])
        return self.spans[number - 1] if number else None


@dataclass(slots=True)
class Telling(Scanned):
    """Tells of each partition's findings when it is merged, with their final places: for who wants them at once.

    A finding whose key must be looked up is left for the report.
    """

    plan: Plan = field(kw_only=True)
    tell: Callable[[str, Sequence[Finding]], None] = field(kw_only=True)
    told: dict[str, int] = field(default_factory=dict)

    def merge(self, partition: Partition, partial: Partial) -> None:
        """See `Scanned.merge`."""
        Scanned.merge(self, partition, partial)
        order = {name: number for number, name in enumerate(self.plan.rules)}
        new: list[Finding] = []
        for rule, kept in self.total.findings.kept.items():
            new += kept[self.told.get(rule, 0) :]
            self.told[rule] = len(kept)
        settled = sorted((one for one in new if _keyless(self, one) is None), key=lambda one: _place(one, order))
        if settled:
            self.tell(self.plan.source.path, list(_located(self, settled, {})))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the report is made of."""

    scanned: Scanned
    findings: tuple[Finding, ...]
    not_run: tuple[NotRun, ...] = ()
    reasons: tuple[str, ...] = ()


KEYED_BY_STORE = ("store-damaged", "store-truncated")
"""Rules whose findings have a key only where the store names one: at their index stands the next sound record."""

Ask = Callable[..., Any]
"""Calls a function in a worker: the store is never opened in this process."""


def conclude(ask: Ask, plan: Plan, scanned: Scanned) -> Outcome:
    """Run the rules of the whole set, ask the store for its last word, and make every location absolute."""
    total = scanned.total
    not_run: list[NotRun] = []
    reasons: list[str] = []
    if not scanned.ended_early:
        rules = instantiate(plan.rules, plan.context)
        last_word = _last_word(ask, plan, rules, total)
        reasons = list(last_word.reasons)
        misled = dict.fromkeys(WHOLE_SET_RULES, reasons[0]) if last_word.changed else {}
        if total.damaged:
            misled.setdefault("record-key-gap", "records lost to damage leave holes of their own")
        not_run = [NotRun(rule.name, misled[rule.name]) for rule in rules if rule.name in misled]
        for rule in rules:
            if rule.name not in misled and (why := _finish(rule, total)) is not None:
                not_run.append(NotRun(rule.name, why))
                reasons += [why] * (why not in reasons)
            elif rule.name not in misled and (left := rule.overlooked(total.summary)) is not None:
                not_run.append(NotRun(rule.name, left))
    order = {name: number for number, name in enumerate(plan.rules)}
    findings = sorted(total.findings, key=lambda finding: _place(finding, order))
    keys = {} if scanned.ended_early else _missing_keys(ask, plan, scanned, findings)
    return Outcome(scanned, tuple(_located(scanned, findings, keys)), tuple(not_run), tuple(reasons))


def _finish(rule: Rule, total: Partial) -> str | None:
    """Let a rule judge the whole set; returns why it could not."""
    try:
        for finding in rule.finish(total.summary):
            total.findings.add(finding)
    except SpillError as exc:
        return str(exc)
    except Exception:
        total.crashes.setdefault(rule.name, traceback.format_exc())
    return None


@dataclass(frozen=True, slots=True)
class _LastWord:
    """Why the report is not about all of the set, and whether the set has changed under the scan."""

    reasons: list[str] = field(default_factory=list)
    changed: bool = False


def _last_word(ask: Ask, plan: Plan, rules: list[Rule], total: Partial) -> _LastWord:
    """Ask the store for what shows only at the end."""
    if plan.context.options.limit is not None:
        return _LastWord()
    checker = Checker(plan.choice.layout, rules, plan.context.options)
    try:
        damages: Sequence[Damage] = _asked(ask, closing_damage, plan.source, total.positions)
    except WorkerDied as death:
        message = f"asking the store for its counts ends the reader: it {death.reason}"
        for rule in rules:
            if isinstance(rule, StoreReaderDied):
                total.findings.add(rule.finding(message))
        return _LastWord([message])
    except StoreError as exc:
        return _LastWord([str(exc)], changed=True)
    for damage in damages:
        checker.note(damage)
    total.unreadable += checker.partial.unreadable
    total.findings.merge(checker.partial.findings, 0)
    changed = any(damage.kind == "in-use" for damage in damages)
    return _LastWord(["it was written to while it was read"] if changed else [], changed)


def _asked(ask: Ask, function: Callable[..., Any], *args: Any) -> Any:
    """Ask, and once more if that ended the reader: no blame without proof."""
    try:
        return ask(function, *args)
    except WorkerDied:
        return ask(function, *args)


def _place(finding: Finding, order: dict[str, int]) -> tuple[int, int, tuple[int, ...], str]:
    """Sort key: the set as a whole first, then store order; rules in the order of the registry."""
    location = finding.location
    return (
        -1 if location.index is None else location.index,
        order.get(finding.rule, len(order)),
        location.element or (),
        finding.message,
    )


# ---- locations ----


def _located(scanned: Scanned, findings: list[Finding], keys: dict[int, bytes]) -> Iterable[Finding]:
    """Findings with the key, or the dataset and row, that their position in the scan stands for."""
    extents = scanned.total.extents
    starts = [sum(count for _, count in extents[:number]) for number in range(len(extents))]
    for finding in findings:
        location = finding.location
        if location.index is None or not extents:
            yield finding
            continue
        number = max(bisect_right(starts, location.index) - 1, 0)
        table = extents[number][0]
        if table.columns:
            yield replace(
                finding,
                location=replace(
                    location,
                    index=location.index - starts[number],
                    dataset=location.dataset or table.columns[0],
                ),
                data={**finding.data, "file": table.file} if table.file else finding.data,
            )
        else:
            yield replace(finding, location=_keyed(location, keys))


def _keyed(location: Location, keys: dict[int, bytes]) -> Location:
    if location.key is None and location.index in keys:
        return replace(location, key=keys[location.index])
    return location


def _keyless(scanned: Scanned, finding: Finding) -> tuple[int, Partition, int] | None:
    """Where the key of a finding is to be looked up that names a record by its position alone."""
    location = finding.location
    if location.index is None or location.key is not None or finding.rule in KEYED_BY_STORE:
        return None
    span = scanned.partition_at(location.index)
    if span is None or span[1].table.columns:
        return None
    return (*span, location.index - span[0])


def keys_of(ask: Ask, plan: Plan, scanned: Scanned, positions: Sequence[int]) -> dict[int, bytes]:
    """Keys of some positions; what has none, or can't be read again, is missing."""
    asked = [Finding("", Severity.INFO, "", Location(index=position)) for position in positions]
    return _missing_keys(ask, plan, scanned, asked)


def _missing_keys(ask: Ask, plan: Plan, scanned: Scanned, findings: list[Finding]) -> dict[int, bytes]:
    """Keys of positions that whole-set rules named; only the partitions that hold them are read again."""
    wanted: dict[int, tuple[Partition, list[int]]] = {}
    for finding in findings:
        missing = _keyless(scanned, finding)
        if missing is not None:
            start, partition, position = missing
            wanted.setdefault(start, (partition, []))[1].append(position)
    found: dict[int, bytes] = {}
    for start, (partition, positions) in sorted(wanted.items()):
        try:
            keys: dict[int, bytes] = _asked(ask, keys_at, plan.source, partition, positions)
        except (WorkerDied, StoreError):  # findings name the record by its index, then
            continue
        found.update((start + position, key) for position, key in keys.items())
    return found


# ---- report ----


def source_report(plan: Plan, outcome: Outcome, run: RunInfo) -> SourceReport:
    """The report of a source that was opened."""
    total, options = outcome.scanned.total, plan.context.options
    foreign = {name for name in total.crashes if _is_plugin(name, plan)}
    crashes = {
        name: f"{'(of a plug-in) ' * (name in foreign)}crashed: {text.strip().splitlines()[-1]}"
        for name, text in total.crashes.items()
    }
    reasons = [*plan.reasons, *outcome.reasons, *(f"{name} {text}" for name, text in crashes.items())]
    if total.gave_up:
        reasons.append("too many records ended the reader")
    if outcome.scanned.interrupted:
        reasons.append("interrupted")
    if outcome.scanned.stopped is not None:
        reasons.append(outcome.scanned.stopped)
    crashed = tuple(NotRun(name, text) for name, text in crashes.items())
    claimed = plan.facts.records_claimed
    return SourceReport(
        source=SourceInfo(
            plan.source.path,
            plan.facts.name,
            plan.choice.layout.name,
            total.positions if claimed is None else max(claimed, total.positions),
            plan.facts.size_bytes,
        ),
        coverage=Coverage(
            total.seen, total.unreadable, not reasons, tuple(reasons), plan.not_run + outcome.not_run + crashed
        ),
        findings=outcome.findings,
        omitted=_omitted(total),
        statistics=total.summary.statistics(),
        run=run,
        fail_on=options.fail_on,
        interrupted=outcome.scanned.interrupted,
        stopped=outcome.scanned.stopped is not None,
        crashed=bool(crashes.keys() - foreign),
        tracebacks=tuple(total.crashes.values()),
        rules=plan.rules,
        stretches=tuple(Stretch(count, table.columns, table.file) for table, count in total.extents),
        reader=Reader(
            plan.source, plan.choice.layout, plan.context.options, tuple(outcome.scanned.spans), total.positions
        ),
    )


def _is_plugin(name: str, plan: Plan) -> bool:
    """Whether what crashed is no part of datascan: no bug of ours, but something was not looked at."""
    if name == "layout":
        return is_foreign(type(plan.choice.layout))
    return name in RULE_PLUGINS and is_foreign(RULE_PLUGINS[name])


def _omitted(total: Partial) -> dict[str, dict[Severity, int]]:
    omitted: dict[str, dict[Severity, int]] = defaultdict(dict)
    for rule, counts in sorted(total.findings.omitted.items()):
        omitted[rule] = dict(counts)
    return dict(omitted)
