"""What the file system and the store say of a source's last change, without reading what it holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...backends.urls import is_remote

NOT_CONTENTS = ("lock.mdb", "LOCK", "LOG", "LOG.old")
"""Files of a store that readers touch, and that hold no data."""

OF_THE_FILE = ("inode", "size_bytes", "modified_ns", "device")
"""Names in a store's identity that the stamps of the files have as well."""


def stamp_of(path: str, identity: Mapping[str, Any] | None) -> dict[str, Any]:
    """Size, time of the last change and inode of each file, and what the store says of itself. Runs in a worker."""
    known = dict(identity or {})
    if is_remote(path):  # what the server says of its files is the store's identity
        return {"files": {}, "store": _plain(known)}
    root = Path(path)
    files = sorted(entry for entry in root.iterdir()) if root.is_dir() else [root]
    listed = known.pop("files", {}) if not root.is_dir() else {}
    found = {}
    for file in files:
        if file.name not in NOT_CONTENTS and file.is_file():
            found[file.name] = _of(os.stat(file))
    for name in listed if isinstance(listed, Mapping) else ():
        if os.path.isfile(name):
            found[name] = _of(os.stat(name))
    store = {name: value for name, value in known.items() if name not in OF_THE_FILE}
    return {"files": found, "store": _plain(store)}


def _of(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _plain(value: Any) -> Any:
    """Values as JSON gives them back."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def nobody_wrote(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether nothing was written between two stamps: a file may have moved, with its size and times preserved."""
    return before["store"] == now["store"] and _unmoved(before) == _unmoved(now)


def _unmoved(stamp: Mapping[str, Any]) -> dict[str, list[int]]:
    return {name: entry[:2] for name, entry in stamp["files"].items()}
