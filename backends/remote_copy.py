"""A data set on a server, copied to a folder of this machine before it is read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from .errors import StoreError
from .remote import BLOCK_BYTES, RemoteFile, RemotePath, identity_of
from .remote_open import recognised

_STATE = "datascan-state.json"
_SPARE = 64 << 20
"""Bytes that are left free on the disk."""

Progress = Callable[[int, int], None]
"""Called with the bytes that are there, and all there will be."""


def copied(url: str, cache: Path, progress: Progress | None = None) -> Path:
    """The copy of a data set in a cache; made, or made anew, unless it is there in the state that the server has.

    Objects are written under another name and renamed when they are whole, so that a copy that was ended goes on.

    Raises
    ------
    StoreNotFound, UnknownFormat, StoreError
        The data set is not there or none, the server fails, the disk has no room for it.
    """
    kind, path = recognised(RemotePath(url))
    folder = cache / sha256(url.encode()).hexdigest()[:16]
    target = folder / (path.name or "data")
    objects = {target: path}
    if path.is_dir():
        objects = {target / name: path / name for name, _ in path.listing() if kind != "lmdb" or name == "data.mdb"}
    states = {place: identity_of(one.info()) for place, one in objects.items()}
    missing = [place for place in objects if not _is_there(place, states[place])]
    total = sum(states[place]["size_bytes"] for place in missing)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for stray in set(target.iterdir() if target.is_dir() else ()) - set(objects) - {_noted(p) for p in objects}:
            stray.unlink()  # an object that the server has no more
        _check_space(folder, url, total)
        done = 0
        for place in missing:
            done = _copy(objects[place], place, states[place], done, total, progress)
    except OSError as exc:
        raise StoreError(f"{url} can't be copied to {cache}: {exc.strerror or exc}") from exc
    return target


def _noted(place: Path) -> Path:
    """Where the state of an object's copy is written down; no name that a store has."""
    return place.with_name(f".{place.name}.{_STATE}")


def _is_there(place: Path, state: dict[str, int]) -> bool:
    try:
        noted = json.loads(_noted(place).read_text(encoding="utf-8"))
        return bool(noted == state and place.stat().st_size == state["size_bytes"])
    except (OSError, ValueError):
        return False


def _check_space(folder: Path, url: str, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise StoreError(f"{url} takes {needed:,} bytes, and {folder} has room for {max(free - _SPARE, 0):,}")


def _copy(
    source: RemotePath, place: Path, state: dict[str, int], done: int, total: int, progress: Progress | None
) -> int:
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.part")
    file = RemoteFile(source)
    try:
        with open(aside, "wb") as stream:
            for offset in range(0, file.size_bytes, BLOCK_BYTES):
                done += stream.write(file.read(offset, BLOCK_BYTES))
                if progress is not None:
                    progress(done, total)
            stream.flush()
            os.fsync(stream.fileno())
        if file.replaced():
            raise StoreError(f"{source} was replaced while it was copied; scan it again")
        _noted(place).unlink(missing_ok=True)
        os.replace(aside, place)
        _noted(place).write_text(json.dumps(state), encoding="utf-8")
    finally:
        file.close()
        aside.unlink(missing_ok=True)
    return done
