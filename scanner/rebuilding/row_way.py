"""From HDF5 to HDF5: a file or a list of files, without some of their rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends.base import Table as StoreTable
from ...backends.errors import StoreError, UsageError
from ...backends.writing import WriteError
from ..finding import Location
from ..interrupt import interrupting
from ..layouts.hdf5_rows import Hdf5Rows
from ..progress import Progress
from ..rebuilt import Proof
from ..supervisor import WorkerDied
from .proof import counted, joined
from .quarantine import append_map, unreadable, write_list
from .routes import Positions
from .row_copier import FileJob, Listing, copy_file, list_files
from .spill import Spill, among, blocks
from .split import numbers, sides
from .staging import Move, Staging
from .units import Unit, units_of
from .ways import Way

if TYPE_CHECKING:
    from ..summary.hashes import Hashes
    from .run import Written

TARGET, VALIDATION, QUARANTINE, MAP, FILES = "target", "validation", "quarantine", "map.tsv", "files"


@dataclass(slots=True)
class Part:
    """One file that is written: from a file of the source, with these rows of each unit."""

    name: str
    listing: Listing
    rows: dict[int, Positions]
    side: int = 0


class RowWay(Way):
    """See `Way`. A record is a row of a table; rows of a unit are dropped together."""

    def check(self) -> None:
        """See `Way.check`."""
        self.listings: list[Listing] = self.ask(list_files, self.plan.source)
        choices, path = self.choices, self.report.source.path
        outside = [where for listing in self.listings for where in listing.outside]
        if outside:
            raise UsageError(
                f"{path}: {outside[0]} refers to data that stands elsewhere: a rebuild copies what a file holds "
                "itself; write one file of it first (h5repack, or h5py's copy with expand_refs)"
            )
        if not self.listings:
            raise StoreError(f"{path}: none of its files can be read")
        if choices.renumber:
            raise UsageError("--renumber: rows have no keys; they are numbered by their places")
        asked = {"--shuffle": choices.shuffle, "--split": choices.split, "--rows-per-file": choices.rows_per_file}
        for word, given in asked.items():
            if given is not None and (len(self.listings) != 1 or self._main is None):
                raise UsageError(
                    f"{word}: {path} holds rows of several kinds ({', '.join(self._kinds())}); it is done for one file "
                    "whose samples have equally many rows"
                )
        if choices.rows_per_file is not None and choices.split is not None:
            raise UsageError("--split and --rows-per-file: split first, then cut each part into files")

    def _kinds(self) -> list[str]:
        return [f"{unit.file}{unit.paths[0]}" for unit in self.units if unit.paths][:4]

    @property
    def _main(self) -> int | None:
        """The unit of the samples, where there is one."""
        found = [number for number, unit in enumerate(self.units) if unit.tables and not unit.beside]
        return found[0] if len(found) == 1 else None

    # ---- rows ----

    @cached_property
    def tables(self) -> list[tuple[StoreTable, int, int]]:
        """Tables of the scan: each with its first position and its number of rows."""
        found, start = [], 0
        for table, count in self.scanned.total.extents:
            found.append((table, start, count))
            start += count
        return found

    @cached_property
    def units(self) -> list[Unit]:
        """Datasets that lose rows together, in all files."""
        found = []
        for listing in self.listings:
            held = [(table, count) for table, _, count in self.tables if (table.file or "") == listing.name]
            found += units_of(listing, held)
        return found

    def _tables_of(self, unit: Unit) -> list[tuple[StoreTable, int, int]]:
        return [entry for entry in self.tables if entry[0] in unit.tables]

    @cached_property
    def seen_positions(self) -> Positions:
        """Positions that could be read whole, of all tables."""
        found = [
            np.asarray(self.spill.table((table.file or "", table.columns[0]))["position"])
            for table, _, _ in self.tables
        ]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)

    @property
    def seen(self) -> int:
        """See `Way.seen`."""
        return len(self.seen_positions)

    @cached_property
    def _rows(self) -> list[tuple[Positions, Positions]]:
        """By unit: rows that stay, and rows that are dropped and can be read. Of the others nothing is left."""
        wanted = self.drops.positions
        found = []
        for unit in self.units:
            lost = np.zeros(unit.rows, np.bool_)
            dropped = np.zeros(unit.rows, np.bool_)
            for _, start, count in self._tables_of(unit):
                seen = self.seen_positions
                read = np.zeros(unit.rows, np.bool_)
                read[seen[slice(*np.searchsorted(seen, [start, start + count]))] - start] = True
                lost |= ~read
                if not unit.beside:
                    dropped[wanted[slice(*np.searchsorted(wanted, [start, start + count]))] - start] = True
            found.append((np.flatnonzero(~lost & ~dropped), np.flatnonzero(dropped & ~lost)))
        return found

    @property
    def dropped(self) -> Positions:
        """See `Way.dropped`: a row of one table goes with those of the others of its unit; so does one that is lost."""
        gone = []
        for unit, (kept, _) in zip(self.units, self._rows, strict=True):
            for _, start, count in self._tables_of(unit):
                gone.append(np.setdiff1d(np.arange(count), kept) + start)
        everything = np.unique(np.concatenate(gone)) if gone else np.empty(0, np.int64)
        return everything[among(everything, self.seen_positions)]

    def entries(self) -> Iterator[dict[str, Any]]:
        """See `Way.entries`."""
        for position in self.dropped.tolist():
            table, start = next((table, start) for table, start, count in self.tables if position < start + count)
            entry = self.told_entry(position, Location(None, position - start, table.columns[0]), True, table.file)
            if not entry["rules"]:
                entry["rules"], entry["reasons"] = ["record-missing-twin"], ["another column of this row was left out"]
            yield entry
        yield from unreadable(self.report)

    # ---- files ----

    @property
    def listed_target(self) -> bool:
        """Whether the target is a list of files."""
        return bool(self.listings[0].name) or self.choices.rows_per_file is not None

    @cached_property
    def parts(self) -> list[Part]:
        """The files that are written, in the order of the list."""
        found = []
        for listing in self.listings:
            rows = {
                number: self._rows[number][0] for number, unit in enumerate(self.units) if unit.file == listing.name
            }
            found += self._cut(listing, rows)
        return found

    def _cut(self, listing: Listing, rows: dict[int, Positions]) -> list[Part]:
        choices = self.choices
        main = self._main or 0
        if choices.split is not None or choices.shuffle is not None:
            kept = self.kept_rows(main)
            seed = choices.shuffle or 0
            side = np.zeros(len(kept), np.uint8) if choices.split is None else sides(kept, choices.split, seed)
            start = self._tables_of(self.units[main])[0][1]
            own = kept["position"] - start
            order = np.arange(len(kept)) if choices.shuffle is None else np.argsort(numbers(side, seed), kind="stable")
            found = []
            for which, name in ((0, TARGET), (1, VALIDATION))[: len(self.rebuild.names)]:
                found.append(Part(name, listing, {**rows, main: own[order][side[order] == which]}, which))
            if choices.rows_per_file is None:
                return found
            rows = found[0].rows
        if choices.rows_per_file is not None:
            step, whole = choices.rows_per_file, rows[main]
            count = max(-(-len(whole) // step), 1)
            return [
                Part(f"{number:05d}.h5", listing, {**rows, main: whole[number * step : (number + 1) * step]})
                for number in range(count)
            ]
        return [Part(self._name(listing) if listing.name else TARGET, listing, rows)]

    def _name(self, listing: Listing) -> str:
        """The file's own name in the folder of the list's files; with a number where two have the same."""
        same = [one for one in self.listings if os.path.basename(one.path) == os.path.basename(listing.path)]
        own = os.path.basename(listing.path)
        return own if len(same) == 1 else f"{same.index(listing):03d}-{own}"

    def kept_rows(self, unit: int) -> Any:
        """Prints of the rows of a unit that stay, those of its first column, which has the classes too."""
        table, start, _ = self._tables_of(self.units[unit])[0]
        prints = self.spill.table((table.file or "", sorted(table.columns)[0]))
        return np.asarray(prints[among(prints["position"] - start, self._rows[unit][0])])

    # ---- writing ----

    def write(self, staging: Staging) -> Written:
        """See `Way.write`."""
        from .run import Written

        kept = sum(len(rows) * len(unit.tables) for unit, (rows, _) in zip(self.units, self._rows, strict=True))
        self.refuse_nothing(kept)
        if any(not sum(len(rows) for rows in part.rows.values()) for part in self.parts):
            raise StoreError(f"{self.report.source.path}: a file without a row would be written; choose another share")
        (staging / QUARANTINE).mkdir()
        notes = self._copy(staging)
        reports, proofs, problems = [], [], []
        for side, name in enumerate(self.rebuild.names):
            spill = Spill(staging / f"prints-{side}")
            path = self._scanned_path(staging, side)
            report = self.rebuild.scan_target(path, name, self.plan, spill, ignored=())
            reports.append(report)
            parts = [part for part in self.parts if part.side == side]
            wanted = sum(
                len(rows) * len(self.units[number].tables) for part in parts for number, rows in part.rows.items()
            )
            problems += counted(report, wanted, name)
            with interrupting():
                proofs.append(self._proof(staging, parts, spill))
        proof = joined(proofs)
        gone = self.dropped
        if kept + len(gone) != self.seen:
            problems.append(f"{self.seen:,} rows were read, {kept:,} kept and {len(gone):,} set aside")
        moves = self.quarantined(staging, self.entries(), QUARANTINE)
        if self.choices.shuffle is not None or self.choices.split is not None:
            self._write_map(staging / MAP)
            moves.append(Move(MAP, self.places.map, self.choices.overwrite))
        if self.listed_target:
            self._write_list(staging / TARGET)
            moves.append(Move(FILES, self.places.files, self.choices.overwrite))
        moves += [Move(VALIDATION, self.places.validation, self.choices.overwrite)] * (len(self.rebuild.names) > 1)
        moves.append(Move(TARGET, self.places.target, self.choices.overwrite))
        by_rule = {rule: int(among(found, gone).sum()) for rule, found in self.drops.by_rule.items()}
        return Written(
            kept,
            reports[1].coverage.seen if len(reports) > 1 else 0,
            len(gone),
            replace(proof, problems=(*problems, *proof.problems)),
            reports,
            moves,
            {rule: count for rule, count in by_rule.items() if count},
            {"label-offset": kept} if self._added else {},
            [*self._together(), *notes],
        )

    @cached_property
    def _added(self) -> dict[str, int]:
        """What is added to the values of a dataset."""
        if "label-offset" not in self.choices.fixes:
            return {}
        layout = self.plan.choice.layout
        column = self.scanned.total.summary.labels.first_class_column
        values = column.counts.items()[0] if column is not None else np.empty(0)
        if not isinstance(layout, Hdf5Rows) or not len(values) or min(values) < 1:
            raise UsageError("--fix label-offset: the labels do not run from 1, so there is no offset to take away")
        return dict.fromkeys(sorted(layout.label_paths), -1)

    def _copy(self, staging: Staging) -> list[str]:
        notes: list[str] = []
        if self.listed_target:
            (staging / FILES).mkdir()
        for number, part in enumerate(self.parts):
            rows = {path: found for unit, found in part.rows.items() for path in self.units[unit].paths}
            added = {path: (by, _changed(staging, number, path)) for path, by in self._added.items()}
            some = {path: found for path, found in rows.items() if not self._is_all(part, path, found) or path in added}
            job = FileJob(part.listing.path, self._path(staging, part), some, True, added)
            notes += self._called(job)
            if self.rebuild.progress is not None:
                total = len(self.parts)
                self.rebuild.progress(Progress(0, number + 1, total, self.rebuild.target))
        for number, listing in enumerate(self.listings):
            gone = {
                path: dropped
                for unit, (_, dropped) in zip(self.units, self._rows, strict=True)
                if unit.file == listing.name and len(dropped)
                for path in unit.paths
            }
            if gone:
                name = "records.h5" if len(self.listings) == 1 else f"records-{number:05d}.h5"
                self._called(FileJob(listing.path, staging / QUARANTINE / name, gone, False))
        return list(dict.fromkeys(notes))

    def _is_all(self, part: Part, path: str, rows: Positions) -> bool:
        """Whether these are all rows of a dataset in their order: it is copied as it is stored, then."""
        info = next(info for info in part.listing.datasets if info.path == path)
        return bool(info.shape and len(rows) == info.shape[0] and (np.diff(rows) == 1).all())

    def _called(self, job: FileJob) -> list[str]:
        try:
            notes: list[str] = self.ask(copy_file, job)
        except WorkerDied as death:
            raise WriteError(f"copying {job.source} ends the reader: it {death.reason}; nothing was written") from death
        return notes

    def _path(self, staging: Staging, part: Part) -> Path:
        return staging / FILES / part.name if self.listed_target else staging / part.name

    def _scanned_path(self, staging: Staging, side: int) -> Path:
        """What the proof scans: the file, or a list of the files where they are now."""
        if not self.listed_target:
            return staging / (TARGET, VALIDATION)[side]
        write_list(staging / "list.txt", staging / FILES, [part.name for part in self.parts])
        return staging / "list.txt"

    def _write_list(self, path: Path) -> None:
        """The list as Caffe reads it: names count from the folder that the target was named from."""
        folder = Path(self.rebuild.target).with_name(self.places.files.name)
        write_list(path, folder, [part.name for part in self.parts])

    def _write_map(self, path: Path) -> None:
        for part in self.parts:
            for rows in part.rows.values():
                lines = ((row, b"", b"", number, part.side) for number, row in enumerate(rows.tolist()))
                append_map(path, lines, ("target", "validation"))

    def _together(self) -> list[str]:
        """Which datasets lost rows although no finding of theirs was dropped."""
        notes = []
        for unit, (kept, _) in zip(self.units, self._rows, strict=True):
            if len(kept) < unit.rows and len(unit.paths) > 1:
                notes.append(f"{', '.join(unit.paths)} have lost the same rows")
        return notes

    def _proof(self, staging: Staging, parts: list[Part], target: Spill) -> Proof:
        """Compare every column of every table."""
        found = []
        for number, part in enumerate(self.parts):
            if part not in parts:
                continue
            name = str(self._path(staging, part)) if self.listed_target else ""
            for unit, rows in part.rows.items():
                for table, start, count in self._tables_of(self.units[unit]):
                    for column in table.columns:
                        changed = _changed(staging, number, column)
                        expected = (
                            np.fromfile(changed, np.uint64).reshape(-1, 2)
                            if changed.exists()
                            else self._source_hashes((table.file or "", column), start, count, rows)
                        )
                        found.append(_compared(expected, target, (name, column), rows))
        return joined(found)

    def _source_hashes(self, column: tuple[str, str], start: int, count: int, rows: Positions) -> Hashes:
        """The fingerprints of some rows of a column, by row."""
        prints = self.spill.table(column)
        values = np.zeros((len(rows), 2), np.uint64)
        places = np.full(count, -1, np.int64)
        places[rows] = np.arange(len(rows))
        for block in blocks(prints):
            at = places[block["position"] - start]
            values[at[at >= 0]] = block["value"][at >= 0]
        return values


def _changed(staging: Staging, number: int, path: str) -> Path:
    """Where the fingerprints of changed values go."""
    return staging / f"changed-{number}-{path.replace('/', '_')}"


def _compared(expected: Hashes, target: Spill, column: tuple[str, str], rows: Positions) -> Proof:
    found = target.table(column)
    if len(found) != len(expected):
        return Proof(len(expected), 0, (f"{column[1]}: {len(expected):,} rows were written, {len(found):,} are there",))
    differing, first = 0, None
    at = 0
    for block in blocks(found):
        same = (block["value"] == expected[at : at + len(block)]).all(axis=1)
        if first is None and not same.all():
            first = int(rows[at + int(np.flatnonzero(~same)[0])])
        differing += len(block) - int(same.sum())
        at += len(block)
    problem = () if first is None else (f"row {first} of {column[1]} is another in the target",)
    return Proof(len(expected), differing, problem)
