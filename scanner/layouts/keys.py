"""Keys that mean something by themselves: reserved ones, and the numbered ones of sets whose records come in parts."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ...backends.columns import BytesColumn

RESERVED = frozenset(
    (
        b"__keys__",
        b"__len__",
        b"__meta__",
        b"deleted_ids",
        b"id_to_idx",
        b"keys",
        b"length",
        b"metadata",
        b"nextid",
        b"num-samples",
        b"num_examples",
        b"num_samples",
        b"serialization_format",
    )
)
"""Seen in the code of tensorpack, OCR sets, StyleGAN sets, TAPE, OCP, ASE, ATOM3D and others."""

_FIRST = np.zeros(256, np.bool_)
_FIRST[[key[0] for key in RESERVED]] = True
_LONGEST = max(map(len, RESERVED))


def reserved_rows(keys: BytesColumn) -> NDArray[np.bool_]:
    """``(records,)``: which keys are reserved."""
    found = np.zeros(len(keys), np.bool_)
    short = np.flatnonzero((keys.lengths > 0) & (keys.lengths <= _LONGEST))
    # Almost all keys of a set begin with a digit: the first byte alone leaves next to nothing to look up.
    for row in short[_FIRST[keys.buffer[keys.starts[short]]]].tolist():
        found[row] = bytes(keys[row]) in RESERVED
    return found


_COUNTS = frozenset((b"__len__", b"length", b"num-samples", b"num_examples", b"num_samples"))
_DECIMAL = re.compile(rb"\s*[0-9]{1,18}\s*")


def recounted(key: bytes, value: memoryview, count: int) -> bytes | None:
    """The value of a reserved record that holds the number of samples in ASCII, for another number."""
    return b"%d" % count if key in _COUNTS and _DECIMAL.fullmatch(value) else None


def numbered(key: bytes, number: int) -> bytes:
    """A key with another number in the place of its leading one, or in front where it has none (``%08d``)."""
    digits = len(key) - len(key.lstrip(b"0123456789"))
    rest = key[digits:] if digits else b"_" + key
    return b"%0*d" % (max(digits, 8), number) + rest


_TWIN = re.compile(rb"(image|image_hr|image_lr|label)-([0-9]{9})")


def twin_key(key: bytes) -> tuple[str, int] | None:
    """Kind and number of an OCR set's key, ``image-000000001``; ``None`` for any other key.

    ``image_hr`` and ``image_lr`` are the two resolutions of a TextZoom sample.
    """
    match = _TWIN.fullmatch(key)
    return (match[1].decode(), int(match[2])) if match else None
