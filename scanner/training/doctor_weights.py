"""Weights that a run begins with: whether a ``.caffemodel`` or ``.solverstate`` holds NaN or infinite values.

Source: ``NetParameter``, ``LayerParameter``, ``V1LayerParameter`` and ``SolverState`` in Caffe's ``caffe.proto``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...backends.errors import StoreError
from ..layouts.wire import BYTES, WireError, fields
from .binaryproto import StoredBlob, UnreadBlob, decode_blob

LAYERS = {100: (1, 7), 2: (4, 6)}
"""Field of the net's layers, new and old, to those of a layer's name and blobs."""

LEARNED_NET, HISTORY = 2, 3
MOST_BYTES = 1 << 30
"""Of one layer or one blob of the history."""

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file of weights holds.

    Attributes
    ----------
    blobs
        How many arrays were looked at.
    bad
        The first that is not finite: the layer, and how many of its values are not.
    learned_net
        The weights that a solver state names.
    unread
        Why the file was not looked at, or not to its end.
    """

    path: str
    blobs: int = 0
    bad: str | None = None
    learned_net: str | None = None
    unread: str | None = None


def read_weights(path: Path) -> Weights:
    """Look at all arrays of a file of weights; never raises."""
    state = path.suffix == ".solverstate"
    blobs, bad, learned = 0, None, None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Weights(str(path), unread="not a file")
            if file.peek(8).startswith(HDF5_MAGIC):
                return Weights(str(path), unread="weights in HDF5 are not looked at")
            for number, data in outermost(file):
                if state and number == LEARNED_NET:
                    learned = data.decode("utf-8", "replace")
                for name, blob in blobs_of(number, data, state):
                    blobs += 1
                    bad = bad or fault_of(name, blob)
    except (OSError, ValueError) as exc:
        return Weights(str(path), blobs, bad, learned, str(exc.strerror if isinstance(exc, OSError) else exc))
    except WireError as exc:
        return Weights(str(path), blobs, bad, learned, f"damaged: {exc}")
    return Weights(str(path), blobs, bad, learned)


def outermost(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The outermost length-delimited fields of a message, one at a time; numbers are skipped.

    Raises
    ------
    WireError
        The file ends inside a field, or has one that protobuf does not know.
    """
    at = 0
    while (tag := varint(file, at)) is not None:
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            varint(file, at, must=True)
        elif kind in (1, 5):
            file.read(8 if kind == 1 else 4)
        elif kind == BYTES:
            size = varint(file, at, must=True) or 0
            if size > MOST_BYTES:
                raise WireError(f"a field of {size:,} bytes", at)
            data = file.read(size)
            if len(data) < size:
                raise WireError("the file ends inside a layer", at)
            yield number, data
        else:
            raise WireError(f"no protobuf: wire type {kind}", at)
        at = file.tell()


def varint(file: BinaryIO, at: int, must: bool = False) -> int | None:
    """A number in base 128; ``None`` at the end of the file."""
    value, shift = 0, 0
    while shift < 70:
        byte = file.read(1)
        if not byte:
            if must or shift:
                raise WireError("the file ends inside a number", at)
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    raise WireError("a number of more than ten bytes", at)


def blobs_of(number: int, data: bytes, state: bool) -> Iterator[tuple[str, bytes]]:
    """Arrays of one outermost field, with the name of what they belong to."""
    if state:
        if number == HISTORY:
            yield "the solver's history", data
        return
    found = layer_of(number, data)
    if found is not None:
        name, stored = found
        for blob in stored:
            yield f"layer {name}", blob


def layer_of(number: int, data: bytes) -> tuple[str, list[bytes]] | None:
    """A layer's name and arrays; ``None`` for a field that is no layer."""
    if number not in LAYERS:
        return None
    name_field, blob_field = LAYERS[number]
    view, name, found = memoryview(data), "", []
    for inner, wire_type, _, _, start, stop in fields(view):
        if wire_type == BYTES and inner == name_field:
            name = bytes(view[start:stop]).decode("utf-8", "replace")
        elif wire_type == BYTES and inner == blob_field:
            found.append(bytes(view[start:stop]))
    return name, found


def layer_weights(path: Path) -> dict[str, list[StoredBlob]]:
    """The arrays of a ``.caffemodel`` by the name of their layer, which is how Caffe finds them.

    Raises
    ------
    StoreError
        It can't be read, or not to its end, or is no file of weights.
    """
    layers: dict[str, list[StoredBlob]] = {}
    known = False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path} is not a file")
            if file.peek(8).startswith(HDF5_MAGIC):
                raise StoreError(f"{path} holds weights in HDF5, which are not read: snapshot_format: BINARYPROTO")
            for number, data in outermost(file):
                found = layer_of(number, data)
                if found is None:
                    continue
                known = True
                blobs = [decode_blob(blob) for blob in found[1]]
                for blob in blobs:
                    if isinstance(blob, UnreadBlob):
                        raise StoreError(f"the weights {path} are damaged in layer {found[0]}: {blob.reason}")
                if blobs:
                    layers[found[0]] = [blob for blob in blobs if isinstance(blob, StoredBlob)]
    except OSError as exc:
        raise StoreError(f"can't read the weights {path}: {exc.strerror}") from exc
    except (WireError, ValueError) as exc:
        raise StoreError(f"{path} is no .caffemodel, or a damaged one: {exc}") from exc
    if not known:
        raise StoreError(f"{path} is no .caffemodel: it holds no layers")
    return layers


def fault_of(name: str, data: bytes) -> str | None:
    """What is wrong with the numbers of an array."""
    blob = decode_blob(data)
    if isinstance(blob, UnreadBlob):
        return None
    bad = int(blob.values.size - np.isfinite(blob.values).sum())
    return f"{name}: {bad:,} of {blob.values.size:,} values are not finite" if bad else None
