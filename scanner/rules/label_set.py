"""Rules for the classes of a set as a whole: which occur, how often, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, lgamma, sqrt

import numpy as np
from numpy.typing import NDArray

from ..finding import Finding, Location, Severity
from ..summary import Summary
from ..summary.label_columns import ENOUGH, FLOAT32_EXACT, LabelColumn, RowColumn, ScalarColumn
from .base import Rule

FEW = 2
"""So many samples of a class, or fewer, are few where the median class has at least `ENOUGH`."""

RARE = 0.01
"""A class below this share of the median class is rare."""

IMBALANCE = 100
"""Largest ratio between the sizes of two classes that is not called imbalance."""

IMBALANCE_RECORDS = 1000
"""Sets with fewer records are not called imbalanced."""

FEW_RUNS = 0.25
"""Below this share of the runs that a shuffled set has, a set is called sorted."""

FEW_CLASSES = 0.5
"""A set is called sorted if its batches hold less than this share of the further classes (beyond the first) that
those of a shuffled set hold."""

SIGMAS = 4.0
"""And if that is by so many standard deviations more than shuffling explains."""


class ClassRule(Rule):
    """A rule about the classes of each column of classes."""

    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        for column in summary.labels.class_columns:
            yield from self.judge(column, *self._valid(column))

    def judge(self, column: LabelColumn, classes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[Finding]:
        """Findings of one column: its classes in ascending order, invalid labels apart, and their sizes."""
        raise NotImplementedError

    def _valid(self, column: LabelColumn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        classes = self.classes_of(column)
        if classes is None and self.context.traits.caffe:
            classes = FLOAT32_EXACT + 1
        return column.class_counts(classes)

    def classes_of(self, column: LabelColumn) -> int | None:
        """The number of classes, as far as it is known."""
        return self.options.num_classes if isinstance(column, ScalarColumn) else column.width

    def partly_read(self) -> str | None:
        """Why nothing can be said of what does not occur."""
        if self.options.limit is not None or self.options.sample is not None:
            return "only a part of the records is read"
        return None


class LabelOffset(ClassRule):
    """
    ## What it does
    Reports, once, a set whose labels run from 1 to K without a 0. Boxes are left alone: there 0 is the background.

    ## Why is this bad?
    Losses count classes from 0. With K outputs, class K lies beyond the last one: Caffe reads and writes outside
    of its memory, PyTorch raises. With K + 1 outputs everything runs, with an output that is never right. Label
    maps of ImageNet's development kit and of MATLAB, and VOC's class lists, start at 1.

    ## How to fix
    Subtract 1 where the set is built, or with `datascan rebuild --fix label-offset` (and in the validation set and the
    label map: all three or none).
    """

    name = "label-offset"

    def judge(self, column: LabelColumn, classes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[Finding]:
        """See `ClassRule.judge`."""
        known = self.options.num_classes
        if not _offset(column, known) or sizes.sum() < max(ENOUGH, 2 * len(classes)):
            return
        last = int(classes[-1]) if known is None else known
        message = f"labels run from 1 to {last}; losses count classes from 0"
        if known is not None:
            message = f"labels run from 1 to {last}, but with {known} classes they must run from 0 to {known - 1}"
        yield self.finding(message, Location(dataset=column.dataset), data={"classes": last})


def _offset(column: LabelColumn, num_classes: int | None) -> bool:
    """Whether the labels are exactly 1..K, and there are no more than K classes as far as that is known."""
    if not isinstance(column, ScalarColumn):
        return False
    classes, _ = column.class_counts()
    last = len(classes)
    return last >= 2 and bool(classes[0] == 1 and classes[-1] == last) and num_classes in (None, last)


class LabelAbsentClass(ClassRule):
    """
    ## What it does
    Reports, once, the classes below the highest label (or below `--num-classes`) that never occur.

    ## Why is this bad?
    A weight of 1/frequency is infinite for such a class: an infogain matrix or a `weight=` tensor made that way
    makes the loss inf, then NaN. Without weights, the class's output is trained to be never chosen. Often a folder
    was empty, a filter was too strict, or the label map has a hole. A single absurd label (1000000 among 0..4)
    shows here as well, and its record is named.

    ## How to fix
    Bring the class back, or renumber the labels so that they run from 0 without holes. Where the hole is meant, cap
    the weights: `1 / max(frequency, 1)`.
    """

    name = "label-absent-class"

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return self.partly_read()

    def judge(self, column: LabelColumn, classes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[Finding]:
        """See `ClassRule.judge`."""
        if len(classes) < 2 or sizes.sum() < max(ENOUGH, 2 * len(classes)):
            return
        known = self.classes_of(column)
        last = int(classes[-1]) if known is None else known - 1
        absent = last + 1 - len(classes)
        if absent == 0 or _offset(column, known):
            return
        ranges = _gaps(classes, last)
        data = {"absent": absent, "classes": [[low, high] for low, high in ranges[:100]]}
        where = Location(dataset=column.dataset)
        if absent > len(classes):
            message = (
                f"{absent:,} of the classes 0..{last} never occur: there are only {len(classes):,} different labels"
            )
            if known is None and sizes[-1] == 1:
                message += f", and {last} stands alone in this record"
                where = Location(index=column.sequence.first_position(last), dataset=column.dataset)
        else:
            message = f"{_listed(ranges)} of 0..{last} never occur{'s' if absent == 1 else ''}"
        yield self.finding(f"{message}; a weight of 1/frequency would be infinite", where, data=data)


def _gaps(classes: NDArray[np.int64], last: int) -> list[tuple[int, int]]:
    """Ranges of absent classes, both ends included."""
    edges = np.concatenate([[-1], classes, [last + 1]])
    holes = np.flatnonzero(np.diff(edges) > 1)
    return [(int(edges[hole]) + 1, int(edges[hole + 1]) - 1) for hole in holes]


def _listed(ranges: list[tuple[int, int]]) -> str:
    named = [str(low) if low == high else f"{low}..{high}" for low, high in ranges[:10]]
    single = len(ranges) == 1 and ranges[0][0] == ranges[0][1]
    more = f" and {len(ranges) - 10} more" if len(ranges) > 10 else ""
    return f"class{'' if single else 'es'} {', '.join(named)}{more}"


class LabelRareClass(ClassRule):
    """
    ## What it does
    Reports each class that has one or two samples where the median class has twenty or more, or less than a
    hundredth of the median class's samples. The record is named where there is only one.

    ## Why is this bad?
    The class can't be learned, and its accuracy says nothing. A weight of 1/frequency gives its samples weights of
    hundreds: a batch that draws one takes a step that may end the training. A class of one sample is often a slip
    in the labels.

    ## How to fix
    Look at the record first: is the label right? Then collect more samples, join the class with another, or cap
    the class weights.
    """

    name = "label-rare-class"

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return self.partly_read()

    def judge(self, column: LabelColumn, classes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[Finding]:
        """See `ClassRule.judge`."""
        rare = _rare(sizes)
        if not rare.any():
            return
        median = float(np.median(sizes))
        for label, size in zip(classes[rare].tolist(), sizes[rare].tolist(), strict=True):
            index = column.sequence.first_position(label) if size == 1 else None
            message = f"class {label} has {size:,} sample{'s' * (size > 1)}, where the median class has {median:,.0f}"
            location = Location(index=index, dataset=column.dataset)
            yield self.finding(message, location, data={"class": label, "samples": size, "median": median})


def _rare(sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    if len(sizes) < 2:
        return np.zeros(len(sizes), np.bool_)
    median = float(np.median(sizes))
    rare: NDArray[np.bool_] = (sizes < RARE * median) | ((sizes <= FEW) & (median >= ENOUGH))
    return rare


class LabelImbalance(ClassRule):
    """
    ## What it does
    Reports, once, a set of at least 1000 records whose largest class is more than 100 times its smallest. Classes
    that `label-rare-class` names are left out of the comparison.

    ## Why is this bad?
    A network that always answers with the large class has a low loss and a high accuracy. Weights that make up for
    it multiply the gradients of the small class by the same factor, which a learning rate chosen without them does
    not bear.

    ## How to fix
    Sample the classes evenly, or use capped or square-root weights, and watch the accuracy of each class.
    """

    name = "label-imbalance"

    def judge(self, column: LabelColumn, classes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[Finding]:
        """See `ClassRule.judge`."""
        if sizes.sum() < IMBALANCE_RECORDS:
            return
        compared = ~_rare(sizes)
        classes, sizes = classes[compared], sizes[compared]
        large, small = int(sizes.argmax()), int(sizes.argmin())
        ratio = float(sizes[large] / sizes[small])
        if ratio <= IMBALANCE:
            return
        message = (
            f"class {classes[large]} has {sizes[large]:,} samples and class {classes[small]} {sizes[small]:,}: "
            f"{ratio:,.0f} to 1"
        )
        data = {"largest": int(classes[large]), "smallest": int(classes[small]), "ratio": ratio}
        yield self.finding(message, Location(dataset=column.dataset), data=data)


class LabelConstant(Rule):
    """
    ## What it does
    Reports, once, a set of at least 20 records whose labels (classes or targets) are all the same. Sets without
    labels are `label-missing`, sets of -1 `label-negative`.

    ## Why is this bad?
    The loss falls to 0, and the network has learned to ignore its input. Converters do this silently: with a list
    file whose lines lack the label, or whose label is not a number, `convert_imageset` writes 0 for every record.

    ## How to fix
    Look at the list file: is the label behind the *last* blank of each line, and a number? Then build the set
    again. If one class is what you want (a generative model), ignore the rule.
    """

    name = "label-constant"
    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        for column in summary.labels.columns:
            finite = column.records * column.width - column.not_finite
            value = _only_value(column)
            if value is not None and column.kind != "unlabelled" and finite >= ENOUGH * column.width:
                message = f"all {column.records:,} labels are {value:.6g}"
                yield self.finding(message, Location(dataset=column.dataset), data={"label": value})


def _only_value(column: LabelColumn) -> float | None:
    """The value (or the class) of all labels, ``None`` if there are several."""
    if column.minimum == column.maximum:
        return column.minimum
    if isinstance(column, RowColumn) and column.one_hot == column.records:
        classes, _ = column.class_counts()
        return int(classes[0]) if len(classes) == 1 else None
    return None


class LabelSorted(ClassRule):
    """
    ## What it does
    Reports, once, a set whose records are so ordered by class that training batches miss classes. With
    `--batch-size` (or the net's) it compares the number of classes in consecutive batches with what a shuffled
    order would give; without, the number of runs of equal labels.

    ## Why is this bad?
    Caffe's data layer reads LMDB and LevelDB strictly in store order and never shuffles; so do sequential readers
    of HDF5. Batches of one class pull the network to answer with that class, whatever the input: the loss swings
    with each change of class, momentum and batch normalisation carry the wrong statistics along, and a learning
    rate that a shuffled set bears makes the loss explode.

    ## How to fix
    Build the set from a shuffled list (`convert_imageset --shuffle`, `shuf list.txt`), shuffle it as it is (`datascan
    rebuild --shuffle 1`), or shuffle in the loader (`shuffle=True`). If the loader does, ignore the rule.
    """

    name = "label-sorted"

    def judge(self, column: LabelColumn, classes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[Finding]:
        """See `ClassRule.judge`."""
        _, all_sizes = column.counts.items()  # invalid labels have their place in the order as well
        records, batch_size = int(all_sizes.sum()), self.options.batch_size
        if len(all_sizes) < 2 or records < ENOUGH:
            return
        if batch_size is not None and batch_size > 1:
            yield from self._by_batches(column, all_sizes, batch_size)
            return
        runs, expected = column.sequence.runs(), _expected_runs(all_sizes)
        if runs < FEW_RUNS * expected:
            message = (
                f"the {records:,} records hold {len(all_sizes):,} classes in {runs:,} runs, where a shuffled set has "
                f"{expected:,.0f}: batches in store order see few classes at a time"
            )
            yield self.finding(message, Location(dataset=column.dataset), data={"runs": runs, "shuffled": expected})

    def _by_batches(self, column: LabelColumn, sizes: NDArray[np.int64], batch_size: int) -> Iterator[Finding]:
        batches, distinct = column.sequence.batch_classes(batch_size)
        if batches < 2:
            return
        missed = [_absence(int(sizes.sum()), size, batch_size) for size in sizes.tolist()]
        expected = len(missed) - sum(missed)
        # Presences of classes in batches are negatively correlated under shuffling: the sum bounds the variance.
        deviation = sqrt(batches * sum(share * (1 - share) for share in missed))
        mean = distinct / batches
        sorted_so = mean - 1 < FEW_CLASSES * (expected - 1)
        if sorted_so and batches * expected - distinct > SIGMAS * deviation:
            message = (
                f"a batch of {batch_size} holds {mean:.1f} of the {len(sizes):,} classes on average, where that of a "
                f"shuffled set holds {expected:.1f}"
            )
            data = {"batch_size": batch_size, "classes": mean, "shuffled": expected}
            yield self.finding(message, Location(dataset=column.dataset), data=data)


def _expected_runs(sizes: NDArray[np.int64]) -> float:
    """Runs of equal labels in a random order, on average: neighbours differ where they are of two classes."""
    total = float(sizes.sum())
    same = float((sizes.astype(np.float64) * (sizes - 1)).sum())
    return 1 + (total - 1) * (1 - same / (total * (total - 1)))


def _absence(total: int, size: int, batch_size: int) -> float:
    """Probability that a batch drawn from ``total`` records holds none of the ``size`` records of a class."""
    others = total - size
    if batch_size > others:
        return 0.0
    return exp(
        lgamma(others + 1) - lgamma(others - batch_size + 1) - lgamma(total + 1) + lgamma(total - batch_size + 1)
    )
