"""Storage: LMDB, LevelDB and HDF5 read without their engines' side effects; knows nothing of layouts or rules."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import (
    DatascanError,
    MissingDependency,
    StoreError,
    StoreNotFound,
    UnknownFormat,
    UsageError,
)
from .hdf5_list import is_hdf5_list
from .magic import is_hdf5, is_leveldb, is_lmdb
from .plugins import Registry, said
from .urls import is_remote

if TYPE_CHECKING:  # numpy must not be imported to print a help text
    from .base import Store

__all__ = [
    "BACKENDS",
    "Backend",
    "DatascanError",
    "MissingDependency",
    "StoreError",
    "StoreNotFound",
    "UnknownFormat",
    "UsageError",
    "open_store",
]


@dataclass(frozen=True, slots=True)
class Backend:
    """One row of `BACKENDS`: the module is imported only when a path is of its format.

    Attributes
    ----------
    name
        As ``--backend`` takes it, and as reports name the store.
    module, factory
        What opens a path: ``factory(path)`` of this module gives a `Store`.
    recognises
        Whether a path is of the format, by its first bytes or its folder's listing: total, and cheap.
    databases, references
        Whether the factory takes a named database, or whether to follow references to other files.
    """

    name: str
    module: str
    factory: str
    recognises: Callable[[Path], bool]
    databases: bool = False
    references: bool = False

    def open(self, path: Path, database: str | None, follow_external: bool) -> Store:
        """Open a path that this backend recognised, or that the user says is of its format."""
        factory = getattr(import_module(self.module, __package__), self.factory)
        more = (database,) if self.databases else (follow_external,) if self.references else ()
        store: Store = factory(path, *more)
        return store


def _checked(name: str, loaded: object) -> Backend:
    if not isinstance(loaded, Backend):
        raise TypeError(f"it is a {type(loaded).__name__}, not a datascan.backends.Backend")
    if loaded.name != name:
        raise ValueError(f"the backend calls itself {loaded.name!r}")
    return loaded


BACKENDS: Registry[Backend] = Registry(
    "backends",
    {
        backend.name: backend
        for backend in (
            Backend("lmdb", ".lmdb_store", "LmdbStore", is_lmdb, databases=True),
            Backend("leveldb", ".leveldb_store", "LevelDbStore", is_leveldb),
            Backend(
                "hdf5", ".hdf5_open", "open_hdf5", lambda path: is_hdf5(path) or is_hdf5_list(path), references=True
            ),
        )
    },
    _checked,
)
"""Our own, and behind them those of plug-ins."""


def open_store(
    path: str | Path, backend: str | None = None, database: str | None = None, follow_external: bool = False
) -> Store:
    """Open the data set at a path, read-only.

    Parameters
    ----------
    backend
        A name of `BACKENDS` where the format must not be guessed from the first bytes.
    database
        LMDB: the named sub-database to read instead of the root.
    follow_external
        HDF5: read what links, raw storage and virtual datasets refer to in other files, as far as these are regular
        files in the folder tree around the file.

    Raises
    ------
    StoreNotFound
        No such path, or it may not be read.
    UnknownFormat
        The path is of no format that datascan reads.
    UsageError
        An unknown backend, or ``database`` for a store that has none.
    """
    if is_remote(path):
        from .remote_open import open_remote

        return open_remote(str(path), backend, database, follow_external)
    path = Path(path)
    _check_readable(path)
    chosen = _named(backend) if backend is not None else _recognised(path)
    if database is not None and not chosen.databases:
        raise UsageError(f"{path}: {chosen.name} has no named databases; leave out --database")
    return chosen.open(path, database, follow_external)


def _named(backend: str) -> Backend:
    try:
        return BACKENDS[backend]
    except KeyError:
        raise UsageError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}") from None


def _recognised(path: Path) -> Backend:
    for backend in BACKENDS.own.values():
        if backend.recognises(path):
            return backend
    failed = [f"{plugin.name} of {plugin.package} is broken ({why})" for plugin, why in BACKENDS.broken.items()]
    for name, backend in BACKENDS.foreign.items():
        try:
            if backend.recognises(path):
                return backend
        except Exception as exc:  # a plug-in that fails leaves the others their turn
            failed.append(f"{name} fails to look at it ({said(exc)})")
    notes = "".join(f"; plug-in {text}" for text in failed)
    raise UnknownFormat(f"{path}: {_why_unknown(path)}{notes}")


def _check_readable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise StoreNotFound(f"{path}: no such file or folder") from None
    except NotADirectoryError:
        raise StoreNotFound(f"{path}: a part of this path is a file, not a folder") from None
    except OSError as exc:
        raise StoreNotFound(f"{path}: can't be looked at ({exc.strerror})") from exc
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UnknownFormat(f"{path}: neither a file nor a folder; name an LMDB, LevelDB or HDF5 path")
    needed = os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)
    if not os.access(path, needed):
        raise StoreNotFound(f"{path}: no permission to read it")


def _why_unknown(path: Path) -> str:
    """What the path looks like instead, and what to do."""
    expected = "expected an LMDB or LevelDB folder, an LMDB or HDF5 file, or a list of HDF5 files"
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        if not names:
            return f"the folder is empty; {expected}"
        stores = [
            name for name in names if (path / name).is_dir() and (is_lmdb(path / name) or is_leveldb(path / name))
        ]
        files = [name for name in names if name.endswith((".h5", ".hdf5"))]
        inside = stores[:3] + files[:3]
        hint = f"; it contains {', '.join(inside)}: name that instead" if inside else ""
        return f"no data.mdb (LMDB) and no CURRENT (LevelDB) in this folder{hint or '; ' + expected}"
    if path.suffix == ".prototxt":
        return "nets are not read yet; name the data set that its data layer reads"
    if path.stat().st_size == 0:
        return f"the file is empty; {expected}"
    return f"not a format that datascan reads; {expected}"
