"""Rules about shapes and dtypes that differ within a set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from math import prod
from operator import itemgetter
from typing import TypeVar

from ..finding import Finding, Further, Location, Severity
from ..summary import Summary
from ..summary.positions import PositionLog
from ..summary.shapes import Shape, ShapeTable, shape_text
from .base import Rule

Odd = TypeVar("Odd")


class RecordShapeMismatch(Rule):
    """
    ## What it does
    In a set where 95% or more of the samples have one shape, names those that have another, and those of another
    data type. A different number of channels alone is reported by `image-channels`. It is a warning where a crop of
    the given size (`--crop`) fits both shapes, where loaders of this layout resize, and where they convert the type. In
    two BasicSR sets that are given together, names the images that are not as many times as large as their half.

    ## Why is this bad?
    A batch holds one shape. Caffe takes that of the batch's first record and aborts at the first one that differs;
    when the odd record comes first, it is its innocent neighbour that is blamed. HDF5 files of another shape than the
    first file's are read with the wrong stride, silently. PyTorch stops with `stack expects each tensor to be equal
    size`.

    ## How to fix
    Resize the record to the shape of the others and write it again, or drop it; or train with a crop that fits all.
    """

    name = "record-shape-mismatch"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        for name, table in summary.shapes.tables.items():
            if _of_files(table, self.context.store):
                continue
            dataset = self.context.dataset(name)
            shapes = self._odd_shapes(table)
            if shapes and not table.located:
                yield self._too_many(table, shapes, dataset)
                shapes = {}
            yield from each(shapes, partial(self._shape, table), dataset)
            reported = {position for log in shapes.values() for position in log.positions}
            dtypes = {
                dtype: _without(log, reported)
                for dtype, log in table.dtypes.items()
                if table.usual_dtype() not in (None, dtype)
            }
            yield from each(dtypes, partial(self._dtype, table), dataset)

    @staticmethod
    def _odd_shapes(table: ShapeTable) -> dict[Shape, PositionLog]:
        """Shapes that differ from the usual one in more than the channels."""
        usual = table.majority()
        if usual is None:
            return {}
        return {shape: log for shape, log in table.shapes.items() if table.spatial(shape) != table.spatial(usual)}

    def _shape(self, table: ShapeTable, shape: Shape, location: Location) -> Finding:
        usual = table.majority() or ()
        return self.finding(
            f"shape {shape_text(shape)} in a set of {shape_text(usual)}",
            location,
            self._shape_severity(table, [shape, usual]),
            {"shape": list(shape), "usual": list(usual)},
        )

    def _dtype(self, table: ShapeTable, dtype: str, location: Location) -> Finding:
        strict = self.context.traits.fixed_shape and not self.context.traits.caffe  # Caffe makes float32 of them all
        return self.finding(
            f"dtype {dtype} in a set of {table.usual_dtype()}",
            location,
            Severity.ERROR if strict else Severity.WARNING,
            {"dtype": dtype, "usual": table.usual_dtype()},
        )

    def _too_many(self, table: ShapeTable, odd: dict[Shape, PositionLog], dataset: str | None) -> Finding:
        count = sum(log.count for log in odd.values()) + table.uncounted
        return self.finding(
            f"{count:,} samples have another shape than {shape_text(table.majority() or ())}, too many different ones "
            "to name each",
            Location(dataset=dataset),
            self._shape_severity(table, [*odd, table.majority() or ()]),
            {"samples": count},
        )

    def _shape_severity(self, table: ShapeTable, shapes: Iterable[Shape]) -> Severity:
        fits = self.options.crop is not None and all(
            (found := sides(shape, table.axes)) is not None and min(found) >= self.options.crop for shape in shapes
        )
        return Severity.WARNING if fits or not self.context.traits.fixed_shape else Severity.ERROR


class RecordMixedShapes(Rule):
    """
    ## What it does
    Says once that a set has samples of many shapes, none of which 95% of them share. It is for information only
    where loaders of this layout resize, and left out where a crop is given (`--crop`): then `image-too-small` names
    what the crop does not fit.

    ## Why is this bad?
    Samples of different shapes do not fit into a batch. Caffe aborts at the first record that differs from the first
    of its batch, as PyTorch's default collation does.

    ## How to fix
    Resize when the set is written (`convert_imageset --resize_height --resize_width`), train with a crop, resize in
    the loader, or use batches of one.
    """

    name = "record-mixed-shapes"
    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        for name, table in summary.shapes.tables.items():
            spatial = {table.spatial(shape) for shape in table.shapes}
            if len(spatial) < 2 or table.majority() is not None or _of_files(table, self.context.store):
                continue
            order = sorted(table.shapes, key=lambda shape: (prod(shape), shape))
            if self.options.crop is not None and sides(order[0], table.axes) is not None:
                continue
            many = f"{len(order):,} different shapes" if not table.uncounted else f"more than {len(order):,} shapes"
            yield self.finding(
                f"samples of {many}, from {shape_text(order[0])} to {shape_text(order[-1])}: a batch of more than one "
                "needs a crop or a resize",
                Location(dataset=self.context.dataset(name)),
                Severity.WARNING if self.context.traits.fixed_shape else Severity.INFO,
                {"shapes": len(order), "smallest": list(order[0]), "largest": list(order[-1])},
            )


def sides(shape: Shape, axes: str) -> tuple[int, int] | None:
    """Height and width, ``None`` where the axes have no such meaning."""
    if len(shape) != len(axes) or "H" not in axes or "W" not in axes:
        return None
    return shape[axes.index("H")], shape[axes.index("W")]


def _of_files(table: ShapeTable, store: str) -> bool:
    """Whether shapes and dtypes are those of whole HDF5 datasets: the layout reports files that differ."""
    return store == "hdf5" and bool(table.dtypes)


def _without(log: PositionLog, positions: set[int]) -> PositionLog:
    """The log without some positions."""
    kept = [position for position in log.positions if position not in positions]
    return PositionLog(log.cap, log.count - (len(log.positions) - len(kept)), kept)


def each(
    odd: Mapping[Odd, PositionLog], finding: Callable[[Odd, Location], Finding], dataset: str | None
) -> Iterator[Finding | Further]:
    """A finding for each position, ascending; those beyond the logs' caps are counted."""
    found = sorted(((position, each) for each, log in odd.items() for position in log.positions), key=itemgetter(0))
    for position, each in found:
        yield finding(each, Location(index=position, dataset=dataset))
    for each, log in odd.items():
        one = finding(each, Location(dataset=dataset))
        yield Further(one.rule, one.severity, log.count - len(log.positions))
