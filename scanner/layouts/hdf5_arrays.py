"""HDF5 files of which nothing is known but that they hold numbers."""

from __future__ import annotations

from collections.abc import Sequence

from ...backends.base import DatasetInfo
from ..options import Options
from .base import Traits
from .hdf5_rows import Hdf5Rows, left_out, lone_tables


class Hdf5Arrays(Hdf5Rows):
    """See `RowLayout`. Rows of an unknown array may well be equal (masks, actions): only images are compared."""

    name = "hdf5-arrays"
    title = "HDF5 datasets of numbers, each looked at by itself"
    traits = Traits(key_numbers=False)
    equal_rows_mean_duplicates = False

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> Hdf5Arrays:
        """See `RowLayout.recognise`; fits any file, an empty one as well."""
        return cls(options, lone_tables(datasets), skipped=left_out(datasets))
