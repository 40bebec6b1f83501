"""Samples: what a layout makes of a batch. Columns, so that rules can check a batch with a few numpy calls.

Everything in a `SampleBatch` names its records by *row*: the record's place in the batch, from 0. Not every row
has an image, an array, a label: a reserved key (``num-samples``) has none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..backends.base import Batch, RecordBatch
from ..backends.columns import BytesColumn
from .finding import Location

Rows = NDArray[np.int64]
Colour = Literal["BGR", "RGB", "GREY"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What decoding found wrong, before any rule looks: the rule of that name reports it.

    ``row`` is ``None`` for a fault of the set as a whole. ``severe`` ``False`` asks for a warning where the
    rule's own severity is an error.
    """

    row: int | None
    rule: str
    message: str
    dataset: str | None = None
    element: tuple[int, ...] | None = None
    offset: int | None = None
    severe: bool = True
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Magnitudes:
    """What the statistics found in passing of the magnitudes in a block, for the rules that look for large ones.

    ``bounds`` is ``(n,)``, or ``None`` where it was not found: no magnitude in a record exceeds its bound, and NaN or
    infinity means that anything may be there. ``narrow`` says which of them are of that record alone, not of several
    together.
    """

    bounds: NDArray[np.float64] | None = None
    narrow: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class ArrayBlock:
    """Equal-shaped arrays of several records, stacked.

    Attributes
    ----------
    name
        ``data`` for a Datum's payload, the dataset's path for HDF5.
    rows
        ``(n,)`` rows of the batch, ascending.
    values
        ``(n, ...)`` in the stored dtype; may be a read-only view.
    axes
        The sample's axes: ``CHW``, ``HWC``, ``HW``, ``L`` (a sequence, whose places have no meaning of their own), or
        empty where they have no such meaning.
    colour
        Order of the channels where the array is an image.
    magnitudes
        Filled in as the block is looked at.
    """

    name: str
    rows: Rows
    values: NDArray[Any]
    axes: str = ""
    colour: Colour | None = None
    magnitudes: Magnitudes = field(default_factory=Magnitudes, compare=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record's array."""
        return tuple(self.values.shape[1:])

    @property
    def channel_axis(self) -> int | None:
        """Axis of ``values`` that holds the channels, ``None`` where there is none."""
        return self.axes.index("C") + 1 if "C" in self.axes else None


@dataclass(frozen=True, slots=True)
class ChannelSums:
    """Sums of one image's pixels, per channel: ``(channels,)`` each.

    ``count`` 0 is an image that is whole and left out of the statistics; its extremes may be known (see `uncounted`)
    or not (see `left_out`).
    """

    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]

    @classmethod
    @cache
    def left_out(cls, channels: int) -> ChannelSums:
        """Sums over nothing: in this image, or another of the array, every channel but alpha has several values."""
        nothing = np.zeros(channels)
        return cls(0, nothing, nothing, np.full(channels, np.inf), np.full(channels, -np.inf))

    def uncounted(self) -> ChannelSums:
        """The extremes alone, of an image that was looked at closely and is not one of the sample."""
        nothing = np.zeros_like(self.total)
        return ChannelSums(0, nothing, nothing, self.minimum, self.maximum)


@dataclass(slots=True)
class Seen:
    """What images of an array have shown, so that it need not be asked of those that are looked at later.

    ``colours``: one with three channels has several values in each, so that no channel is constant over the set.
    """

    colours: bool = False


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What looking at one encoded image found. Pixels are not kept.

    Attributes
    ----------
    format
        ``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``BMP``, ``TIFF``, or ``None`` where the bytes are none of them.
    width, height, channels
        From the header, ``None`` where it could not be read. ``channels`` is 1 grey, 2 grey + alpha, 3 colour,
        4 colour + alpha or CMYK (see ``mode``, Pillow's name for it).
    faults
        ``row`` is ``None`` here; the layout puts in the record's row.
    sums
        Statistics in the decoder's channel order (RGB), ``None`` where not all pixels could be decoded.
    orientation
        EXIF orientation 1..8, 1 where there is none.
    scaled
        Pixels of the image ``(height, width, 1 or 3)``, evenly spread and in the decoder's channel order, for a network
        that shall be shown it; ``None`` where there is no network, or the image is not whole.
    grey
        A small grey picture of the image, for `Options.near`; ``None`` where nobody asks for it, or the image is not
        whole or too small to be judged.
    """

    format: str | None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    mode: str | None = None
    orientation: int = 1
    faults: tuple[Fault, ...] = ()
    sums: ChannelSums | None = None
    scaled: NDArray[np.uint8] | None = None
    grey: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class ImageSample:
    """One encoded image of a batch: ``dataset`` is the HDF5 path it stands in, ``name`` its role otherwise."""

    row: int
    facts: ImageFacts
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class LabelBlock:
    """Labels of several records.

    ``values`` is ``(n,)`` for one label a record, ``(n, k)`` for a row of k (one-hot, multi-label, targets);
    integer, bool or float as stored. ``missing`` are the rows that should have a label and have none.
    """

    name: str
    rows: Rows
    values: NDArray[Any]
    missing: Rows = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Text labels of several records, as stored bytes."""

    name: str
    rows: Rows
    texts: BytesColumn


@dataclass(frozen=True, slots=True)
class BoxBlock:
    """Bounding boxes: ``rows`` repeats a record's row for each of its boxes.

    ``corners`` is ``(n, 4)`` float32: xmin, ymin, xmax, ymax as fractions of the image. ``labels`` is ``(n,)``
    int64; ``instances`` is ``(n,)`` int64: the box's number within its record.
    """

    rows: Rows
    corners: NDArray[np.float32]
    labels: NDArray[np.int64]
    instances: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TwinBlock:
    """Numbered keys of one kind, where each number must exist in every kind (``image-%09d``, ``label-%09d``)."""

    kind: str
    rows: Rows
    numbers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ProbeFault:
    """What running a network found in one record: ``rule`` reports it.

    Attributes
    ----------
    layer
        Where it showed first: ``input``, a layer's name, ``label`` or ``loss``; empty for ``probe-failed``.
    input_finite
        Whether the network's input, after preprocessing, was finite: if so, the network made the overflow.
    loss
        The sample's loss, ``None`` where there is none.
    after_step
        Nothing is infinite yet: a step of gradient descent on the record makes it so.
    """

    row: int
    rule: str
    message: str
    layer: str = ""
    input_finite: bool = True
    loss: float | None = None
    after_step: bool = False
    dataset: str | None = None
    element: tuple[int, ...] | None = None


@dataclass(slots=True)
class ProbeOutcome:
    """What running a network over a batch gave: ``losses`` of ``rows`` (float64), a row once for each of its arrays.

    ``networks`` counts the samples by the network that they went through.
    """

    rows: list[Rows] = field(default_factory=list)
    losses: list[NDArray[np.float64]] = field(default_factory=list)
    faults: list[ProbeFault] = field(default_factory=list)
    networks: dict[str, int] = field(default_factory=dict)


class Hasher(Protocol):
    """What makes the hashes of a batch's contents while their bytes pass by: see `summary.hashes`."""

    def follow(self, rows: Rows, /) -> Callable[[int], None]:
        """For somebody who goes through some ascending rows: to be told how many of them are done."""

    def all(self) -> NDArray[np.uint64]:
        """``(n, 2)``: the hashes of all contents."""


@dataclass(slots=True)
class SampleBatch:
    """A decoded batch.

    Attributes
    ----------
    batch
        The records or rows themselves.
    sample_rows
        Rows that are samples; the others are reserved keys or lone halves of a pair. Rules of the set (labels,
        shapes, duplicates) count these.
    contents, content_rows
        The bytes that make two samples equal (the payload without label and key) and their rows; ``None`` where
        equality means nothing.
    count_claims
        What reserved keys say of the number of samples: ``(row, claimed)``.
    key_rows
        Rows whose keys are compared with the lists that the set has of its keys; ``None`` where it has none.
    fields
        Rows by the names of the fields that their values have, where values are dictionaries.
    value_kinds
        Where the layout can't decode values: what they look like (``jpeg``, ``pickle protocol 4``), counted.
    probe
        What running a network gave, where that was asked for.
    leading
        Digits at the beginning of each key and the number that they write, once somebody has asked for them.
    hasher
        What makes the hashes of ``contents``, once they are summed up.
    """

    batch: Batch
    sample_rows: Rows
    faults: list[Fault] = field(default_factory=list)
    arrays: list[ArrayBlock] = field(default_factory=list)
    images: list[ImageSample] = field(default_factory=list)
    labels: list[LabelBlock] = field(default_factory=list)
    texts: list[TextBlock] = field(default_factory=list)
    boxes: list[BoxBlock] = field(default_factory=list)
    twins: list[TwinBlock] = field(default_factory=list)
    contents: BytesColumn | None = None
    content_rows: Rows | None = None
    count_claims: list[tuple[int, int]] = field(default_factory=list)
    key_rows: Rows | None = None
    fields: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    value_kinds: dict[str, int] = field(default_factory=dict)
    probe: ProbeOutcome | None = None
    leading: tuple[Rows, Rows] | None = None
    hasher: Hasher | None = None
    _by_rule: dict[str, list[Fault]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _sorted: int = field(default=0, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def record_keys(self) -> BytesColumn:
        """The keys of a batch of records."""
        assert isinstance(self.batch, RecordBatch)
        return self.batch.keys

    def key(self, row: int) -> bytes | None:
        """The record's key, ``None`` for rows of HDF5."""
        return bytes(self.batch.keys[row]) if isinstance(self.batch, RecordBatch) else None

    def location(
        self,
        row: int,
        *,
        dataset: str | None = None,
        element: tuple[int, ...] | None = None,
        offset: int | None = None,
    ) -> Location:
        """Where a row is; the index is its position in the partition."""
        return Location(self.key(row), int(self.batch.positions[row]), dataset, element, offset)

    def faults_of(self, rule: str) -> Sequence[Fault]:
        """The faults that a rule reports."""
        if self._sorted != len(self.faults):  # every rule asks, and there may be a fault in each record
            self._by_rule.clear()
            for fault in self.faults:
                self._by_rule.setdefault(fault.rule, []).append(fault)
            self._sorted = len(self.faults)
        return self._by_rule.get(rule, ())
