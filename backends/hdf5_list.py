"""Caffe's list files: the ``source`` of an HDF5Data layer, a text file that names HDF5 files.

Caffe reads it word by word (hdf5_data_layer.cpp): names end at white space, nothing is a comment, and relative
names count from the folder in which Caffe was started. That folder is not known here, so some are tried.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from .magic import is_hdf5

MAX_LIST_BYTES = 16 << 20
_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
_PARENTS = 4


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A name in the list, the file that it stands for (``None`` if there is none), and where it was looked for."""

    name: str
    path: Path | None
    tried: tuple[Path, ...]


def is_hdf5_list(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a list of HDF5 files: a small text with a line of nothing but such names.

    An empty ``.txt`` is one too: a list that lost its contents.
    """
    content = _text(Path(path))
    if content is None or Path(path).suffix in (".prototxt", ".log", ".md"):
        return False
    lines = [line.split() for line in content.splitlines()]
    named = [line for line in lines if line]
    if not named:
        return Path(path).suffix == ".txt"
    return any(all(_looks_like_hdf5(name, Path(path)) for name in line) for line in named[:1000])


def read_list(path: Path) -> list[ListEntry]:
    """The entries of a list file, each once, in the order of the list."""
    names = dict.fromkeys((_text(path) or "").split())
    folders = _folders(path)
    return [_find(name, folders) for name in names]


def _text(path: Path) -> str | None:
    """The contents of a small regular text file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_LIST_BYTES:
            return None
        with path.open("rb") as stream:
            head = stream.read(4096)
            if b"\0" in head or head.startswith(b"\x89HDF"):
                return None
            return (head + stream.read(MAX_LIST_BYTES)).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def _looks_like_hdf5(name: str, list_path: Path) -> bool:
    if name.lower().endswith(_SUFFIXES):
        return not any(mark in name for mark in "\"'=<>|;,")
    found = _find(name, _folders(list_path)).path if "/" in name or "." in name else None
    return found is not None and is_hdf5(found)


def _folders(list_path: Path) -> list[Path]:
    """Where names of a list may count from: here, the list's folder, and the folders above it."""
    own = Path(os.path.abspath(list_path)).parent
    return list(dict.fromkeys([Path.cwd(), own, *list(own.parents)[:_PARENTS]]))


def _find(name: str, folders: list[Path]) -> ListEntry:
    tried = [folder / name for folder in folders] if not os.path.isabs(name) else [Path(name)]
    for candidate in tried:
        try:
            if stat.S_ISREG(candidate.stat().st_mode):
                return ListEntry(_printable(name), candidate, ())
        except (OSError, ValueError):
            continue
    return ListEntry(_printable(name), None, () if os.path.isabs(name) else tuple(folders))


def _printable(name: str) -> str:
    """A name with escapes for bytes that are not UTF-8: reports are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
