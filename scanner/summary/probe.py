"""What the probe gave over all batches: losses, and the records that spoil them."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backends.base import Table
from ..options import PROBE_BATCH, Options
from ..sample import ProbeFault, SampleBatch

LARGE_LOSS = 1e34
"""Losses from here on are remembered: a batch of them can overflow where none of them does."""

MOST_LARGE = 10_000

FEW_STEPS = 4
GROWN = 100.0
"""A loss that ends so many times above its start is one of training that explodes."""


@dataclass(slots=True)
class Curve:
    """Losses of training: that of each batch before the step on it. ``left_out`` are samples of other shapes.

    ``reason`` says why there is no curve, or not all of it.
    """

    rate: float
    losses: list[float] = field(default_factory=list)
    left_out: int = 0
    reason: str = ""

    @property
    def exploded(self) -> int | None:
        """The step whose loss is not finite, ``None`` if all are."""
        return next((step for step, loss in enumerate(self.losses) if not math.isfinite(loss)), None)

    @property
    def growing(self) -> bool:
        """Whether the loss ended far above where it began, though finite."""
        if self.exploded is not None or len(self.losses) < FEW_STEPS:
            return False
        last = self.losses[-max(len(self.losses) // 4, 1) :]
        return min(last) > GROWN * max(self.losses[0], 1.0)

    def to_dict(self) -> dict[str, Any]:
        """The curve of the JSON report, a loss that is not finite as text."""
        shown = [rounded(loss) if math.isfinite(loss) else str(loss) for loss in self.losses]
        return {"rate": self.rate, "losses": shown, "left_out": self.left_out, "reason": self.reason or None}


class ProbeSummary:
    """See `SummaryPart`.

    Attributes
    ----------
    samples
        Samples that went through a network, once for each of a record's arrays.
    faults
        ``(position, key, fault)`` in store order, at most ``--max-findings`` for each rule; ``omitted`` counts the
        rest by rule.
    tables
        Where each table begins, in store order: ``(position, table)``.
    curve
        Losses of training, where that was asked for; of the whole source, not of its parts.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.samples = 0
        self.finite = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = -math.inf
        self.networks: dict[str, int] = {}
        self.faults: list[tuple[int, bytes | None, ProbeFault]] = []
        self.counts: dict[str, int] = {}
        self.large: list[tuple[int, float]] = []
        self.tables: list[tuple[int, Table]] = []
        self.curve: Curve | None = None

    @property
    def omitted(self) -> dict[str, int]:
        """Faults that were only counted, by rule."""
        kept: dict[str, int] = {}
        for _, _, fault in self.faults:
            kept[fault.rule] = kept.get(fault.rule, 0) + 1
        return {rule: count - kept.get(rule, 0) for rule, count in self.counts.items()}

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        outcome = samples.probe
        if outcome is None:
            return
        self._begin(samples.batch.table, 0)
        positions = samples.batch.positions
        for rows, losses in zip(outcome.rows, outcome.losses, strict=True):
            self.samples += len(rows)
            finite = losses[np.isfinite(losses)]
            self.finite += len(finite)
            if len(finite):
                self.total += float(finite.sum())
                self.smallest = min(self.smallest, float(finite.min()))
                self.largest = max(self.largest, float(finite.max()))
            for place in np.flatnonzero(np.isfinite(losses) & (losses > LARGE_LOSS)).tolist():
                self._note_large(int(positions[rows[place]]), float(losses[place]))
        for name, count in outcome.networks.items():
            self.networks[name] = self.networks.get(name, 0) + count
        for fault in outcome.faults:
            self._note(int(positions[fault.row]), samples.key(fault.row), fault)

    def merge(self, later: ProbeSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        for position, table in later.tables:
            self._begin(table, position + offset)
        self.samples += later.samples
        self.finite += later.finite
        self.total += later.total
        self.smallest = min(self.smallest, later.smallest)
        self.largest = max(self.largest, later.largest)
        for name, count in later.networks.items():
            self.networks[name] = self.networks.get(name, 0) + count
        for position, key, fault in later.faults:
            self._note(position + offset, key, fault)
        for rule, count in later.omitted.items():
            self.counts[rule] += count
        for position, loss in later.large:
            self._note_large(position + offset, loss)

    def statistics(self) -> dict[str, Any]:
        """See `SummaryPart.statistics`."""
        probe = self.options.probe
        if probe is None:
            return {}
        task = probe.task
        found: dict[str, Any] = {
            "samples": self.samples,
            "batch_size": self.batch_size,
            "iter_size": probe.iter_size,
            "dtype": probe.dtype,
            "networks": dict(sorted(self.networks.items())),
            "finite_losses": self.finite,
        }
        if self.finite:
            found["loss"] = {
                "mean": rounded(self.total / self.finite),
                "min": rounded(self.smallest),
                "max": rounded(self.largest),
            }
        if self.curve is not None:
            found["training"] = self.curve.to_dict()
        if task is not None:
            found["loss_function"] = task.loss
            found["labelled"] = task.labelled
            found["network"] = task.network
            found["masks"] = list(task.masked)
            found["notes"] = list(task.notes)
            found["layers"] = [
                {"name": name, "kind": kind, "shape": list(shape), "parameters": parameters}
                for name, kind, shape, parameters in task.layers
            ]
        return {"probe": found}

    # ---- what training would make of a position ----

    @property
    def batch_size(self) -> int:
        """Records in a batch of training."""
        return self.options.batch_size or PROBE_BATCH

    def reading_position(self, position: int) -> int:
        """The number of the record in the order of training: files of a list are read one after the other."""
        number = bisect_right(self.tables, position, key=lambda entry: entry[0]) - 1
        if number < 0:
            return position
        start, table = self.tables[number]
        before = sum(
            self.tables[index + 1][0] - begin
            for index, (begin, earlier) in enumerate(self.tables[:number])
            if earlier.file != table.file and earlier.columns == table.columns
        )
        return before + position - start

    def batch_of(self, position: int) -> int:
        """The batch that the record at a position is in, from 0, where nothing is shuffled."""
        return self.reading_position(position) // self.batch_size

    def iteration_of(self, position: int) -> int:
        """The iteration of training that meets it."""
        iter_size = self.options.probe.iter_size if self.options.probe else 1
        return self.batch_of(position) // iter_size

    # ---- keeping ----

    def _begin(self, table: Table, position: int) -> None:
        if not self.tables or self.tables[-1][1] != table:
            self.tables.append((position, table))

    def _note(self, position: int, key: bytes | None, fault: ProbeFault) -> None:
        count = self.counts.get(fault.rule, 0)
        self.counts[fault.rule] = count + 1
        if count < self.options.max_findings or self.options.trace is not None:
            self.faults.append((position, key, fault))

    def _note_large(self, position: int, loss: float) -> None:
        if len(self.large) < MOST_LARGE:
            self.large.append((position, loss))


def rounded(number: float) -> float:
    """Six digits: what single precision holds, whatever order sums were formed in."""
    return float(f"{number:.6g}")
