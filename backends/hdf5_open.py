"""Opening an HDF5 file or a list of HDF5 files; the library is imported only when it comes to that."""

from __future__ import annotations

from pathlib import Path

from .base import Store
from .hdf5_list import is_hdf5_list
from .magic import is_hdf5


def open_hdf5(path: Path, follow_external: bool = False) -> Store:
    """The store for a path that is a list or an HDF5 file."""
    if not is_hdf5(path) and is_hdf5_list(path):
        from .hdf5_list_store import Hdf5ListStore

        return Hdf5ListStore(path, follow_external)
    from .hdf5_store import Hdf5Store

    return Hdf5Store(path, follow_external)
