"""The stamp of a worker: what it is reading at this moment, readable by its parent even after its death."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from typing import Protocol, SupportsIndex

_FIELDS = struct.Struct("<6q")
_TOUCHED = struct.Struct("<2q")
NOTHING = -1


@dataclass(frozen=True, slots=True)
class Mark:
    """What a stamp says.

    Attributes
    ----------
    beats
        Counts up with every stamp: while it does not, the worker makes no progress. 0 until it is ready.
    record
        Position of the one record that is being decoded, where that is known; else `NOTHING`.
    start, stop
        Positions that are being read or decoded. ``stop`` is `NOTHING` while it is not known how far the next batch
        goes, both are while no record is touched.
    records, size_bytes
        Done so far in this call, for progress.
    """

    beats: int
    record: int
    start: int
    stop: int
    records: int
    size_bytes: int


class Stamp:
    """Six numbers in memory that the worker and its parent share, under no name in any file system."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, _FIELDS.size)
        self._beats = 0

    def write(self, start: int, stop: int, records: int = 0, size_bytes: int = 0) -> None:
        """Say what is read or decoded next."""
        self._beats += 1
        _FIELDS.pack_into(self._map, 0, self._beats, NOTHING, start, stop, records, size_bytes)

    def touch(self, record: SupportsIndex) -> None:
        """Say which record of the batch is decoded next."""
        self._beats += 1
        _TOUCHED.pack_into(self._map, 0, self._beats, record)

    def forget(self) -> None:
        """Say that nothing is touched, on behalf of a worker that has nothing to do; its beats are left alone."""
        beats = self.read().beats
        _FIELDS.pack_into(self._map, 0, beats, NOTHING, NOTHING, NOTHING, 0, 0)

    def read(self) -> Mark:
        """What was written last."""
        return Mark(*_FIELDS.unpack_from(self._map, 0))

    def close(self) -> None:
        """Unmap it."""
        self._map.close()


def shared_memory() -> int:
    """The descriptor of memory for a stamp; it is gone when the last process that has it is gone."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("datascan-stamp", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile(prefix="datascan-") as file:
            descriptor = os.dup(file.fileno())
    os.pwrite(descriptor, bytes(_FIELDS.size), 0)
    return descriptor


# ---- the worker's side; in any other process these do nothing ----


class Positions(Protocol):
    """Positions of a batch's records by row, an array of them for one."""

    def __getitem__(self, row: int, /) -> SupportsIndex: ...


_own: Stamp | None = None
_positions: Positions = ()


def wear(stamp: Stamp) -> None:
    """Make this the stamp of this process."""
    global _own
    _own = stamp


def reading(position: int, records: int, size_bytes: int) -> None:
    """Say that the next batch is read, from a position on."""
    if _own is not None:
        _own.write(position, NOTHING, records, size_bytes)


def decoding(positions: Positions, start: int, stop: int, records: int, size_bytes: int) -> None:
    """Say that a batch with records at these positions is decoded and checked."""
    global _positions
    if _own is not None:
        _positions = positions
        _own.write(start, stop, records, size_bytes)


def touch(row: int) -> None:
    """Say that a row of the batch is decoded by itself.

    Costs half a microsecond. For decoders that go through the records of a batch one by one, and whose libraries
    may die or take long: it tells work from a hang, and names the culprit.
    """
    if _own is not None:
        _own.touch(_positions[row])


def untouch() -> None:
    """Say that no single row is decoded any more."""
    if _own is not None:
        _own.touch(NOTHING)
