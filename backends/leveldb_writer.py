"""Writing a LevelDB with LevelDB's own library, and compacting it."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import BytesColumn
from .errors import MissingDependency
from .writing import RecordWriter, sync_tree, writing

BATCH_BYTES = 4 << 20
_BUFFER_BYTES = 32 << 20


class LevelDbWriter(RecordWriter):
    """A new LevelDB folder. Of records with one key the first is kept.

    Raises
    ------
    MissingDependency
        plyvel is not there: it has wheels for Linux on x86-64 and Python up to 3.12 only.
    WriteError
        It can't be made here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._plyvel = load_plyvel()
        self._errors = (self._plyvel.Error, OSError)
        with writing(path, self._errors):
            self._database: Any = self._open(create_if_missing=True, error_if_exists=True)
        self._last: bytes | None = None

    def _open(self, **options: bool) -> Any:
        return self._plyvel.DB(str(self.path), write_buffer_size=_BUFFER_BYTES, **options)

    def put(self, keys: BytesColumn, values: BytesColumn) -> NDArray[np.int64]:
        """See `RecordWriter.put`."""
        refused: list[int] = []
        with writing(self.path, self._errors):
            batch, held = self._database.write_batch(), 0
            for row, (key, value) in enumerate(zip(map(bytes, keys), values, strict=True)):
                if self._last is not None and key <= self._last:
                    batch.write()
                    batch, held = self._database.write_batch(), 0
                    there = self._database.get(key)
                    if there is not None:
                        if there != value:
                            refused.append(row)
                        continue
                else:
                    self._last = key
                batch.put(key, bytes(value))
                held += len(key) + len(value)
                if held >= BATCH_BYTES:
                    batch.write()
                    batch, held = self._database.write_batch(), 0
            batch.write()
        return np.array(refused, np.int64)

    def close(self) -> None:
        """See `RecordWriter.close`: compacted, and with a log that holds nothing."""
        with writing(self.path, self._errors):
            self._database.compact_range()
            self._database.close()
            self._open().close()
            (self.path / "LOG.old").unlink(missing_ok=True)
            sync_tree(self.path)

    def abandon(self) -> None:
        """See `RecordWriter.abandon`."""
        with suppress(*self._errors):
            self._database.close()


def load_plyvel() -> Any:
    """The library.

    Raises
    ------
    MissingDependency
        It is not installed.
    """
    try:
        return import_module("plyvel")
    except ImportError as exc:
        raise MissingDependency(
            "writing LevelDB needs plyvel, which has wheels for Linux on x86-64 and Python up to 3.12: use one of "
            "these, build it (pip install plyvel, with LevelDB's headers), or write LMDB (--to lmdb)"
        ) from exc
