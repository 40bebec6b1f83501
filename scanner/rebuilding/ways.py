"""What every way of rebuilding does once the source is scanned: say what would happen, list, or write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends.base import Partition
from ...backends.errors import StoreError
from ...backends.writing import WriteError, writing
from ..conclude import Scanned
from ..finding import Location
from ..interrupt import interrupting
from ..keylist import key_line
from ..plan import Plan
from ..rebuilt import Rebuilt
from ..report import Report, SourceReport
from ..supervisor import WorkerDied
from ..worker import keys_at
from .drops import Drops, union
from .quarantine import entry_of, write_lines
from .routes import Positions
from .spill import Spill, Table, among
from .staging import Move, Staging

if TYPE_CHECKING:
    from .run import Rebuild, Written

MOST_CULPRITS = 20
"""Records that may end the copying before it is given up."""


class Way(ABC):
    """One way from a source to a target."""

    def __init__(
        self,
        rebuild: Rebuild,
        plan: Plan,
        report: SourceReport,
        scanned: Scanned,
        drops: Drops,
        spill: Spill,
        folder: Path,
    ) -> None:
        self.rebuild, self.plan, self.report, self.scanned = rebuild, plan, report, scanned
        self.drops, self.spill, self.folder = drops, spill, folder
        self.choices, self.places, self.crew = rebuild.choices, rebuild.places, rebuild.crew
        self.unfixed = np.empty(0, np.int64)
        self.refused = np.empty(0, np.int64)
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Refuse what this way can't do; nothing was written yet.

        Raises
        ------
        UsageError
            With what to do instead.
        """

    @property
    @abstractmethod
    def seen(self) -> int:
        """Records that could be read."""

    @property
    def dropped(self) -> Positions:
        """Positions of all that is left out, as far as it is known by now."""
        return union([self.drops.positions, self.unfixed, self.refused])

    def ask(self, function: Any, *args: Any) -> Any:
        """Call a function in the worker that copies.

        Raises
        ------
        WorkerDied
            With what it was reading.
        """
        with interrupting():
            return self.crew.call(function, *args)

    # ---- without writing ----

    def foretold(self) -> Report:
        """What a rebuild would do."""
        return Report((self.report,), rebuild=self.summary(None))

    def listed(self, file: str) -> Report:
        """Write the list of what a loader is to skip, in place of a rebuild."""
        entries = list(self.entries())
        path = Path(file).absolute()
        if file.endswith((".jsonl", ".json")):
            write_lines(path, entries)
        else:
            lines = [self._line(entry) for entry in entries]
            with writing(path, (OSError,)):
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return Report((self.report,), rebuild=self.summary(None, skip_list=file))

    def _line(self, entry: Mapping[str, Any]) -> str:
        if entry["key"] is not None:
            return key_line(entry["key"].encode())
        if entry["key_hex"] is not None:
            return key_line(bytes.fromhex(entry["key_hex"]))
        dataset = entry["dataset"] or ""
        return f"{entry['file']}:{dataset}#{entry['index']}" if entry["file"] else f"{dataset}#{entry['index']}"

    @abstractmethod
    def entries(self) -> Iterator[dict[str, Any]]:
        """A line of the quarantine for each record that is to be dropped."""

    def dropped_keys(self, positions: Positions) -> dict[int, bytes]:
        """The keys of some positions; only the partitions that hold them are read again."""
        found: dict[int, bytes] = {}
        for start, partition, inside in self.by_partition(positions):
            if len(inside):
                keys = self.ask(keys_at, self.plan.source, partition, inside.tolist())
                found.update((start + position, key) for position, key in keys.items())
        return found

    def by_partition(self, positions: Positions) -> Iterator[tuple[int, Partition, Positions]]:
        """Positions by the partition that they are in: its start, itself, and the positions counted from there."""
        starts = [start for start, _ in self.scanned.spans]
        ends = [*starts[1:], self.scanned.total.positions]
        for (start, partition), end in zip(self.scanned.spans, ends, strict=True):
            first, last = np.searchsorted(positions, [start, end])
            yield start, partition, positions[first:last] - start

    # ---- writing ----

    @abstractmethod
    def write(self, staging: Staging) -> Written:
        """Write everything into the staging folder and prove it."""

    def quarantined(self, staging: Staging, entries: Iterator[Mapping[str, Any]], name: str) -> list[Move]:
        """The quarantine's list and, where there is anything in it, the move that names it."""
        folder = staging / name
        folder.mkdir(exist_ok=True)
        from .places import QUARANTINE_LIST

        if not write_lines(folder / QUARANTINE_LIST, entries):
            return []
        return [Move(name, self.places.quarantine, self.choices.overwrite)]

    def refuse_nothing(self, kept: int) -> None:
        """Refuse to write an empty set.

        Raises
        ------
        StoreError
            Nothing would be left.
        """
        if kept <= 0:
            raise StoreError(
                f"{self.report.source.path}: no record would be left ({self.seen:,} could be read, all of them would "
                "be dropped); choose with --drop which rules drop a record"
            )

    def culprit(self, death: WorkerDied, deaths: int) -> None:
        """Give up where too many records end the copying.

        Raises
        ------
        WriteError
            With the last reason.
        """
        if deaths > MOST_CULPRITS or death.mark.start < 0:
            raise WriteError(
                f"copying {self.report.source.path} ended {deaths} times: the process {death.reason}; nothing was "
                f"put in place of {self.rebuild.target}"
            ) from death

    def summary(self, written: Written | None, skip_list: str | None = None) -> Rebuilt:
        """The section of the report."""
        rebuild, report = self.rebuild, self.report
        dropped = len(self.dropped) if written is None else written.quarantined
        kept = self.seen - dropped if written is None else written.kept
        needed, free = rebuild.space(report, kept / max(self.seen, 1))
        by_rule = {rule: len(found) for rule, found in self.drops.by_rule.items() if self._counts(found)}
        finals = [] if written is None else [move.final for move in written.moves]
        return Rebuilt(
            report.source.path,
            rebuild.target,
            rebuild.target_store(self.plan),
            self.plan.choice.layout.name if written is None else written.reports[0].source.layout or "",
            {
                "claimed": report.source.records,
                "kept": kept,
                "validation": None if self.choices.split is None or written is None else written.validation,
                "quarantined": dropped,
                "unreadable": report.coverage.unreadable,
            },
            rebuild.names[1] if self.choices.split is not None else None,
            dry_run=written is None and skip_list is None,
            proof=None if written is None else written.proof,
            dropped=by_rule if written is None else written.dropped,
            fixed={} if written is None else written.fixed,
            quarantine=self._beside(self.places.quarantine) if self.places.quarantine in finals else None,
            map=self._beside(self.places.map) if self.places.map in finals else None,
            skip_list=skip_list,
            needed_bytes=None if skip_list else needed,
            free_bytes=None if skip_list else free,
            notes=(*rebuild.notes, *(() if written is None else written.notes)),
        )

    def _counts(self, found: Positions) -> bool:
        return bool(among(found, self.dropped).any())

    def _beside(self, path: Path) -> str:
        """A path as the user would write it: with the folder of the target as it was given."""
        given = Path(self.rebuild.target)
        return str(given.with_name(path.name)) if path.parent == self.places.target.parent else str(path)

    def told_entry(self, position: int, location: Location, stored: bool, file: str | None = None) -> dict[str, Any]:
        """The line of a record that is dropped."""
        return entry_of(location, self.drops.told(position), stored, file)

    def kept_table(self) -> Table:
        """The prints of the records that stay, in memory."""
        from .split import kept_of

        return kept_of(self.spill.table(None), self.dropped)


def way_for(
    rebuild: Rebuild,
    plan: Plan,
    report: SourceReport,
    scanned: Scanned,
    drops: Drops,
    spill: Spill,
    folder: Path,
) -> Way:
    """The way from this source to the target that was asked for."""
    kinds = rebuild.kind_of(plan), "rows" if rebuild.target_store(plan) == "hdf5" else "records"
    if kinds[0] == "records":
        from .record_way import RecordWay

        return RecordWay(rebuild, plan, report, scanned, drops, spill, folder)
    if kinds == ("rows", "rows"):
        from .row_way import RowWay

        return RowWay(rebuild, plan, report, scanned, drops, spill, folder)
    from .to_record_way import ToRecordWay

    return ToRecordWay(rebuild, plan, report, scanned, drops, spill, folder)
