"""From a key-value store to a key-value store: LMDB and LevelDB, every value as it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends.base import Partition
from ...backends.errors import StoreError, UsageError
from ...backends.lmdb_format import DUP_SORT
from ...backends.lmdb_store import LmdbForm, LmdbStore
from ...backends.writing import writing
from ..finding import Location
from ..interrupt import interrupting
from ..layouts.base import RecordLayout
from ..layouts.kept import Revision
from ..progress import Progress
from ..supervisor import WorkerDied
from ..worker import SourceRef, open_source
from . import copier
from .copier import Copied, CopyJob
from .fixes import CURES
from .proof import compare, counted, expected
from .quarantine import COLLISION, append_map, entry_of, unreadable, write_list
from .revise import relist, revise
from .routes import Positions, Route
from .sinks import Form
from .spill import FATE, Spill, append, mapped
from .split import numbers, sides
from .staging import Move, Staging
from .ways import Way

if TYPE_CHECKING:
    from .run import Written

NAMED = "records"
"""The database of a quarantine whose records need flags, which an unnamed database can't have."""

TARGET, VALIDATION, QUARANTINE, MAP, FILES = "target", "validation", "quarantine", "map.tsv", "files"


def lmdb_form(source: SourceRef) -> LmdbForm | None:
    """How an LMDB source is made; ``None`` for another store. Runs in a worker."""
    store = open_source(source)
    return store.form if isinstance(store, LmdbStore) else None


class RecordWay(Way):
    """See `Way`."""

    def check(self) -> None:
        """See `Way.check`."""
        assert isinstance(self.plan.choice.layout, RecordLayout)
        self.layout = self.plan.choice.layout
        self.form = self._form()
        choices, summary = self.choices, self.scanned.total.summary
        moves = [
            word for word, given in (("--shuffle", choices.shuffle), ("--split", choices.split)) if given is not None
        ]
        if moves and self.layout.in_parts:
            raise UsageError(
                f"{moves[0]}: samples of layout {self.layout.name} are several records that loaders ask for by number; "
                "shuffle or split the numbers there"
            )
        if moves and summary.records > summary.samples:
            raise UsageError(
                f"{moves[0]}: {summary.records - summary.samples} records are about the others (as num-samples is) and "
                "have no place of their own in a new order; leave them out with --drop-keys first"
            )
        if self.form.kind == "hdf5":
            self._check_rows()
        if "label-offset" in choices.fixes:
            self._check_offset()
        if any(flags & DUP_SORT for flags in self._flags.values()) and (self.form.kind == "leveldb" or choices.renames):
            raise UsageError("keys of this LMDB have several values each: LevelDB has one, and so have new numbers")
        if self.layout.listing is not None and choices.renames:
            raise UsageError(
                f"keys of layout {self.layout.name} are names, and {self.layout.listing} lists them: they get no new "
                "numbers"
            )
        if not choices.skip_list:
            self._refuse_wide_numbers()
            _ = self.revision

    def _check_rows(self) -> None:
        """Whether records can be rows of ``data`` and ``label``."""
        choices, summary, path = self.choices, self.scanned.total.summary, self.report.source.path
        if choices.renumber:
            raise UsageError("--renumber: rows have no keys; they are numbered by their places")
        if choices.rows_per_file is not None and choices.split is not None:
            raise UsageError("--split and --rows-per-file: split first, then cut each part into files")
        if self.layout.in_parts or summary.records > summary.samples:
            raise UsageError(
                f"{path}: records of layout {self.layout.name} are not one sample each, so they can't be rows"
            )
        if summary.shapes.formats and not choices.decode:
            raise UsageError(
                f"{path} holds encoded images: give --decode to write their pixels, or keep a key-value store"
            )
        if not summary.shapes.formats and not summary.shapes.tables:
            raise UsageError(
                f"{path}: layout {self.layout.name} has no arrays of numbers, so there are no rows to write"
            )

    def _check_offset(self) -> None:
        column = self.scanned.total.summary.labels.first_class_column
        values = column.counts.items()[0] if column is not None else np.empty(0)
        if not len(values) or values[values >= 0].min(initial=0 if not len(values) else values.max()) < 1:
            raise UsageError("--fix label-offset: the labels do not run from 1, so there is no offset to take away")

    def _refuse_wide_numbers(self) -> None:
        """New numbers keep the order of the keys only where all have equally many digits."""
        parts = self.parts
        if parts is not None and self.renamed:
            first, last = (self.layout.with_number(b"1-00000", int(one)) for one in (0, max(map(_last, parts))))
            if len(first) != len(last):
                raise UsageError(
                    f"numbers of layout {self.layout.name} go beyond {len(first) - 2} digits, so that keys are not in "
                    "their order: a set of so many samples can't be numbered again; list them with --skip-list"
                )

    @cached_property
    def revision(self) -> Revision:
        """What reserved records are to say of the target."""
        prints = self.spill.columns.get(None)
        gone = len(self.dropped) or len(self.drops.deadly) or self.report.coverage.unreadable
        renumber = self.choices.renumber and self._places is None
        if not self.layout.revises or self.form.kind == "hdf5" or prints is None or not (gone or renumber):
            return Revision()
        revision: Revision = self.ask(revise, self.plan.source, self.layout, prints, self.dropped, renumber)
        return revision

    @cached_property
    def _flags(self) -> dict[str | None, int]:
        form = self._source_form
        name = self.plan.source.database
        return {} if form is None else {name: (form.databases or {}).get(name, 0)}

    @cached_property
    def _source_form(self) -> LmdbForm | None:
        form: LmdbForm | None = self.ask(lmdb_form, self.plan.source)
        return form

    def _form(self) -> Form:
        kind = self.rebuild.target_store(self.plan)
        if kind == "hdf5":
            return Form("hdf5", stored=self.choices.dtype == "stored", rows_per_file=self.choices.rows_per_file)
        return self._own_form() if kind == "lmdb" else Form("leveldb")

    def _own_form(self) -> Form:
        """An LMDB like the source, or a new one where that is none."""
        return Form("lmdb", self._source_form or LmdbForm())

    @property
    def seen(self) -> int:
        """See `Way.seen`."""
        return len(self.spill.table(None))

    # ---- what goes where ----

    @cached_property
    def parts(self) -> tuple[Positions, Positions] | None:
        """Numbers of samples that stay and that go, where samples are several records."""
        if not self.layout.in_parts:
            return None
        keys = self.dropped_keys(self.dropped).values()
        found = {number for key in keys if (number := self.layout.sample_number(key)) is not None}
        gone = np.array(sorted(found), np.int64)
        intervals = self.scanned.total.summary.twins.numbers()
        everything = np.concatenate(
            [np.arange(*interval) for interval in intervals.tolist()] or [np.empty(0, np.int64)]
        )
        return np.setdiff1d(everything, gone).astype(np.int64), gone

    @property
    def renamed(self) -> bool:
        """Whether keys get new numbers: asked for, or needed because loaders count them."""
        if self.form.kind == "hdf5":
            return False
        return self.choices.renames or (self.parts is not None and bool(len(self.parts[1])))

    def entries(self) -> Iterator[dict[str, Any]]:
        """See `Way.entries`."""
        keys = self.dropped_keys(self.dropped)
        for position in self.dropped.tolist():
            yield self.told_entry(position, Location(keys.get(position), position), True)
        yield from unreadable(self.report)

    # ---- writing ----

    def write(self, staging: Staging) -> Written:
        """See `Way.write`."""
        from .run import Written

        self.refuse_nothing(self.seen - len(self.dropped))
        copy = self._copied(staging)
        if copy.kept == 0:
            self.refuse_nothing(0)
        count = len(self.rebuild.names)
        reports, tables, problems = [], [], []
        kept = [copy.sides[side] for side in range(count)]
        for side, name in enumerate((TARGET, VALIDATION)[:count]):
            spill = Spill(staging / f"prints-{name}")
            self._write_listing(staging, name, side)
            if not kept[side]:
                problems.append(f"{self.rebuild.names[side]} would be empty: split another share")
                continue
            report = self.rebuild.scan_target(
                self._scanned_path(staging, name),
                self.rebuild.names[side],
                self.plan,
                spill,
                backend=None if self.form.kind == "hdf5" else self.form.kind,
                database=self.plan.source.database if self.form.kind == "lmdb" else None,
                layout=None if self.form.kind == "hdf5" else self.layout.name,
                ignored=("record-key-gap",) if copy.left_out and not self.renamed else (),
            )
            reports.append(report)
            tables.append(spill.table(None))
            problems += counted(report, kept[side], self.rebuild.names[side])
        if problems and len(reports) < count:
            raise StoreError("; ".join(problems))
        fates = mapped(staging / "fates", FATE)
        source = self.spill.table(None)
        with interrupting():
            keyed = self.form.kind != "hdf5"
            proof = compare(expected(source, copy.gone, fates if len(fates) else None, keyed), tables)
        if copy.kept + copy.left_out != self.seen:
            problems.append(f"{self.seen:,} records were read, {copy.kept:,} kept and {copy.left_out:,} set aside")
        moves = self.quarantined(staging, copy.entries(self), QUARANTINE)
        moves += [Move(MAP, self.places.map, self.choices.overwrite)] * (staging / MAP).exists()
        moves += [Move(FILES, self.places.files, self.choices.overwrite)] * (self.form.rows_per_file is not None)
        moves += [Move(VALIDATION, self.places.validation, self.choices.overwrite)] * (count > 1)
        moves.append(Move(TARGET, self.places.target, self.choices.overwrite))
        return Written(
            copy.kept,
            kept[1] if count > 1 else 0,
            copy.left_out,
            replace(proof, problems=(*problems, *proof.problems)),
            reports,
            moves,
            copy.by_rule(self),
            dict(sorted(copy.fixed.items())),
            copy.notes(self),
        )

    def _write_listing(self, staging: Staging, name: str, side: int) -> None:
        """Write the file beside the store that lists its keys, for a store that is a folder."""
        if self.layout.listing is None or self.form.kind == "hdf5" or not (staging / name).is_dir():
            return
        positions = self._kept_positions
        if self._places is not None:
            positions = self._places[0][self._places[1] == side]
        prints = self.spill.columns.get(None)
        if prints is not None:
            listing: bytes = self.ask(relist, self.layout, prints, positions)
            with writing(staging / name, (OSError,)):
                (staging / name / self.layout.listing).write_bytes(listing)

    def _scanned_path(self, staging: Staging, name: str) -> Path:
        """What the proof scans: the target, or a list of its files where they are now. The list is written too."""
        if self.form.rows_per_file is None:
            return staging / name
        names = sorted(entry.name for entry in (staging / FILES).iterdir())
        write_list(staging / "list.txt", staging / FILES, names)
        write_list(staging / TARGET, Path(self.rebuild.target).with_name(self.places.files.name), names)
        return staging / "list.txt"

    def _copied(self, staging: Staging) -> Copy:
        """Copy until it comes through: a record that ends the reader, or can't be fixed, is left out the next time."""
        careful: set[int] = set()
        deaths = 0
        while True:
            copy = Copy(staging)
            for name in (TARGET, VALIDATION, QUARANTINE, FILES, MAP, "fates", "order"):
                copier_clean(staging / name)
            (staging / QUARANTINE).mkdir()
            (staging / "order").mkdir()
            at = 0
            try:
                self.ask(copier.begin_copy, self._job(staging))
                for at, (start, partition, route) in enumerate(self._routes(careful)):
                    copy.add(start, self.ask(copier.copy_partition, partition, route))
                    self._progress(copy, at + 1)
                copy.others = self.ask(copier.finish_copy)
            except WorkerDied as death:
                deaths += 1
                self.culprit(death, deaths)
                self._note_culprit(at, death, careful)
                continue
            if copy.unfixed and (self.parts is not None or self._places is not None or self.layout.revises):
                self.unfixed = np.array(sorted(copy.unfixed), np.int64)
                for name in ("parts", "_places", "revision"):
                    self.__dict__.pop(name, None)
                continue
            return copy

    def _note_culprit(self, at: int, death: WorkerDied, careful: set[int]) -> None:
        """Read that partition record by record, and pass over the one that ends the reader."""
        if at in careful and death.mark.start >= 0:
            start = self.scanned.spans[at][0]
            self.drops.deadly = np.union1d(self.drops.deadly, [start + death.mark.start])
        careful.add(at)

    def _job(self, staging: Staging) -> CopyJob:
        count = len(self.rebuild.names)
        parts = self.parts
        samples = self.scanned.total.summary.samples - len(self.dropped)
        kept = (
            [self.seen - len(self.dropped)] if self._places is None else np.bincount(self._places[1], minlength=count)
        )
        targets = tuple(staging / name for name in (TARGET, VALIDATION)[:count])
        flags = self._flags.get(self.plan.source.database, 0)
        return CopyJob(
            self.plan.source,
            self.layout,
            self.plan.context.options,
            targets if self.form.rows_per_file is None else (staging / FILES,),
            staging / QUARANTINE,
            self.form,
            self._quarantine_form(flags),
            self.plan.source.database if self.form.kind == "lmdb" else None,
            self.choices.changes,
            self.renamed,
            None if parts is None else parts[0],
            None if parts is None else parts[1],
            (samples if parts is None else len(parts[0]),),
            staging / "order" if self.choices.shuffle is not None or self.revision.numbers is not None else None,
            self.report.source.bytes or 0,
            tuple(int(number) for number in kept),
            self.form.kind == "hdf5",
            revised=self.revision.values,
        )

    def _quarantine_form(self, flags: int) -> Form:
        """A store of the source's kind, whatever the target is; a folder, so that the list stands beside it."""
        if self.plan.facts.name == "leveldb":
            return Form("leveldb")
        return Form("lmdb", LmdbForm(True, self._own_form().lmdb.version, {NAMED if flags else None: flags}))

    @cached_property
    def _places(self) -> tuple[Positions, Any, Positions | None] | None:
        """Positions of the records that stay with their sets and numbers, where these do not follow from the source."""
        if self.choices.split is None and self.choices.shuffle is None:
            return None
        kept = self.kept_table()
        seed = self.choices.shuffle or 0
        side = np.zeros(len(kept), np.uint8) if self.choices.split is None else sides(kept, self.choices.split, seed)
        return kept["position"].copy(), side, None if self.choices.shuffle is None else numbers(side, seed)

    def _routes(self, careful: set[int]) -> Iterator[tuple[int, Partition, Route]]:
        spread = {
            name: [part for _, _, part in self.by_partition(positions)]
            for name, positions in (
                ("dropped", self.dropped),
                ("deadly", self.drops.deadly),
                ("unless", np.setdiff1d(self.drops.unless_fixed, self.unfixed)),
                *self.drops.fixes.items(),
            )
        }
        ends = [*(start for start, _ in self.scanned.spans[1:]), self.scanned.total.positions]
        for at, ((start, partition), end) in enumerate(zip(self.scanned.spans, ends, strict=True)):
            side = number = decimal = None
            if self._places is not None:
                positions, all_sides, all_numbers = self._places
                first, last = np.searchsorted(positions, [start, end])
                side = np.zeros(end - start, np.uint8)
                side[positions[first:last] - start] = all_sides[first:last]
                if all_numbers is not None:
                    number = np.full(end - start, -1, np.int64)
                    number[positions[first:last] - start] = all_numbers[first:last]
            elif self.revision.numbers is not None and self.revision.places is not None:
                number, decimal = self._numbered_again(start, end)
            yield (
                start,
                partition,
                Route(
                    spread["dropped"][at],
                    spread["deadly"][at],
                    spread["unless"][at],
                    {fix: spread[fix][at] for fix in self.drops.fixes},
                    side,
                    number,
                    decimal,
                    at in careful,
                ),
            )

    def _numbered_again(self, start: int, end: int) -> tuple[Positions, Positions]:
        """The new places and the new plain numbers of a partition, by position."""
        positions = self._kept_positions
        first, last = np.searchsorted(positions, [start, end])
        place, decimal = np.full(end - start, -1, np.int64), np.full(end - start, -1, np.int64)
        place[positions[first:last] - start] = self.revision.places[first:last]  # type: ignore[index]
        decimal[positions[first:last] - start] = self.revision.numbers[first:last]  # type: ignore[index]
        return place, decimal

    @property
    def _kept_positions(self) -> Positions:
        kept: Positions = self.kept_table()["position"]
        return kept

    def _progress(self, copy: Copy, done: int) -> None:
        if self.rebuild.progress is not None:
            partitions = self.plan.partitions
            total = sum(partition.size_bytes for partition in partitions)
            so_far = sum(partition.size_bytes for partition in partitions[:done])
            self.rebuild.progress(Progress(copy.kept, so_far, total, self.rebuild.target))


def copier_clean(path: Path) -> None:
    """Remove what an earlier try has left."""
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _last(numbers: Positions) -> int:
    return int(numbers[-1]) if len(numbers) else 0


class Copy:
    """What the calls of one copy gave together. Lists that grow with the set are on disk."""

    def __init__(self, staging: Staging) -> None:
        self.staging = staging
        self.kept = 0
        self.sides = [0, 0]
        self.dropped: dict[int, bytes] = {}
        self.refused: dict[int, bytes] = {}
        self.unfixed: list[int] = []
        self.fixed: Counter[str] = Counter()
        self.stale: list[bytes] = []
        self.others: list[str] = []
        self.names = ("target", "validation")

    def add(self, start: int, copied: Copied) -> None:
        """Take in a partition that starts at a position."""
        self.kept += copied.kept
        if len(copied.fates):
            copied.fates["position"] += start
            append(self.staging / "fates", copied.fates)
            by_side = np.bincount(copied.fates["side"], minlength=2).tolist()
            self.sides = [self.sides[0] + copied.kept - by_side[1], self.sides[1] + by_side[1]]
        else:
            self.sides[0] += copied.kept
        self.dropped.update((start + position, key) for position, key in copied.dropped)
        self.refused.update((start + position, key) for position, key in copied.refused)
        self.unfixed += [start + position for position in copied.unfixed]
        self.fixed.update(copied.fixed)
        self.stale += copied.stale
        if copied.renamed:
            rows = ((start + at, old, new, number, side) for at, old, new, number, side in copied.renamed)
            append_map(self.staging / MAP, rows, self.names)

    @property
    def left_out(self) -> int:
        """Records in quarantine."""
        return len(self.dropped) + len(self.refused)

    @property
    def gone(self) -> Positions:
        """Their positions."""
        return np.array(sorted([*self.dropped, *self.refused]), np.int64)

    def entries(self, way: RecordWay) -> Iterator[dict[str, Any]]:
        """The lines of the quarantine."""
        for position, key in sorted([*self.dropped.items(), *self.refused.items()]):
            told = way.drops.told(position)
            if position in self.refused:
                told = [*told, COLLISION]
            elif not told:
                told = [("record-missing-twin", "another part of this sample was left out")]
            yield entry_of(Location(key, position), told, position not in self.refused)
        yield from unreadable(way.report)

    def by_rule(self, way: RecordWay) -> dict[str, int]:
        """Records in quarantine by rule."""
        gone = self.gone
        found = {
            rule: int(np.isin(positions, gone, assume_unique=True).sum())
            for rule, positions in way.drops.by_rule.items()
        }
        found["record-missing-twin"] = found.get("record-missing-twin", 0) + sum(
            not way.drops.told(position) for position in self.dropped
        )
        found[COLLISION[0]] = len(self.refused)
        return {rule: count for rule, count in found.items() if count}

    def notes(self, way: RecordWay) -> list[str]:
        """What else is to be known."""
        notes = []
        if self.others:
            notes.append(f"copied as they are, not looked at: the named databases {', '.join(sorted(self.others))}")
        if self.stale and (self.left_out or way.renamed):
            keys = ", ".join(repr(key.decode(errors="backslashreplace")) for key in self.stale)
            notes.append(f"{keys} may still list what was left out or renamed: write it again")
        if way.renamed and not way.choices.renames:
            notes.append(
                f"samples were numbered again, since their loaders count from {way.layout.first_number} without holes"
            )
        cured = {CURES[fix]: fix for fix in way.choices.fixes}
        if self.unfixed:
            notes.append(
                f"{len(self.unfixed):,} records could not be fixed ({', '.join(cured.values())}) and were left out"
            )
        return notes
