"""msgpack messages as values, with arrays as ``msgpack_numpy`` writes them: tensorpack, folder2lmdb, VLN-CE."""

from __future__ import annotations

from ..values.compressed import unwrap
from ..values.inert import Dict, Unreadable
from ..values.msgpack_reader import read_msgpack
from ..values.structure import contents_of
from .gathering import Gathering
from .serialised import Codec, Serialised


def read_packed(row: int, value: memoryview, gathering: Gathering) -> object:
    """See `Codec.read`."""
    try:
        inner = unwrap(value)
        root, size = read_msgpack(inner)
    except Unreadable as error:
        gathering.fail(row, "record-undecodable", error.reason, offset=error.offset)
        return None
    if size < len(inner):
        left = f"{len(inner) - size:,} bytes stand behind the end of the message, which readers refuse"
        gathering.fail(row, "record-undecodable", left, offset=size)
        return None
    if root is None:
        gathering.fail(row, "record-empty", "the message holds nil")
    elif isinstance(root, list) and not root:
        gathering.fail(row, "record-empty", "the message holds an empty container", severe=False)
    gathering.add(row, contents_of(root, len(inner)), root)
    return root


def is_msgpack(value: memoryview) -> bool:
    """Whether a value is one message to its end that is likely meant as one.

    Almost any byte begins one: a map with named fields, or an array with a string, is what records are.
    """
    try:
        inner = unwrap(value)
        if not len(inner) or not _begins_container(inner[0]):
            return False
        root, size = read_msgpack(inner)
    except Unreadable:
        return False
    if size != len(inner) or not isinstance(root, list) or not root:
        return False
    if isinstance(root, Dict):
        return all(isinstance(key, (str, bytes)) and len(key) > 0 for key in root[::2])
    return any(isinstance(part, (str, bytes, memoryview, Dict)) and len(part) >= 8 for part in root)


def _begins_container(code: int) -> bool:
    return 0x80 <= code <= 0x9F or 0xDC <= code <= 0xDF


MSGPACK = Codec("msgpack", is_msgpack, read_packed)


class MsgpackRecords(Serialised):
    """See `Serialised`."""

    name = "msgpack-records"
    title = "msgpack messages as values, with msgpack_numpy's arrays, also in gzip or zlib"
    codecs = (MSGPACK,)
