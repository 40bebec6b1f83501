"""What is remembered of a column of labels, and what kind of labels they are once all have been seen."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..options import Options
from .label_counts import LabelCounts
from .label_sequence import LabelSequence
from .positions import Element, ValueLog

ColumnKind = Literal["classes", "one-hot", "multi-label", "signed", "unlabelled", "targets", "vectors"]
"""``classes``: one integer a record. ``one-hot``, ``multi-label``: rows of 0 and 1, with or without the sum 1.
``signed``: -1 and 1, as margin losses take them. ``unlabelled``: -1 throughout. ``targets``, ``vectors``: numbers
to be regressed, or identities, one or several a record; nothing can be said of their values."""

CONVENTION = 0.95
"""What this share of a set does is its convention, and the rest is at fault."""

FLOAT32_EXACT = 1 << 24
"""Beyond it float32 does not hold every integer."""

SUM_TOLERANCE = 1e-3
"""How far the sum of a one-hot row may be from 1."""

ENOUGH = 20
"""Fewer records do not show what a column is, or how its classes are spread."""

_FAR = float(1 << 62)


class LabelColumn:
    """A column of labels: what its values are, and where those stand that may be at fault.

    Attributes
    ----------
    dataset
        The HDF5 path of the column, ``None`` for key-value stores.
    shape, width
        Shape of one record's label, ``()`` for a single value; the number of its values.
    records, not_finite
        Records that have a label, and values among them that are NaN or infinite.
    counts, sequence
        The classes, counted and in store order. A value that is no integer, or a row that is not one-hot,
        has none.
    """

    def __init__(self, name: str, dataset: str | None, shape: tuple[int, ...], options: Options) -> None:
        self.name, self.dataset = name, dataset
        self.shape, self.width = shape, int(np.prod(shape))
        self.num_classes, self.ignore_labels = options.num_classes, options.ignore_labels
        self.records = self.not_finite = 0
        self.minimum, self.maximum = np.inf, -np.inf
        self.counts = LabelCounts()
        self.sequence = LabelSequence()

    @property
    def kind(self) -> ColumnKind:
        """What the column holds, judged by everything seen so far."""
        raise NotImplementedError

    @property
    def has_classes(self) -> bool:
        """Whether each record stands for one class."""
        return self.kind in ("classes", "one-hot")

    def add(self, positions: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Take in the labels at some positions, ``(n,)`` or ``(n, ...)`` of the column's width."""
        raise NotImplementedError

    def _classes(
        self, positions: NDArray[np.int64], labels: NDArray[np.int64], known: NDArray[np.bool_] | None
    ) -> None:
        self.counts.add(labels if known is None else labels[known])
        if self.counts.overflowed:
            self.sequence.clear()  # no classes: nobody will ask, and it would grow with the data
        else:
            self.sequence.add(positions, labels, known)

    def _extent(self, values: NDArray[Any]) -> None:
        if len(values):
            self.minimum = min(self.minimum, float(values.min()))
            self.maximum = max(self.maximum, float(values.max()))

    def _ignored(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        return np.isin(values, self.ignore_labels) if self.ignore_labels else np.zeros(values.shape, np.bool_)

    def merge(self, later: Self, offset: int) -> None:
        """Take in what follows in store order; its positions move by ``offset``."""
        self.records += later.records
        self.not_finite += later.not_finite
        self.minimum, self.maximum = min(self.minimum, later.minimum), max(self.maximum, later.maximum)
        self.counts.merge(later.counts)
        if self.counts.overflowed:
            self.sequence.clear()
        else:
            self.sequence.merge(later.sequence, offset)

    def class_counts(self, below: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Classes in ascending order and their sizes, without values that can't be a class (or are ignored)."""
        labels, sizes = self.counts.items()
        valid = (labels >= 0) & ~self._ignored(labels)
        if below is not None:
            valid &= labels < below
        return labels[valid], sizes[valid]


class ScalarColumn(LabelColumn):
    """One value a record.

    Attributes
    ----------
    integral
        How many values are integers.
    non_integral, negative, beyond, inexact
        Finite values that are no integer; integers below 0; integers not below the number of classes, where that
        is known; integers beyond `FLOAT32_EXACT`. Ignored labels are in none of them.
    """

    def __init__(self, name: str, dataset: str | None, options: Options) -> None:
        super().__init__(name, dataset, (), options)
        cap = options.most_logged
        self.integral = 0
        self.non_integral, self.negative, self.beyond, self.inexact = (ValueLog(cap) for _ in range(4))

    def add(self, positions: NDArray[np.int64], values: NDArray[Any]) -> None:
        """See `LabelColumn.add`."""
        values = values.reshape(len(positions))
        self.records += len(values)
        known = self._known(positions, values) if values.dtype.kind == "f" else None
        integers = values if known is None else values[known]
        self.integral += len(integers)
        labels = _as_int64(values if known is None else np.where(known, values, 0))
        if len(integers):
            if known is None:
                self._extent(integers)
            self._log(positions, values, labels, known)
        self._classes(positions, labels, known)

    def _known(self, positions: NDArray[np.int64], values: NDArray[np.floating[Any]]) -> NDArray[np.bool_] | None:
        """Which values are integers, ``None`` if all are; the others are logged."""
        with np.errstate(invalid="ignore"):
            known: NDArray[np.bool_] = np.trunc(values) == values
        if known.all() and np.isfinite(values).all():
            return None
        finite = np.isfinite(values)
        self.not_finite += len(values) - int(np.count_nonzero(finite))
        self._extent(values[finite])
        known &= finite
        broken = np.flatnonzero(finite & ~known)
        self.non_integral.add(positions[broken], values[broken])
        return known

    def _log(
        self,
        positions: NDArray[np.int64],
        values: NDArray[Any],
        labels: NDArray[np.int64],
        known: NDArray[np.bool_] | None,
    ) -> None:
        low, high = int(labels.min()), int(labels.max())
        suspects: list[tuple[ValueLog, NDArray[np.bool_]]] = []
        if low < 0:
            suspects.append((self.negative, labels < 0))
        if self.num_classes is not None and high >= self.num_classes:
            suspects.append((self.beyond, labels >= self.num_classes))
        if high > FLOAT32_EXACT:
            suspects.append((self.inexact, labels > FLOAT32_EXACT))
        for log, suspect in suspects:
            if known is not None:
                suspect = suspect & known
            rows = np.flatnonzero(suspect)
            rows = rows[~self._ignored(values[rows])]
            log.add(positions[rows], values[rows])

    def merge(self, later: Self, offset: int) -> None:
        """See `LabelColumn.merge`."""
        super().merge(later, offset)
        self.integral += later.integral
        self.non_integral.merge(later.non_integral, offset)
        self.negative.merge(later.negative, offset)
        self.beyond.merge(later.beyond, offset)
        self.inexact.merge(later.inexact, offset)

    @property
    def kind(self) -> ColumnKind:
        """See `LabelColumn.kind`."""
        finite = self.records - self.not_finite
        if finite == 0 or self.integral < CONVENTION * finite or self.counts.overflowed:
            return "targets"
        labels, sizes = self.counts.items()
        if finite - self.integral >= max(2, self.integral - sizes.max()):
            return "targets"  # a measure that is mostly zero: rain, claims, sizes of lesions
        few = (1 - CONVENTION) * finite
        if labels.tolist() == [-1] and self.integral == finite:
            return "unlabelled"
        if labels.tolist() == [-1, 1] and sizes.min() >= few and self.integral == finite:
            return "signed"
        negative = labels < 0
        negative &= ~self._ignored(labels)
        if np.count_nonzero(negative) >= 2 and sizes[negative].sum() >= few and finite >= ENOUGH:
            return "targets"  # signed numbers are measured, not counted
        spread = int(labels[-1]) - int(labels[0]) + 1
        if finite >= ENOUGH and len(labels) > finite / 2 and spread > 2 * len(labels):
            return "targets"  # hardly a value comes twice
        return "classes"


class RowColumn(LabelColumn):
    """A row of several values a record.

    Attributes
    ----------
    zeros, ones, minus_ones
        How many elements are 0, 1 and -1.
    one_hot
        How many rows hold a single 1 and zeros.
    wrong_sum
        Rows within [0, 1] whose sum is not 1; the value is the sum.
    outside, minus
        Rows with an element outside [0, 1] other than -1, and rows with a -1: the first such element. Ignored
        labels are in neither.
    """

    def __init__(self, name: str, dataset: str | None, shape: tuple[int, ...], options: Options) -> None:
        super().__init__(name, dataset, shape, options)
        cap = options.most_logged
        self.zeros = self.ones = self.minus_ones = self.one_hot = 0
        self.wrong_sum, self.outside, self.minus = (ValueLog(cap) for _ in range(3))

    @property
    def elements(self) -> int:
        """Finite elements of all rows."""
        return self.records * self.width - self.not_finite

    def add(self, positions: NDArray[np.int64], values: NDArray[Any]) -> None:
        """See `LabelColumn.add`."""
        rows = values.reshape(len(positions), self.width)
        self.records += len(rows)
        if len(rows) == 0:
            return
        zero, one = rows == 0, rows == 1
        ones_of_row = _count_by_row(one)
        zeros, ones = int(np.count_nonzero(zero)), int(ones_of_row.sum())
        self.zeros += zeros
        self.ones += ones
        if zeros + ones == rows.size:
            self._extent(np.array([0.0 if zeros else 1.0, 1.0 if ones else 0.0]))
            known = ones_of_row == 1
            wrong = np.flatnonzero(~known)
            self.wrong_sum.add(positions[wrong], ones_of_row[wrong])
        else:
            known = (ones_of_row == 1) & (_count_by_row(zero) == self.width - 1)
            self._look_closer(positions, rows, ~(zero | one))
        self.one_hot += int(np.count_nonzero(known))
        classes = one.argmax(axis=1).astype(np.int64)
        self._classes(positions, classes, None if known.all() else known)

    def _look_closer(self, positions: NDArray[np.int64], rows: NDArray[Any], other: NDArray[np.bool_]) -> None:
        """Take in rows of which some elements (``other``) are neither 0 nor 1."""
        finite = np.isfinite(rows)
        self.not_finite += rows.size - int(np.count_nonzero(finite))
        self._extent(rows[finite])
        other &= finite
        minus = (rows == -1) & other
        self.minus_ones += int(np.count_nonzero(minus))
        ignored = self._ignored(rows) if self.ignore_labels else None
        with np.errstate(invalid="ignore"):
            outside = ((rows < 0) | (rows > 1)) & other & ~minus
        inside = _count_by_row(outside | minus | ~finite) == 0
        if ignored is not None:
            minus &= ~ignored
            outside &= ~ignored
        self._log(self.minus, positions, rows, minus)
        self._log(self.outside, positions, rows, outside)
        places = np.flatnonzero(inside)
        sums = rows[places].astype(np.float64).sum(axis=1).round(9)  # whole rows at a time: the same in any batch
        wrong = np.abs(sums - 1) > SUM_TOLERANCE
        self.wrong_sum.add(positions[places[wrong]], sums[wrong])

    def _log(self, log: ValueLog, positions: NDArray[np.int64], rows: NDArray[Any], suspect: NDArray[np.bool_]) -> None:
        places = np.flatnonzero(_count_by_row(suspect))
        kept = places[: max(log.room, 0)]
        first = suspect[kept].argmax(axis=1)
        elements: list[Element] = [
            tuple(int(axis) for axis in np.unravel_index(column, self.shape)) for column in first.tolist()
        ]
        values = np.zeros(len(places), rows.dtype)
        values[: len(kept)] = rows[kept, first]
        log.add(positions[places], values, elements)

    def merge(self, later: Self, offset: int) -> None:
        """See `LabelColumn.merge`."""
        super().merge(later, offset)
        self.zeros += later.zeros
        self.ones += later.ones
        self.minus_ones += later.minus_ones
        self.one_hot += later.one_hot
        self.wrong_sum.merge(later.wrong_sum, offset)
        self.outside.merge(later.outside, offset)
        self.minus.merge(later.minus, offset)

    @property
    def minus_common(self) -> bool:
        """Whether -1 is a convention of the column (it stands for unknown) rather than a slip."""
        return self.minus_ones >= (1 - CONVENTION) * self.elements

    @property
    def kind(self) -> ColumnKind:
        """See `LabelColumn.kind`."""
        if self.records and self.one_hot >= CONVENTION * self.records:
            return "one-hot"
        nonzero = self.elements - self.zeros
        if self.ones and not self.zeros and self.minus_common and self.ones + self.minus_ones == self.elements:
            return "signed"
        usual = self.zeros + self.ones + (self.minus_ones if self.minus_common else 0)
        # Counts and sparse measurements are mostly 0 as well: of what is not 0, nearly all must be 1.
        mostly_ones = self.ones >= CONVENTION * (nonzero - self.minus_ones)
        if self.ones and usual >= CONVENTION * self.elements and mostly_ones:
            return "multi-label"
        return "vectors"


def _count_by_row(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many elements of each row are true."""
    width = mask.shape[1]
    if width <= 64:  # a product is ten times faster than numpy's reduction of short rows, and exact for counts
        return (mask.astype(np.float32) @ np.ones(width, np.float32)).astype(np.int64)
    counts: NDArray[np.int64] = mask.sum(axis=1, dtype=np.int64)
    return counts


def _as_int64(values: NDArray[Any]) -> NDArray[np.int64]:
    """Integral values as int64; what int64 can't hold becomes very large, never something else."""
    if values.dtype.kind == "f" and len(values):
        if max(-float(values.min()), float(values.max())) >= _FAR:
            values = np.clip(values.astype(np.float64), -_FAR, _FAR)
    elif values.dtype == np.uint64:
        values = np.minimum(values, np.uint64(_FAR))
    return values.astype(np.int64, copy=False)
