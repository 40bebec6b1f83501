"""The files of a LevelDB folder: regular ones only, by their numbers; nothing is followed out of the folder."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .base import DamageKind
from .errors import StoreError, StoreNotFound, UnknownFormat
from .files import ReadOnlyFile
from .remote import RemotePath, open_data

_NAME = re.compile(
    r"(?P<manifest>MANIFEST)-(?P<version>\d{1,19})\Z|(?P<number>\d{1,19})\.(?P<kind>ldb|sst|log)\Z", re.ASCII
)


class NotOpened(Exception):
    """A listed file could not be opened. Never leaves the backend: whoever catches it makes a `Damage` of it."""

    kind: DamageKind = "damaged"


class Vanished(NotOpened):
    """It is gone since it was listed: another process writes to the set."""

    kind: DamageKind = "in-use"


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder held when it was listed.

    Attributes
    ----------
    tables, logs, manifests
        File names by number. Where a table stands there under both of its endings, ``.ldb`` is meant, as in LevelDB.
    sizes
        Size in bytes of each of these files and of CURRENT, by name.
    irregular
        Names of LevelDB's own kinds that are not regular files.
    """

    path: Path | RemotePath
    tables: Mapping[int, str]
    logs: Mapping[int, str]
    manifests: Mapping[int, str]
    sizes: Mapping[str, int]
    irregular: tuple[str, ...]

    @classmethod
    def listed(cls, path: Path | RemotePath) -> Folder:
        """List a folder. Raises `StoreNotFound` or `UnknownFormat` where there is nothing to look at."""
        found: dict[str, dict[int, str]] = {"ldb": {}, "log": {}, "MANIFEST": {}}
        sizes, irregular = {}, []
        for name, size in _entries(path):
            match = _NAME.match(name)
            if match is None and name != "CURRENT":
                continue
            if size is None:
                irregular.append(name)
                continue
            if match is not None:
                kind = match["manifest"] or match["kind"].replace("sst", "ldb")
                if found[kind].setdefault(int(match["version"] or match["number"]), name) != name:
                    continue
            sizes[name] = size
        if not sizes and not irregular:
            raise UnknownFormat(f"{path} holds no file of a LevelDB")
        tables, logs, manifests = (dict(sorted(found[kind].items())) for kind in ("ldb", "log", "MANIFEST"))
        return cls(path, tables, logs, manifests, sizes, tuple(irregular))

    @contextmanager
    def opened(self, name: str) -> Iterator[ReadOnlyFile]:
        """One of the folder's files, while the block lasts. Raises `NotOpened`; reading it may raise OSError."""
        file = self._open(name)
        try:
            yield file
        finally:
            file.close()

    def _open(self, name: str) -> ReadOnlyFile:
        if isinstance(self.path, RemotePath):
            try:
                return open_data(self.path / name)
            except StoreNotFound as exc:
                raise Vanished(f"{name} has vanished since it was listed") from exc
        path = self.path / name
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise NotOpened(f"{name} is not a regular file any more")
            return ReadOnlyFile(path)
        except (OSError, StoreError) as exc:
            if not os.path.lexists(path):
                raise Vanished(f"{name} has vanished since it was listed") from exc
            raise NotOpened(f"{name} can't be opened: {exc}") from exc


def _entries(path: Path | RemotePath) -> list[tuple[str, int | None]]:
    """Names and sizes, sorted; no size for what is not a regular file."""
    if isinstance(path, RemotePath):
        return [*path.listing(fresh=True)]
    try:
        with os.scandir(path) as entries:
            return sorted((entry.name, _regular_size(entry)) for entry in entries)
    except FileNotFoundError as exc:
        raise StoreNotFound(f"no such folder: {path}") from exc
    except PermissionError as exc:
        raise StoreNotFound(f"no permission to read {path}") from exc
    except NotADirectoryError as exc:
        raise UnknownFormat(f"{path} is not a folder, so it is no LevelDB") from exc


def _regular_size(entry: os.DirEntry[str]) -> int | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # it vanished between listing and looking
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
