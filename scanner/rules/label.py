"""Rules for single labels: missing, not a number, not a class. Rules for a set's classes: `label_set`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RowBatch
from ..finding import Finding, Further, Location, Severity
from ..finding_batch import FindingBatch, one_by_one
from ..sample import LabelBlock, SampleBatch
from ..summary import Summary
from ..summary.label_columns import FLOAT32_EXACT, LabelColumn, RowColumn, ScalarColumn
from ..summary.positions import PositionLog, ValueLog
from .base import Rule


def number(value: float) -> str:
    """A label as people write it: integers without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e18 else f"{value:.6g}"


class LoggedRule(Rule):
    """A rule whose findings stand in logs of the summary."""

    def logged(
        self, log: ValueLog, dataset: str | None, say: Callable[[float], str], key: str = "label"
    ) -> Iterator[Finding | Further]:
        """A finding for each entry; those beyond the log's cap are counted."""
        for position, value, element in zip(log.positions, log.values, log.elements, strict=True):
            location = Location(index=position, dataset=dataset, element=element)
            yield self.finding(say(value), location, data={key: value})
        yield self.further(log.count - len(log.positions))


class LabelMissing(Rule):
    """
    ## What it does
    Checks that every sample has a label where others have one. A set in which no sample has a label is reported
    once, as a warning.

    ## Why is this bad?
    Caffe reads an absent label as 0: the sample is trained as the first class, and nothing is said. If no record
    has a label, the whole set is class 0 and the loss falls to 0 without anything being learned. PyTorch loaders
    raise `KeyError` in the middle of an epoch, or skip the sample.

    ## How to fix
    Find the sample in the list the set was made from, and rebuild the set with its label (or without the sample).
    If the set is unlabelled on purpose, ignore the rule: `--ignore label-missing`.
    """

    name = "label-missing"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        labels = summary.labels
        for name, log in labels.missing.items():
            dataset = name if name in labels.datasets else None
            if labels.records_of(name):
                yield from self._each(log, dataset)
            else:
                where = Location(dataset=dataset)
                message = f"none of the {log.count:,} samples has a label{self._read_as()}"
                yield self.finding(message, where, Severity.WARNING, {"samples": log.count})
        seen = labels.columns or labels.missing or labels.boxes or labels.texts or labels.faulted
        if self.context.traits.labelled and summary.samples and not seen:
            yield self.finding("the set has no labels", severity=Severity.WARNING, data={"samples": summary.samples})

    def _each(self, log: PositionLog, dataset: str | None) -> Iterator[Finding | Further]:
        message = f"no label, although other samples have one{self._read_as()}"
        for position in log.positions:
            yield self.finding(message, Location(index=position, dataset=dataset))
        yield self.further(log.count - len(log.positions))

    def _read_as(self) -> str:
        return "; Caffe reads an absent label as class 0" if self.context.traits.caffe else ""


class LabelNan(Rule):
    """
    ## What it does
    Checks labels of any kind for NaN and infinity: class labels, regression targets and rows of targets.

    ## Why is this bad?
    A NaN target makes the loss NaN, and with the next update every weight. As a class label it is worse: Caffe
    converts it to an integer, gets the lowest one there is, and uses it as an index: the training dies of SIGSEGV,
    or goes on with damaged memory. PyTorch's `long()` does the same conversion.

    ## How to fix
    Rebuild the set without the record, and look at the program that wrote the label: an empty
    cell of a table, a division by zero, a logarithm of zero. Where NaN stands for "unknown", store an ignore label
    or a mask instead.
    """

    name = "label-nan"
    severity = Severity.ERROR

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """See `Rule.check`."""
        return one_by_one(self.sift(samples))

    def sift(self, samples: SampleBatch) -> Iterator[Finding | FindingBatch]:
        """See `Rule.sift`."""
        yield from self._faults(samples)
        for block in samples.labels:
            if block.values.dtype.kind == "f" and len(block.rows):
                bad = ~np.isfinite(block.values.reshape(len(block.rows), -1)).all(axis=1)
                if bad.any():
                    places = np.flatnonzero(bad)
                    yield self.batch(samples, block.rows[places], partial(self._said, samples, block, places))

    def _said(self, samples: SampleBatch, block: LabelBlock, places: NDArray[np.intp], number: int) -> Finding:
        place = places[number]
        values = block.values[place].reshape(-1)
        bad = ~np.isfinite(values)
        first, count = int(bad.argmax()), int(np.count_nonzero(bad))
        what = "NaN" if np.isnan(values[first]) else "infinite"
        message, element = f"label is {what}", None
        if values.size > 1:
            message = f"{count} of the label's {values.size} values {_are(count)} not finite; the first is {what}"
            element = tuple(int(axis) for axis in np.unravel_index(first, block.values.shape[1:]))
        dataset = block.name if isinstance(samples.batch, RowBatch) else None
        location = samples.location(int(block.rows[place]), dataset=dataset, element=element)
        return self.finding(message, location, data={"count": count})


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


class LabelNonInteger(LoggedRule):
    """
    ## What it does
    Checks, in a set whose labels are classes (95% or more are integers, and few different ones), for labels that
    are no integers. Regression targets are left alone.

    ## Why is this bad?
    A softmax loss uses the label as an index and cuts it off: 2.7 becomes class 2, silently, in Caffe and in
    PyTorch's `long()`. The sample is trained as a class that nobody gave it.

    ## How to fix
    Look at what wrote the label: an average of several annotators, a scaled or normalised label, a column that has
    slipped. Rebuild the set with the right class, or without the record.
    """

    name = "label-non-integer"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        for column in summary.labels.columns:
            if isinstance(column, ScalarColumn) and column.kind == "classes":
                yield from self.logged(column.non_integral, column.dataset, self._say)

    @staticmethod
    def _say(value: float) -> str:
        return f"label {number(value)} is no integer; a loss that takes classes cuts it off to {number(int(value))}"


class LabelNegative(LoggedRule):
    """
    ## What it does
    Checks class labels for values below 0 that are not the ignore label (`--ignore-label`), and rows of 0 and 1 for
    a stray -1. Said once for the set, as a warning: a set of -1 throughout (it is unlabelled) and a set of -1 and 1
    (targets of a margin loss). An AnnotatedDatum's own -1 is normal.

    ## Why is this bad?
    Caffe's SoftmaxWithLoss does not check labels in release builds: a negative label reads before the start of the
    scores and, in the backward pass, writes there. The loss looks healthy while memory is damaged, or the training
    dies much later, somewhere else. PyTorch raises `IndexError: Target -1 is out of bounds`, on a GPU as a
    device-side assertion that names no record. A sigmoid cross-entropy with a target of -1 has no lower bound.

    ## How to fix
    If the label means "do not train on this", say so to both sides: `loss_param { ignore_label: -1 }` or
    `ignore_index=-1`, and `--ignore-label -1` here. Otherwise rebuild without the record.
    Map -1 and 1 to 0 and 1 for a cross-entropy loss.
    """

    name = "label-negative"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        for column in summary.labels.columns:
            if column.kind == "unlabelled":
                if not summary.labels.boxes:  # with boxes the record's own label is not used
                    yield self._once(column, "every label is -1: the set is unlabelled")
            elif column.kind == "signed":
                yield self._once(
                    column, "the labels are -1 and 1, as margin losses take them; a cross-entropy loss takes 0 and 1"
                )
            elif isinstance(column, ScalarColumn) and column.kind == "classes":
                yield from self.logged(column.negative, column.dataset, self._say)
            elif (
                isinstance(column, RowColumn)
                and column.kind in ("multi-label", "one-hot")
                and not column.minus_common  # else it stands for "unknown"
            ):
                yield from self.logged(column.minus, column.dataset, self._say_element)

    def _once(self, column: LabelColumn, message: str) -> Finding:
        data = {"records": column.records}
        return self.finding(message, Location(dataset=column.dataset), Severity.WARNING, data)

    @staticmethod
    def _say(value: float) -> str:
        return f"label {number(value)} is negative"

    @staticmethod
    def _say_element(value: float) -> str:
        return f"label holds {number(value)} among values of 0 and 1"


class LabelOutOfRange(LoggedRule):
    """
    ## What it does
    Checks that class labels (of records and of boxes) are below the number of classes, as far as it is known from
    `--num-classes` or the net. In rows of 0 and 1, checks for values outside of [0, 1]. In sets that Caffe reads,
    checks for class labels above 16,777,216 (2 to the 24th), whatever the number of classes.

    ## Why is this bad?
    Caffe does not check labels in release builds: it reads, and in the backward pass writes, beyond the end of the
    scores. The loss may look healthy, jump to 87.3365, or the training dies of SIGSEGV long after. PyTorch raises
    `Target 5 is out of bounds`, on a GPU as a device-side assertion that names no record. A sigmoid cross-entropy
    with a target above 1 has no lower bound: the loss goes to minus infinity. Caffe holds labels in float32, which
    rounds integers above 2 to the 24th.

    ## How to fix
    Compare the label map with the `num_output` of the last layer. Labels that run 1..K need 1 subtracted (see
    `label-offset`). A mask of 0 and 255 needs dividing by 255. Single records: leave them out.
    """

    name = "label-out-of-range"
    severity = Severity.ERROR

    def left_out(self) -> str | None:
        """See `Rule.left_out`."""
        return "number of classes not given" if self.options.num_classes is None else None

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """See `Rule.check`."""
        yield from super().check(samples)
        classes = self.options.num_classes
        if classes is None:
            return
        for boxes in samples.boxes:
            for box in np.flatnonzero(boxes.labels >= classes).tolist():
                label = int(boxes.labels[box])
                if label not in self.options.ignore_labels:
                    where = samples.location(int(boxes.rows[box]), element=(int(boxes.instances[box]),))
                    yield self.finding(f"box label {label} is not below {classes}", where, data={"label": label})

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        for column in summary.labels.columns:
            if isinstance(column, ScalarColumn) and column.kind == "classes":
                if self.options.num_classes is not None:
                    yield from self.logged(column.beyond, column.dataset, self._say)
                elif self.context.traits.caffe:
                    yield from self.logged(column.inexact, column.dataset, self._say_inexact)
            elif isinstance(column, RowColumn) and column.kind in ("multi-label", "one-hot"):
                yield from self.logged(column.outside, column.dataset, self._say_element)

    def _say(self, value: float) -> str:
        return f"label {number(value)} is not below the number of classes, {self.options.num_classes}"

    @staticmethod
    def _say_inexact(value: float) -> str:
        return f"label {number(value)} is above {FLOAT32_EXACT}: Caffe holds labels in float32, which may round it"

    @staticmethod
    def _say_element(value: float) -> str:
        return f"label holds {number(value)}, outside of [0, 1], among values of 0 and 1"


class LabelOneHot(LoggedRule):
    """
    ## What it does
    In a set of one-hot rows (95% or more hold a single 1 and zeros), checks for rows that do not sum to 1: no class
    at all, or two.

    ## Why is this bad?
    A cross-entropy against such a row weighs the sample by the row's sum: an empty row teaches nothing and reports
    a loss of 0, a row with two ones counts double. `argmax` gives class 0 for an empty row, silently.

    ## How to fix
    Rebuild the row from the class that it was made from. An empty row is often a class index out of range, or a
    category that the encoder did not know (`handle_unknown="ignore"`).
    """

    name = "label-one-hot"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        for column in summary.labels.columns:
            if isinstance(column, RowColumn) and column.kind == "one-hot":
                yield from self.logged(column.wrong_sum, column.dataset, self._say, "sum")

    @staticmethod
    def _say(value: float) -> str:
        if value == 0:
            return "the row has no class: it sums to 0, not to 1"
        return f"the row sums to {number(value)}, not to 1"
