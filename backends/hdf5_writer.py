"""Writing an HDF5 file that is like another one but for some of its rows: same types, chunks, filters, attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import StoreError
from .hdf5_file import OpenedFile
from .hdf5_library import LIBRARY_ERRORS, h5py, one_line
from .writing import WriteError, writing

BLOCK_BYTES = 16 << 20
"""Rows that are copied at a time."""

ORDER_BYTES = 256 << 20
"""Rows that are put in another order at a time: for each such part the source is read once."""

Rows = NDArray[np.int64]
Seen = Callable[[int], None]
"""Called with the number of bytes that were copied."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows of a dataset that are taken, in the order of the new one; ``added`` is added to each value.

    ``seen`` is called with the values as they are written.
    """

    rows: Rows
    added: int = 0
    seen: Callable[[NDArray[Any]], None] | None = None


@dataclass(slots=True)
class Like:
    """A new file like another one.

    Attributes
    ----------
    taken
        Rows by the dataset's object; other datasets are copied as they are stored, where ``whole`` says so.
    notes
        What could not be taken over.
    """

    source: OpenedFile
    target: Path
    taken: Mapping[tuple[int, int], Taken]
    whole: bool = True
    moved: Seen = lambda size: None
    notes: list[str] = field(default_factory=list)
    _done: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def write(self) -> list[str]:
        """Write the file, not yet to the disk; gives what could not be taken over.

        Raises
        ------
        WriteError
            The medium takes no more, or a dataset can't be made.
        """
        opened = self.source.file
        if opened is None:
            raise StoreError(f"{self.source.path}: HDF5 can't open the file, so nothing of it can be copied")
        with writing(self.target, (OSError, RuntimeError)):
            file = h5py.File(self.target, "w", libver="earliest" if self._is_old else "latest")
            try:
                root = h5py.h5o.open(opened.id, b"/")
                self._done[object_id(root)] = b"/"
                self._attributes(root, h5py.h5o.open(file.id, b"/"))
                self._group(root, file.id, b"/")
            finally:
                file.close()
        return self.notes

    @property
    def _is_old(self) -> bool:
        superblock = self.source.superblock
        return superblock is None or superblock.version < 2

    def _group(self, source: Any, target: Any, path: bytes) -> None:
        """Copy the links of a group."""
        names: list[bytes] = []
        source.links.iterate(names.append)
        for name in names:
            info = source.links.get_info(name)
            where = path + name
            if info.type == h5py.h5l.TYPE_SOFT:
                target.links.create_soft(name, source.links.get_val(name))
            elif info.type == h5py.h5l.TYPE_HARD:
                self._object(source, target, name, where)
            else:
                self.notes.append(f"{_text(where)}: a link out of the file was left out")

    def _object(self, source: Any, target: Any, name: bytes, where: bytes) -> None:
        opened = h5py.h5o.open(source, name)
        identity = object_id(opened)
        if identity in self._done:
            target.links.create_hard(name, h5py.h5i.get_file_id(target), self._done[identity])
            return
        if isinstance(opened, h5py.h5g.GroupID):
            self._done[identity] = where
            made = h5py.h5g.create(target, name, gcpl=opened.get_create_plist())
            self._attributes(opened, made)
            self._group(opened, made, where + b"/")
        elif isinstance(opened, h5py.h5d.DatasetID) and identity in self.taken:
            self._done[identity] = where
            self._dataset(h5py.Dataset(opened), target, name, self.taken[identity], where)
        elif self.whole:
            self._done[identity] = where
            try:
                h5py.h5o.copy(source, name, target, name)
            except (OSError, RuntimeError) as exc:
                if "space" in str(exc).lower() or "write" in str(exc).lower():
                    raise
                self.notes.append(f"{_text(where)} can't be read and was left out: {one_line(exc)}")

    def _dataset(self, source: Any, target: Any, name: bytes, taken: Taken, where: bytes) -> None:
        made = h5py.Dataset(_like(source, target, name, len(taken.rows), where))
        self._attributes(source.id, made.id)
        at = 0
        for values in picked(source, taken.rows, self.moved):
            if taken.added:
                values = (values + taken.added).astype(values.dtype)
            if taken.seen is not None:
                taken.seen(values)
            made[at : at + len(values)] = values
            at += len(values)

    def _attributes(self, source: Any, target: Any) -> None:
        for number in range(h5py.h5a.get_num_attrs(source)):
            attribute = h5py.h5a.open(source, index=number)
            try:
                _copy_attribute(attribute, target)
            except _References:
                self.notes.append(f"attribute {_text(attribute.name)}: it refers to objects and was left out")
            except LIBRARY_ERRORS as exc:
                self.notes.append(f"attribute {_text(attribute.name)} can't be copied: {one_line(exc)}")


class _References(Exception):
    """Values that point to places in the file that they stand in."""


def object_id(opened: Any) -> tuple[int, int]:
    """File number and address: what tells one object from another, however many links lead to it."""
    info = h5py.h5o.get_info(opened)
    return int(info.fileno), int(info.addr)


def _copy_attribute(attribute: Any, target: Any) -> None:
    stored = attribute.get_type()
    if _refers(stored):
        raise _References
    made = h5py.h5a.create(target, attribute.name, stored, attribute.get_space())
    if attribute.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return
    values = np.empty(attribute.shape, attribute.dtype)
    memory = h5py.h5t.py_create(values.dtype)
    attribute.read(values, mtype=memory)
    made.write(values, mtype=memory)


def _refers(stored: Any) -> bool:
    kind = stored.get_class()
    if kind == h5py.h5t.COMPOUND:
        return any(_refers(stored.get_member_type(number)) for number in range(stored.get_nmembers()))
    if kind in (h5py.h5t.VLEN, h5py.h5t.ARRAY):
        return _refers(stored.get_super())
    return bool(kind == h5py.h5t.REFERENCE)


def _like(source: Any, target: Any, name: bytes, count: int, where: bytes) -> Any:
    """A dataset with the type, chunks, filters and fill value of another, of so many rows."""
    stored = source.id.get_type()
    if _refers(stored):
        raise WriteError(f"{_text(where)} holds references, which mean nothing in another file: it can't lose rows")
    properties = source.id.get_create_plist()
    shape = (count, *source.shape[1:])
    most = tuple(
        h5py.h5s.UNLIMITED if side is None else size for side, size in zip(source.maxshape, shape, strict=True)
    )
    if properties.get_layout() == h5py.h5d.CHUNKED:
        chunk = properties.get_chunk()
        fixed = source.maxshape[0] is not None
        if fixed and chunk[0] > max(count, 1):
            properties.set_chunk((max(count, 1), *chunk[1:]))
    return h5py.h5d.create(target, name, stored.copy(), h5py.h5s.create_simple(shape, most), properties)


def picked(source: Any, rows: Rows, moved: Seen = lambda size: None) -> Iterator[NDArray[Any]]:
    """Rows of a dataset in the order asked for, in parts of bounded size."""
    row_bytes = max(int(np.prod(source.shape[1:], dtype=np.int64)) * source.dtype.itemsize, 1)
    if len(rows) < 2 or bool((np.diff(rows) > 0).all()):
        step = max(BLOCK_BYTES // row_bytes, 1)
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            yield _read(source, part)
            moved(len(part) * row_bytes)
        return
    step = max(ORDER_BYTES // row_bytes, 1)
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        order = np.argsort(part)
        out = np.empty((len(part), *source.shape[1:]), source.dtype)
        at = 0
        for values in picked(source, part[order], moved):
            out[order[at : at + len(values)]] = values
            at += len(values)
        yield out


def _read(source: Any, rows: Rows) -> NDArray[Any]:
    """Ascending rows: all between the first and the last at once where most of them are wanted, else run by run."""
    first, last = int(rows[0]), int(rows[-1]) + 1
    if last - first <= 2 * len(rows):
        try:
            values: NDArray[Any] = source[first:last]
            return values if len(values) == len(rows) else values[rows - first]
        except LIBRARY_ERRORS:
            pass  # a row between them can't be read
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    runs = [source[int(run[0]) : int(run[-1]) + 1] for run in np.split(rows, cuts)]
    return np.concatenate(runs) if len(runs) > 1 else runs[0]


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
