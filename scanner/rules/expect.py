"""Rules about what the owner of a data set knows of it, and wrote into the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..expectations import Expectations, expected_shape
from ..finding import Finding, Further, Location, Severity
from ..finding_batch import FindingBatch, one_by_one
from ..options import Options
from ..sample import ArrayBlock, SampleBatch
from ..summary import Summary
from ..summary.shapes import PAYLOAD, Shape, ShapeTable, shape_text
from .base import Rule
from .record_shape import each


class ExpectRule(Rule):
    """A rule about an expectation; it runs where there is one."""

    fields: ClassVar[tuple[str, ...]]
    """The fields of `Expectations` that it compares."""

    @classmethod
    def wanted(cls, options: Options) -> bool:
        """See `Rule.wanted`."""
        return any(getattr(options.expect, name) is not None for name in cls.fields)

    @property
    def expected(self) -> Expectations:
        """What is expected."""
        return self.options.expect

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return None if self.wanted(self.options) else f"nothing is expected: {self.fields[0]} is not configured"


class ExpectStore(ExpectRule):
    """
    ## What it does
    Compares the store that a source was recognised as (`lmdb`, `leveldb`, `hdf5`) with the one that the configuration
    expects.

    ## Why is this bad?
    Another store under the same path is another data set: a file was replaced, or a folder was converted anew.

    ## How to fix
    Put the right data set in its place, or correct `store` under `expect` in the configuration.
    """

    name = "expect-store"
    severity = Severity.ERROR
    fields = ("store",)

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        if self.context.store != self.expected.store:
            yield self.finding(f"the store is {self.context.store}, expected is {self.expected.store}")


class ExpectLayout(ExpectRule):
    """
    ## What it does
    Compares the layout that the records were recognised as with the one that the configuration expects.

    ## Why is this bad?
    A loader that is made for one layout reads another as garbage, or stops at the first record.

    ## How to fix
    Convert the data set again with the right tool, or correct `layout` under `expect` in the configuration.
    """

    name = "expect-layout"
    severity = Severity.ERROR
    fields = ("layout",)

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        if self.context.layout != self.expected.layout:
            yield self.finding(f"the layout is {self.context.layout}, expected is {self.expected.layout}")


class ExpectRecords(ExpectRule):
    """
    ## What it does
    Compares the number of records that were read with what the configuration expects: exactly, at least, at most.

    ## Why is this bad?
    A conversion that was interrupted, a copy of an old state or a list that lost its end give a data set without a
    fault in it, and too small. A set that is too large was appended to where it should have been replaced.

    ## How to fix
    Find out which records are missing or too many (against the list that it was made from), and write the set again. If
    the set has grown on purpose, correct `records` under `expect` in the configuration.
    """

    name = "expect-records"
    severity = Severity.ERROR
    fields = ("records", "min_records", "max_records")

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        expected, read = self.expected, summary.records
        least = expected.records if expected.min_records is None else expected.min_records
        most = expected.records if expected.max_records is None else expected.max_records
        if (least is None or read >= least) and (most is None or read <= most):
            return
        if expected.records is not None:
            wanted = f"{expected.records:,}"
        elif least is not None and read < least:
            wanted = f"at least {least:,}"
        else:
            wanted = f"at most {most:,}"
        yield self.finding(f"{read:,} records were read, expected are {wanted}", data={"read": read})


class ExpectShape(ExpectRule):
    """
    ## What it does
    Names each record whose main array or image has another shape than the configuration expects. An encoded image
    counts as channels x height x width; `*` stands for any length.

    ## Why is this bad?
    A net is built for one shape. A set in which all records have the same wrong shape shows nothing to the rules that
    compare records with each other, and stops the training at its first batch, or is resized to mush by a loader.

    ## How to fix
    Convert the set again in the right size, or correct `shape` under `expect` in the configuration.
    """

    name = "expect-shape"
    severity = Severity.ERROR
    fields = ("shape",)

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        expected = self.expected.shape
        if expected is None or not summary.shapes.tables:
            return
        name, table = next(iter(summary.shapes.tables.items()))
        odd = {shape: log for shape, log in table.shapes.items() if not fits(shape, expected)}
        dataset = self.context.dataset(name)
        if odd and not table.located:
            count = sum(log.count for log in odd.values()) + table.uncounted
            yield self.finding(
                f"{count:,} samples have another shape than {expected_shape(expected)}, too many different ones to "
                "name each",
                Location(dataset=dataset),
                data={"samples": count},
            )
            return
        if self.whole_dataset(table):
            for shape in odd:
                yield self._odd(shape, Location(dataset=dataset))
            return
        yield from each(odd, self._odd, dataset)

    def whole_dataset(self, table: ShapeTable) -> bool:
        """Whether the shape is that of a whole HDF5 dataset, of which no row differs."""
        return self.context.store == "hdf5" and bool(table.dtypes)

    def _odd(self, shape: Shape, location: Location) -> Finding:
        wanted = expected_shape(self.expected.shape or ())
        return self.finding(f"shape {shape_text(shape)}, expected is {wanted}", location, data={"shape": list(shape)})


class ExpectDtype(ExpectRule):
    """
    ## What it does
    Names each record, or the dataset, whose main array has another dtype than the configuration expects.

    ## Why is this bad?
    float64 where float32 is meant doubles the memory and the time; uint8 where floats in [0, 1] are meant is off by a
    factor of 255; integers where floats are meant were rounded.

    ## How to fix
    Write the set with the right dtype, or correct `dtype` under `expect` in the configuration.
    """

    name = "expect-dtype"
    severity = Severity.ERROR
    fields = ("dtype",)

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        if not summary.shapes.tables:
            return
        name, table = next(iter(summary.shapes.tables.items()))
        odd = {dtype: log for dtype, log in table.dtypes.items() if dtype != self.expected.dtype}
        dataset = self.context.dataset(name)
        if self.context.store == "hdf5":
            for dtype in odd:
                yield self._odd(dtype, Location(dataset=dataset))
        else:
            yield from each(odd, self._odd, dataset)

    def _odd(self, dtype: str, location: Location) -> Finding:
        message = f"dtype {dtype}, expected is {self.expected.dtype}"
        return self.finding(message, location, data={"dtype": dtype})


class ExpectValueRange(ExpectRule):
    """
    ## What it does
    Names each record whose main array holds a value outside of the range that the configuration expects, and the first
    such value. Encoded images are compared once for the set, by the extremes of their pixels. NaN and infinities have
    rules of their own.

    ## Why is this bad?
    Fill values such as -9999, a unit that was changed, or images that were scaled twice lie far below what
    `value-extreme` looks for, and are obvious to whoever knows the range.

    ## How to fix
    Mask or repair the values where the set is built, or correct `value-range` under `expect` in the configuration.
    """

    name = "expect-value-range"
    severity = Severity.ERROR
    fields = ("value_range",)

    def left_out(self) -> str | None:
        """See `Rule.left_out`."""
        sampled = self.options.statistics == "sampled"
        return "of encoded images one in 32 is compared: --statistics full compares all" if sampled else None

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """See `Rule.check`."""
        return one_by_one(self.sift(samples))

    def sift(self, samples: SampleBatch) -> Iterator[FindingBatch]:
        """See `Rule.sift`."""
        if self.expected.value_range is None or not samples.arrays:
            return
        name = PAYLOAD if any(block.name == PAYLOAD for block in samples.arrays) else samples.arrays[0].name
        for block in samples.arrays:
            if block.name == name and block.values.size and block.values.dtype.kind in "biuf":
                yield from self._outside(samples, block, *self.expected.value_range)

    def _outside(self, samples: SampleBatch, block: ArrayBlock, low: float, high: float) -> Iterator[FindingBatch]:
        flat = block.values.reshape(len(block.values), -1)
        with np.errstate(invalid="ignore"):  # a NaN hides the extremes of its record
            suspects = np.flatnonzero(~((flat.min(axis=1) >= low) & (flat.max(axis=1) <= high)))
        if not len(suspects):
            return
        some = flat if len(suspects) == len(flat) else flat[suspects]
        places = suspects[_is_outside(some, low, high).any(axis=1)]

        def make(number: int) -> Finding:
            place = int(places[number])
            values = flat[place]
            mask = _is_outside(values, low, high)
            first, count = int(np.argmax(mask)), int(np.count_nonzero(mask))
            element = tuple(int(at) for at in np.unravel_index(first, block.shape)) if block.shape else None
            others = f", the first of {count:,} of {values.size:,} values" if count > 1 else ""
            return self.finding(
                f"{values[first]:.6g} is outside of the expected range of {low:g} to {high:g}{others}",
                samples.location(int(block.rows[place]), dataset=self.context.dataset(block.name), element=element),
                data={"count": count},
            )

        yield self.batch(samples, block.rows[places], make)

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        if self.expected.value_range is None:
            return
        low, high = self.expected.value_range
        for name, stats in summary.values.arrays.items():
            moments = stats.moments
            if not name.encoded or not moments.count.any():
                continue
            least, most = float(moments.minimum.min()), float(moments.maximum.max())
            if least < low or most > high:
                yield self.finding(
                    f"pixels of encoded images go from {least:g} to {most:g}, expected are {low:g} to {high:g}",
                    Location(dataset=self.context.dataset(name.name)),
                )


def _is_outside(values: NDArray[Any], low: float, high: float) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = np.isfinite(values) & ((values < low) | (values > high))
    return outside


def fits(shape: Shape, expected: tuple[int | None, ...]) -> bool:
    """Whether a shape is the expected one."""
    return len(shape) == len(expected) and all(
        wanted in (None, length) for length, wanted in zip(shape, expected, strict=True)
    )
