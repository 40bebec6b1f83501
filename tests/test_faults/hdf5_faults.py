"""Faults of HDF5 files, made in files that HDF5 wrote."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from tests.test_faults.datums import CLASSES, jpegs
from tests.test_faults.faults import Made, cut, expanding_to_gibibyte, flip, registry

HDF5_FAULTS, fault = registry()

ROWS, HEIGHT = 60, 10
"""Rows of the sets, and rows of one chunk of their data."""


def samples() -> NDArray[np.float32]:
    return np.random.default_rng(4).normal(0, 1, (ROWS, 3, 8, 8)).astype(np.float32)


def labels() -> NDArray[np.float32]:
    return np.random.default_rng(5).permutation(np.arange(ROWS) % CLASSES).astype(np.float32)


def written(folder: Path, libver: str = "earliest", **storage: Any) -> Path:
    """``label``, and ``data`` as the storage says."""
    path = folder / "train.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["label"] = labels()
        file.create_dataset("data", data=samples(), **storage)
    return path


def chunked(folder: Path, libver: str = "earliest", **storage: Any) -> Path:
    return written(folder, libver, chunks=(HEIGHT, 3, 8, 8), **storage)


def chunk(path: Path, number: int) -> tuple[int, int]:
    """Where a chunk of the data stands in the file, and how long it is."""
    with h5py.File(path, "r", locking=False) as file:
        info = file["data"].id.get_chunk_info(number)
    return int(info.byte_offset), int(info.size)


def without_chunk(path: Path, number: int) -> Made:
    rows = [number * HEIGHT, (number + 1) * HEIGHT]
    place = {"index": rows[0], "dataset": "/data", "offset": chunk(path, number)[0]}
    return Made(path, ROWS, ROWS - HEIGHT, place, {"rows": rows, "chunk": [rows[0], 0, 0, 0]})


def whole(path: Path, count: int = ROWS) -> Made:
    """Nothing is lost."""
    return Made(path, count, count)


# ---- cut files ----


@fault(29, "cut by one byte", {"store-truncated": 2}, "1 bytes are missing")
def h5_truncated_1_byte(folder: Path) -> Made:
    path = chunked(folder, compression="gzip")
    size = path.stat().st_size
    last = max(range(ROWS // HEIGHT), key=lambda number: chunk(path, number)[0])
    assert sum(chunk(path, last)) == size
    made = without_chunk(path, last)
    cut(path, size - 1)
    return Made(path, ROWS, ROWS - HEIGHT, made.where, made.data)


@fault(29, "cut in half", {"store-truncated": 5}, "bytes are missing", "lies past the end of the file")
def h5_truncated_half(folder: Path) -> Made:
    path = chunked(folder, "latest", compression="gzip")
    size = path.stat().st_size // 2
    there = sum(sum(chunk(path, number)) <= size for number in range(ROWS // HEIGHT))
    cut(path, size)
    return Made(path, ROWS, there * HEIGHT, {"dataset": "/data", "index": there * HEIGHT})


@fault(29, "unchunked data, cut in half", {"store-truncated": 2}, "bytes are missing")
def h5_truncated_contiguous(folder: Path) -> Made:
    path = written(folder)
    with h5py.File(path, "r", locking=False) as file:
        start = file["data"].id.get_offset()
    size = path.stat().st_size // 2
    there = (size - start) // samples()[0].nbytes
    cut(path, size)
    return Made(path, ROWS, there, {"dataset": "/data", "index": there})


# ---- damaged inside ----


@fault(
    30,
    "a sector of 512 bytes zeroed in the heap of JPEGs of varying length",
    {"store-damaged": 1, "image-truncated": 1},
    "heap collection",
)
def h5_vlen_sector_zeroed(folder: Path) -> Made:
    path = folder / "train.h5"
    images = jpegs(ROWS)
    with h5py.File(path, "w") as file:
        file["labels"] = labels()
        stored = file.create_dataset("images", (ROWS,), h5py.vlen_dtype(np.uint8))
        for i, image in enumerate(images):
            stored[i] = np.frombuffer(image, np.uint8)
    content = bytearray(path.read_bytes())
    # Behind a hole the collection's objects can't be told apart any more: those from there to its end are lost.
    at = content.index(images[30]) // 512 * 512
    heap = content.rindex(b"GCOL", 0, at)
    stop = heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
    starts = [content.index(image) for image in images]
    content[at : at + 512] = bytes(512)
    path.write_bytes(content)
    lost = [i for i, start in enumerate(starts) if at < start < stop]
    # The sector begins within the image before: that one can be read, and shows its damage when it is decoded.
    return Made(path, ROWS, ROWS - len(lost), {"index": lost[0], "dataset": "/images", "offset": heap})


@fault(31, "the chunk index of data with Fletcher-32 zeroed", "store-damaged", "chunk index is damaged")
def h5_fletcher_index_zeroed(folder: Path) -> Made:
    path = chunked(folder, fletcher32=True)
    content = bytearray(path.read_bytes())
    # The tree whose node type is 1 is that of the chunks; type 0 is a group's.
    at = next(i for i in range(len(content)) if content[i : i + 5] == b"TREE\x01")
    content[at : at + 512] = bytes(512)
    path.write_bytes(content)
    return Made(path, ROWS, 0, {"dataset": "/data"})


@fault(32, "2 of 6 chunks never written", "store-damaged", "2 of 2 chunks were never written")
def h5_chunk_missing(folder: Path) -> Made:
    path = folder / "train.h5"
    with h5py.File(path, "w") as file:
        file["label"] = labels()
        data = file.create_dataset("data", (ROWS, 3, 8, 8), "f4", chunks=(HEIGHT, 3, 8, 8))
        data[:20] = samples()[:20]
        data[40:] = samples()[40:]
    return Made(path, ROWS, 40, {"index": 20, "dataset": "/data"}, {"rows": [20, 40]})


@fault(33, "16 bytes of a gzip chunk turned over", "store-damaged", "chunk (20, 0, 0, 0) can't be read")
def h5_gzip_chunk_flip(folder: Path) -> Made:
    path = chunked(folder, compression="gzip")
    start, size = chunk(path, 2)
    flip(path, start + size // 2, 16)
    return without_chunk(path, 2)


@fault(33, "one byte of a chunk with Fletcher-32 turned over", "store-damaged", "Fletcher-32 checksum")
def h5_fletcher_chunk_flip(folder: Path) -> Made:
    path = chunked(folder, fletcher32=True)
    start, size = chunk(path, 2)
    flip(path, start + size // 2)
    return without_chunk(path, 2)


NO_CHECKSUM = (
    "without a filter HDF5 keeps no checksum, and any four bytes are a number: only a hash that an earlier scan "
    "recorded could tell (`fletcher32=True` when writing makes it visible)"
)


def flip_mantissa(path: Path, value: int) -> Made:
    """Turn over the lowest byte of a number: it stays an ordinary one."""
    at = path.read_bytes().index(samples().reshape(-1)[value : value + 50].tobytes())
    flip(path, at)
    return whole(path)


@fault(33, "one byte of unchunked numbers turned over", unseen=NO_CHECKSUM)
def h5_contiguous_flip(folder: Path) -> Made:
    return flip_mantissa(written(folder), 5000)


@fault(33, "one byte of a chunk without filters turned over", unseen="as for unchunked numbers")
def h5_unfiltered_chunk_flip(folder: Path) -> Made:
    return flip_mantissa(chunked(folder), 5000)


@fault(
    34,
    "a filter of number 999, which no library has",
    exit_code=3,
    remark="no damage: `coverage.not_run` names dataset, filter and, if known, how to get it. Labels are read",
)
def h5_filter_missing(folder: Path) -> Made:
    path = chunked(folder, compression="gzip")
    content = bytearray(path.read_bytes())
    at = content.index(b"deflate")
    assert content[at - 8 : at - 6] == b"\x01\0"
    content[at - 8 : at - 6] = (999).to_bytes(2, "little")
    path.write_bytes(content)
    return Made(path, ROWS, ROWS, lost=0)


# ---- what leads out of the file ----


def with_label(folder: Path) -> Any:
    file = h5py.File(folder / "train.h5", "w", libver="latest")
    file["label"] = labels()
    return file


@fault(35, "raw data in another file: `/etc/passwd`", "store-external-reference", "not read")
def h5_external_raw(folder: Path) -> Made:
    with with_label(folder) as file:
        file["data"] = samples()
        file.create_dataset("extra", (10,), "u1", external=[("/etc/passwd", 0, 10)])
    return Made(folder / "train.h5", ROWS, ROWS, {"dataset": "/extra"}, {"target": "/etc/passwd"})


@fault(35, "a link to another file", "store-external-reference", "not followed")
def h5_external_link(folder: Path) -> Made:
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.arange(9.0)
    with with_label(folder) as file:
        file["data"] = samples()
        file["extra"] = h5py.ExternalLink("other.h5", "/x")
    return Made(folder / "train.h5", ROWS, ROWS, {"dataset": "/extra"}, {"target": "other.h5:/x"})


@fault(35, "a link to a FIFO and raw data in one, on which the library waits for ever", {"store-external-reference": 2})
def h5_external_fifo(folder: Path) -> Made:
    os.mkfifo(folder / "fifo")
    with with_label(folder) as file:
        file["data"] = samples()
        file["extra"] = h5py.ExternalLink("fifo", "/x")
        file.create_dataset("raw", (10,), "u1", external=[(str(folder / "fifo"), 0, 10)])
    return Made(folder / "train.h5", ROWS, ROWS, {"dataset": "/extra"}, {"target": "fifo:/x"})


@fault(
    36, "a virtual dataset of a file that does not exist", "store-external-reference", "a virtual dataset", "gone.h5"
)
def h5_vds_missing_source(folder: Path) -> Made:
    layout = h5py.VirtualLayout((ROWS,), "f4")
    layout[:] = h5py.VirtualSource("gone.h5", "x", (ROWS,))
    with with_label(folder) as file:
        file["data"] = samples()
        file.create_virtual_dataset("extra", layout, fillvalue=-1)
    return Made(folder / "train.h5", ROWS, ROWS, {"dataset": "/extra"}, {"target": "gone.h5"})


@fault(
    36,
    "a virtual dataset of a dataset of the same file that does not exist",
    "store-damaged",
    "which this file does not have",
)
def h5_vds_missing_inside(folder: Path) -> Made:
    layout = h5py.VirtualLayout((ROWS,), "f4")
    layout[:] = h5py.VirtualSource(".", "gone", (ROWS,))
    with with_label(folder) as file:
        file["data"] = samples()
        file.create_virtual_dataset("extra", layout, fillvalue=-1)
    return Made(folder / "train.h5", ROWS, ROWS, {"dataset": "/extra"}, {"target": "gone"})


# ---- absurd sizes ----


@fault(37, "1 PiB declared, one chunk stored", {"store-damaged": 1, "label-missing": 1}, "were never written")
def h5_petabyte(folder: Path) -> Made:
    rows = 1 << 40
    with h5py.File(folder / "train.h5", "w") as file:
        data = file.create_dataset("data", (rows, 256), "f4", chunks=(HEIGHT, 256))
        data[:HEIGHT] = np.random.default_rng(1).normal(size=(HEIGHT, 256))
    return Made(folder / "train.h5", rows, HEIGHT, {"index": HEIGHT, "dataset": "/data"}, {"rows": [HEIGHT, rows]})


@fault(37, "a chunk of 1 MiB that inflates to 1 GiB", "store-damaged", "longer than the chunk")
def h5_inflating_chunk(folder: Path) -> Made:
    path = chunked(folder, compression="gzip")
    packed, checksum = expanding_to_gibibyte(zlib.adler32)
    bomb = b"x\x9c" + packed + checksum.to_bytes(4, "big")
    with h5py.File(path, "r+") as file:
        file["data"].id.write_direct_chunk((20, 0, 0, 0), bomb)
    return without_chunk(path, 2)


@fault(37, "one chunk of 4 GiB declared", "store-damaged", "refused, the limit is")
def h5_chunk_bomb(folder: Path) -> Made:
    with h5py.File(folder / "train.h5", "w") as file:
        shape = (1 << 14, 1 << 15)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(shape)
        properties.set_deflate(9)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_DOUBLE, space, properties)
        dataset.write_direct_chunk((0, 0), b"x\x9c" + bytes(1000))
    return Made(folder / "train.h5", 1 << 14, 0, {"dataset": "/data"})


# ---- who else has it open ----


@fault(38, "another process has the file open for writing, with HDF5's lock", remark="neither waited for nor disturbed")
def h5_open_by_writer(folder: Path) -> Made:
    path = chunked(folder)

    @contextmanager
    def opened() -> Iterator[Mapping[str, Any]]:
        with h5py.File(path, "r+"):
            yield {}

    return Made(path, ROWS, ROWS, meanwhile=opened)


KILLED_WRITER = """
import h5py, os, sys
file = h5py.File(sys.argv[1], "r+", libver="latest")
file.swmr_mode = True
file.flush()
os._exit(0)
"""


@fault(
    38,
    "a writer in SWMR mode was killed and left its mark",
    {"store-in-use": 1},
    "marked as open for writing",
    exit_code=0,
)
def h5_swmr_left(folder: Path) -> Made:
    path = chunked(folder, "latest")
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=True)
    return whole(path)


# ---- odd but sound ----


@fault(0, "links in circles, hard and soft, and one that leads nowhere", {"store-damaged": 3}, "soft link")
def h5_link_cycles(folder: Path) -> Made:
    with with_label(folder) as file:
        file["data"] = samples()
        file["group/up"] = file["/"]
        file["one"] = h5py.SoftLink("/two")
        file["two"] = h5py.SoftLink("/one")
        file["lost"] = h5py.SoftLink("/nothing")
    return whole(folder / "train.h5")


@fault(
    0,
    "object references and rows of varying length beside the data",
    exit_code=3,
    remark="`coverage.not_run` names each with its type",
)
def h5_references(folder: Path) -> Made:
    with with_label(folder) as file:
        file["data"] = samples()
        file["refs"] = np.array([file["data"].ref, file["label"].ref], h5py.ref_dtype)
        ragged = file.create_dataset("ragged", (2,), h5py.vlen_dtype(np.float32))
        ragged[0] = [1, 2, 3]
    return whole(folder / "train.h5")


@fault(0, "a compound type, read field by field, and an enum")
def h5_compound_enum(folder: Path) -> Made:
    with h5py.File(folder / "train.h5", "w") as file:
        random = np.random.default_rng(3)
        rows = np.zeros(ROWS, [("force", "f4", (3,)), ("count", "i4")])
        rows["force"], rows["count"] = random.normal(size=(ROWS, 3)), random.integers(0, 100, ROWS)
        file["table"] = rows
        kinds = h5py.enum_dtype({"CAT": 0, "DOG": 1})
        file.create_dataset("kind", data=random.integers(0, 2, ROWS), dtype=kinds)
    return whole(folder / "train.h5", 3 * ROWS)
