"""Copying HDF5 files without some of their rows: runs in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...backends.base import DatasetInfo
from ...backends.hdf5_file import open_file
from ...backends.hdf5_links import open_inside
from ...backends.hdf5_list_store import Hdf5ListStore
from ...backends.hdf5_store import Hdf5Store
from ...backends.hdf5_writer import Like, Taken, object_id
from ...backends.writing import sync_tree, writing
from ..prints import column_hashes
from ..stamp import NOTHING, reading
from ..worker import SourceRef, open_source
from .copier import beating
from .routes import Positions
from .spill import append


@dataclass(frozen=True, slots=True)
class Listing:
    """One file of a source: its name in the list (empty where there is none), its path and its datasets.

    ``owners`` has the dataset that a path is a field of, where that is another; ``outside`` names what refers to other
    files or to other datasets, so that rows can't be taken out of it.
    """

    name: str
    path: str
    datasets: tuple[DatasetInfo, ...]
    owners: Mapping[str, str]
    outside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileJob:
    """One file to write: rows by dataset; ``added`` by dataset, with a file for the fingerprints of what is written."""

    source: str
    target: Path
    rows: Mapping[str, Positions]
    whole: bool = True
    added: Mapping[str, tuple[int, Path]] = field(default_factory=dict)


def list_files(source: SourceRef) -> list[Listing]:
    """The files of a source, with all datasets that they hold."""
    store = open_source(source)
    if isinstance(store, Hdf5ListStore):
        found = []
        for name, path in store.files.items():
            with Hdf5Store(path) as one:
                found.append(_listing(name, one))
        return found
    assert isinstance(store, Hdf5Store)
    return [_listing("", store)]


def _listing(name: str, store: Hdf5Store) -> Listing:
    catalog = store.catalog
    owners = {path: path.removesuffix(f".{part}") for path, part in catalog.fields.items()}
    outside = [damage.dataset or damage.reason for damage in catalog.damages if damage.kind == "external-reference"]
    outside += [info.path for info in catalog.datasets if info.shape is None and info.kind != "other"]
    return Listing(name, str(store.path), tuple(catalog.datasets), owners, tuple(outside))


def copy_file(job: FileJob) -> list[str]:
    """Write one file; gives what could not be taken over."""
    with Hdf5Store(Path(job.source)) as store:
        locations = store.catalog.locations
        opened = open_file(Path(job.source))
        try:
            done = 0

            def moved(size: int) -> None:
                nonlocal done
                done += size
                reading(NOTHING, 0, done)  # reading on counts as progress, so that a library that loops is noticed

            taken = {}
            for path, rows in job.rows.items():
                assert opened.file is not None
                dataset: Any = open_inside(opened.file.id, locations.get(path, path.encode()))
                added, spill = job.added.get(path, (0, None))
                taken[object_id(dataset)] = Taken(rows, added, None if spill is None else _printing(spill))
            notes = Like(opened, job.target, taken, job.whole, moved).write()
            with beating(), writing(job.target, (OSError,)):
                sync_tree(job.target)
            return notes
        finally:
            opened.close()


def _printing(path: Path) -> Any:
    def seen(values: Any) -> None:
        append(path, column_hashes(values))

    return seen
