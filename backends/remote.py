"""Stores on a server: objects read in ranges, through fsspec.

Nothing here is about a format. A path with a scheme (``s3://bucket/train.h5``) becomes a `RemotePath`, and reading one
of its files a `RemoteFile`, which has the methods of `ReadOnlyFile`: blocks are fetched ahead of a reader that goes
straight on, and the last ones are kept. What the network does wrong is an error (`StoreError`), never damage.
"""

from __future__ import annotations

import time
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingDependency, StoreError, StoreNotFound, UsageError
from .files import ReadOnlyFile, file_identity

BLOCK_BYTES = 4 << 20
"""A request for so much takes the server longer than the way there and back."""

AHEAD = 4
"""Blocks that are under way at once for a reader that goes straight on."""

KEPT = 12
"""Blocks that are kept, those under way among them."""

_TRIES = 3
_PATIENCE_S = 18.0
"""Seconds that a request may take: all tries together take less than a worker's time-out."""

_STATE = ("ETag", "etag", "VersionId", "version", "generation", "LastModified", "last_modified", "mtime", "modified")
"""What servers call the state of an object."""


@dataclass(frozen=True)
class RemotePath:
    """An address, with the few methods of `pathlib.Path` that stores ask for.

    Raises
    ------
    MissingDependency
        fsspec, or the library that it needs for the scheme, is not installed.
    UsageError
        A scheme that fsspec does not know, or a chain of them (``simplecache::s3://``).
    """

    url: str
    _info: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rstrip("/").rpartition("/")[2]

    @cached_property
    def _located(self) -> tuple[Any, str]:
        if "::" in self.url:
            raise UsageError(f"{self.url}: chained addresses are not read; name the data set itself")
        try:
            from fsspec.core import url_to_fs

            system, key = url_to_fs(self.url)
        except ImportError as exc:
            missing = f"{exc}".replace("\n", " ")
            raise MissingDependency(f"{self.url} can't be read: {missing}: pip install 'datascan[remote]'") from exc
        except ValueError as exc:
            raise UsageError(f"{self.url}: {exc}; s3://, https:// and the like are read") from exc
        return system, key

    def info(self, fresh: bool = False) -> dict[str, Any]:
        """What the server says of the object: ``size``, ``type`` (``file``, ``directory``) and more.

        Raises
        ------
        StoreNotFound
            There is no such object.
        StoreError
            The server does not answer.
        """
        if fresh or not self._info:
            system, key = self._located
            if fresh:
                system.invalidate_cache()
            found = _asked(f"{self.url} can't be looked at", lambda: system.info(key))
            self._info.clear()
            self._info.update(found)
        return self._info

    def is_dir(self) -> bool:
        """Whether there is anything below it; an address without an object of its own is none."""
        try:
            return bool(self.info().get("type") == "directory") or self.url.endswith("/")
        except StoreNotFound:
            return False

    def listing(self, fresh: bool = False) -> list[tuple[str, int]]:
        """Names and sizes of the objects directly below it; nothing where the server does not list."""
        system, key = self._located
        if fresh:
            system.invalidate_cache()
        entries = _asked(f"{self.url} can't be listed", lambda: system.ls(key.rstrip("/"), detail=True))
        files = (entry for entry in entries if entry.get("type") == "file")
        return sorted((entry["name"].rstrip("/").rpartition("/")[2], int(entry.get("size") or 0)) for entry in files)

    def range(self, start: int, stop: int) -> bytes:
        """Some bytes of the object. Raises whatever fsspec does."""
        system, key = self._located
        found: bytes = system.cat_file(key, start=start, end=stop)
        return found


class RemoteFile(ReadOnlyFile):
    """An object, read in ranges.

    Raises
    ------
    StoreNotFound
        No such object.
    StoreError
        The server does not answer, or does not tell the object's size.
    """

    def __init__(self, path: RemotePath) -> None:
        self._descriptor = -1
        self.remote = path
        self.failure: StoreError | None = None
        info = path.info()
        if info.get("size") is None:
            raise StoreError(f"the server does not tell the size of {path}: copy it, or give --cache-dir")
        self._size = int(info["size"])
        self._state = identity_of(info)
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None
        self._next = -1

    @property
    def size_bytes(self) -> int:
        """See `ReadOnlyFile.size_bytes`."""
        return self._size

    def identity(self) -> dict[str, int]:
        """See `ReadOnlyFile.identity`; the server's word for the object's state stands for inode and time."""
        return dict(self._state)

    def replaced(self) -> bool:
        """See `ReadOnlyFile.replaced`."""
        try:
            return identity_of(self.remote.info(fresh=True)) != self._state
        except StoreNotFound:
            return True

    def read(self, offset: int, length: int) -> bytes:
        """See `ReadOnlyFile.read`."""
        target = np.empty(max(min(length, self._size - offset), 0), np.uint8)
        return target[: self.read_into(target, offset)].tobytes()

    def read_into(self, target: NDArray[np.uint8], offset: int) -> int:
        """See `ReadOnlyFile.read_into`. Raises `StoreError` where the server fails."""
        wanted = max(min(target.nbytes, self._size - offset), 0)
        out = target.reshape(-1).view(np.uint8)
        done = 0
        while done < wanted:
            number, start = divmod(offset + done, BLOCK_BYTES)
            last = (offset + wanted - 1) // BLOCK_BYTES
            block = self._block(number, last)
            count = min(len(block) - start, wanted - done)
            out[done : done + count] = np.frombuffer(block, np.uint8, count, start)
            done += count
        return done

    def scatter(self, targets: Sequence[NDArray[np.uint8]], offset: int) -> int:
        """See `ReadOnlyFile.scatter`."""
        done = 0
        for target in targets:
            got = self.read_into(target, offset + done)
            done += got
            if got < target.nbytes:
                break
        return done

    def prefetch(self, offset: int, length: int) -> None:
        """See `ReadOnlyFile.prefetch`; no more than `AHEAD` blocks are under way."""
        for number in range(offset // BLOCK_BYTES, (offset + max(length, 1) - 1) // BLOCK_BYTES + 1):
            if sum(not future.done() for future in self._blocks.values()) >= AHEAD:
                return
            self._ask(number)

    def check(self) -> None:
        """Raise what the server did wrong in a read whose error was lost on the way (a library between us)."""
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """See `ReadOnlyFile.close`."""
        getattr(self, "_blocks", {}).clear()
        pool, self._pool = getattr(self, "_pool", None), None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    # ---- blocks ----

    def _block(self, number: int, last: int) -> bytes:
        """A block, and those behind it on their way: up to ``last``, and further for whoever goes straight on."""
        reach = max(last, number + AHEAD if number == self._next else number)
        self._ask(number)
        self._blocks.move_to_end(number)
        future = self._blocks[number]
        for ahead in range(number + 1, min(reach, number + AHEAD) + 1):
            self._ask(ahead)
        self._next = number + 1
        wanted = min(BLOCK_BYTES, self._size - number * BLOCK_BYTES)
        try:
            block = self._waited(number, future)
        except StoreError as exc:
            self.failure = exc
            raise
        if len(block) != wanted:
            self.failure = StoreError(
                f"the server of {self.remote} gave {len(block):,} bytes where {wanted:,} were asked for: it does not "
                "serve ranges, or the object was replaced; copy it, or give --cache-dir"
            )
            raise self.failure
        return block

    def _ask(self, number: int) -> None:
        if number in self._blocks or number * BLOCK_BYTES >= self._size:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(AHEAD + 1, thread_name_prefix="datascan-ranges")
        start = number * BLOCK_BYTES
        self._blocks[number] = self._pool.submit(self.remote.range, start, min(start + BLOCK_BYTES, self._size))
        while len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)[1].cancel()

    def _waited(self, number: int, future: Future[bytes]) -> bytes:
        reason = ""
        for attempt in range(_TRIES):
            try:
                return future.result(_PATIENCE_S)
            except Exception as exc:  # whatever the library of the scheme raises
                reason = _described(exc)
                self._blocks.pop(number, None)
                time.sleep(0.2 * attempt)
                self._ask(number)
                future = self._blocks[number]
        raise StoreError(f"{self.remote} could not be read at byte {number * BLOCK_BYTES:,}: {reason}")


def identity_of(info: dict[str, Any]) -> dict[str, int]:
    """What tells the state of an object from others, as `file_identity` does it for a file."""
    state = "|".join(str(info[name]) for name in _STATE if info.get(name) is not None)
    return {"inode": 0, "size_bytes": int(info.get("size") or 0), "modified_ns": zlib.crc32(state.encode())}


def current_identity(path: Path | RemotePath) -> dict[str, int]:
    """What is there now under the path of a file that was opened. Raises OSError, or as `RemotePath.info`."""
    if isinstance(path, RemotePath):
        return identity_of(path.info(fresh=True))
    return file_identity(path.stat())


def open_data(path: Path | RemotePath) -> ReadOnlyFile:
    """A file of a store, wherever it is."""
    return RemoteFile(path) if isinstance(path, RemotePath) else ReadOnlyFile(path)


def _asked(what: str, question: Any) -> Any:
    reason = ""
    for attempt in range(_TRIES):
        try:
            return question()
        except FileNotFoundError as exc:
            raise StoreNotFound(f"{what}: there is no such object") from exc
        except PermissionError as exc:
            raise StoreNotFound(f"{what}: {_described(exc)}") from exc
        except Exception as exc:  # whatever the library of the scheme raises
            reason = _described(exc)
            time.sleep(0.2 * attempt)
    raise StoreError(f"{what}: {reason}")


def _described(exc: BaseException) -> str:
    return " ".join(f"{exc}".split()) or type(exc).__name__
