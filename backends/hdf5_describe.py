"""What an HDF5 dataset says of itself: kind of values, shape, storage, filters, and whether it may be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .base import Damage
from .hdf5_library import LIBRARY_ERRORS, built_in_filters, filter_advice, h5py, one_line, plugin_filters

LOCAL = (b".", b"")
"""How a virtual dataset names the file that it stands in itself."""


@dataclass(frozen=True, slots=True)
class Described:
    """A dataset, or one field of a compound dataset (then ``suffix`` is ``.field``)."""

    shape: tuple[int, ...] | None
    dtype: str
    kind: str
    itemsize: int
    stored_bytes: int
    chunks: tuple[int, ...] | None
    reason: str = ""
    suffix: str = ""
    virtual: bool = False

    @property
    def readable(self) -> bool:
        """Whether it can be read as a column: not a compound or a virtual dataset, whose parts are listed."""
        return not self.reason and self.kind != "compound" and not self.virtual


@dataclass(slots=True)
class Description:
    """What one HDF5 dataset gives: itself, its numeric fields if it is a compound, and what is wrong with it."""

    datasets: list[Described] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)


def describe(dataset: Any) -> Description:
    """Describe a dataset without reading its data, and without opening what it refers to.

    The sources of a virtual dataset in its own file are given as ``sources``: they are looked at themselves, so the
    dataset is not, and it is for the catalog to see whether they are there.
    """
    description = Description()
    try:
        plist = dataset.get_create_plist()
        outside = _outside(plist)
        if outside:
            description.damages.append(outside)
        virtual = plist.get_layout() == h5py.h5d.VIRTUAL
        shape = None if virtual else _shape(dataset)
        chunks = tuple(plist.get_chunk()) if plist.get_layout() == h5py.h5d.CHUNKED else None
        stored_bytes = 0 if virtual else _stored_bytes(dataset)
        if virtual and not outside:
            description.sources = sorted({plist.get_virtual_dsetname(n) for n in range(plist.get_virtual_count())})
        reason = _why_not(plist, outside)
    except LIBRARY_ERRORS as exc:
        why = f"its description is damaged: {one_line(exc)}"
        description.damages.append(Damage("damaged", why))
        description.datasets.append(Described(None, "", "other", 0, 0, None, why))
        return description
    dtype, kind, problem = value_kind(dataset)
    itemsize = dtype.itemsize if dtype is not None else 0
    name = "" if dtype is None else str(dtype) if dtype.kind != "O" else kind
    if kind in ("text", "bytes") and not problem and shape is not None and int(np.prod(shape[1:], dtype=object)) != 1:
        problem = "several strings a row"
    fields = _numeric_fields(dtype) if kind == "compound" and dtype is not None and not reason and not virtual else {}
    if kind == "compound" and not problem and dtype is not None:
        left = [field_name for field_name in dtype.names or () if field_name not in fields]
        problem = f"fields that are not plain numbers: {', '.join(left)}" if left else ""
    whole = Described(shape, name, kind, itemsize, stored_bytes, chunks, reason or problem, virtual=virtual)
    description.datasets.append(whole)
    description.datasets += [
        Described(shape, str(part), "numeric", part.itemsize, 0, chunks, suffix=f".{field_name}")
        for field_name, part in fields.items()
    ]
    return description


def _shape(dataset: Any) -> tuple[int, ...] | None:
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5py.h5s.NULL:
        return None
    return tuple(int(side) for side in space.shape)


def _stored_bytes(dataset: Any) -> int:
    try:
        return int(dataset.get_storage_size())
    except LIBRARY_ERRORS:  # the chunk index is damaged: reading tells which rows that costs
        return 0


def _outside(plist: Any) -> Damage | None:
    """What a dataset refers to outside of its file."""
    if plist.get_external_count():
        target = plist.get_external(0)[0].decode("utf-8", "backslashreplace")
        reason = f"its raw data lies in another file, {target}: not read"
        return Damage("external-reference", reason, data={"target": target})
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        for number in range(plist.get_virtual_count()):
            source = plist.get_virtual_filename(number)
            if source.encode() not in LOCAL:
                reason = f"a virtual dataset, made of data in another file, {source}: not read"
                return Damage("external-reference", reason, data={"target": source})
    return None


def _why_not(plist: Any, outside: Damage | None) -> str:
    """Why a dataset is not read, empty if it can be."""
    if outside:
        return outside.reason
    for number in range(plist.get_nfilters()):
        filter_id, _, _, name = plist.get_filter(number)
        if filter_id not in built_in_filters() and filter_id not in plugin_filters():
            return filter_advice(filter_id, name.decode("utf-8", "replace"))
    return ""


def value_kind(dataset: Any) -> tuple[np.dtype[Any] | None, str, str]:
    """NumPy's dtype, the kind as in `DatasetInfo`, and why values of this type are not read (empty if they are)."""
    try:
        stored = dataset.get_type()
        dtype = np.dtype(dataset.dtype)
    except LIBRARY_ERRORS as exc:
        return None, "other", f"values of a type that numpy does not have: {one_line(exc)}"
    by_class = {h5py.h5t.STRING: "text", h5py.h5t.ENUM: "enum", h5py.h5t.OPAQUE: "bytes"}
    stored_class = stored.get_class()
    if dtype == np.dtype(bool):
        return dtype, "bool", ""
    if stored_class in by_class and dtype.kind not in "mM":
        return dtype, by_class[stored_class], ""
    if stored_class == h5py.h5t.VLEN:
        base = h5py.check_vlen_dtype(dtype)
        if base is not None and np.dtype(base).itemsize == 1 and np.dtype(base).kind in "iuV":
            return dtype, "bytes", ""
        return dtype, "other", "rows of varying length"
    base = dtype.base
    if base.kind == "c":
        return dtype, "complex", ""
    if base.names is not None:
        return dtype, "compound", ""
    if base.kind in "iuf" and base.metadata is None:
        return dtype, "numeric", ""
    return dtype, "other", f"values of a type that is not looked at ({_class_name(stored_class)})"


def _class_name(stored_class: int) -> str:
    names = {
        h5py.h5t.REFERENCE: "references",
        h5py.h5t.TIME: "time",
        h5py.h5t.ARRAY: "arrays of other than numbers",
        h5py.h5t.OPAQUE: "opaque dates",
    }
    return names.get(stored_class, f"class {stored_class}")


def _numeric_fields(dtype: np.dtype[Any]) -> dict[str, np.dtype[Any]]:
    """Fields of plain numbers, by name."""
    fields = {name: dtype.fields[name][0] for name in dtype.names or ()} if dtype.fields is not None else {}
    return {name: part for name, part in fields.items() if part.base.kind in "iuf" and part.base.metadata is None}
