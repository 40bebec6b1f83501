"""The plan of a scan: all that is decided before the first record is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..backends.base import Partition, RowBatch, Store, Table
from .layouts.base import RecordLayout, RowLayout
from .layouts.choose import Choice, choose_layout
from .options import Options
from .partial import Partial
from .plugged import broken_plugins, failed_layouts
from .report import NotRun
from .rules import instantiate
from .rules.base import Context
from .sample import SampleBatch
from .worker import Checker, SourceRef, Task, open_source

WHOLE_SET_RULES = {
    "record-key-gap": "numbers between the sampled records were not read",
    "record-missing-twin": "the other half may not have been read",
    "store-count-mismatch": "not all records were read",
    "label-sorted": "neighbouring records were not all read",
    "expect-records": "not all records were read",
    "drift-records": "not all records were read",
}
"""Rules that would cry wolf over a part of the set, with the reason for not running them."""

LIMIT_RULES = ("record-missing-twin", "store-count-mismatch", "expect-records", "drift-records")
"""Those of `WHOLE_SET_RULES` that a plain prefix of the set misleads as well."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be scanned, as it was asked for. Travels to the worker that opens the source first."""

    path: str
    options: Options
    rules: tuple[str, ...]
    backend: str | None = None
    database: str | None = None
    layout: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the opened store says of itself."""

    name: str
    size_bytes: int
    records_claimed: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is scanned, how, what is left out from the start, and what opening the store already found."""

    source: SourceRef
    facts: StoreFacts
    choice: Choice
    context: Context
    rules: tuple[str, ...]
    partitions: list[Partition]
    not_run: tuple[NotRun, ...]
    reasons: tuple[str, ...]
    opening: Partial

    def tasks(self) -> list[Task]:
        """One task a partition."""
        return [Task(self.source, self.choice.layout, self.context, self.rules, p) for p in self.partitions]


def make_plan(request: Request) -> Plan:
    """Open the source and decide on the layout, the rules that can run and the partitions. Runs in a worker.

    Raises
    ------
    StoreError
        The source could not be looked at.
    UsageError
        An option that makes no sense for this source.
    """
    source = SourceRef(
        request.path,
        request.backend,
        request.database,
        time.time_ns(),
        follow_external=request.options.follow_external,
        at=request.at,
    )
    store = open_source(source)
    source = replace(source, identity=store.identity())
    options = request.options.settled(store.size_bytes)
    choice = choose_layout(store, options, request.layout)
    context = Context(options, choice.layout.name, store.name, choice.layout.traits)
    not_run = _not_run(request.rules, context)
    unable = {entry.rule for entry in not_run}
    rules = tuple(name for name in request.rules if name not in unable)
    not_run += [NotRun(rule.name, why) for rule in instantiate(rules, context) if (why := rule.left_out())]
    reasons = [*_asked_for_less(options), *choice.reasons]
    asked = (entry for entry in not_run if entry.rule in options.select)
    reasons += [f"{entry.rule} was asked for by name and can't run: {entry.reason}" for entry in asked]
    not_run += failed_layouts(choice.failed)
    for entry, missed in broken_plugins(options):
        not_run.append(entry)
        reasons += [f"plug-in {entry.reason}"] * missed
    if isinstance(choice.layout, RowLayout):
        skipped = choice.layout.not_looked_at()
        not_run += [NotRun("dataset", f"{name}: {why}") for name, why in skipped]
        reasons += [f"{len(skipped)} dataset{'s' if len(skipped) > 1 else ''} could not be looked at"] * bool(skipped)
    return Plan(
        source,
        StoreFacts(store.name, store.size_bytes, store.records_claimed),
        choice,
        context,
        rules,
        store.partitions(choice.tables, options.limit),
        tuple(not_run),
        tuple(reasons),
        _opening(store, choice, context, rules),
    )


def _not_run(rules: Sequence[str], context: Context) -> list[NotRun]:
    entries = [NotRun(rule.name, why) for rule in instantiate(rules, context) if (why := rule.not_run())]
    return entries + [NotRun(name, why) for name, why in _misled_rules(context.options).items() if name in rules]


def _opening(store: Store, choice: Choice, context: Context, rules: Sequence[str]) -> Partial:
    """What is wrong with the set before any record is read."""
    checker = Checker(choice.layout, instantiate(rules, context), context.options)
    for damage in store.opening_damage():
        checker.note(damage)
    if isinstance(choice.layout, RecordLayout) and (listed := choice.layout.listed_keys()) is not None:
        checker.partial.summary.lists.lists.append(listed)
    faults = list(choice.layout.opening_faults())
    if faults:
        nothing = RowBatch(Table(), np.empty(0, np.int64), {})
        checker.check(SampleBatch(nothing, nothing.positions, faults=faults))
    return checker.partial


def _misled_rules(options: Options) -> dict[str, str]:
    if options.sample is not None:
        return WHOLE_SET_RULES
    return {name: WHOLE_SET_RULES[name] for name in LIMIT_RULES} if options.limit is not None else {}


def _asked_for_less(options: Options) -> list[str]:
    if options.limit is not None:
        return [f"only the first {options.limit:,} records were asked for"]
    if options.sample is not None:
        return [f"only a sample of {options.sample:.3g} of the records was asked for"]
    return []
