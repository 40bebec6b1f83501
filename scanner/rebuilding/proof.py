"""The proof: every record of the target, as a scan of it saw it, against the same record as the source's scan did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...backends.base import Partition
from ..conclude import Scanned
from ..crew import Crew
from ..partial import Partial
from ..plan import Plan
from ..progress import Progress
from ..rebuilt import Proof
from ..report import SourceReport
from ..scan import Clock, conclude_scan, read_partitions
from ..spill import Workspace
from .routes import Positions
from .spill import FATE, Spill, Table, among, blocks


@dataclass(slots=True)
class Traced(Scanned):
    """A scan whose fingerprints go to the disk as they come."""

    spill: Spill | None = None

    def merge(self, partition: Partition, partial: Partial) -> None:
        """See `Scanned.merge`."""
        prints, partial.prints = partial.prints, []
        if self.spill is not None:
            for one in prints:
                self.spill.add(one, self.total.positions)
        Scanned.merge(self, partition, partial)


def traced_scan(
    plan: Plan, crew: Crew, spill: Spill, progress: Callable[[Progress], None] | None
) -> tuple[SourceReport, Scanned]:
    """Scan what was planned, and write the fingerprint of every record down."""
    clock = Clock()
    scanned = Traced(Partial(plan.context.options), spill=spill)
    scanned.total.summary.spill_to(Workspace(str(spill.folder)))  # beside the target, where room is needed anyway
    scanned.total.merge(plan.opening)
    read_partitions(plan, plan.tasks(), scanned, crew, progress=progress)
    return conclude_scan(plan, scanned, crew, clock), scanned


def expected(source: Table, dropped: Positions, fates: Table | None, keyed: bool = True) -> Iterator[Table]:
    """The fates of all records that are kept, in blocks: as told, or in the order of the source.

    ``keyed`` is ``False`` where the target has no keys.
    """
    known = np.empty(0, FATE) if fates is None else fates
    ordinal = at = 0
    for block in blocks(source):
        kept = block[~among(block["position"], dropped)]
        rows = np.zeros(len(kept), FATE)
        for name in ("position", "key", "value"):
            rows[name] = kept[name]
        rows["number"] = np.arange(ordinal, ordinal + len(kept))
        ordinal += len(kept)
        if len(kept) and len(known):
            end = at + int(np.searchsorted(known["position"][at:], kept["position"][-1], "right"))
            told = np.asarray(known[at:end])
            at = end
            places = np.searchsorted(rows["position"], told["position"])
            for name in ("number", "side", "key"):
                rows[name][places] = told[name]
            rows["value"][places[told["changed"]]] = told["value"][told["changed"]]
        if not keyed:
            rows["key"] = 0
        yield rows


def compare(rows: Iterator[Table], targets: Sequence[Table]) -> Proof:
    """Compare what is expected with the prints of the targets, each in its own order."""
    compared = differing = 0
    first: str | None = None
    seen = [np.zeros(len(target), np.bool_) for target in targets]
    counts = [0] * len(targets)
    for block in rows:
        for side, target in enumerate(targets):
            part = block[block["side"] == side]
            counts[side] += len(part)
            there = part[part["number"] < len(target)]
            found = np.asarray(target[there["number"]]) if len(there) else np.empty(0, target.dtype)
            same = (found["key"] == there["key"]) & (found["value"] == there["value"]).all(axis=1)
            seen[side][there["number"]] = True
            compared += len(part)
            differing += len(part) - int(same.sum())
            if first is None and not same.all():
                place = int(np.flatnonzero(~same)[0])
                first = f"the record at position {there['position'][place]} of the source is another in the target"
    problems = [] if first is None else [first]
    for count, target, hit in zip(counts, targets, seen, strict=True):
        if count != len(target):
            problems.append(f"{count:,} records were to be written, {len(target):,} are there")
        elif not hit.all() and not problems:
            problems.append(f"{int((~hit).sum()):,} places of the target hold no record of the source")
    return Proof(compared, differing, tuple(problems))


def joined(proofs: Sequence[Proof]) -> Proof:
    """Several proofs as one."""
    return Proof(
        sum(one.compared for one in proofs),
        sum(one.differing for one in proofs),
        tuple(problem for one in proofs for problem in one.problems),
    )


def counted(report: SourceReport, wanted: int, name: str) -> list[str]:
    """What a scan of a target says against the number of records that it was to have."""
    problems = []
    if report.error is not None:
        problems.append(f"{name} could not be scanned: {report.error}")
    elif report.coverage.seen != wanted or report.coverage.unreadable:
        seen, lost = report.coverage.seen, report.coverage.unreadable
        problems.append(f"{name}: {wanted:,} records were written, {seen:,} could be read and {lost:,} could not")
    return problems
