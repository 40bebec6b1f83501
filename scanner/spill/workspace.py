"""Where data goes that does not fit in memory: files without a name, gone with the process however it ends."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...backends.errors import UsageError
from ...backends.magic import is_leveldb, is_lmdb

LIMIT_BYTES = 24 << 20
"""What each kind of data that grows with the records may take in memory."""


class SpillError(Exception):
    """Data that does not fit in memory found no room on disk either: what needs it can't be said."""


class Workspace:
    """A folder for temporary files, and how much is kept in memory before they are needed.

    Parameters
    ----------
    folder
        The system's folder for temporary files by default.
    limit_bytes
        Data of each kind is kept in memory up to here; `LIMIT_BYTES` by default.
    sources
        Paths in which nothing may be written.

    Raises
    ------
    UsageError
        The folder was named and can't be used.
    """

    def __init__(
        self,
        folder: str | None = None,
        limit_bytes: int | None = None,
        sources: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        self.folder = tempfile.gettempdir() if folder is None else folder
        self.limit_bytes = LIMIT_BYTES if limit_bytes is None else limit_bytes
        self.refusal = self._refusal(sources)
        if folder is not None and self.refusal is not None:
            raise UsageError(self.refusal)

    def _refusal(self, sources: Iterable[str | os.PathLike[str]]) -> str | None:
        """Why nothing can be written there."""
        real = os.path.realpath(self.folder)
        for source in sources:
            root = os.path.realpath(source)
            if real == root or real.startswith(os.path.join(root, "")):
                return f"can't keep temporary files in {self.folder}: it is in the data set {os.fspath(source)}"
        if is_lmdb(Path(real)) or is_leveldb(Path(real)):
            return f"can't keep temporary files in {self.folder}: it is a data set"
        if not os.path.isdir(real):
            return f"can't keep temporary files in {self.folder}: there is no such folder"
        if not os.access(real, os.W_OK | os.X_OK):
            return f"can't keep temporary files in {self.folder}: it may not be written to"
        return None

    def open(self) -> SpillFile:
        """A new file.

        Raises
        ------
        SpillError
            There can be none.
        """
        if self.refusal is not None:
            raise SpillError(f"{self.refusal}; name another folder with --work-dir")
        try:
            return SpillFile(_nameless(self.folder), self.folder)
        except OSError as exc:
            raise _failed(self.folder, exc) from exc


class SpillFile:
    """A file without a name that arrays are appended to, and read back from by their place."""

    def __init__(self, descriptor: int, folder: str) -> None:
        self.folder = folder
        self.size = 0
        self._descriptor = descriptor
        self.close = weakref.finalize(self, os.close, descriptor)

    def append(self, array: NDArray[np.generic]) -> int:
        """Write an array behind what is there; returns where it begins.

        Raises
        ------
        SpillError
            The disk is full, or fails.
        """
        start = self.size
        contents = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        try:
            while len(contents):
                written = os.pwrite(self._descriptor, contents, self.size)
                self.size += written
                contents = contents[written:]
        except OSError as exc:
            raise _failed(self.folder, exc) from exc
        return start

    def read(self, start: int, into: NDArray[np.generic]) -> None:
        """Fill an array with what was written from a place on.

        Raises
        ------
        SpillError
            The disk fails.
        """
        room = into.reshape(-1).view(np.uint8).data
        try:
            while len(room):
                count = os.preadv(self._descriptor, [room], start)
                if count == 0:
                    raise SpillError(f"a temporary file in {self.folder} was cut short")
                start += count
                room = room[count:]
        except OSError as exc:
            raise _failed(self.folder, exc) from exc


def _failed(folder: str, exc: OSError) -> SpillError:
    return SpillError(
        f"can't keep temporary data in {folder}: {exc.strerror}; name a folder with more room with --work-dir"
    )


def _nameless(folder: str) -> int:
    """A descriptor of a file that is in no folder, so that it is gone with the last who has it open."""
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:  # the file system has none (NFS): make one and take its name away
            pass
    descriptor, path = tempfile.mkstemp(prefix=".datascan-", dir=folder)
    os.unlink(path)
    return descriptor
