"""JSON read inertly: objects as `Dict`, and arrays of numbers as ASE writes them, under ``__ndarray__``."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .call_arrays import BadArray, sides_of
from .inert import Dict, Unreadable

_SPACE = b" \t\r\n"
_ARRAY = "__ndarray__"
_DTYPES = frozenset(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)) - {"float8"}
_DTYPES |= {"bool", "complex64", "complex128"}


def looks_json(value: memoryview) -> bool:
    """Whether bytes begin and end as an object or an array of JSON does."""
    head, tail = bytes(value[:64]).lstrip(_SPACE), bytes(value[-64:]).rstrip(_SPACE)
    return head[:1] in (b"{", b"[") and tail[-1:] in (b"}", b"]")


def read_json(value: memoryview) -> object:
    """The inert value of a whole JSON text. NaN and infinities are let through as Python's reader does.

    Raises
    ------
    Unreadable
        It is not JSON, or not UTF-8, or nested too deep.
    """
    try:
        found: object = json.loads(bytes(value).decode(), object_pairs_hook=_entries)
    except UnicodeDecodeError as error:
        raise Unreadable(f"the JSON text is not UTF-8: byte 0x{value[error.start]:02x}", error.start) from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"the JSON text can't be read: {error.msg}", len(error.doc[: error.pos].encode())) from None
    except RecursionError:
        raise Unreadable("the JSON text is nested too deep") from None
    except ValueError:  # a number of more digits than Python takes
        raise Unreadable("the JSON text holds a number that is too long") from None
    return found


def _entries(pairs: list[tuple[str, Any]]) -> Dict:
    return Dict([part for pair in pairs for part in pair])


def array_in_json(entries: Dict) -> NDArray[Any] | None:
    """The array that ``{"__ndarray__": [shape, dtype, values]}`` stands for, ``None`` if it is a plain object.

    Source: ``ase/io/jsonio.py``, ``object_hook``; complex values are pairs there.

    Raises
    ------
    BadArray
        When there are more or fewer values than the shape needs, or they are no numbers.
    """
    if len(entries) != 2 or entries[0] != _ARRAY:
        return None
    parts = entries[1]
    if type(parts) is not list or len(parts) != 3 or type(parts[1]) is not str or parts[1] not in _DTYPES:
        return None
    dtype = np.dtype(parts[1])
    sides = sides_of(parts[0])
    values = parts[2] if type(parts[2]) is list else [parts[2]]
    needed = math.prod(sides) * (2 if dtype.kind == "c" else 1)
    if len(values) != needed:
        shape = "x".join(map(str, sides)) or "scalar"
        raise BadArray(f"holds {len(values):,} of {needed:,} numbers ({dtype} {shape})")
    if not set(map(type, values)) <= {int, float, bool}:
        raise BadArray("holds something that is no number")
    try:
        flat = np.array(values, np.float64 if dtype.kind in "fc" else np.int64)
    except OverflowError:
        raise BadArray("holds a number that does not fit its type") from None
    if dtype.kind == "c":
        return flat.view(np.complex128).reshape(sides)
    return flat.reshape(sides)
