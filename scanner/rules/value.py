"""Rules about the numbers in arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..finding import Finding, Location, Severity
from ..finding_batch import FindingBatch, one_by_one
from ..sample import ArrayBlock, SampleBatch
from ..summary import Summary
from ..summary.values import ArrayName, ArrayStats
from .base import Rule
from .magnitude import bounds_of
from .spots import Spots

SQUARE_OVERFLOWS = 1.8446743e19
"""Square root of the largest float32: beyond it a squared difference is infinite."""

LARGEST = np.finfo(np.float64).max
"""Every finite number is within it."""

FEW_SAMPLES = 10
"""A set smaller than this may hold the same value everywhere by accident."""

PICTURE = 64
"""Vectors from this length on can be flattened pictures."""

JUDGED = 1 << 18
"""Values that are looked at together: they stay in the cache."""

_NOTHING = np.zeros(0, np.int8)
_NOWHERE = (np.zeros(0, np.intp), _NOTHING)


@dataclass(frozen=True, slots=True)
class Suspect:
    """An array of one record that may hold what is looked for."""

    row: int
    block: ArrayBlock
    values: NDArray[Any]

    @property
    def size(self) -> str:
        """How many values it has."""
        return f"{self.values.size:,} value{'s' if self.values.size != 1 else ''}"

    @property
    def is_complex(self) -> bool:
        """Whether the values are complex numbers."""
        return self.values.dtype.kind == "c"

    def element(self, flat: int) -> tuple[int, ...] | None:
        """Coordinates of a value, ``None`` for a scalar."""
        return tuple(int(place) for place in np.unravel_index(flat, self.block.shape)) if self.block.shape else None


class ValueRule(Rule):
    """A rule about single values: the batch is sifted by one dot product a record, then a few records looked at."""

    severities: ClassVar[tuple[Severity | None, ...]] = (None,)

    @property
    def limit(self) -> float:
        """Arrays with no magnitude above it need not be judged."""
        return np.inf

    def judge(self, values: NDArray[Any]) -> NDArray[np.bool_ | np.integer]:
        """For each of some records, one a row: 0 where nothing is found, else which of `severities` it has, from 1."""
        raise NotImplementedError

    def say(self, samples: SampleBatch, suspect: Suspect) -> Finding:
        """The finding about an array that was judged."""
        raise NotImplementedError

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """See `Rule.check`."""
        return one_by_one(self.sift(samples))

    def sift(self, samples: SampleBatch) -> Iterator[Finding | FindingBatch]:
        """See `Rule.sift`."""
        yield from self._faults(samples)
        blocks = [block for block in samples.arrays if block.values.dtype.kind in "fc" and len(block.rows)]
        judged = [self._judged(block) for block in blocks]
        if not any(len(grades) for _, grades in judged):
            return
        spots = Spots([(block, places) for block, (places, _) in zip(blocks, judged, strict=True)])
        graded = spots.in_order([grades - 1 for _, grades in judged])

        def make(number: int) -> Finding:
            block, place = spots[number]
            return self.say(samples, Suspect(int(block.rows[place]), block, block.values[place].reshape(-1)))

        yield self.batch(samples, spots.rows, make, self.severities, graded)

    def _judged(self, block: ArrayBlock) -> tuple[NDArray[np.intp], NDArray[np.int8]]:
        """Places in a block of floats where something is found, and what `judge` says of them."""
        limit = min(self.limit, LARGEST)
        bounds = bounds_of(block, limit)
        if bounds.max() <= limit:
            return _NOWHERE
        places = np.flatnonzero(~(bounds <= limit))
        step = max(JUDGED // max(block.values[0].size, 1), 1)
        found = [_NOTHING]
        for start in range(0, len(places), step):
            some = places[start : start + step]
            whole = some[-1] - some[0] == len(some) - 1
            values = block.values[some[0] : some[-1] + 1] if whole else block.values[some]
            found.append(self.judge(values.reshape(len(some), -1)).astype(np.int8))
        grades = np.concatenate(found)
        return places[grades > 0], grades[grades > 0]

    def where(self, samples: SampleBatch, suspect: Suspect, flat: int) -> Location:
        """Location of a value."""
        dataset = self.context.dataset(suspect.block.name)
        return samples.location(suspect.row, dataset=dataset, element=suspect.element(flat))

    def counted(self, samples: SampleBatch, suspect: Suspect, what: str, mask: NDArray[np.bool_]) -> Finding:
        """The finding that names the first of the values picked by a mask, and how many there are."""
        count, flat = int(np.count_nonzero(mask)), int(np.argmax(mask))
        element = suspect.element(flat)
        if element is None:
            message = what
        elif count == mask.size:
            message = f"{what} in all {suspect.size}"
        else:
            message = f"{what} in {count:,} of {suspect.size}, the first at {list(element)}"
        return self.finding(message, self.where(samples, suspect, flat), data={"count": count, "flat": flat})


class ValueNan(ValueRule):
    """
    ## What it does
    Checks floating-point arrays for NaN, and names the first one in each record.

    ## Why is this bad?
    One NaN input makes the loss NaN, and every weight after the next step: the run is lost from there on. Caffe's
    MAX pooling may hide it, so that the loss stays finite while the weights are NaN.

    ## How to fix
    Drop the record (`datascan rebuild`), or mask or impute the value where the set is built. Look for a division by
    zero (a feature without variance, an empty region) in the preparation of the data.
    """

    name = "value-nan"
    severity = Severity.ERROR

    def judge(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """See `ValueRule.judge`."""
        found: NDArray[np.bool_] = np.isnan(values).any(axis=1)
        return found

    def say(self, samples: SampleBatch, suspect: Suspect) -> Finding:
        """See `ValueRule.say`."""
        return self.counted(samples, suspect, "NaN", np.isnan(suspect.values))


class ValueInf(ValueRule):
    """
    ## What it does
    Checks floating-point arrays for infinities, and names the first one in each record.

    ## Why is this bad?
    Inf minus a mean is Inf, Inf times a zero weight is NaN: the loss is NaN within one step. Gates of an LSTM
    saturate, so that there the loss can stay finite and wrong.

    ## How to fix
    Drop the record or clip the value where the set is built. The usual causes are a logarithm of zero, a division by
    zero and an overflow of float16 (beyond 65504).
    """

    name = "value-inf"
    severity = Severity.ERROR

    def judge(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """See `ValueRule.judge`."""
        found: NDArray[np.bool_] = np.isinf(values).any(axis=1)
        return found

    def say(self, samples: SampleBatch, suspect: Suspect) -> Finding:
        """See `ValueRule.say`."""
        mask = np.isinf(suspect.values)
        what = "-Inf" if suspect.values[np.argmax(mask)].real == -np.inf else "Inf"
        return self.counted(samples, suspect, what, mask)


class ValueExtreme(ValueRule):
    """
    ## What it does
    Checks floating-point arrays for magnitudes beyond a limit (`--extreme`, one million by default). Values whose
    square overflows float32 (1.8e19) are errors.

    ## Why is this bad?
    Inputs a million times larger than the others blow up the first gradients; beyond 1.8e19 a Euclidean loss or a
    normalisation is infinite at once. Such values are mostly fill values (1e20, 9.97e36), a wrong byte order or
    memory that was never written.

    ## How to fix
    Mask fill values where the set is built, check the data type and byte order, and scale features whose natural
    unit is large. If the values are meant, raise the limit.
    """

    name = "value-extreme"
    severity = Severity.WARNING

    severities = (Severity.WARNING, Severity.ERROR)

    @property
    def limit(self) -> float:
        """See `ValueRule.limit`."""
        return self.options.extreme

    def judge(self, values: NDArray[Any]) -> NDArray[np.integer]:
        """See `ValueRule.judge`."""
        largest = self._extremes(values).max(axis=1, initial=0.0)
        grades: NDArray[np.integer] = (largest > 0) + (largest >= SQUARE_OVERFLOWS).astype(np.int8)
        return grades

    def _extremes(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Magnitudes beyond the limit, 0 in place of others."""
        with np.errstate(all="ignore"):  # a signalling NaN complains of being converted
            magnitudes = np.abs(values.astype(np.complex128 if values.dtype.kind == "c" else np.float64))
            beyond = np.isfinite(magnitudes) & (magnitudes > self.options.extreme)
        return np.where(beyond, magnitudes, 0.0)

    def say(self, samples: SampleBatch, suspect: Suspect) -> Finding:
        """See `ValueRule.say`."""
        magnitudes = self._extremes(suspect.values)
        place, flat = int(np.argmax(magnitudes)), int(np.argmax(magnitudes > 0))
        count, largest = int(np.count_nonzero(magnitudes)), float(magnitudes[place])
        shown = f"{largest if suspect.is_complex else float(suspect.values[place]):.6g}"
        beyond = f"beyond {self.options.extreme:g} in magnitude"
        if count == 1:
            message = f"{shown} is {beyond}"
        else:
            message = f"{count:,} of {suspect.size} are {beyond}, the largest {shown}"
        return self.finding(
            message,
            self.where(samples, suspect, flat),
            Severity.ERROR if largest >= SQUARE_OVERFLOWS else Severity.WARNING,
            {"count": count, "flat": flat, "largest": largest},
        )


class ValueConstant(Rule):
    """
    ## What it does
    Names channels of images and features of one-dimensional samples that have the same value in every sample of the
    set. Not for sets of fewer than 10 samples, alpha channels, and the unused border of pictures stored as vectors.

    ## Why is this bad?
    A constant feature teaches nothing, and dividing it by its standard deviation gives 0/0: standardised inputs,
    and the loss after them, are NaN. Often the column was lost when the set was built.

    ## How to fix
    Drop the feature, or find out where its values went. When you standardise, divide by max(std, eps).
    """

    name = "value-constant"
    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        for name, stats in summary.values.arrays.items():
            if stats.meaning == "all" or stats.samples < FEW_SAMPLES or stats.varied:
                continue
            low, high = stats.lowest_and_highest()
            constant = np.flatnonzero((low == high) & ((stats.moments.count > 1) | (stats.left_out > 0)))
            if stats.meaning == "channel" and name.channels in (2, 4):
                constant = constant[constant != name.channels - 1]
            if len(constant) and not _is_border(stats, constant):
                yield self._constant(name, stats, constant.tolist())

    def _constant(self, name: ArrayName, stats: ArrayStats, constant: list[int]) -> Finding:
        shown = ", ".join(map(str, constant[:10])) + (", ..." if len(constant) > 10 else "")
        what = stats.meaning if len(constant) == 1 else f"{len(constant):,} of {name.channels:,} {stats.meaning}s"
        value = float(stats.lowest_and_highest()[0][constant[0]])
        message = (
            f"{what} {shown} is {value:.6g} in all {stats.samples:,} samples"
            if len(constant) == 1
            else f"{what} have one value each in all {stats.samples:,} samples: {shown}"
        )
        location = Location(dataset=self.context.dataset(name.name))
        return self.finding(message, location, data={"constant": constant})


def _is_border(stats: ArrayStats, constant: NDArray[np.int64]) -> bool:
    """Whether constant features can be the margin of pictures that were stored as vectors, as those of MNIST are.

    A margin has one value, the lowest or highest of all; pictures have n*n or 3*n*n values, bytes any number.
    """
    moments = stats.moments
    size = len(moments.count)
    if stats.meaning != "feature" or len(constant) == size:
        return False
    if stats.floating and (size < PICTURE or not any(isqrt(size // c) ** 2 * c == size for c in (1, 3, 4))):
        return False
    values = set(moments.minimum[constant].tolist())
    return len(values) == 1 and values <= {float(moments.minimum.min()), float(moments.maximum.max())}


class ValueUnscaled(Rule):
    """
    ## What it does
    Says once for an array of floating-point images that its values span 0 to 255.

    ## Why is this bad?
    It need not be: Caffe nets of that time subtract a mean and train on it. But weights that were trained on inputs
    of 0 to 1 or of unit variance see values two hundred times too large; a learning rate made for those lets the
    loss explode.

    ## How to fix
    Scale by 1/255 where the net expects it (`transform_param { scale: 0.00390625 }`, `ToTensor`), or leave it.
    """

    name = "value-unscaled"
    severity = Severity.INFO

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        for name, stats in summary.values.arrays.items():
            if not (stats.floating and stats.image):
                continue
            lowest, highest = float(stats.moments.minimum.min()), float(stats.moments.maximum.max())
            if lowest >= 0 and 128 < highest <= 255:
                yield self.finding(
                    f"floats from {lowest:.6g} to {highest:.6g} are pixels that were not scaled",
                    Location(dataset=self.context.dataset(name.name)),
                    data={"min": lowest, "max": highest},
                )
