"""Caffe's ``.binaryproto``: a blob of numbers, as mean files and Infogain matrices are kept.

Source: ``BlobProto`` in Caffe's ``caffe.proto``, and what ``Blob::FromProto`` makes of it.
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..layouts.wire import BYTES, FIXED32, FIXED64, VARINT, WireError, as_int32, fields, read_varint

MOST_BYTES = 1 << 30
"""Larger files are not read: a mean image of a million pixels has 12 MB."""

LEGACY_DIMS = (1, 2, 3, 4)
SHAPE, DATA, DOUBLES = 7, 5, 8
MOST_DIMS = 32


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """Numbers and their shape; the old form's ``num, channels, height, width`` are a shape too."""

    shape: tuple[int, ...]
    values: NDArray[np.float32]

    @property
    def fits(self) -> bool:
        """Whether there are numbers, as many as the shape wants; Caffe stops where there are not."""
        sound = min(self.shape, default=1) > 0
        return sound and math.prod(self.shape) == self.values.size


@dataclass(frozen=True, slots=True)
class UnreadBlob:
    """Why a file gave no blob. ``broken`` is the contents' own fault; else it could not be looked at."""

    reason: str
    broken: bool


def read_blob(path: Path) -> StoredBlob | UnreadBlob:
    """The blob that a file holds; never raises."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return UnreadBlob("not a file", broken=True)
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as exc:
        return UnreadBlob(str(exc.strerror if isinstance(exc, OSError) else exc), broken=False)
    if len(data) > MOST_BYTES:
        return UnreadBlob(f"larger than {MOST_BYTES >> 20} MB", broken=False)
    return decode_blob(data)


def decode_blob(data: bytes) -> StoredBlob | UnreadBlob:
    """The blob in these bytes; never raises."""
    view = memoryview(data)
    legacy: dict[int, int] = {}
    shape: list[int] = []
    singles: list[NDArray[np.float32]] = []
    doubles: list[NDArray[np.float64]] = []
    try:
        for number, wire_type, value, _, start, stop in fields(view):
            if number in LEGACY_DIMS and wire_type == VARINT:
                legacy[number] = as_int32(value)
            elif number == SHAPE and wire_type == BYTES:
                shape += dims_of(view, start, stop)
            elif number == DATA and wire_type == FIXED32:
                singles.append(spaced(view, start, value))
            elif number == DATA and wire_type == BYTES:
                singles.append(packed(view, start, stop, 4).view("<f4"))
            elif number == DOUBLES and wire_type == FIXED64:
                doubles.append(np.frombuffer(view, "<f8", 1, start))
            elif number == DOUBLES and wire_type == BYTES:
                doubles.append(packed(view, start, stop, 8).view("<f8"))
    except WireError as exc:
        return UnreadBlob(str(exc), broken=True)
    if len(shape) > MOST_DIMS:
        return UnreadBlob(f"a shape of {len(shape)} dimensions", broken=True)
    dims = tuple(legacy.get(number, 0) for number in LEGACY_DIMS) if legacy else tuple(shape)
    with np.errstate(over="ignore"):
        values = np.concatenate([part.astype(np.float32) for part in (doubles or singles)] or [np.empty(0, np.float32)])
    return StoredBlob(dims, values)


def spaced(view: memoryview, start: int, count: int) -> NDArray[np.float32]:
    """A run of floats with a tag of one byte before each but the first, which begins at ``start``."""
    if count == 1:
        return np.frombuffer(view, "<f4", 1, start)
    raw = np.frombuffer(view, np.uint8, count * 5 - 1, start)
    grid = np.zeros(count * 5, np.uint8)
    grid[: raw.size] = raw
    return np.ascontiguousarray(grid.reshape(count, 5)[:, :4]).view("<f4").reshape(count)


def packed(view: memoryview, start: int, stop: int, width: int) -> NDArray[np.uint8]:
    """The bytes of packed numbers.

    Raises
    ------
    WireError
        They end inside a number.
    """
    if (stop - start) % width:
        raise WireError(f"packed numbers end inside one of {width} bytes", start)
    return np.frombuffer(view, np.uint8, stop - start, start)


def dims_of(view: memoryview, start: int, stop: int) -> list[int]:
    """The dimensions of a ``BlobShape``, packed or not."""
    dims: list[int] = []
    for number, wire_type, value, _, begin, end in fields(view, start, stop):
        if number == 1 and wire_type == VARINT:
            dims.append(signed(value))
        elif number == 1 and wire_type == BYTES:
            while begin < end and len(dims) <= MOST_DIMS:
                value, begin = read_varint(view, begin, end)
                dims.append(signed(value))
    return dims


def signed(value: int) -> int:
    """A varint read as int64."""
    return value - 2**64 if value >= 2**63 else value
