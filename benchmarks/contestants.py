"""What datascan is measured against: the script that a user would write, the floors, and other tools.

Each is a function of a path that gives how many records it read and how many it found bad; a run of one is a fresh
process, ``python -m benchmarks.contestants NAME STORE PATH``, that prints the two numbers. The scripts do the same
work as datascan as far as such scripts go: sizes, finite values, statistics by channel, labels, a content hash.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

Outcome = tuple[int, int]

_READ_BYTES = 1 << 20


def values(store: str, path: str) -> Iterator[bytes]:
    """The values of a key-value store, by its own library."""
    if store == "lmdb":
        import lmdb

        with lmdb.open(path, readonly=True, lock=False) as environment, environment.begin() as transaction:
            for _, value in transaction.cursor():
                yield value
    else:
        import plyvel

        with plyvel.DB(path) as db:
            for _, value in db.iterator(verify_checksums=True):
                yield value


# ---- the script that a user would write ----


def naive_raw(store: str, path: str) -> Outcome:
    """protobuf, a numpy array a record, its statistics by channel, a hash."""
    import numpy as np
    import xxhash

    from .datum import Datum

    seen, labels, records, bad = set(), Counter[int](), 0, 0
    figures = []
    for value in values(store, path):
        records += 1
        datum = Datum.FromString(value)
        labels[datum.label] += 1
        if len(datum.data) != datum.channels * datum.height * datum.width:
            bad += 1
            continue
        image = np.frombuffer(datum.data, np.uint8).reshape(datum.channels, datum.height, datum.width)
        figures.append([figure(image, axis=(1, 2)) for figure in (np.min, np.max, np.mean, np.std)])
        seen.add(xxhash.xxh3_128_digest(datum.data))
    return records, bad


def naive_floats(store: str, path: str) -> Outcome:
    """protobuf, ``np.array(float_data)``, finite or not, statistics by channel, a hash."""
    import numpy as np
    import xxhash

    from .datum import Datum

    seen, labels, records, bad = set(), Counter[int](), 0, 0
    figures = []
    for value in values(store, path):
        records += 1
        datum = Datum.FromString(value)
        labels[datum.label] += 1
        image = np.array(datum.float_data, np.float32).reshape(datum.channels, datum.height, datum.width)
        seen.add(xxhash.xxh3_128_digest(image.tobytes()))
        if not np.isfinite(image).all():
            bad += 1
            continue
        figures.append([figure(image, axis=(1, 2)) for figure in (np.min, np.max, np.mean, np.std)])
    return records, bad


def naive_images(store: str, path: str) -> Outcome:
    """protobuf, Pillow's ``load()``, a hash."""
    return _pillow(store, path, statistics=False)


def naive_image_statistics(store: str, path: str) -> Outcome:
    """The same and the statistics of every image by channel."""
    return _pillow(store, path, statistics=True)


def _pillow(store: str, path: str, *, statistics: bool) -> Outcome:
    import numpy as np
    import xxhash
    from PIL import Image

    from .datum import Datum

    seen, labels, records, bad = set(), Counter[int](), 0, 0
    figures = []
    for value in values(store, path):
        records += 1
        datum = Datum.FromString(value)
        labels[datum.label] += 1
        seen.add(xxhash.xxh3_128_digest(datum.data))
        try:
            picture = Image.open(BytesIO(datum.data))
            picture.load()
        except (OSError, SyntaxError):
            bad += 1
            continue
        if statistics:
            image = np.asarray(picture.convert("RGB"))
            figures.append([figure(image, axis=(0, 1)) for figure in (np.min, np.max, np.mean, np.std)])
            bad += bool((figures[-1][0] == figures[-1][1]).all())
    return records, bad


def naive_hdf5(store: str, path: str) -> Outcome:
    """h5py in slices, finite or not, statistics, a hash of each sample; short rows are hashed by the slice."""
    import h5py
    import numpy as np
    import xxhash

    seen, figures, bad = set(), [], 0
    with h5py.File(path, "r") as file:
        data, labels = file["data"], file["label"][:]
        Counter(labels.tolist())
        step = 64 if data.ndim > 2 else 16384
        for start in range(0, len(data), step):
            block = data[start : start + step]
            finite = np.isfinite(block).all(axis=tuple(range(1, block.ndim)))
            bad += int((~finite).sum())
            axes = (0, 2, 3) if block.ndim == 4 else 0
            figures.append([figure(block, axis=axes) for figure in (np.min, np.max, np.mean, np.std)])
            for sample in block if data.ndim > 2 else [block]:
                seen.add(xxhash.xxh3_128_digest(sample))
        return len(data), bad


# ---- floors ----


def read_file(store: str, path: str) -> Outcome:
    """Every byte of the files once, as ``cat`` reads them."""
    buffer = bytearray(_READ_BYTES)
    root = Path(path)
    for file in sorted(root.iterdir()) if root.is_dir() else [root]:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass
    return 0, 0


def iterate(store: str, path: str) -> Outcome:
    """plyvel, merely iterating with ``verify_checksums=True``."""
    return sum(1 for _ in values(store, path)), 0


def h5py_read(store: str, path: str) -> Outcome:
    """h5py, merely reading slices into one buffer."""
    import h5py
    import numpy as np

    with h5py.File(path, "r") as file:
        data = file["data"]
        buffer = np.empty((64, *data.shape[1:]), data.dtype)
        for start in range(0, len(data) - 63, 64):
            data.read_direct(buffer, np.s_[start : start + 64])
        return len(data), 0


def inflate(store: str, path: str) -> Outcome:
    """libdeflate over the stored chunks and nothing else."""
    import deflate
    import h5py

    places: list[tuple[int, int]] = []
    with h5py.File(path, "r") as file:
        data = file["data"]
        data.id.chunk_iter(lambda info: places.append((info.byte_offset, info.size)))
        size = data.dtype.itemsize
        for length in data.chunks:
            size *= length
        records = len(data)
    descriptor = os.open(path, os.O_RDONLY)
    for offset, stored in places:
        deflate.zlib_decompress(os.pread(descriptor, stored, offset), size)
    os.close(descriptor)
    return records, 0


def entropy_decode(store: str, path: str) -> Outcome:
    """libjpeg-turbo's entropy decoding of every JPEG and nothing else (a transform without output)."""
    from .datum import Datum

    turbo = turbojpeg()
    if turbo is None:
        raise SystemExit("libturbojpeg is not installed")

    class Transform(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_int) for name in ("x", "y", "w", "h", "op", "options")),
            ("data", ctypes.c_void_p),
            ("filter", ctypes.c_void_p),
        ]

    turbo.tjInitTransform.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(turbo.tjInitTransform())
    no_output = 16
    transform = Transform(options=no_output)
    target, size = ctypes.c_void_p(), ctypes.c_ulong()
    records = bad = 0
    for value in values(store, path):
        image: bytes = Datum.FromString(value).data
        records += 1
        arguments = (ctypes.c_ulong(len(image)), 1, ctypes.byref(target), ctypes.byref(size), ctypes.byref(transform))
        bad += turbo.tjTransform(handle, image, *arguments, 0) != 0
    return records, bad


def turbojpeg() -> Any | None:
    """libjpeg-turbo by its own interface, where it is installed."""
    name = ctypes.util.find_library("turbojpeg")
    return ctypes.CDLL(name) if name else None


NAMES: dict[str, Callable[[str, str], Outcome]] = {
    "naive_raw": naive_raw,
    "naive_floats": naive_floats,
    "naive_images": naive_images,
    "naive_hdf5": naive_hdf5,
    "naive_image_statistics": naive_image_statistics,
    "read_file": read_file,
    "iterate": iterate,
    "h5py_read": h5py_read,
    "inflate": inflate,
    "entropy_decode": entropy_decode,
}


if __name__ == "__main__":
    count, found = NAMES[sys.argv[1]](sys.argv[2], sys.argv[3])
    print(json.dumps({"records": count, "bad": found}))
