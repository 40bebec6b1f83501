"""What every layout gives: it recognises itself and decodes batches into samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...backends.base import DatasetInfo, RecordBatch, RowBatch, Store, Table
from ...backends.plugins import import_named
from ..options import Options
from ..sample import Fault, SampleBatch
from ..summary.lists import KeyList
from .kept import KeptKeys, Revision
from .keys import numbered, recounted

ACCEPT = 14 / 16
"""Share of sampled records that must agree before a layout is accepted."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What readers of a layout do, as far as severities depend on it.

    Attributes
    ----------
    caffe
        Caffe reads it: one shape a batch, one number of channels, labels held in float32.
    fixed_shape
        Readers need one shape; otherwise images are resized or cropped by the loader.
    key_numbers
        Keys are numbered by the writer without holes, so that a hole means a skipped sample.
    labelled
        Samples carry a class label of their own (a whole set without is worth a warning).
    """

    caffe: bool = False
    fixed_shape: bool = False
    key_numbers: bool = True
    labelled: bool = False


class Layout(ABC):
    """How records become samples. Instances are small and picklable: one travels to each worker."""

    name: ClassVar[str]
    """The name in reports and for ``--layout``."""
    title: ClassVar[str]
    """One line: what it is and who writes it."""
    traits: ClassVar[Traits] = Traits()

    def __init__(self, options: Options) -> None:
        self.options = options

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self).__module__, type(self).__qualname__), self.__getstate__()

    def opening_faults(self) -> Sequence[Fault]:
        """Faults of the set as a whole that show before any record is read (rows that differ in number)."""
        return ()


def _remade(module: str, name: str) -> Layout:
    """A layout on the way to a worker, which looks for its class as the command line did."""
    cls = import_named(module, name)
    made: Layout = cls.__new__(cls)
    return made


@dataclass(frozen=True, slots=True)
class Look:
    """What a layout of key-value records is recognised by.

    Attributes
    ----------
    sample
        Some ordinary records in store order.
    reserved
        The reserved keys that the store has, with their values.
    path
        Where the store is, if it is in a file system; a file beside it may belong to it (see `sidecars`).
    """

    sample: RecordBatch
    reserved: Mapping[bytes, bytes] = field(default_factory=dict)
    path: Path | None = None


class RecordLayout(Layout):
    """A layout of key-value records."""

    def listed_keys(self) -> KeyList | None:
        """The keys that the set says it has (a reserved record, a file beside it), as far as it says so."""
        return None

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """Whether the set as a whole can be of this layout: its reserved keys, its neighbours in the folder."""
        return True

    @classmethod
    def made_for(cls, options: Options, look: Look) -> RecordLayout:
        """The layout for a set that was looked at; some keep what its reserved keys say."""
        return cls(options)

    @classmethod
    @abstractmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """For each sampled record: does it fit this layout? Total: any bytes give an answer, never an exception."""

    @abstractmethod
    def decode(self, batch: RecordBatch) -> SampleBatch:
        """Decode a batch. Total: what does not fit becomes a `Fault`, never an exception."""

    # ---- what a rebuild may change ----

    changes: ClassVar[frozenset[str]] = frozenset()
    """What can be changed in a record without losing anything: ``image``, ``turned`` (an image whose sides change
    places), ``pixels`` (in the place of an encoded image), ``label``."""

    in_parts: ClassVar[bool] = False
    """Whether a sample is several records, which belong together by a number in their keys."""

    first_number: ClassVar[int] = 1
    """The number of the first sample, where samples are `in_parts`."""

    revises: ClassVar[bool] = False
    """Whether reserved records depend on which keys there are (see `revised`)."""

    listing: ClassVar[str | None] = None
    """The name of a file beside the store that lists its keys (see `relisted`)."""

    def revised(self, reserved: Mapping[bytes, bytes], kept: KeptKeys) -> Revision:
        """The reserved records for a set of which only some keys stay.

        Raises
        ------
        UsageError
            They can't be written so that they are right; what to do instead.
        """
        return Revision()

    def relisted(self, kept: KeptKeys) -> bytes:
        """The file beside the store, of the keys that stay."""
        return b""

    def sample_number(self, key: bytes) -> int | None:
        """The number of the sample that a record is a part of, where samples are `in_parts`."""
        return None

    def with_number(self, key: bytes, number: int) -> bytes:
        """The key with another number."""
        return numbered(key, number)

    def recounted(self, key: bytes, value: memoryview, count: int) -> bytes | None:
        """The value of a reserved record that says how many samples there are, for another count; else ``None``."""
        return recounted(key, value, count)

    def image_in(self, key: bytes, value: memoryview) -> tuple[int, int] | None:
        """Where in the value the record's encoded image lies."""
        return None

    def with_image(self, key: bytes, value: memoryview, image: bytes, sides: tuple[int, int, int] | None) -> bytes:
        """The value with another image; ``sides`` are its channels, height and width, where these differ."""
        raise NotImplementedError

    def with_pixels(self, value: memoryview, pixels: NDArray[np.uint8]) -> bytes:
        """The value with raw pixels ``(channels, height, width)`` in the place of its encoded image."""
        raise NotImplementedError

    def with_channels(self, value: memoryview, channels: int) -> bytes | None:
        """The value with as many channels of raw pixels, ``None`` where it has none that can be made so."""
        return None

    def with_label(self, value: memoryview, difference: int) -> bytes | None:
        """The value with its label changed by some, ``None`` where it has no label."""
        return None

    def pieces(self, batch: RecordBatch) -> Iterable[RecordBatch]:
        """The batch in parts, none of them empty, to be decoded one after the other.

        There are several only where samples can be so much larger than their values that those of a whole batch
        would not fit in memory.
        """
        return (batch,)


class RowLayout(Layout):
    """A layout of HDF5 datasets. Made from the datasets' descriptions; `None` from `recognise` if they don't fit."""

    @classmethod
    def belongs(cls, store: Store) -> bool:
        """Whether the file itself can be of this layout, whatever its datasets are called."""
        return True

    def consult(self, store: Store) -> None:  # most have nothing to ask
        """Ask the store for what is not in the descriptions (attributes). Called once, where the scan is planned."""

    @classmethod
    @abstractmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> RowLayout | None:
        """The layout for these datasets, or ``None``."""

    @abstractmethod
    def tables(self) -> Sequence[Table]:
        """Which datasets are read together, in report order; every dataset that can be looked at is in one."""

    def not_looked_at(self) -> Sequence[tuple[str, str]]:
        """Datasets that are in no table, each with the reason."""
        return ()

    @abstractmethod
    def decode(self, batch: RowBatch) -> SampleBatch:
        """Decode a batch of rows of one of the tables."""
