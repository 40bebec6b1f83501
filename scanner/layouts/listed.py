"""Sets with a list of their keys: tensorpack's LMDBs, and those that the folder2lmdb recipes write."""

from __future__ import annotations

import numpy as np

from ...backends.base import RecordBatch
from ..sample import LabelBlock, SampleBatch
from ..summary.lists import KeyList
from .base import Look
from .msgpack_records import MSGPACK
from .npz import NPZ
from .pickles import PICKLE
from .reserved import count_in, keys_in, numbered_keys
from .serialised import Serialised

SECOND = "[1]"
"""The path of the second part of a pair, which is the label."""


class Listed(Serialised):
    """See `Serialised`. Where most records hold a number as their second part, that is the label."""

    codecs = (MSGPACK, PICKLE, NPZ)

    @classmethod
    def keys_of(cls, look: Look) -> KeyList | None:
        """See `Serialised.keys_of`."""
        counted = count_in(look.reserved, b"__len__")
        return keys_in(look.reserved, b"__keys__") or numbered_keys(look, counted)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        samples = super().decode(batch)
        second = [block for block in samples.labels if block.name == SECOND]
        if not second and any(block.name == SECOND for block in samples.arrays):
            return samples  # the second part is an array, and no label
        faulty = {fault.row for fault in samples.faults}
        labelled = {int(row) for block in second for row in block.rows}
        rows = [row for row in samples.sample_rows.tolist() if row not in labelled and row not in faulty]
        if second and rows:
            first = second[0]
            place = samples.labels.index(first)
            samples.labels[place] = LabelBlock(first.name, first.rows, first.values, np.array(rows, np.int64))
        return samples


class Tensorpack(Listed):
    """See `Listed`.

    Source: ``LMDBSerializer.save`` of tensorpack's ``dataflow/serialize.py``: keys ``{:08}``, values by
    msgpack_numpy or pickle, and the list of all keys under ``__keys__``.
    """

    name = "tensorpack"
    title = "tensorpack's LMDB: __keys__ lists the keys, values are msgpack_numpy or pickled data points"

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`."""
        return b"__keys__" in look.reserved and b"__len__" not in look.reserved


class Folder2Lmdb(Listed):
    """See `Listed`.

    Source: ``folder2lmdb.py`` of Lyken17/Efficient-PyTorch and its many copies: ASCII numbers as keys, pairs of an
    encoded image and a class, ``__keys__`` and ``__len__``.
    """

    name = "folder2lmdb"
    title = "folder2lmdb: __len__ and __keys__, pairs of an encoded image and a class by pickle or msgpack"

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`."""
        return b"__len__" in look.reserved
