"""Arrays in NumPy's ``.npy`` format.

Source: ``numpy/lib/format.py`` and NEP 1. The header is read as a literal, nothing in it is evaluated, and an array
of objects, which would be a pickle, is named and left alone.
"""

from __future__ import annotations

import ast
import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import CODE
from .inert import Unreadable

MAGIC = b"\x93NUMPY"

MAGICS = frozenset(MAGIC + bytes((version,)) for version in (1, 2, 3))
"""The magic bytes with each of the versions that exist."""

_MAX_HEADER = 10_000
"""What numpy itself accepts; a longer literal may exhaust the parser's stack."""

_MAX_AXES = 32


@dataclass(frozen=True, slots=True)
class Header:
    """What a ``.npy`` header declares: ``size`` is the header's own length, magic bytes included."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    size: int

    @property
    def payload_bytes(self) -> int:
        """Bytes that must follow the header."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def text(self) -> str:
        """``float32 3x32x32``."""
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"

    def size_fault(self, found: int) -> str | None:
        """What is wrong with so many bytes behind the header, ``None`` if they are right."""
        expected = self.payload_bytes
        if found == expected:
            return None
        held = f"{found} of {expected} bytes" if found < expected else f"{found} bytes instead of {expected}"
        return f"holds {held} ({self.text})"


def parse_header(value: memoryview) -> Header:
    """The header of a ``.npy`` value; `Unreadable` says what is wrong with it."""
    if bytes(value[:6]) != MAGIC:
        raise Unreadable("not a .npy array: the magic bytes are missing")
    if len(value) < 10:
        raise Unreadable(f"a .npy header cut short after {len(value)} bytes")
    version = value[6]
    if version not in (1, 2, 3):
        raise Unreadable(f"version {version}.{value[7]} of the .npy format does not exist")
    begin = 10 if version == 1 else 12
    length = int.from_bytes(value[8:begin], "little")
    if length > _MAX_HEADER:
        raise Unreadable(f"a .npy header of {length} bytes, beyond the {_MAX_HEADER} that numpy accepts")
    if begin + length > len(value):
        raise Unreadable(f"a .npy header of {length} bytes, of which {max(len(value) - begin, 0)} are there")
    dtype, shape, fortran = _parse_literal(bytes(value[begin : begin + length]), version)
    return Header(dtype, shape, fortran, begin + length)


@lru_cache(maxsize=256)
def _parse_literal(text: bytes, version: int) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python remarks on odd escapes and the like in the literal
            fields = ast.literal_eval(text.decode("utf-8" if version == 3 else "latin-1"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise Unreadable("the .npy header is not a literal") from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise Unreadable("the .npy header does not hold descr, fortran_order and shape")
    shape, fortran = fields["shape"], fields["fortran_order"]
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MAX_AXES
        or not all(type(side) is int and 0 <= side < 1 << 63 for side in shape)
    ):
        raise Unreadable(f"the .npy header declares no valid shape: {str(shape)[:64]}")
    if type(fortran) is not bool:
        raise Unreadable("the .npy header's fortran_order is neither True nor False")
    return _dtype(fields["descr"]), shape, fortran


def _dtype(description: Any) -> np.dtype[Any]:
    """The dtype of a header's ``descr``; only spelled-out codes are taken, none of the names numpy also knows."""
    codes = [description] if isinstance(description, str) else list(_codes(description))
    if not codes or not all(CODE.fullmatch(code) for code in codes):
        raise Unreadable(f"the .npy header declares no valid dtype: {str(description)[:64]}")
    try:
        return np.lib.format.descr_to_dtype(description)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, RecursionError) as error:
        raise Unreadable(f"the .npy header declares no valid dtype: {str(description)[:64]}") from error


def _codes(description: object) -> list[str]:
    """The type codes in a structured description: a list of ``(name, code or list[, shape])``."""
    if isinstance(description, str):
        return [description]
    if isinstance(description, tuple) and len(description) == 2:
        return _codes(description[0])
    if isinstance(description, list):
        return [
            code for field in description if isinstance(field, tuple) and len(field) > 1 for code in _codes(field[1])
        ]
    return []


def read_npy(value: memoryview) -> tuple[Header, NDArray[Any] | None]:
    """A whole ``.npy`` array as a view of the value; ``None`` in its place if it holds objects or no bytes.

    Raises
    ------
    Unreadable
        When the header is not one.
    """
    header = parse_header(value)
    if header.dtype.hasobject or not header.payload_bytes or len(value) - header.size != header.payload_bytes:
        return header, None
    flat = np.frombuffer(value, header.dtype, offset=header.size)
    return header, flat.reshape(header.shape, order="F" if header.fortran else "C")
