"""From HDF5 to a key-value store: rows of samples and labels become Caffe's Datums, with keys ``%08d``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends.base import Extent, Partition, RowBatch
from ...backends.columns import BytesColumn
from ...backends.errors import UsageError
from ...backends.writing import RecordWriter, WriteError
from ..interrupt import interrupting
from ..layouts.base import Layout, RowLayout
from ..layouts.datum_writer import encode_datum
from ..prints import UNLABELLED, labels_of
from ..sample import SampleBatch
from ..stamp import reading
from ..supervisor import WorkerDied
from ..worker import SourceRef, open_source
from .copier import beating
from .proof import compare, counted, expected
from .routes import Positions
from .row_copier import FileJob
from .row_way import QUARANTINE, TARGET, RowWay
from .sinks import Form, open_writer
from .spill import Spill, among
from .staging import Move, Staging

if TYPE_CHECKING:
    from .run import Written


class ToRecordWay(RowWay):
    """See `Way`. One table is written: the samples' and their labels'."""

    def check(self) -> None:
        """See `Way.check`."""
        super().check()
        choices, path = self.choices, self.report.source.path
        if choices.shuffle is not None or choices.split is not None:
            raise UsageError("--shuffle and --split: write the records first, then shuffle or split them")
        if choices.fixes:
            raise UsageError("--fix: write the records first, then fix them")
        if self._main is None or len(self.units[self._main].tables) != 1:
            raise UsageError(
                f"{path}: a record is made of a row of samples and its label, and there are several kinds of rows "
                f"({', '.join(self._kinds())})"
            )

    @property
    def _table(self) -> tuple[Any, int, int]:
        assert self._main is not None
        return self._tables_of(self.units[self._main])[0]

    @property
    def seen_positions(self) -> Positions:
        """See `RowWay.seen_positions`; those of other tables are not records here."""
        _, start, count = self._table
        positions = np.asarray(self.spill.table(None)["position"])
        return positions[slice(*np.searchsorted(positions, [start, start + count]))]

    def write(self, staging: Staging) -> Written:
        """See `Way.write`."""
        from .run import Written

        assert self._main is not None
        kept, dropped = self._rows[self._main]
        self.refuse_nothing(len(kept))
        kind: Any = self.rebuild.target_store(self.plan)
        try:
            self.ask(begin_records, RecordJob(self.plan.source, self.plan.choice.layout, staging / TARGET, Form(kind)))
            for _, partition, inside in self.by_partition(self.dropped):
                if partition.table == self._table[0]:
                    self.ask(convert_rows, partition, inside)
            self.ask(finish_records)
        except WorkerDied as death:
            self.culprit(death, 100)
        (staging / QUARANTINE).mkdir()
        if len(dropped):
            listing = self.listings[0]
            gone = dict.fromkeys(self.units[self._main].paths, dropped)
            self._called(FileJob(listing.path, staging / QUARANTINE / "records.h5", gone, False))
        spill = Spill(staging / "prints-target")
        report = self.rebuild.scan_target(
            staging / TARGET, self.rebuild.target, self.plan, spill, backend=kind, layout="caffe-datum"
        )
        source = self.spill.table(None)
        with interrupting():
            own = among(np.asarray(source["position"]), self.seen_positions)
            proof = compare(expected(source[own], self.dropped, None, keyed=False), [_keyless(spill)])
        problems = counted(report, len(kept), self.rebuild.target)
        moves = self.quarantined(staging, self.entries(), QUARANTINE)
        moves.append(Move(TARGET, self.places.target, self.choices.overwrite))
        by_rule = {rule: int(among(found, self.dropped).sum()) for rule, found in self.drops.by_rule.items()}
        others = [table.name for table, _, _ in self.tables if table != self._table[0]]
        notes = [f"left out, since a record has one array and one label: {', '.join(others)}"] if others else []
        return Written(
            len(kept),
            0,
            len(self.dropped),
            replace(proof, problems=(*problems, *proof.problems)),
            [report],
            moves,
            {rule: count for rule, count in by_rule.items() if count},
            {},
            notes,
        )


def _keyless(spill: Spill) -> Any:
    table = np.array(spill.table(None))
    table["key"] = 0
    return table


# ---- in the worker ----


@dataclass(frozen=True, slots=True)
class RecordJob:
    """What is converted, and into what."""

    source: SourceRef
    layout: Layout
    target: Path
    form: Form


@dataclass(slots=True)
class _Converter:
    job: RecordJob
    writer: RecordWriter
    number: int = 0


_converter: _Converter | None = None


def begin_records(job: RecordJob) -> None:
    """Open the new store."""
    global _converter
    _converter = _Converter(job, open_writer(job.target, job.form))


def convert_rows(partition: Partition, dropped: Positions) -> None:
    """Write the rows of a partition, but for some."""
    assert _converter is not None
    layout = _converter.job.layout
    assert isinstance(layout, RowLayout)
    for part in open_source(_converter.job.source).read(partition):
        if isinstance(part, Extent) or not isinstance(part, RowBatch) or not part.whole:
            continue
        reading(int(part.positions[-1]), 0, 0)
        batch = part.take(~among(part.positions, dropped))
        if len(batch):
            values = list(_datums(layout.decode(batch), int(batch.positions[0])))
            keys = [b"%08d" % (_converter.number + row) for row in range(len(values))]
            _converter.writer.put(BytesColumn.from_strings(keys), BytesColumn.from_strings(values))
            _converter.number += len(values)


def finish_records() -> None:
    """Bring the new store to the disk."""
    global _converter
    assert _converter is not None
    with beating():
        _converter.writer.close()
    _converter = None


def _datums(samples: SampleBatch, first: int) -> Iterator[bytes]:
    if not samples.arrays:
        raise WriteError("the rows hold no arrays of numbers, so they can't be Datums")
    block = samples.arrays[0]
    if block.axes == "HWC":
        raise WriteError(f"{block.name} is height x width x channels; Caffe's Datum has the channels first")
    channels, height, width = (*block.shape, 1, 1, 1)[:3] if len(block.shape) != 2 else (1, *block.shape)
    if len(block.shape) > 3:
        raise WriteError(f"{block.name} has rows of {len(block.shape)} axes; a Datum has three")
    labels = labels_of(samples)
    whole = (labels == UNLABELLED) | ((labels == np.round(labels)) & (np.abs(labels) < 1 << 31))
    if not whole.all():
        row = first + int(np.flatnonzero(~whole)[0])
        raise WriteError(f"the label of row {row} is {labels[~whole][0]:g}; a Datum's label is an integer of 32 bits")
    floats = block.values if block.values.dtype == np.uint8 else block.values.astype(np.float32)
    if floats.dtype != np.uint8 and not ((floats == block.values) | (block.values != block.values)).all():
        raise WriteError(f"{block.name} has numbers that float32 can't hold; a Datum has no others")
    for values, label in zip(floats, labels.tolist(), strict=True):
        given: dict[str, Any] = {"data": values.tobytes()} if floats.dtype == np.uint8 else {"float_data": values}
        yield encode_datum(dims=(channels, height, width), label=None if label == UNLABELLED else int(label), **given)
