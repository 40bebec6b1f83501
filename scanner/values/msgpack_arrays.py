"""Arrays in msgpack messages, as the ``msgpack_numpy`` package writes them.

Source: ``msgpack_numpy.py``, ``encode``: a map of ``nd``, ``type``, ``kind``, ``shape`` and ``data``; a scalar has
``nd`` false and no shape. Arrays of Python objects are pickles there, and ``decode`` loads them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .call_arrays import BadArray, sides_of
from .dtypes import dtype_of
from .inert import Bytes, Dict, Pickle
from .pickle_reader import read_pickle

_MOST_KEYS = 5


def packed_array(entries: Dict) -> NDArray[Any] | Pickle | None:
    """The array or scalar that a map stands for, the pickle of one of objects, or ``None`` if it is a plain map.

    Raises
    ------
    BadArray
        When the bytes are not what shape and type need.
    """
    if not 6 <= len(entries) <= 2 * _MOST_KEYS:
        return None
    is_array, data = entries.get("nd"), _bytes(entries.get("data"))
    if not isinstance(is_array, bool) or data is None:
        return None
    if is_array and _bytes(entries.get("kind")) == b"O":
        return read_pickle(memoryview(data))
    code = _bytes(entries.get("type"))
    dtype = None if code is None else dtype_of(bytes(code).decode("latin-1"))
    if dtype is None or dtype.hasobject or not dtype.itemsize:
        return None
    sides = sides_of(entries.get("shape")) if is_array else ()
    needed = math.prod(sides) * dtype.itemsize
    if len(data) != needed:
        declared = f"{dtype} {'x'.join(map(str, sides)) or 'scalar'}"
        raise BadArray(f"holds {len(data):,} of {needed:,} bytes ({declared})")
    return np.frombuffer(data, dtype).reshape(sides)


def _bytes(value: object) -> Bytes | None:
    """Bytes; a writer without a type for them may have made text of what happens to be UTF-8."""
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, (bytes, memoryview)) else None
