"""Writing an LMDB with LMDB's own library: in key order, compact, with a map that grows as it fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from numpy.typing import NDArray

from .columns import BytesColumn
from .lmdb_format import DUP_FIXED, DUP_SORT, INTEGER_DUP, INTEGER_KEY, REVERSE_KEY, sort_key
from .lmdb_store import LmdbForm
from .writing import RecordWriter, WriteError, sync_tree, writing

FIRST_MAP = 64 << 20
"""Size of the map to begin with; it is doubled whenever what is to come might not fit."""

COMMIT_BYTES = 64 << 20
"""Written in one transaction: what LMDB holds in memory, and what a full disk may cost."""

_PAGE = 4096
_FLAGS = {
    "reverse_key": REVERSE_KEY,
    "dupsort": DUP_SORT,
    "integerkey": INTEGER_KEY,
    "dupfixed": DUP_FIXED,
    "integerdup": INTEGER_DUP,
}


class LmdbWriter(RecordWriter):
    """A new LMDB; records go to the database named last by `choose`, the unnamed one at first.

    Raises
    ------
    WriteError
        It can't be made here, or has flags that the library can't make.
    """

    def __init__(self, path: Path, form: LmdbForm | None = None, first_map: int = FIRST_MAP) -> None:
        self.path = path
        self.form = form or LmdbForm()
        self._map_size = first_map
        self._pending = 0
        self._used = 4 * _PAGE
        names = [name for name in self.form.databases or {} if name is not None]
        with writing(path, (lmdb.Error, OSError)):
            self._env = lmdb.open(
                str(path),
                map_size=first_map,
                subdir=self.form.folder,
                lock=False,
                sync=False,
                metasync=False,
                max_dbs=len(names),
                lib_version=self.form.version,
            )
        self._databases: dict[str | None, Any] = {}
        for name, flags in (self.form.databases or {None: 0}).items():
            self._databases[name] = self._database(name, flags)
        self._txn: Any | None = None
        self._repeats = False
        self._order = partial(sort_key, flags=0)
        self._last: dict[str | None, bytes] = {}
        self._name: str | None = None
        self.choose(next(iter(self._databases)))

    def _database(self, name: str | None, flags: int) -> Any:
        words: dict[str, Any] = {word: True for word, bit in _FLAGS.items() if flags & bit}
        known = sum(bit for word, bit in _FLAGS.items() if word in words)
        if flags & ~known or (name is None and flags):
            self.abandon()
            called = f"database {name}" if name is not None else "unnamed database"
            raise WriteError(f"the {called} has the flags {flags:#x}, with which py-lmdb can't make one")
        with writing(self.path, (lmdb.Error, OSError)):
            return self._env.open_db(None if name is None else name.encode(), **words)

    def choose(self, name: str | None) -> None:
        """Write into the database of this name from here on."""
        self._name = name
        flags = (self.form.databases or {}).get(name, 0)
        self._repeats = bool(flags & DUP_SORT)
        self._order = partial(sort_key, flags=flags)

    def put(self, keys: BytesColumn, values: BytesColumn) -> NDArray[np.int64]:
        """See `RecordWriter.put`. Records in the order of the keys are appended, so that pages are filled."""
        need = _most_bytes(keys, values)
        with writing(self.path, (lmdb.Error, OSError)):
            self._make_room(need)
            cursor = self._transaction().cursor(self._databases[self._name])
            pairs = zip(keys, values, strict=True)
            try:
                consumed, added = cursor.putmulti(pairs, dupdata=self._repeats, overwrite=self._repeats, append=True)
            except lmdb.BadValsizeError as exc:
                raise WriteError(self._bad_size(keys)) from exc
            in_order = added == consumed
            refused = [] if in_order else list(self._insert(cursor, keys, values))
        if len(keys):
            newest = [bytes(keys[len(keys) - 1])] if in_order else map(bytes, keys)
            self._last[self._name] = max((self._last.get(self._name, b""), *newest), key=self._order)
        return np.array(refused, np.int64)

    def _insert(self, cursor: Any, keys: BytesColumn, values: BytesColumn) -> Iterator[int]:
        """Put what could not be appended where it belongs; gives the rows whose key is there already."""
        last = self._last.get(self._name)
        for row, (key, value) in enumerate(zip(map(bytes, keys), values, strict=True)):
            if self._repeats:
                if not cursor.set_key_dup(key, value):
                    cursor.put(key, value)
            elif last is not None and self._order(key) <= self._order(last):
                if not cursor.put(key, value, dupdata=False, overwrite=False):
                    yield row
            else:
                last = key

    def _bad_size(self, keys: BytesColumn) -> str:
        longest = int(keys.lengths.max()) if len(keys) else 0
        most = self._env.max_key_size()
        what = f"a key of {longest} bytes" if longest > most else "an empty key, or values of unequal length"
        return f"can't write {self.path}: LMDB takes keys of 1 to {most} bytes, and there is {what}"

    def _make_room(self, need: int) -> None:
        if self._pending + need > COMMIT_BYTES:
            self._commit()
        if self._used + self._pending + need > self._map_size:
            self._commit()
            while self._used + need > self._map_size:
                self._map_size *= 2
            self._env.set_mapsize(self._map_size)
        self._pending += need

    def _transaction(self) -> Any:
        if self._txn is None:
            self._txn = self._env.begin(write=True)
        return self._txn

    def _commit(self) -> None:
        if self._txn is not None:
            txn, self._txn = self._txn, None
            txn.commit()
            self._used = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        self._pending = 0

    def close(self) -> None:
        """See `RecordWriter.close`."""
        with writing(self.path, (lmdb.Error, OSError)):
            self._commit()
            self._env.close()
            sync_tree(self.path)

    def abandon(self) -> None:
        """See `RecordWriter.abandon`."""
        with suppress(lmdb.Error, OSError):
            if getattr(self, "_txn", None) is not None:
                self._txn.abort()  # type: ignore[union-attr]  # looked at just before
            self._env.close()


def _most_bytes(keys: BytesColumn, values: BytesColumn) -> int:
    """More bytes than the pages of some records can take: leaves half full, branches, copies of touched pages."""
    small = 2 * (keys.size_bytes + int(np.minimum(values.lengths, _PAGE).sum()) + 64 * len(keys))
    large = int((values.lengths + 2 * _PAGE)[values.lengths > _PAGE // 4].sum())
    return small + large + 64 * _PAGE
