"""HDF5's global heap, read without the library: where variable-length values lie.

The library loops for ever on some damaged heaps, inside a call that no signal ends. Here every object of a
collection is checked before anything is taken from it (HDF5 File Format Specification, III.E).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import BytesColumn
from .hdf5_file import OpenedFile
from .hdf5_superblock import Superblock

_OBJECT = struct.Struct("<HHIQ")
_SHORT = 256
"""Strings shorter than this on average are gathered byte by byte, longer ones copied one by one."""


def reference_dtype(superblock: Superblock | None) -> np.dtype[Any] | None:
    """What a dataset of variable-length values stores for each of them; ``None`` in files with other sizes."""
    if superblock is None or superblock.offset_size != 8 or superblock.length_size != 8:
        return None
    return np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])


@dataclass(slots=True)
class _Collection:
    """One heap collection: its bytes, where its objects lie in them (0 length where there is none), what is wrong."""

    content: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    problem: str = ""


@dataclass(slots=True)
class Heap:
    """Fetches values by their references; remembers the last collection, since neighbours share one."""

    opened: OpenedFile
    _last: tuple[int, _Collection] | None = None
    _causes: list[tuple[str, int | None]] = field(default_factory=lambda: [("", None)])

    @property
    def longest(self) -> int:
        """No value can be longer than the file."""
        return self.opened.size_bytes

    def cause(self, number: int) -> tuple[str, int | None]:
        """Why a value could not be fetched, and the byte offset of its collection."""
        return self._causes[number]

    def fetch(self, references: NDArray[Any]) -> tuple[BytesColumn, NDArray[np.int64]]:
        """The values, and for each the number of its cause: 0 where it could be fetched.

        Returns
        -------
        BytesColumn
            One string for each reference; empty where it could not be fetched.
        NDArray[np.int64]
            Numbers for `cause`.
        """
        lengths = references["length"].astype(np.int64)
        addresses = references["address"]
        causes = np.zeros(len(references), np.int64)
        impossible = lengths > self.longest
        if impossible.any():
            causes[impossible] = self._number("its length is beyond the file's", None)
        lengths[impossible] = 0
        starts = np.cumsum(lengths) - lengths
        out = np.empty(int(lengths.sum()), np.uint8)
        wanted = np.flatnonzero(lengths)
        order = wanted[np.argsort(addresses[wanted], kind="stable")]
        for rows in np.split(order, np.flatnonzero(np.diff(addresses[order])) + 1) if len(order) else []:
            address = int(addresses[rows[0]])
            collection = self._collection(address)
            bad = self._copy(collection, references["index"][rows].astype(np.int64), lengths[rows], starts[rows], out)
            if bad.any():
                reason = f"heap collection at {address:,}: {collection.problem or 'the object is not in it'}"
                causes[rows[bad]] = self._number(reason, self._offset(address))
        lengths[causes > 0] = 0
        return BytesColumn(out, starts, lengths), causes

    def _copy(
        self,
        collection: _Collection,
        indexes: NDArray[np.int64],
        lengths: NDArray[np.int64],
        targets: NDArray[np.int64],
        out: NDArray[np.uint8],
    ) -> NDArray[np.bool_]:
        """Copy objects to where they belong; tells which are not there or too short."""
        known = np.minimum(indexes, len(collection.sizes) - 1)
        bad = (indexes >= len(collection.sizes)) | (collection.sizes[known] < lengths)
        sources, lengths, targets = collection.starts[known[~bad]], lengths[~bad], targets[~bad]
        if len(lengths) and int(lengths.sum()) < _SHORT * len(lengths):
            steps = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            out[np.repeat(targets, lengths) + steps] = collection.content[np.repeat(sources, lengths) + steps]
        else:
            for source, target, length in zip(sources.tolist(), targets.tolist(), lengths.tolist(), strict=True):
                out[target : target + length] = collection.content[source : source + length]
        return bad

    def _collection(self, address: int) -> _Collection:
        if self._last is None or self._last[0] != address:
            self._last = None
            self._last = (address, self._read_collection(address))
        return self._last[1]

    def _read_collection(self, address: int) -> _Collection:
        offset = self._offset(address)
        nothing = np.zeros(1, np.int64)
        header = np.zeros(16, np.uint8)
        if offset < self.opened.size_bytes:
            self.opened.data.read_into(header, offset)
        size = int(header[8:].view("<u8")[0])
        if header[:5].tobytes() != b"GCOL\x01" or size < 16:
            where = "damaged header" if offset < self.opened.size_bytes else "past the end of the file"
            return _Collection(header, nothing, nothing, where)
        content = np.empty(min(size, self.opened.size_bytes - offset), np.uint8)
        got = self.opened.data.read_into(content, offset)
        problem = "cut off by the end of the file" if got < size else ""
        starts, sizes, damaged = _parse(content[:got])
        return _Collection(content[:got], starts, sizes, problem or damaged)

    def _offset(self, address: int) -> int:
        base = self.opened.superblock.base if self.opened.superblock else 0
        return min(address + base, 1 << 62)

    def _number(self, reason: str, offset: int | None) -> int:
        if self._causes[-1] != (reason, offset):
            self._causes.append((reason, offset))
        return len(self._causes) - 1


def _parse(content: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Starts and sizes of a collection's objects by their index; the walk ends at the first that makes no sense."""
    objects: dict[int, tuple[int, int]] = {}
    position, problem = 16, ""
    view = content.data
    while position + _OBJECT.size <= len(content):
        index, _, _, size = _OBJECT.unpack_from(view, position)
        if index == 0:  # the free space, which is the last object and reaches to the end
            if position + size != len(content):
                problem = f"it breaks off at byte {position}"
            break
        if index in objects or position + _OBJECT.size + size > len(content):
            problem = f"the object header at byte {position} of it is damaged"
            break
        objects[index] = (position + _OBJECT.size, size)
        position += _OBJECT.size + (size + 7 & ~7)
    count = max(objects, default=0) + 1
    starts, sizes = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    if objects:
        indexes = np.fromiter(objects, np.int64, len(objects))
        places = np.array(list(objects.values()), np.int64)
        starts[indexes], sizes[indexes] = places[:, 0], places[:, 1]
    return starts, sizes, problem
