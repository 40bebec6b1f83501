"""Data sets for the tests of the probe, each written by its format's own library, with one fault planted."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import plyvel
from numpy.typing import NDArray
from PIL import Image
from tests.test_layouts.messages import Datum

RECORDS, CLASSES, GUILTY = 40, 5, 23
STORES = ("lmdb", "leveldb", "hdf5")
SHAPE = (3, 8, 9)

Arrays = tuple[NDArray[Any], NDArray[Any]]


def floats(shape: tuple[int, ...] = SHAPE, records: int = RECORDS, seed: int = 7) -> Arrays:
    """Samples of about unit size and labels that go round the classes in a shuffled order."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(records) % CLASSES).astype(np.float32)
    return random.standard_normal((records, *shape), np.float32), labels


def key(index: int) -> bytes:
    return b"%08d" % index


def write(store: str, folder: Path, data: NDArray[Any], labels: NDArray[Any]) -> Path:
    """A set of float samples in a store; key-value stores hold them as ``float_data`` of Datums."""
    if store == "hdf5":
        path = folder / "train.h5"
        with h5py.File(path, "w") as file:
            file["data"], file["label"] = data, labels
        return path
    values = [_datum(sample, int(label)) for sample, label in zip(data, labels, strict=True)]
    return write_values(store, folder, values)


def write_values(store: str, folder: Path, values: list[bytes]) -> Path:
    """Values under numbered keys."""
    path = folder / store
    if store == "lmdb":
        with lmdb.open(str(path), map_size=1 << 26, lock=False) as env, env.begin(write=True) as txn:
            for index, value in enumerate(values):
                txn.put(key(index), value)
    else:
        with plyvel.DB(str(path), create_if_missing=True) as db:
            for index, value in enumerate(values):
                db.put(key(index), value)
    return path


def write_pixels(store: str, folder: Path, shape: tuple[int, int, int] = (3, 20, 24)) -> Path:
    """Raw pixels in Datums."""
    random = np.random.default_rng(9)
    values = []
    for index in range(RECORDS):
        pixels = random.integers(0, 256, shape, np.uint8)
        message = Datum(channels=shape[0], height=shape[1], width=shape[2], data=pixels.tobytes())
        message.label = index * 3 % CLASSES
        values.append(message.SerializeToString())
    return write_values(store, folder, values)


def encoded(kind: str, width: int = 80, height: int = 72, mode: str = "RGB", seed: int = 0) -> bytes:
    """A smooth picture with some grain."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    light = (rows * 2 + columns)[..., None] % 256 + random.integers(0, 8, (height, width, 3))
    stream = BytesIO()
    Image.fromarray(light.clip(0, 255).astype(np.uint8)).convert(mode).save(stream, kind)
    return stream.getvalue()


def write_encoded(store: str, folder: Path, kind: str, **size: Any) -> Path:
    """Encoded images in Datums."""
    values = []
    for index in range(RECORDS):
        message = Datum(data=encoded(kind, seed=index, **size), label=index * 3 % CLASSES, encoded=True)
        values.append(message.SerializeToString())
    return write_values(store, folder, values)


def _datum(sample: NDArray[Any], label: int) -> bytes:
    channels, height, width = (*sample.shape, 1, 1)[:3] if sample.ndim < 3 else sample.shape
    message = Datum(channels=channels, height=height, width=width, label=label)
    message.float_data.extend(sample.reshape(-1).tolist())
    serialized: bytes = message.SerializeToString()
    return serialized


def with_value(value: float) -> Callable[[NDArray[Any], NDArray[Any]], None]:
    """Puts a value into the guilty record, at the last place."""

    def plant(data: NDArray[Any], labels: NDArray[Any]) -> None:
        data[GUILTY].reshape(-1)[-1] = value

    return plant


def with_label(value: float) -> Callable[[NDArray[Any], NDArray[Any]], None]:
    """Gives the guilty record a label."""

    def plant(data: NDArray[Any], labels: NDArray[Any]) -> None:
        labels[GUILTY] = value

    return plant
