"""A cold start: files of which nothing is in the page cache."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

_DROP = Path("/proc/sys/vm/drop_caches")
_ENOUGH = 0.02


def evict(files: Sequence[Path]) -> bool:
    """Drop files from the page cache, by whichever way the system allows; whether they are gone."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # pages that wait to be written stay
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    if resident(files) > _ENOUGH:
        with suppress(OSError):  # of root alone
            _DROP.write_text("1")
    return resident(files) <= _ENOUGH


def resident(files: Sequence[Path]) -> float:
    """The share of some files that is in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    held = pages = 0
    for file in files:
        size = file.stat().st_size
        if not size:
            continue
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), size, prot=mmap.PROT_READ) as mapped:
            states = np.empty(-(-size // mmap.PAGESIZE), np.uint8)
            start = np.frombuffer(mapped, np.uint8).ctypes.data
            if libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), ctypes.c_void_p(states.ctypes.data)):
                return 1.0
            held += int((states & 1).sum())
            pages += len(states)
    return held / max(pages, 1)
