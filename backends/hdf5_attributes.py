"""Attributes of HDF5 objects, as far as reading them is safe: few plain numbers or short strings of fixed length.

Strings of variable length lie in heaps, and the library loops for ever on a damaged one; nothing here needs them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .hdf5_library import LIBRARY_ERRORS, h5py
from .hdf5_links import LeadsOut, open_inside

MOST_VALUES = 64
MOST_BYTES = 4096


def attributes_of(root: Any, path: str, names: Iterable[str]) -> dict[str, Any]:
    """Those of the named attributes that an object has: numbers, text, or arrays of a few numbers."""
    found: dict[str, Any] = {}
    try:
        opened = root if path == "/" else open_inside(root, path.encode("utf-8", "surrogateescape"))
        for name in names if opened is not None else ():
            encoded = name.encode()
            if h5py.h5a.exists(opened, encoded):
                value = _value(h5py.h5a.open(opened, encoded))
                if value is not None:
                    found[name] = value
    except (LeadsOut, *LIBRARY_ERRORS):  # a broken attribute says nothing; the scan names what is damaged
        return found
    return found


def _value(attribute: Any) -> Any:
    kind = attribute.get_type()
    space = attribute.get_space()
    count = space.get_simple_extent_npoints()
    is_text = kind.get_class() == h5py.h5t.STRING
    if is_text and kind.is_variable_str():
        return None
    if not is_text and kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM):
        return None
    if not 0 < count <= MOST_VALUES or kind.get_size() * count > MOST_BYTES:
        return None
    values = np.empty(space.shape, attribute.dtype)
    attribute.read(values)
    if is_text:
        return bytes(values.reshape(-1)[0]).rstrip(b"\0").decode("utf-8", "replace") if count == 1 else None
    return values.reshape(-1)[0].item() if count == 1 else values
