"""Opening an HDF5 file so that nothing is locked or changed, and so that what is left of a cut file can be read."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .base import Damage
from .files import ReadOnlyFile
from .hdf5_library import LIBRARY_ERRORS, h5py, one_line
from .hdf5_superblock import Superblock, read_superblock
from .remote import RemotePath, open_data


class OverlayFile(io.RawIOBase):
    """A read-only file of the size that its superblock tells, which fails where the real one has ended.

    HDF5 refuses a file that is shorter than it should be. Here every part that is still there can be read; the
    library meets the lost ones one by one. They raise: zeros in their place would be taken for data.
    """

    def __init__(self, data: ReadOnlyFile, size_bytes: int) -> None:
        super().__init__()
        self._data = data
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        """See `io.IOBase.readable`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase.seekable`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`; raises `OSError` past the end of the real file."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size_bytes - self._position))
        if not wanted:
            return 0
        got = self._data.read_into(np.frombuffer(view[:wanted], np.uint8), self._position)
        if got < wanted:
            raise OSError("past the end of the file")
        self._position += wanted
        return wanted


@dataclass(slots=True)
class OpenedFile:
    """An HDF5 file under inspection; ``file`` is ``None`` where the library refuses it.

    ``size_bytes`` and ``modified_ns`` are those of the moment of opening.
    """

    path: Path | RemotePath
    data: ReadOnlyFile
    size_bytes: int
    modified_ns: int
    superblock: Superblock | None
    file: Any | None = None
    damages: list[Damage] = field(default_factory=list)

    @property
    def truncated(self) -> bool:
        """Whether the file ends before its superblock says."""
        return self.superblock is not None and (self.superblock.stored_end or 0) > self.size_bytes

    def close(self) -> None:
        """Close the library's handle and ours; twice does no harm."""
        if self.file is not None:
            self.file.close()
            self.file = None
        self.data.close()


def open_file(path: Path | RemotePath) -> OpenedFile:
    """Open a file for reading; what is wrong with it as a whole is in ``damages``.

    Raises
    ------
    StoreError
        No such file, no permission, or not a regular file; a server that does not answer.
    """
    data = open_data(path)
    state = data.identity()
    opened = OpenedFile(path, data, state["size_bytes"], state["modified_ns"], read_superblock(data))
    superblock = opened.superblock
    if superblock is None:
        opened.damages.append(Damage("unreadable", "the file has no HDF5 signature", offset=0))
        return opened
    _note_state(opened, superblock)
    _open_library(opened, superblock)
    return opened


def _note_state(opened: OpenedFile, superblock: Superblock) -> None:
    if opened.truncated:
        end = superblock.stored_end or 0
        opened.damages.append(
            Damage(
                "truncated",
                f"the file ends at byte {opened.size_bytes:,}, but its superblock says {end:,}: "
                f"{end - opened.size_bytes:,} bytes are missing",
                offset=opened.size_bytes,
                data={"size_bytes": opened.size_bytes, "stored_size_bytes": end},
            )
        )
    if superblock.open_flags:
        swmr = " in SWMR mode" if superblock.open_flags & 4 else ""
        opened.damages.append(
            Damage(
                "in-use",
                f"the file is marked as open for writing{swmr}: a writer is active, or was killed "
                "(then `h5clear -s FILE` removes the mark)",
                offset=superblock.offset + 11,
                data={"flags": superblock.open_flags},
            )
        )


def _open_library(opened: OpenedFile, superblock: Superblock) -> None:
    """Open it with the library: by path and without locks where the file is sound, else by the overlay."""
    failure: BaseException | None = None
    if isinstance(opened.path, Path) and not opened.truncated and not superblock.open_flags and not _locks_forced():
        try:
            opened.file = h5py.File(os.fspath(opened.path), "r", locking=False)
            return
        except LIBRARY_ERRORS as exc:
            failure = exc
    overlay = OverlayFile(opened.data, max(opened.size_bytes, superblock.stored_end or 0))
    try:
        opened.file = h5py.File(overlay, "r")
    except LIBRARY_ERRORS as exc:
        reason = one_line(failure or exc)
        opened.damages.append(Damage("unreadable", f"HDF5 can't open the file: {reason}", offset=superblock.offset))


def _locks_forced() -> bool:
    """Whether the environment overrules ``locking=False``: the library asks it first."""
    return os.environ.get("HDF5_USE_FILE_LOCKING", "FALSE").upper() not in ("FALSE", "0")
