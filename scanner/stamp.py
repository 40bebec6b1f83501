"""The stamp of a worker: what it is reading at this moment, readable by its parent even after its death."""

from __future__ import annotations

import mmap
import struct
import tempfile
from pathlib import Path

_FIELDS = struct.Struct("<5q")


class Stamp:
    """Five numbers in a small file that the worker and its parent both map.

    The file is one of ours in the temporary folder; nothing of a source is ever mapped.

    Attributes
    ----------
    beats
        Counts up with every stamp: while it does not, the worker makes no progress.
    start, stop
        Positions of the partition that are being read or decoded; ``stop`` is -1 while it is not known, ``start``
        is -1 while no record is touched.
    records, size_bytes
        Done so far in this call, for progress.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FIELDS.size)
        self._beats = 0

    @classmethod
    def create(cls) -> Stamp:
        """A new stamp in the temporary folder; `remove` deletes its file."""
        with tempfile.NamedTemporaryFile(prefix="datascan-", suffix=".stamp", delete=False) as file:
            file.write(_FIELDS.pack(0, -1, -1, 0, 0))
        return cls(Path(file.name))

    def write(self, start: int, stop: int, records: int = 0, size_bytes: int = 0) -> None:
        """Say what is touched next."""
        self._beats += 1
        _FIELDS.pack_into(self._map, 0, self._beats, start, stop, records, size_bytes)

    def read(self) -> tuple[int, int, int, int, int]:
        """``(beats, start, stop, records, size_bytes)``."""
        beats, start, stop, records, size_bytes = _FIELDS.unpack_from(self._map, 0)
        return beats, start, stop, records, size_bytes

    def remove(self) -> None:
        """Unmap and delete the file."""
        self._map.close()
        self.path.unlink(missing_ok=True)
