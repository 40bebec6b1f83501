"""ASE databases in LMDB (``.aselmdb``), as Open Materials and Open Molecules sets are published.

Source: ``aselmdb.py`` of ase-db-backends: rows under the numbers from 1, zlib around JSON; ``nextid``, ``deleted_ids``
and ``metadata`` in the same encoding. The number of rows is ``nextid - 1`` without the deleted ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...backends.base import RecordBatch
from ...backends.errors import UsageError
from ..options import Options
from ..sample import Fault, SampleBatch
from ..summary.lists import KeyList
from ..values.call_arrays import BadArray
from ..values.compressed import unwrap, wrapping
from ..values.inert import Dict, Unreadable
from ..values.json_reader import array_in_json
from .base import Look, RecordLayout
from .gathering import Gathering
from .json_records import JSON, read_object
from .kept import KeptKeys, Revision
from .reserved import MOST_NUMBERED, count_in, reserved_value
from .revising import running_numbers, written
from .rewriting import Plain, plain_value
from .serialised import Codec, Serialised

PER_ATOM = (
    *("charges", "forces", "initial_charges", "initial_magmoms", "magmoms"),
    *("masses", "momenta", "positions", "tags"),
)
"""Arrays of a row that have an entry for each atom."""


def read_row(row: int, value: memoryview, gathering: Gathering) -> object:
    """See `Codec.read`; arrays with an entry for each atom are held to the number of atoms."""
    root = read_object(row, value, gathering)
    if isinstance(root, Dict):
        numbers = _array(root.get("numbers"))
        for name in PER_ATOM if numbers is not None else ():
            array = _array(root.get(name))
            if array is not None and numbers is not None and array.ndim and len(array) != len(numbers):
                message = f"has {len(array):,} entries for {len(numbers):,} atoms"
                gathering.fail(row, "record-size-mismatch", message, path=f"['{name}']")
    return root


def _array(value: object) -> np.ndarray | None:
    try:
        found = array_in_json(value) if isinstance(value, Dict) else None
    except BadArray:  # told where the arrays are read
        return None
    if found is None and isinstance(value, list) and type(value) is list:
        return np.empty(len(value), np.bool_)
    return found


class AseLmdb(Serialised):
    """See `Serialised`."""

    name = "ase-lmdb"
    title = "ASE database in LMDB: zlib around JSON, nextid, deleted_ids (OMat24, OMol25)"
    codecs = (Codec("json", JSON.holds, read_row),)

    def __init__(
        self, options: Options, codec: Codec | None = None, key_list: KeyList | None = None, rows: int | None = None
    ) -> None:
        super().__init__(options, codec, key_list)
        self.rows = rows

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`."""
        return b"nextid" in look.reserved

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        held = super().agrees(sample)
        return [fits and wrapping(value) == "zlib" for fits, value in zip(held, sample.values, strict=True)]

    @classmethod
    def made_for(cls, options: Options, look: Look) -> RecordLayout:
        """See `RecordLayout.made_for`."""
        counted = count_in({b"nextid": _inflated(look.reserved.get(b"nextid", b""))}, b"nextid")
        if counted is None or not 0 < counted[1] <= MOST_NUMBERED:
            return cls(options)
        deleted = reserved_value(look.reserved.get(b"deleted_ids", b"[]"))
        gone = {number for number in deleted if type(number) is int} if isinstance(deleted, list) else set()
        present = [number for number in range(1, counted[1]) if number not in gone]
        keys = KeyList.of(f"nextid = {counted[1]:,}", [b"%d" % number for number in present])
        return cls(options, None, keys, len(present))

    def revised(self, reserved: Mapping[bytes, bytes], kept: KeptKeys) -> Revision:
        """See `RecordLayout.revised`: what is gone is deleted in ASE's sense, its number is not given again."""
        following = plain_value(reserved.get(b"nextid", b""))
        places = running_numbers(kept, 1)
        if places is None or not isinstance(following, int):
            raise UsageError("nextid and the keys do not agree on which rows there are: write the set again with ASE")
        if kept.renumber:
            values = {b"nextid": written(b"nextid", reserved[b"nextid"], kept.samples + 1)}
            if b"deleted_ids" in reserved:
                values[b"deleted_ids"] = written(b"deleted_ids", reserved[b"deleted_ids"], [])
            return Revision(values, *kept.numbered_again(places[places >= 0], 1))
        there = set((np.flatnonzero(places >= 0) + 1).tolist())
        gone: list[Plain] = [number for number in range(1, following) if number not in there]
        if b"deleted_ids" in reserved:
            return Revision({b"deleted_ids": written(b"deleted_ids", reserved[b"deleted_ids"], gone)})
        if gone:
            raise UsageError(
                "there is no deleted_ids record that could name the rows that are left out, for which readers would "
                "ask. Give --renumber as well, which gives the others new numbers"
            )
        return Revision()

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        samples = super().decode(batch)
        if self.rows is not None:
            rows = [row for row, key in enumerate(batch.keys) if bytes(key) == b"nextid"]
            samples.count_claims += [(row, self.rows) for row in rows]
        elif any(bytes(key) == b"nextid" for key in batch.keys):
            row = next(row for row, key in enumerate(batch.keys) if bytes(key) == b"nextid")
            samples.faults.append(Fault(row, "record-undecodable", "nextid holds no number of the next row"))
        return samples


def _inflated(value: bytes) -> bytes:
    try:
        return bytes(unwrap(memoryview(value)))
    except Unreadable:
        return b""
