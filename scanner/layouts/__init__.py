"""Layouts: how the records of a store become samples. `LAYOUTS` is the table of all of them.

A layout's module is imported when its class is asked for, so that the names alone (for ``--layout``, for a list of
layouts) load no image decoder and no storage library.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from ...backends.errors import UsageError
from ...backends.lazy import Places
from ...backends.plugins import Registry, import_named
from .base import Layout, RecordLayout, RowLayout

_PLACES = {
    "digits-pairs": ("digits_pairs", "DigitsPairs"),
    "caffe-datum": ("caffe_datum", "CaffeDatum"),
    "ssd-annotated-datum": ("caffe_annotated", "SsdAnnotatedDatum"),
    "caffe2-tensor-protos": ("caffe2_protos", "Caffe2Protos"),
    "ocr": ("ocr", "Ocr"),
    "basicsr": ("basicsr", "BasicSr"),
    "stylegan": ("stylegan", "StyleGan"),
    "encoded-images": ("images", "EncodedImages"),
    "tensorpack": ("listed", "Tensorpack"),
    "folder2lmdb": ("listed", "Folder2Lmdb"),
    "npy": ("npy", "Npy"),
    "npz": ("npz", "Npz"),
    "atom3d": ("indexed", "Atom3d"),
    "ase-lmdb": ("ase_lmdb", "AseLmdb"),
    "json-records": ("json_records", "JsonRecords"),
    "indexed-pickle": ("indexed", "IndexedPickle"),
    "pickle-records": ("pickles", "PickleRecords"),
    "msgpack-records": ("msgpack_records", "MsgpackRecords"),
    "raw": ("raw", "Raw"),
    "caffe-hdf5": ("hdf5_caffe", "CaffeHdf5"),
    "robomimic": ("robot_demos", "Robomimic"),
    "aloha": ("robot_demos", "Aloha"),
    "minari": ("offline_rl", "Minari"),
    "d4rl": ("offline_rl", "D4rl"),
    "fastmri": ("science", "FastMri"),
    "ann-benchmarks": ("science", "AnnBenchmarks"),
    "jetnet": ("science", "JetNet"),
    "pdebench": ("science", "PdeBench"),
    "matlab": ("science", "Matlab"),
    "hdf5-pairs": ("hdf5_pairs", "Hdf5Pairs"),
    "hdf5-arrays": ("hdf5_arrays", "Hdf5Arrays"),
}

RECORD_LAYOUTS = (
    "digits-pairs",
    "caffe-datum",
    "ssd-annotated-datum",
    "caffe2-tensor-protos",
    "ocr",
    "basicsr",
    "stylegan",
    "encoded-images",
    "tensorpack",
    "folder2lmdb",
    "npy",
    "npz",
    "atom3d",
    "ase-lmdb",
    "json-records",
    "indexed-pickle",
    "pickle-records",
    "msgpack-records",
    "raw",
)
"""Those of key-value stores, in the order that decides between equals; ``raw`` is the last resort.

Layouts that a set's reserved keys, its keys or its neighbours speak for come before those that know values alone.
"""

ROW_LAYOUTS = (
    "caffe-hdf5",
    "robomimic",
    "aloha",
    "minari",
    "d4rl",
    "fastmri",
    "ann-benchmarks",
    "jetnet",
    "pdebench",
    "matlab",
    "hdf5-pairs",
    "hdf5-arrays",
)
"""Those of HDF5, the most specific first: the first that recognises its datasets is taken."""


def _checked(name: str, loaded: object) -> type[Layout]:
    """Whether a plug-in's object is a layout."""
    if not isinstance(loaded, type) or not issubclass(loaded, (RecordLayout, RowLayout)):
        raise TypeError(f"{loaded!r} is no subclass of RecordLayout or RowLayout")
    missing = sorted(getattr(loaded, "__abstractmethods__", ()))
    missing += [named for named in ("name", "title") if not isinstance(getattr(loaded, named, None), str)]
    if missing:
        raise TypeError(f"{loaded.__name__} lacks {', '.join(missing)}")
    if loaded.name != name:
        raise ValueError(f"the layout calls itself {loaded.name!r}")
    return loaded


LAYOUTS: Registry[type[Layout]] = Registry("layouts", Places(__name__, _PLACES), _checked)
"""Name to class, in the order of the lists above; behind them those of plug-ins."""

_PLACE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)")


def layout_named(name: str) -> type[Layout]:
    """The layout of a name, or that of ``module:Class``, which need not be packaged.

    Raises
    ------
    UsageError
        There is none, or it can't be loaded; the message names the nearest ones.
    """
    place = _PLACE.fullmatch(name)
    if place is not None:
        found = import_named(place[1], place[2])
        try:
            return _checked(getattr(found, "name", ""), found)
        except (TypeError, ValueError) as exc:
            raise UsageError(f"{name} is no layout: {exc}") from exc
    if name in LAYOUTS:
        return LAYOUTS[name]
    near = get_close_matches(name, LAYOUTS, 2, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(LAYOUTS)}"
    broken = "".join(
        f"; plug-in {plugin.name} of {plugin.package} is broken: {why}" for plugin, why in LAYOUTS.broken.items()
    )
    raise UsageError(f"unknown layout {name!r}; {hint}{broken}")


def record_layouts() -> list[str]:
    """Names of the layouts of key-value stores in the order that decides between equals: those of plug-ins first."""
    return [*(name for name, layout in LAYOUTS.foreign.items() if issubclass(layout, RecordLayout)), *RECORD_LAYOUTS]


def row_layouts() -> list[str]:
    """Names of the layouts of HDF5 in the order in which they are asked: those of plug-ins first."""
    return [*(name for name, layout in LAYOUTS.foreign.items() if issubclass(layout, RowLayout)), *ROW_LAYOUTS]


__all__ = ["LAYOUTS", "RECORD_LAYOUTS", "ROW_LAYOUTS", "layout_named", "record_layouts", "row_layouts"]
