"""Values in numpy's ``.npy`` format.

Source: ``numpy/lib/format.py`` and NEP 1. The header is read as a literal, nothing in it is evaluated, and an array
of objects, which would be a pickle, is named and left alone.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...backends.base import RecordBatch
from ..options import Options
from ..sample import ArrayBlock, Fault, Rows, SampleBatch
from .base import RecordLayout, Traits
from .keys import reserved_rows
from .stacking import blocks, gathered

MAGIC = b"\x93NUMPY"

_MAX_HEADER = 10_000
"""What numpy itself accepts; a longer literal may exhaust the parser's stack."""

_MAX_AXES = 32
_TEMPLATES = 64
"""Headers that are looked for in the whole batch before records are taken one by one."""

_SIMPLE = re.compile(
    r"[<>|=]?(b1|[iu][1248]|f[248]|f16|c8|c16|c32|O[48]?|[SUaV][0-9]{1,9}|[mM]8(\[[0-9a-zA-Z]{1,12}\])?)"
)


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


class BadHeader(Exception):
    """Why the header can't be used."""


class Npy(RecordLayout):
    """See `RecordLayout`. Arrays that are neither numbers nor bool (text, dates, structures) are only measured."""

    name = "npy"
    title = "NumPy arrays in .npy format as values"
    traits = Traits()

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [bytes(value[:7]) in _MAGICS for value in sample.values]

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        decoding = _Decoding(batch, self.options)
        while len(decoding.pending):
            decoding.take()
        return decoding.finish()


class _Decoding:
    """One batch on its way to samples; ``pending`` are the rows that were not looked at yet."""

    def __init__(self, batch: RecordBatch, options: Options) -> None:
        self._batch = batch
        self._options = options
        self.pending: Rows = np.flatnonzero(~reserved_rows(batch.keys))
        self._samples = SampleBatch(batch, self.pending)
        self._sound = np.zeros(len(batch), np.bool_)
        self._tries = _TEMPLATES

    def take(self) -> None:
        """Take the first pending row and, in the first turns, those of the same length and header with it."""
        row = int(self.pending[0])
        value = self._batch.values[row]
        if not len(value):
            self._fail(row, "record-empty", "the value has 0 bytes")
            return
        try:
            header = parse_header(value)
        except BadHeader as error:
            self._fail(row, "record-undecodable", str(error))
            return
        if header.dtype.hasobject:
            self._fail(row, "record-unsafe-pickle", "an array of objects is a pickle: loading it runs what it names")
            return
        found, expected = len(value) - header.size, header.payload_bytes
        if found != expected:
            message = (
                f"holds {found} of {expected} bytes"
                if found < expected
                else f"holds {found} bytes instead of {expected}"
            )
            self._fail(row, "record-size-mismatch", f"{message} ({header.text})")
            return
        if not expected:
            self._fail(row, "record-empty", f"an array without elements ({header.text})", severe=False)
            return
        self._take(header, bytes(value[: header.size]), len(value))

    def finish(self) -> SampleBatch:
        rows = np.flatnonzero(self._sound)
        samples = self._samples
        samples.contents, samples.content_rows = self._batch.values.take(rows), rows
        samples.arrays.sort(key=lambda block: int(block.rows[0]))
        samples.faults.sort(key=lambda fault: fault.row or 0)
        return samples

    def _fail(self, row: int, rule: str, message: str, *, severe: bool = True) -> None:
        self._samples.faults.append(Fault(row, rule, message, severe=severe))
        self.pending = self.pending[1:]

    def _take(self, header: Header, written: bytes, length: int) -> None:
        values = self._batch.values
        self._tries -= 1
        same = values.lengths[self.pending] == length
        if self._tries < 0:
            same[1:] = False
        rows = self.pending[same]
        alike = (gathered(values.buffer, values.starts[rows], len(written)) == np.frombuffer(written, np.uint8)).all(1)
        same[same] = alike
        rows = rows[alike]
        self.pending = self.pending[~same]
        self._sound[rows] = True
        if header.dtype.kind not in "biufc":
            return
        for some, part in blocks(values.buffer, rows, values.starts[rows] + header.size, header.payload_bytes):
            arrays = part.view(header.dtype)
            if not arrays.flags.aligned:
                arrays = arrays.copy()
            if header.fortran:
                axes = range(len(header.shape), 0, -1)
                arrays = arrays.reshape(len(some), *header.shape[::-1]).transpose(0, *axes)
            self._samples.arrays.append(ArrayBlock("data", some, arrays.reshape(len(some), *header.shape)))


_MAGICS = frozenset(MAGIC + bytes((version,)) for version in (1, 2, 3))


def parse_header(value: memoryview) -> Header:
    """The header of a ``.npy`` value; `BadHeader` says what is wrong with it."""
    if bytes(value[:6]) != MAGIC:
        raise BadHeader("not a .npy array: the magic bytes are missing")
    if len(value) < 10:
        raise BadHeader(f"a .npy header cut short after {len(value)} bytes")
    version = value[6]
    if version not in (1, 2, 3):
        raise BadHeader(f"version {version}.{value[7]} of the .npy format does not exist")
    begin = 10 if version == 1 else 12
    length = int.from_bytes(value[8:begin], "little")
    if length > _MAX_HEADER:
        raise BadHeader(f"a .npy header of {length} bytes, beyond the {_MAX_HEADER} that numpy accepts")
    if begin + length > len(value):
        raise BadHeader(f"a .npy header of {length} bytes, of which {max(len(value) - begin, 0)} are there")
    dtype, shape, fortran = _parse_literal(bytes(value[begin : begin + length]), version)
    return Header(dtype, shape, fortran, begin + length)


@lru_cache(maxsize=256)
def _parse_literal(text: bytes, version: int) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python remarks on odd escapes and the like in the literal
            fields = ast.literal_eval(text.decode("utf-8" if version == 3 else "latin-1"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise BadHeader("the .npy header is not a literal") from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise BadHeader("the .npy header does not hold descr, fortran_order and shape")
    shape, fortran = fields["shape"], fields["fortran_order"]
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MAX_AXES
        or not all(type(side) is int and 0 <= side < 1 << 63 for side in shape)
    ):
        raise BadHeader(f"the .npy header declares no valid shape: {str(shape)[:64]}")
    if type(fortran) is not bool:
        raise BadHeader("the .npy header's fortran_order is neither True nor False")
    return _dtype(fields["descr"]), shape, fortran


def _dtype(description: Any) -> np.dtype[Any]:
    """The dtype of a header's ``descr``; only spelled-out codes are taken, none of the names numpy also knows."""
    codes = [description] if isinstance(description, str) else list(_codes(description))
    if not codes or not all(_SIMPLE.fullmatch(code) for code in codes):
        raise BadHeader(f"the .npy header declares no valid dtype: {str(description)[:64]}")
    try:
        return np.lib.format.descr_to_dtype(description)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, RecursionError) as error:
        raise BadHeader(f"the .npy header declares no valid dtype: {str(description)[:64]}") from error


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
