"""Data that an HDF5 file refers to outside of itself, read only where that was asked for.

A name in a file can lead anywhere: to a device, to a FIFO that blocks for ever, to what is nobody's business. So the
library is never let go there by itself. Names are resolved here, and only regular files in the folder tree around the
HDF5 file are opened.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from .errors import StoreError
from .files import ReadOnlyFile
from .hdf5_file import OpenedFile, open_file

MAX_FILES = 64
"""Files around one HDF5 file that are opened; each keeps a descriptor."""


class NotFollowed(Exception):
    """Why a reference is not followed, as the end of a sentence."""


@dataclass(slots=True)
class Surroundings:
    """The folder tree around an HDF5 file, and what was opened in it so far, by real path."""

    home: OpenedFile
    _hdf5: dict[str, OpenedFile] = field(default_factory=dict)
    _raw: dict[str, ReadOnlyFile] = field(default_factory=dict)
    _states: dict[str, tuple[int, int]] = field(default_factory=dict)

    def hdf5(self, name: bytes, beside: OpenedFile) -> OpenedFile:
        """Open another HDF5 file, named relative to the one that refers to it.

        Raises
        ------
        NotFollowed
            It lies elsewhere, does not exist, or is no HDF5 file.
        """
        path = self._locate(name, beside)
        if path == os.path.realpath(_folder(self.home) / self.home.path.name):
            return self.home
        if path not in self._hdf5:
            self._admit(path)
            try:
                self._hdf5[path] = open_file(Path(path))
            except StoreError as exc:
                raise NotFollowed(str(exc)) from exc
        opened = self._hdf5[path]
        if opened.file is None:
            raise NotFollowed(opened.damages[-1].reason if opened.damages else "HDF5 can't open it")
        return opened

    def raw(self, name: bytes, beside: OpenedFile) -> ReadOnlyFile:
        """Open a file of raw bytes. Raises as `hdf5`."""
        path = self._locate(name, beside)
        if path not in self._raw:
            self._admit(path)
            try:
                self._raw[path] = ReadOnlyFile(Path(path))
            except StoreError as exc:
                raise NotFollowed(str(exc)) from exc
        return self._raw[path]

    def changed(self) -> list[str]:
        """Files that are no longer what they were when they were opened."""
        return [path for path, state in self._states.items() if _state(path) != state]

    def close(self) -> None:
        """Close what was opened."""
        for opened in self._hdf5.values():
            opened.close()
        for raw in self._raw.values():
            raw.close()
        self._hdf5.clear()
        self._raw.clear()

    def _locate(self, name: bytes, beside: OpenedFile) -> str:
        """The real path, every link resolved, of a regular file in the tree."""
        shown = name.decode("utf-8", "backslashreplace")
        if b"\0" in name or not name:
            raise NotFollowed(f"{shown!r} is no file name")
        root = os.path.realpath(_folder(self.home))
        path = os.path.realpath(os.path.join(_folder(beside), os.fsdecode(name)))
        if os.path.commonpath([root, path]) != root:
            raise NotFollowed(f"it lies outside of the folder {root}")
        try:
            mode = os.lstat(path).st_mode
        except OSError as exc:
            raise NotFollowed(f"{path} can't be opened: {exc.strerror}") from exc
        if not stat.S_ISREG(mode):
            raise NotFollowed(f"{path} is not a regular file")
        return path

    def _admit(self, path: str) -> None:
        if len(self._hdf5) + len(self._raw) >= MAX_FILES:
            raise NotFollowed(f"more than {MAX_FILES} files are referred to")
        self._states[path] = _state(path)


def _folder(opened: OpenedFile) -> Path:
    assert isinstance(opened.path, Path), "files around an object on a server are never followed"
    return opened.path.parent


def _state(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
