"""The plan of a scan: all that is decided before the first record is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..backends.base import Partition, Store
from .layouts.base import RowLayout
from .layouts.choose import Choice, choose_layout
from .options import Options
from .report import NotRun
from .rules import instantiate
from .rules.base import Context
from .worker import SourceRef, Task

WHOLE_SET_RULES = {
    "record-key-gap": "numbers between the sampled records were not read",
    "record-missing-twin": "the other half may not have been read",
    "store-count-mismatch": "not all records were read",
    "label-sorted": "neighbouring records were not all read",
}
"""Rules that would cry wolf over a part of the set, with the reason for not running them."""

LIMIT_RULES = ("record-missing-twin", "store-count-mismatch")
"""Those of `WHOLE_SET_RULES` that a plain prefix of the set misleads as well."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is scanned, how, and what is left out from the start."""

    source: SourceRef
    choice: Choice
    context: Context
    rules: tuple[str, ...]
    partitions: list[Partition]
    not_run: tuple[NotRun, ...]
    reasons: tuple[str, ...]

    def tasks(self) -> list[Task]:
        """One task a partition."""
        return [Task(self.source, self.choice.layout, self.context, self.rules, p) for p in self.partitions]


def make_plan(store: Store, source: SourceRef, options: Options, layout: str | None, rules: Sequence[str]) -> Plan:
    """Decide on the layout, the rules that can run and the partitions."""
    choice = choose_layout(store, options, layout)
    context = Context(options, choice.layout.name, store.name, choice.layout.traits)
    ready = instantiate(rules, context)
    not_run = [NotRun(rule.name, why) for rule in ready if (why := rule.not_run())]
    partly = _misled_rules(options)
    not_run += [NotRun(name, why) for name, why in partly.items() if name in rules]
    unable = {entry.rule for entry in not_run}
    not_run += [NotRun(rule.name, why) for rule in ready if rule.name not in unable and (why := rule.left_out())]
    reasons = [*_asked_for_less(options), *choice.reasons]
    if isinstance(choice.layout, RowLayout):
        skipped = choice.layout.not_looked_at()
        not_run += [NotRun("dataset", f"{name}: {why}") for name, why in skipped]
        reasons += [f"{len(skipped)} dataset{'s' if len(skipped) > 1 else ''} could not be looked at"] * bool(skipped)
    return Plan(
        source,
        choice,
        context,
        tuple(name for name in rules if name not in unable),
        store.partitions(choice.tables, options.limit),
        tuple(not_run),
        tuple(reasons),
    )


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
