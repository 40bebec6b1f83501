"""Small data sets for the tests of the command line, written by the formats' own libraries."""

from __future__ import annotations

from pathlib import Path

import h5py
import lmdb
import numpy as np
from tests.test_layouts.messages import Datum

RECORDS = 12
BROKEN = 7
"""The record whose payload is one byte short."""


def write_lmdb(path: Path, broken: bool = False) -> Path:
    """Raw 3x4x4 Datums under numbered keys, no two alike; labels 0..2."""
    rng = np.random.default_rng(3)
    with lmdb.open(str(path), map_size=1 << 22, lock=False) as env, env.begin(write=True) as txn:
        for index in range(RECORDS):
            data = rng.integers(0, 256, 48, np.uint8).tobytes()
            if broken and index == BROKEN:
                data = data[:-1]
            datum = Datum(channels=3, height=4, width=4, data=data, label=index % 3)
            txn.put(f"{index:08d}".encode(), datum.SerializeToString())
    return path


def write_hdf5(path: Path) -> Path:
    """``data`` (12, 3, 4, 4) float32 and ``label``; a NaN in row 5."""
    rng = np.random.default_rng(4)
    data = rng.normal(size=(RECORDS, 3, 4, 4)).astype(np.float32)
    data[5, 1, 2, 3] = np.nan
    with h5py.File(path, "w") as file:
        file["data"] = data
        file["label"] = (np.arange(RECORDS) * 5 % 3).astype(np.float32)
    return path
