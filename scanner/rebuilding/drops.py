"""Which records of a scanned set are to be left out, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...backends.errors import StoreError
from ..conclude import Scanned
from ..keylist import key_line
from ..rules import rule_named
from ..rules.store import StoreReaderDied
from .choices import Choices, Fix
from .fixes import CURES, EVERYWHERE
from .keys import Listed, refuse_missing
from .routes import Positions
from .spill import Spill, among, blocks

LISTED = "listed"
"""Stands for a rule where a list of the user's names a record."""

BEYOND = "found by this rule; its message is beyond --max-findings"


@dataclass(slots=True)
class Drops:
    """Positions in the whole scan, ascending.

    Attributes
    ----------
    by_rule
        Records to drop, for each rule that says so.
    fixes
        Records that a fix is to be made to.
    unless_fixed
        Records that are dropped only if that does not succeed.
    deadly
        Records that end whoever reads them.
    reasons
        ``(rule, message)`` by position, as far as messages were kept; those of records that could not be read too.
    """

    by_rule: dict[str, Positions] = field(default_factory=dict)
    fixes: dict[Fix, Positions] = field(default_factory=dict)
    unless_fixed: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    deadly: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    reasons: Mapping[int, Sequence[tuple[str, str]]] = field(default_factory=dict)

    @property
    def positions(self) -> Positions:
        """All that are dropped whatever is fixed."""
        cured = [rule for rule in self.by_rule if rule not in self._cures]
        return union([self.by_rule[rule] for rule in cured])

    @property
    def _cures(self) -> frozenset[str]:
        return frozenset(CURES[fix] for fix in self.fixes)

    def told(self, position: int) -> list[tuple[str, str]]:
        """Rules and reasons of a record, in the order of the rules."""
        known = dict(reversed(self.reasons.get(position, ())))
        rules = [rule for rule, found in self.by_rule.items() if bool(among(np.array([position]), found)[0])]
        return [(rule, known.get(rule, BEYOND)) for rule in rules]


def find_drops(scanned: Scanned, choices: Choices, spill: Spill, listed: Listed | None) -> Drops:
    """What a scan's findings, and a list of the user's, say is to be dropped.

    Raises
    ------
    UsageError
        The list names records that are not there.
    StoreError
        So many records ended the reader that not all of them are known.
    """
    least, names = choices.dropped_rules()
    marks = scanned.total.findings.marks
    assert marks is not None
    drops = Drops(deadly=_deadly(scanned))
    wanted: dict[str, list[Positions]] = defaultdict(list)
    for rule, severity in marks.positions:
        if rule_named(rule).blames_record and rule != StoreReaderDied.name:
            found = marks.of(rule, severity)
            if rule in names or (least is not None and severity >= least):
                wanted[rule].append(found)
            for fix in choices.fixes:
                if CURES[fix] == rule and fix not in EVERYWHERE:
                    drops.fixes[fix] = union([drops.fixes.get(fix, found), found])
    for fix in choices.fixes:
        drops.fixes.setdefault(fix, np.empty(0, np.int64))
    drops.by_rule = {rule: union(found) for rule, found in sorted(wanted.items())}
    if listed is not None:
        drops.by_rule[LISTED] = _listed(scanned, listed, spill)
    reasons: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for finding in scanned.total.findings:
        if finding.location.index is not None:
            reasons[finding.location.index].append((finding.rule, finding.message))
    if listed is not None:
        for position in drops.by_rule[LISTED].tolist():
            reasons[position].append((LISTED, f"named in {listed.file}"))
    drops.reasons = reasons
    everywhere = {CURES[fix] for fix in drops.fixes if fix in EVERYWHERE}
    cured = [found for rule, found in drops.by_rule.items() if rule in drops._cures and rule not in everywhere]
    drops.unless_fixed = np.setdiff1d(union(cured), drops.positions)
    return drops


def union(parts: Sequence[Positions]) -> Positions:
    """All positions, ascending, each once."""
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def _deadly(scanned: Scanned) -> Positions:
    """Records that ended the reader, and those that were given up behind the last of them."""
    rule = StoreReaderDied.name
    log = scanned.total.findings
    if log.omitted.get(rule):
        raise StoreError("so many records end the reader that not all are named: raise --max-findings")
    found = []
    for finding in log.kept.get(rule, []):
        at = finding.location.index
        if at is None or "positions" in finding.data:  # each of these could be read by itself
            continue
        found.append(np.arange(at, at + int(finding.data.get("records_lost", 1))))
    return union(found)


def _listed(scanned: Scanned, listed: Listed, spill: Spill) -> Positions:
    """The positions of the records that a list names."""
    hashes = listed.hashes()
    order = np.argsort(hashes)
    seen = np.zeros(len(hashes), np.bool_)
    found = []
    for block in blocks(spill.table(None)) if len(hashes) else ():
        places = np.minimum(np.searchsorted(hashes[order], block["key"]), len(hashes) - 1)
        hit = hashes[order][places] == block["key"]
        seen[order[places[hit]]] = True
        found.append(block["position"][hit])
    missing = [key_line(key) for key, there in zip(listed.keys, seen.tolist(), strict=True) if not there]
    for dataset, row in listed.rows:
        position = _position(scanned, dataset, row)
        if position is None:
            missing.append(f"{dataset}#{row}")
        else:
            found.append(np.array([position]))
    refuse_missing(listed.file, missing)
    return union(found)


def _position(scanned: Scanned, dataset: str, row: int) -> int | None:
    """The position in the scan of a row of a dataset, or of a record where there is no dataset."""
    before = 0
    for table, count in scanned.total.extents:
        names = {f"{table.file}:{column}" if table.file else column for column in table.columns}
        if (
            not dataset
            or dataset in names
            or dataset in table.columns
            or dataset.strip("/") in (column.strip("/") for column in table.columns)
        ):
            return before + row if row < count else None
        before += count
    return None
