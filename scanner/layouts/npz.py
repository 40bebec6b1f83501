"""Values in NumPy's ``.npz`` format: archives of named arrays."""

from __future__ import annotations

from ..values.inert import Unreadable, plain
from ..values.npy import read_npy
from ..values.npz import Member, is_npz, read_npz
from ..values.structure import Contents, Trouble
from .gathering import Gathering
from .serialised import Codec, Serialised


def read_archive(row: int, value: memoryview, gathering: Gathering) -> object:
    """See `Codec.read`."""
    contents = Contents()
    members = 0
    try:
        for member in read_npz(value):
            members += 1
            _take(member, contents)
    except Unreadable as error:
        gathering.fail(row, "record-undecodable", error.reason, offset=error.offset)
        return None
    if not members:
        gathering.fail(row, "record-empty", "the archive has no members")
    gathering.add(row, contents)
    return None


def _take(member: Member, contents: Contents) -> None:
    path = f"['{plain(member.name, 64)}']"
    if isinstance(member.data, Unreadable):
        contents.troubles.append(Trouble(path, "unreadable", member.data.text))
        return
    try:
        header, array = read_npy(member.data)
    except Unreadable as error:
        contents.troubles.append(Trouble(path, "unreadable", error.text))
        return
    mismatch = header.size_fault(len(member.data) - header.size)
    if header.dtype.hasobject:
        contents.troubles.append(Trouble(path, "unsafe", "numpy's loader of arrays of objects, which unpickles them"))
    elif mismatch is not None:
        contents.troubles.append(Trouble(path, "size", mismatch))
    elif array is not None:
        contents.add(path, array)


NPZ = Codec("npz", is_npz, read_archive, unfolds=True)


class Npz(Serialised):
    """See `Serialised`. Members that are neither numbers nor bool (text, dates, structures) are only measured."""

    name = "npz"
    title = "NumPy archives of arrays (.npz) as values"
    codecs = (NPZ,)
