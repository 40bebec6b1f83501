"""Where the parts of a rebuild go, and which places are refused."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ...backends.errors import UsageError
from ...backends.hdf5_list import is_hdf5_list, read_list
from ...backends.magic import is_hdf5, is_leveldb, is_lmdb

QUARANTINE_LIST = "quarantine.jsonl"
MAP_HEAD = "# datascan rebuild: old key\told position\tnew key\tnew position\tset\n"
_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5", ".txt", ".mdb")


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths of what a rebuild may write, whether or not it comes to that."""

    target: Path
    validation: Path
    quarantine: Path
    map: Path
    files: Path
    """The folder of the files that a list target names."""

    @classmethod
    def beside(cls, target: str, validation: str | None = None, map_file: str | None = None) -> Places:
        """The places for a target."""
        path = Path(os.path.abspath(target))
        suffix = path.suffix if path.suffix.lower() in _SUFFIXES else ""
        stem = path.name.removesuffix(suffix) if suffix else path.name
        return cls(
            path,
            Path(os.path.abspath(validation)) if validation else path.with_name(f"{stem}-val{suffix}"),
            path.with_name(f"{stem}-quarantine"),
            Path(os.path.abspath(map_file)) if map_file else path.with_name(f"{stem}-map.tsv"),
            path.with_name(f"{stem}-files"),
        )


def files_of(source: str) -> list[str]:
    """The source, and the files that it names where it is a list."""
    path = Path(source)
    if path.is_file() and not is_hdf5(path) and is_hdf5_list(path):
        return [source, *(str(entry.path) for entry in read_list(path) if entry.path is not None)]
    return [source]


def refuse(paths: Sequence[Path], sources: Iterable[str], overwrite: bool) -> None:
    """Refuse places where a source would be written to, or something else lost.

    Raises
    ------
    UsageError
        With what is in the way.
    """
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise UsageError(f"{path} would be written twice; name another place for one of the two")
        for source in sources:
            _refuse_source(path, source)
        for parent in path.parents:
            if is_lmdb(parent) or is_leveldb(parent):
                raise UsageError(f"can't write {path}: {parent} is a data set; choose a place outside of it")
        if not path.parent.is_dir():
            raise UsageError(f"can't write {path}: {path.parent} is no folder; make it first")
        if os.path.lexists(path):
            _refuse_existing(path, overwrite)


def _refuse_source(path: Path, source: str) -> None:
    resolved, real = Path(os.path.realpath(path)), Path(os.path.realpath(source))
    if resolved == real or _same_file(path, source):
        raise UsageError(f"{path} is the source itself; name another target: a source is never written to")
    if real in resolved.parents:
        raise UsageError(f"{path} is inside of the source {source}; name a target outside of it")
    if resolved in real.parents and path.exists():
        raise UsageError(f"{path} holds the source {source}; name a target outside of it")


def _same_file(path: Path, source: str) -> bool:
    """Whether two paths are one file, or folders whose files are the same by hard links."""
    try:
        if os.path.samefile(path, source):
            return True
        if not (path.is_dir() and Path(source).is_dir()):
            return False
        own = {(entry.stat().st_dev, entry.stat().st_ino) for entry in path.iterdir() if entry.is_file()}
        return any((entry.stat().st_dev, entry.stat().st_ino) in own for entry in Path(source).iterdir())
    except OSError:
        return False


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if not overwrite:
        raise UsageError(f"{path} is there already; name another target, or give --overwrite to replace it")
    if path.is_symlink():
        raise UsageError(f"{path} is a symbolic link: --overwrite replaces data sets only; name what it leads to")
    strange = next(_strangers(path), None)
    if strange is not None:
        raise UsageError(f"{path} is there already, and {strange}: --overwrite replaces data sets only")


def is_ours(path: Path) -> bool:
    """Whether something stands there that a rebuild has written."""
    return path.exists() and not path.is_symlink() and next(_strangers(path), None) is None


def _strangers(path: Path) -> Iterator[str]:
    """What speaks against a path being something that a rebuild could have written."""
    if path.is_file():
        if not (is_hdf5(path) or is_lmdb(path) or is_hdf5_list(path) or _is_map(path) or path.stat().st_size == 0):
            yield "it is no data set"
        return
    known = (QUARANTINE_LIST, "data.mdb", "lock.mdb")
    for entry in sorted(path.iterdir()):
        usual = fnmatch(entry.name, "records*.h5") or entry.name in known or _is_of_leveldb(entry.name)
        if not (entry.is_file() and (usual or (path.name.endswith("-files") and is_hdf5(entry)))):
            yield f"{entry.name} in it is no part of a data set"


def _is_map(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(MAP_HEAD)) == MAP_HEAD.encode()


def _is_of_leveldb(name: str) -> bool:
    return (
        name in ("CURRENT", "LOCK", "LOG", "LOG.old")
        or name.startswith("MANIFEST-")
        or (name.partition(".")[0].isdigit() and name.endswith((".ldb", ".sst", ".log")))
    )
