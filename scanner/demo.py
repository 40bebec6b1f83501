"""Small data sets with planted faults, written by the formats' own libraries, to see datascan at work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .layouts.datum_writer import encode_datum

CLASSES = 5
RECORDS = 60


@dataclass(frozen=True, slots=True)
class Planted:
    """One fault: the rule that must find it, and where. ``index`` is ``None`` for a fault of the whole set."""

    path: Path
    rule: str
    index: int | None
    what: str


def run_demo(folder: Path) -> list[Planted]:
    """Write the demo's data sets into an existing folder.

    Returns
    -------
    list
        What was planted, in the order of the files. The LevelDB set is left out where plyvel is not installed.
    """
    planted = [*_photos(folder / "photos_lmdb"), *_rows(folder / "train.h5")]
    try:
        import plyvel  # noqa: F401  # has no wheels for every platform
    except ModuleNotFoundError:
        return planted
    return [*planted, *_features(folder / "features_leveldb")]


def photo(rng: np.random.Generator, label: int, size: int = 64) -> NDArray[np.uint8]:
    """A picture that looks a little like one: ``(size, size, 3)`` uint8 RGB, gradients, a disc and some grain."""
    y, x = np.mgrid[0:size, 0:size] / size
    phase = rng.uniform(0, np.pi, 3)
    colour = 96 + 70 * np.sin((label + 2) * (x[..., None] + 0.6 * y[..., None]) + phase)
    centre, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3)
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    colour[disc] = rng.uniform(30, 230, 3)
    pixels: NDArray[np.uint8] = np.clip(colour + rng.normal(0, 6, colour.shape), 0, 255).astype(np.uint8)
    return pixels


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG of ``(H, W, 3)`` RGB or ``(H, W, 1)`` grey pixels."""
    import simplejpeg

    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90, "GRAY" if pixels.shape[2] == 1 else "RGB"))


def _photos(path: Path) -> Iterator[Planted]:
    """An LMDB as Caffe's convert_imageset writes it with ``--encoded``."""
    import lmdb

    rng = np.random.default_rng(7)
    labels = [int(label) for label in rng.permutation(np.arange(RECORDS) % CLASSES)]
    images = [jpeg(photo(rng, label)) for label in labels]
    grey = photo(rng, labels[20])[:, :, :1]
    images[8] = images[3]
    images[12] = images[12][:-400] + bytes(200) + images[12][-200:]
    images[20] = jpeg(grey)
    images[29] += b"--- end of file, thank you ---"
    images[37] = images[37][: len(images[37]) // 2]
    images[41] = jpeg(np.full((64, 64, 3), 128, np.uint8))
    labels[44] = -1
    labels[8] = (labels[3] + 1) % CLASSES
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            number = index + (index >= 50)  # the converter skipped the file numbered 50
            txn.put(f"{number:08d}_photo_{number}.jpg".encode(), encode_datum(data=image, label=label, encoded=True))
    (path / "lock.mdb").unlink(missing_ok=True)
    yield Planted(path, "record-label-conflict", 8, "the picture of record 3 again, with another label")
    yield Planted(path, "image-corrupt", 12, "200 bytes of the JPEG's picture data zeroed")
    yield Planted(path, "image-channels", 20, "a grey JPEG among colour ones")
    yield Planted(path, "image-trailing-data", 29, "text behind the end of the JPEG")
    yield Planted(path, "image-truncated", 37, "the second half of the JPEG is missing")
    yield Planted(path, "image-constant", 41, "a picture of a single grey")
    yield Planted(path, "label-negative", 44, "label -1")
    yield Planted(path, "record-key-gap", 50, "key number 50 was never written")


def _rows(path: Path) -> Iterator[Planted]:
    """An HDF5 file with ``data`` and ``label``, chunked and compressed."""
    import h5py

    rng = np.random.default_rng(8)
    data = rng.normal(0, 1, (RECORDS, 3, 16, 16)).astype(np.float32)
    label = rng.permutation(np.arange(RECORDS) % CLASSES).astype(np.float32)
    data[17, 1, 5, 5] = np.nan
    data[23, 0, 2, 2] = np.inf
    data[31, 2, 9, 1] = 1e30
    label[5] = 2.5
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("data", data=data, chunks=(10, 3, 16, 16), compression="gzip")
        file.create_dataset("label", data=label)
        chunk = stored.id.get_chunk_info(4)
    with path.open("r+b") as raw:  # rows 40 to 49: as a bad disk block would do it
        raw.seek(chunk.byte_offset + chunk.size // 2)
        damaged = bytes(byte ^ 0xFF for byte in raw.read(64))
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(damaged)
    yield Planted(path, "label-non-integer", 5, "label 2.5 among whole numbers")
    yield Planted(path, "value-nan", 17, "NaN at data[17, 1, 5, 5]")
    yield Planted(path, "value-inf", 23, "Inf at data[23, 0, 2, 2]")
    yield Planted(path, "value-extreme", 31, "1e30 at data[31, 2, 9, 1]")
    yield Planted(path, "store-damaged", 40, "64 bytes of a compressed chunk flipped: rows 40 to 49 are lost")


def _features(path: Path) -> Iterator[Planted]:
    """A LevelDB of float features; one block of its table has rotted."""
    import plyvel

    rng = np.random.default_rng(9)
    with plyvel.DB(str(path), create_if_missing=True) as db:
        for index in range(RECORDS):
            features = rng.normal(0, 1, 192).astype(np.float32)
            if index == 7:
                features[100] = np.nan
            if index == 11:
                features = features[:100]
            value = encode_datum(dims=(3, 8, 8), label=index * 7 % CLASSES, float_data=features)
            db.put(f"{index:08d}".encode(), value)
        db.compact_range()
    with plyvel.DB(str(path)):
        pass  # opened once more, so that the emptied log is a fresh one
    (table,) = path.glob("*.ldb")
    with table.open("r+b") as raw:
        raw.seek(20_000)
        byte = raw.read(1)[0]
        raw.seek(20_000)
        raw.write(bytes([byte ^ 0xFF]))
    yield Planted(path, "value-nan", 7, "NaN in the features")
    yield Planted(path, "record-size-mismatch", 11, "100 of 192 floats")
    yield Planted(path, "store-damaged", None, "one flipped byte in a block of the table: its records are lost")
