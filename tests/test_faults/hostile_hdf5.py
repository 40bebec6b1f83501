"""HDF5 files whose metadata says what it should not: sizes, addresses, counts and types at random in real files."""

from __future__ import annotations

import random
from pathlib import Path

import h5py
import numpy as np

SEEDS = tuple(range(60))

_EVIL = (0, 1, 2, 0x7F, 0x80, 0xFF)


def make(folder: Path, seed: int) -> Path:
    """One file with some fields of its metadata overwritten; the data itself stays as it is."""
    rng = random.Random(seed)
    path = folder / "train.h5"
    with h5py.File(path, "w", libver=("earliest", "latest")[seed % 2]) as file:
        file.create_dataset("data", data=np.arange(600.0).reshape(60, 10), chunks=(10, 10), compression="gzip")
        file["label"] = np.arange(60) % 5
        file["group/deep/text"] = np.array([b"a", b"bc"], h5py.string_dtype())
        file["group/table"] = np.zeros(4, [("x", "f4"), ("y", "i2", (2,))])
        file["kind"] = np.array([0, 1], h5py.enum_dtype({"A": 0, "B": 1}))
        file["soft"] = h5py.SoftLink("/group/deep")
        file["label"].attrs["note"] = "a note"
    content = bytearray(path.read_bytes())
    marks = [content.find(mark) for mark in (b"TREE", b"HEAP", b"SNOD", b"OHDR", b"FRHP", b"BTHD", b"GCOL", b"OCHK")]
    for _ in range(rng.choice((1, 2, 4, 8))):
        start = rng.choice([mark for mark in marks if mark >= 0] + [16, rng.randrange(len(content) - 600)])
        at = min(start + rng.randrange(512), len(content) - 8)
        width = rng.choice((1, 2, 4, 8))
        content[at : at + width] = bytes([rng.choice(_EVIL)]) * width
    path.write_bytes(content)
    return path
