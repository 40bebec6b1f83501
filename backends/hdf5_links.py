"""Paths and links inside an HDF5 file, taken step by step: the library would follow them anywhere."""

from __future__ import annotations

from typing import Any

from .hdf5_library import h5py


class LeadsOut(Exception):
    """A path goes through a link to another file."""


def as_text(path: bytes) -> str:
    """A path as text; bytes that are not UTF-8 are written as escapes."""
    return path.decode("utf-8", "backslashreplace")


def resolve(prefix: bytes, target: bytes) -> bytes:
    """The absolute path of a soft link's target; the library knows ``.`` but not ``..``."""
    whole = target if target.startswith(b"/") else prefix + target
    return b"/" + b"/".join(part for part in whole.split(b"/") if part not in (b"", b"."))


def open_inside(root: Any, path: bytes, hops: int = 16, say_out: bool = False) -> Any | None:
    """Open an object by its path, component by component, never leaving the file.

    ``None`` where a component does not exist, leads out of the file, or soft links form a circle; where
    ``say_out`` is set, a path that leads out raises `LeadsOut`.
    """
    here, walked = h5py.h5o.open(root, b"/"), b"/"
    parts = [part for part in path.split(b"/") if part]
    for depth, part in enumerate(parts):
        if not isinstance(here, h5py.h5g.GroupID) or not here.links.exists(part):
            return None
        info = here.links.get_info(part)
        if info.type == h5py.h5l.TYPE_SOFT and hops:
            target = resolve(walked, here.links.get_val(part))
            return open_inside(root, b"/".join([target, *parts[depth + 1 :]]), hops - 1, say_out)
        if info.type == h5py.h5l.TYPE_EXTERNAL and say_out:
            raise LeadsOut
        if info.type != h5py.h5l.TYPE_HARD:
            return None
        here, walked = h5py.h5o.open(here, part), walked + part + b"/"
    return here
