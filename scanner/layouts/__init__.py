"""Layouts: how the records of a store become samples. `LAYOUTS` is the table of all of them.

A layout's module is imported when its class is asked for, so that the names alone (for ``--layout``, for a list of
layouts) load no image decoder and no storage library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from .base import Layout

_PLACES = {
    "caffe-datum": ("caffe_datum", "CaffeDatum"),
    "ssd-annotated-datum": ("caffe_annotated", "SsdAnnotatedDatum"),
    "ocr": ("ocr", "Ocr"),
    "encoded-images": ("images", "EncodedImages"),
    "npy": ("npy", "Npy"),
    "npz": ("npz", "Npz"),
    "pickle-records": ("pickles", "PickleRecords"),
    "msgpack-records": ("msgpack_records", "MsgpackRecords"),
    "raw": ("raw", "Raw"),
    "caffe-hdf5": ("hdf5_caffe", "CaffeHdf5"),
    "hdf5-pairs": ("hdf5_pairs", "Hdf5Pairs"),
    "hdf5-arrays": ("hdf5_arrays", "Hdf5Arrays"),
}

RECORD_LAYOUTS = (
    "caffe-datum",
    "ssd-annotated-datum",
    "ocr",
    "encoded-images",
    "npy",
    "npz",
    "pickle-records",
    "msgpack-records",
    "raw",
)
"""Those of key-value stores, in the order that decides between equals; ``raw`` is the last resort."""

ROW_LAYOUTS = ("caffe-hdf5", "hdf5-pairs", "hdf5-arrays")
"""Those of HDF5, the most specific first: the first that recognises its datasets is taken."""


class _Table(Mapping[str, type[Layout]]):
    def __getitem__(self, name: str) -> type[Layout]:
        module, attribute = _PLACES[name]
        layout: type[Layout] = getattr(import_module(f".{module}", __name__), attribute)
        return layout

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


LAYOUTS: Mapping[str, type[Layout]] = _Table()
"""Name to class, in the order of the lists above."""

__all__ = ["LAYOUTS", "RECORD_LAYOUTS", "ROW_LAYOUTS"]
