"""Arrays come back in the order they came, whether they fit in memory or not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datascan.scanner.spill import Log, SpillError, Workspace

ARRAYS: list[NDArray[Any]] = [
    np.arange(12, dtype=np.uint64).reshape(6, 2),
    np.arange(3, dtype=np.int8),
    np.empty((0, 2), np.uint64),
    np.arange(20, dtype=np.float32)[::2],
]


@pytest.mark.parametrize("limit_bytes", [0, 100, 1 << 20])
def test_arrays_come_back_as_they_were(tmp_path: Path, limit_bytes: int) -> None:
    log = Log(Workspace(str(tmp_path)), limit_bytes)
    for count in range(1, len(ARRAYS) + 1):
        log.append(ARRAYS[count - 1])
        back = list(log)
        assert len(back) == count
        for array, original in zip(back, ARRAYS, strict=False):
            assert array.dtype == original.dtype
            assert np.array_equal(array, original)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_by_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    log = Log(Workspace(str(tmp_path)), 0)
    for array in ARRAYS:
        log.append(array)
    with pytest.raises(SpillError, match="No space left"):
        list(log)
