"""Arrays that are given back in the order they came: in memory while they fit, in a file beyond that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .workspace import SpillError, SpillFile, Workspace


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where an array lies in a file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Log:
    """Arrays in the order they came. They must not be changed once they are here.

    When they take more than ``limit_bytes``, all of them go to a file. A disk that is full is told by whoever asks
    for them, not by `append`.
    """

    def __init__(self, workspace: Workspace, limit_bytes: int) -> None:
        self.workspace = workspace
        self.limit_bytes = limit_bytes
        self._kept: list[NDArray[Any]] = []
        self._kept_bytes = 0
        self._stored: list[_Stored] = []
        self._file: SpillFile | None = None
        self._failure: SpillError | None = None

    def append(self, array: NDArray[Any]) -> None:
        """Take in an array."""
        if self._failure is None:
            self._kept.append(array)
            self._kept_bytes += array.nbytes
            if self._kept_bytes > self.limit_bytes:
                self._spill()

    def _spill(self) -> None:
        """Write what is in memory."""
        try:
            if self._file is None:
                self._file = self.workspace.open()
            for array in self._kept:
                self._stored.append(_Stored(self._file.append(array), array.shape, array.dtype))
        except SpillError as exc:
            self._failure = exc
            self._stored, self._file = [], None
        self._kept.clear()
        self._kept_bytes = 0

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """All of them. May be asked again, and appended to.

        Raises
        ------
        SpillError
            There was no room for them.
        """
        if self._failure is not None:
            raise self._failure
        for stored in self._stored:
            assert self._file is not None
            array = np.empty(stored.shape, stored.dtype)
            self._file.read(stored.start, array)
            yield array
        yield from self._kept
