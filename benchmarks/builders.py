"""How the workloads are made: from seeds, by each store's own library, with a few faults planted at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import lmdb
import numpy as np
import plyvel
from numpy.typing import NDArray

from . import pictures
from .datum import Datum
from .pictures import Scenes

Build = Callable[[Path, int], None]
_SMALL = 64
"""Side of windows that may lie in a single blot of their picture."""

Record = tuple[int, bytes]

CLASSES = 10
"""Labels go round these classes, so that no rule about labels has anything to say."""


# ---- key-value stores ----


def _write_lmdb(path: Path, records: Iterator[Record]) -> None:
    with lmdb.open(str(path), map_size=1 << 36, sync=False, meminit=False) as environment:
        batch: list[tuple[bytes, bytes]] = []
        for index, value in records:
            batch.append((b"%08d" % index, value))
            if len(batch) == 4096:
                _append(environment, batch)
        _append(environment, batch)
        environment.sync(True)


def _append(environment: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    with environment.begin(write=True) as transaction:
        for key, value in batch:
            transaction.put(key, value, append=True)
    batch.clear()


def _write_leveldb(path: Path, records: Iterator[Record], compression: str | None) -> None:
    with plyvel.DB(str(path), create_if_missing=True, compression=compression, write_buffer_size=64 << 20) as db:
        for index, value in records:
            db.put(b"%08d" % index, value)
        db.compact_range()


def _with_last(
    records: Iterator[Record], count: int, behind: int, change: Callable[[bytes], bytes]
) -> Iterator[Record]:
    for index, value in records:
        yield index, change(value) if index == count - behind else value


def _scenes(seed: int, count: int) -> Scenes:
    """Few pictures are cut from a small canvas, which is made at once."""
    return Scenes(seed) if count > 1000 else Scenes(seed, 1050, 2) if count > 100 else Scenes(seed, 600, 1)


def _datum(payload: bytes, shape: tuple[int, int, int], label: int) -> bytes:
    channels, height, width = shape
    message = Datum(channels=channels, height=height, width=width, data=payload, label=label)
    serialized: bytes = message.SerializeToString()
    return serialized


def _cut_payload(value: bytes) -> bytes:
    """A payload that is 100 bytes short of what the Datum declares."""
    datum = Datum.FromString(value)
    datum.data = datum.data[:-100]
    serialized: bytes = datum.SerializeToString()
    return serialized


def _raw_records(count: int, side: int) -> Iterator[Record]:
    scenes = _scenes(1, count)
    shape = (3, side, side)
    windows = scenes.sized(count, side, side)
    records = (
        (index, _datum(np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)).tobytes(), shape, index % CLASSES))
        for index, picture in enumerate(windows if side > _SMALL else _with_noise(windows))
    )
    return _with_last(records, count, 3, _cut_payload)


def _with_noise(windows: Iterator[pictures.Picture]) -> Iterator[pictures.Picture]:
    """Windows whose first row is noise: of very many small ones some would be black, and equal to each other."""
    random = np.random.default_rng(4)
    for window in windows:
        noisy = window.copy()
        noisy[0] = random.integers(0, 256, noisy[0].shape, np.uint8)
        yield noisy


def raw(path: Path, count: int) -> None:
    """Raw Datums 3x256x256."""
    _write_lmdb(path, _raw_records(count, 256))


def raw_crops(path: Path, count: int) -> None:
    """Raw Datums 3x227x227."""
    _write_lmdb(path, _raw_records(count, 227))


def _digit_records(count: int) -> Iterator[Record]:
    """Sparse 28x28 images; the last row is noise, so that no two are equal."""
    random = np.random.default_rng(2)
    blots = np.kron(random.random((300, 300)) < 0.12, np.ones((7, 7))).astype(np.uint8)
    shades = random.integers(90, 256, blots.shape, np.uint8) * blots
    for index in range(count):
        if index % 4096 == 0:
            corners = random.integers(0, len(shades) - 28, (4096, 2)).tolist()
            noise = random.integers(0, 256, (4096, 1, 28), np.uint8)
        top, left = corners[index % 4096]
        digit = np.concatenate([shades[top : top + 27, left : left + 28], noise[index % 4096]])
        yield index, _datum(digit.tobytes(), (1, 28, 28), index % CLASSES)


def digits(path: Path, count: int) -> None:
    """Datums the size of MNIST's."""
    _write_lmdb(path, _with_last(_digit_records(count), count, 3, _cut_payload))


def bad_digits(every: int) -> Build:
    """The same with a short payload in one record of so many."""

    def build(path: Path, count: int) -> None:
        records = _digit_records(count)
        _write_lmdb(path, ((index, value if index % every else _cut_payload(value)) for index, value in records))

    return build


def _float_records(count: int) -> Iterator[Record]:
    random = np.random.default_rng(3)
    for index in range(count):
        values = random.standard_normal(3072, np.float32)
        if index == count - 3:
            values[1000] = np.nan
        message = Datum(channels=3, height=32, width=32, label=index % CLASSES)
        message.float_data.extend(values.tolist())
        yield index, message.SerializeToString()


def floats(path: Path, count: int) -> None:
    """Datums of 3,072 floats."""
    _write_lmdb(path, _float_records(count))


def leveldb(compression: str | None, side: int) -> Build:
    """Raw Datums ``3 x side x side`` in LevelDB."""

    def build(path: Path, count: int) -> None:
        _write_leveldb(path, _raw_records(count, side), compression)

    return build


# ---- encoded images ----


def _image_records(
    count: int, seed: int, height: int, width: int, encode: Callable[[pictures.Picture], bytes]
) -> Iterator[Record]:
    """Encoded images in Datums; one is cut short, one has garbage behind its end, one is black."""
    tiles = 8 if height > 1000 else 1
    scenes = _scenes(seed, count)
    for index, window in enumerate(scenes.sized(count, height // tiles, width // tiles, 8)):
        picture = np.tile(window, (tiles, tiles, 1))
        image = encode(picture if index != count - 2 else np.zeros_like(picture))
        if index == count - 4:
            image = image[: len(image) * 2 // 3]
        elif index == count - 3:
            image += b"not a part of the image"
        message = Datum(channels=3, height=len(picture), width=picture.shape[1], data=image, label=index % CLASSES)
        message.encoded = True
        yield index, message.SerializeToString()


def _images(seed: int, encode: Callable[[pictures.Picture], bytes], height: int = 375, width: int = 500) -> Build:
    def build(path: Path, count: int) -> None:
        _write_lmdb(path, _image_records(count, seed, height, width, encode))

    return build


def jpegs(seed: int, quality: int) -> Build:
    """Baseline JPEGs about 500x375."""
    return _images(seed, lambda picture: pictures.jpeg(picture, quality))


def progressive_jpegs(seed: int) -> Build:
    """Progressive JPEGs about 500x375, as many come from the web."""
    return _images(seed, lambda picture: pictures.encoded(picture, "JPEG", quality=85, progressive=True))


def photos(seed: int) -> Build:
    """JPEGs of 12 megapixels, as cameras give them."""
    return _images(seed, lambda picture: pictures.jpeg(picture, 90), 3000, 4000)


def pngs(seed: int) -> Build:
    """PNGs about 500x375."""
    return _images(seed, lambda picture: pictures.encoded(picture, "PNG", compress_level=6))


def webps(seed: int) -> Build:
    """WebPs about 500x375."""
    return _images(seed, lambda picture: pictures.encoded(picture, "WEBP", quality=80, method=2))


# ---- HDF5 ----

_ROW = (3, 64, 64)


def _hdf5(path: Path, count: int, **storage: object) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (count, *_ROW), np.float32, **storage)
        file["label"] = (np.arange(count) % CLASSES).astype(np.float32)
        scenes = _scenes(4, count)
        for start in range(0, count, 1024):
            rows = min(1024, count - start)
            block = np.stack([p.transpose(2, 0, 1) for p in scenes.sized(rows, *_ROW[1:])]).astype(np.float32)
            block = block / np.float32(127.5) - np.float32(1)
            if start <= count - 3 < start + rows:
                block[count - 3 - start, 1, 5, 6] = np.inf
            data[start : start + rows] = block


def hdf5_plain(path: Path, count: int) -> None:
    """float32 3x64x64, contiguous."""
    _hdf5(path, count)


def hdf5_gzip(path: Path, count: int) -> None:
    """The same in chunks of 16 rows, shuffled and deflated."""
    _hdf5(path, count, chunks=(min(count, 16), *_ROW), compression="gzip", compression_opts=4, shuffle=True)


def short_rows(path: Path, count: int) -> None:
    """Rows of 16 float32, contiguous."""
    random = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (count, 16), np.float32)
        file["label"] = (np.arange(count) % CLASSES).astype(np.float32)
        for start in range(0, count, 1 << 18):
            block: NDArray[np.float32] = random.standard_normal((min(1 << 18, count - start), 16), np.float32)
            if start <= count - 3 < start + len(block):
                block[count - 3 - start, 7] = np.nan
            data[start : start + len(block)] = block
