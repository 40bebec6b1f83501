"""A file that is only ever read: no lock, no access time where the system lets us leave it."""

from __future__ import annotations

import mmap
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import StoreError, StoreNotFound

_AHEAD_BYTES = 128 << 10
_PROBES = 4
_MOST_AHEAD = 64 << 20  # of one huge value the rest is read when it is its turn
_MOST_BUFFERS = 512  # Linux takes 1024 buffers a call

_LEAST_MAPPED = 1 << 20
"""Shorter ranges are copied: that is cheaper than the calls which map them."""

_POPULATE_READ = 22
"""Linux's MADV_POPULATE_READ, since 5.14: brings the pages in, and fails with EFAULT where touching them would raise
SIGBUS (madvise(2)). Python has no name for it."""

_mapping = False


@contextmanager
def mapping(allowed: bool) -> Iterator[None]:
    """Whether `ReadOnlyFile.view` may map ranges of files in this process, for as long as the context lasts.

    Only for a process whose death is survived: a file that is cut while a part of it is mapped ends it by SIGBUS. And
    only on Linux: elsewhere a mapped file can't be replaced or deleted, or damage in it can't be found out safely.
    """
    global _mapping
    before, _mapping = _mapping, allowed and sys.platform == "linux"
    try:
        yield
    finally:
        _mapping = before


def is_mapping() -> bool:
    """Whether views may be maps: what a writer overwrites in the file changes under whoever looks at them."""
    return _mapping


class MapOverwritten(Exception):
    """A writer has used pages again that were looked at meanwhile: what was seen of them counts for nothing."""


class ReadOnlyFile:
    """A regular file, read at given offsets.

    Raises
    ------
    StoreNotFound
        No such file, or it may not be read.
    StoreError
        A folder, FIFO, socket or device: opening one of these could block or have effects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._descriptor = _open(path)
        mode = os.fstat(self._descriptor).st_mode
        if not stat.S_ISREG(mode):
            self.close()
            raise StoreError(f"{path} is not a regular file but {_kind(mode)}: give the path of a data file")

    @property
    def size_bytes(self) -> int:
        """The file's size now: it may grow or shrink while it is open."""
        return os.fstat(self._descriptor).st_size

    def replaced(self) -> bool:
        """Whether the path leads to something else by now that this object can't follow (an object on a server)."""
        return False

    def check(self) -> None:
        """Raise what went wrong in reading and was lost on the way; a local file has nothing to tell."""

    def identity(self) -> dict[str, int]:
        """Inode, size and time of the last change: equal as long as nobody has written to the file."""
        return file_identity(os.fstat(self._descriptor))

    def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only at the end of the file. Raises OSError where the medium fails."""
        parts = []
        while length > 0 and (part := os.pread(self._descriptor, length, offset)):
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, target: NDArray[np.uint8], offset: int) -> int:
        """Fill a contiguous array; gives the number of bytes there were. Raises OSError where the medium fails."""
        view = memoryview(target.reshape(-1))  # type: ignore[arg-type]  # numpy's stubs know of buffers from 3.12 on
        done = 0
        while done < len(view) and (count := os.preadv(self._descriptor, [view[done:]], offset + done)):
            done += count
        return done

    def view(self, offset: int, length: int) -> NDArray[np.uint8]:
        """What stands in a range: ``(n,)`` uint8, shorter than ``length`` only at the end of the file.

        Where `mapping` allows it these are the pages of the system's own cache, which saves the copy; they can't be
        written to. What can't be read is found out here in either case. Raises OSError where the medium fails.
        """
        if _mapping and length >= _LEAST_MAPPED and self._descriptor >= 0:
            with suppress(OSError, ValueError):  # reading says what is wrong, and where
                return self._mapped(offset, length)
        content = np.empty(length, np.uint8)
        return content[: self.read_into(content, offset)]

    def _mapped(self, offset: int, length: int) -> NDArray[np.uint8]:
        before = offset % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(self._descriptor, before + length, access=mmap.ACCESS_READ, offset=offset - before)
        pages.madvise(_POPULATE_READ)
        return np.frombuffer(pages, np.uint8, length, before)

    def scatter(self, targets: Sequence[NDArray[np.uint8]], offset: int) -> int:
        """Fill arrays one after the other with what follows ``offset``; gives the number of bytes there were."""
        done = 0
        for first in range(0, len(targets), _MOST_BUFFERS):
            group = targets[first : first + _MOST_BUFFERS]
            wanted = sum(target.nbytes for target in group)
            count = os.preadv(self._descriptor, group, offset + done)  # type: ignore[arg-type]
            if count < wanted:  # a signal or the end of the file: go on one by one
                count = 0
                for target in group:
                    got = self.read_into(target, offset + done + count)
                    count += got
                    if got < target.nbytes:
                        return done + count
            done += count
        return done

    def prefetch(self, offset: int, length: int) -> None:
        """Tell the system that a range will be read soon, so that many ranges are fetched at once.

        Linux fetches no more of one range than it reads ahead by itself (`read_ahead_kb`, 128 by default): so they
        are many. What is there already costs next to nothing.
        """
        stop = offset + min(length, _MOST_AHEAD)
        if length > _PROBES * _AHEAD_BYTES and self._is_cached(offset, stop):
            return
        with suppress(OSError):  # only advice: some file systems take none
            for start in range(offset, stop, _AHEAD_BYTES):
                part = min(_AHEAD_BYTES, stop - start)
                os.posix_fadvise(self._descriptor, start, part, os.POSIX_FADV_WILLNEED)

    def _is_cached(self, start: int, stop: int) -> bool:
        """Whether a range seems to be in the system's cache: a few bytes of it can be had without waiting."""
        no_wait = getattr(os, "RWF_NOWAIT", None)
        if no_wait is None or stop <= start:
            return False
        byte = bytearray(1)
        try:
            return all(
                os.preadv(self._descriptor, [byte], start + (stop - 1 - start) * part // _PROBES, no_wait) == 1
                for part in range(_PROBES + 1)
            )
        except OSError:  # EAGAIN where it is not, or a file system that can't tell
            return False

    def close(self) -> None:
        """Close it. Twice does no harm."""
        if self._descriptor >= 0:
            self._close(self._descriptor)
            self._descriptor = -1

    _close = staticmethod(os.close)  # a name of the class: the module's are gone when the interpreter ends

    def __del__(self) -> None:
        self.close()


def file_identity(status: os.stat_result) -> dict[str, int]:
    """What tells a file, and the state that it is in, from others.

    Not the device: its number is each machine's own, and changes from mount to mount of one file system.
    """
    return {
        "inode": status.st_ino,
        "size_bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
    }


def _open(path: Path) -> int:
    # Without O_NONBLOCK opening a FIFO waits for a writer; on a regular file it means nothing.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        try:
            return os.open(path, flags | getattr(os, "O_NOATIME", 0))
        except PermissionError:  # O_NOATIME is for the file's owner only
            return os.open(path, flags)
    except FileNotFoundError as exc:
        raise StoreNotFound(f"no such file: {path}") from exc
    except PermissionError as exc:
        raise StoreNotFound(f"no permission to read {path}") from exc
    except (OSError, ValueError) as exc:
        raise StoreError(f"cannot open {path}: {exc}") from exc


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if test(mode):
            return name
    return "something else"
