"""What every writer of a key-value store does, and how it says that it can't."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .columns import BytesColumn
from .errors import DatascanError


class WriteError(DatascanError):
    """What was to be written could not be: the message says what, where and what to do."""


class RecordWriter(ABC):
    """Writes a new key-value store, in the order in which records are put."""

    @abstractmethod
    def put(self, keys: BytesColumn, values: BytesColumn) -> NDArray[np.int64]:
        """Write records; gives the rows that were not taken, since a record of that key is there already.

        Raises
        ------
        WriteError
            The medium takes no more, or the format does not take such a record.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what is left, bring all of it to the disk and close."""

    @abstractmethod
    def abandon(self) -> None:
        """Close without a care for what was written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            self.abandon()


@contextmanager
def writing(path: Path, errors: Sequence[type[Exception]]) -> Iterator[None]:
    """Turn a library's errors into `WriteError`."""
    try:
        yield
    except tuple(errors) as exc:
        raise WriteError(f"can't write {path}: {reason_of(exc)}") from exc


def reason_of(exc: Exception) -> str:
    """Why something can't be written, as people say it."""
    text = " ".join(str(exc).split()) or type(exc).__name__
    number = exc.errno if isinstance(exc, OSError) else None
    if number == errno.ENOSPC or "No space left" in text:
        return "no space is left on the device"
    if number == errno.EDQUOT or "quota" in text.lower():
        return "the disk quota is used up"
    if number == errno.EFBIG or "File too large" in text:
        return "the file would be larger than this process may make one"
    return text


def sync_tree(path: Path) -> None:
    """Bring a file, or a folder with all that it holds, to the disk."""
    if path.is_dir():
        for entry in sorted(path.iterdir()):
            sync_tree(entry)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
