"""Values of reserved records, written again in the way in which they were written: numbers, and lists and maps of
keys. Whatever can't be read again as what was meant is not written.
"""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import zlib

from ..values.compressed import unwrap, wrapping
from ..values.inert import Dict, Unreadable
from ..values.json_reader import looks_json
from ..values.pickle_reader import looks_pickled
from .reserved import DIGITS, reserved_value

Plain = int | str | bytes | list["Plain"] | dict["Plain", "Plain"]
_LEAST_PROTOCOL = 3  # pickle's first with bytes of its own


def plain_value(value: bytes) -> Plain | None:
    """What a reserved record holds: a number, a list of keys or a map of them; ``None`` for anything else."""
    try:
        inner = bytes(unwrap(memoryview(value)))
        digits = DIGITS.fullmatch(inner)
        return int(digits[1]) if digits else _plain(reserved_value(value))
    except Unreadable:
        return None


def _plain(value: object) -> Plain:
    if type(value) in (int, str, bytes):
        return value  # type: ignore[return-value]
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Dict):
        entries = [_plain(one) for one in value]
        if all(isinstance(one, int | str | bytes) for one in entries):
            return dict(zip(entries[::2], entries[1::2], strict=True))
    elif type(value) in (list, tuple):
        return [_plain(one) for one in value]  # type: ignore[attr-defined]
    raise Unreadable("no number, key, list or map")


def written_as(value: bytes, fresh: Plain) -> bytes | None:
    """A new value, written and wrapped as the old one is; ``None`` where that can't be done exactly."""
    if type(plain_value(value)) is not type(fresh):
        return None
    try:
        inner = bytes(unwrap(memoryview(value)))
        if isinstance(fresh, int) and DIGITS.fullmatch(inner):
            made = b"%d" % fresh
        elif looks_pickled(memoryview(inner)):
            made = pickle.dumps(fresh, _protocol(inner))
        elif looks_json(memoryview(inner)):
            made = json.dumps(fresh).encode()
        else:
            made = _msgpack(fresh)
    except (Unreadable, TypeError, ValueError):
        return None
    kind = wrapping(memoryview(value))
    made = zlib.compress(made) if kind == "zlib" else gzip.compress(made, mtime=0) if kind == "gzip" else made
    return made if plain_value(made) == fresh else None


def _protocol(value: bytes) -> int:
    said = value[1] if value[:1] == b"\x80" else 0
    return min(max(said, _LEAST_PROTOCOL), pickle.HIGHEST_PROTOCOL)


def _msgpack(value: Plain) -> bytes:
    if isinstance(value, int):
        return bytes([value]) if 0 <= value < 128 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, str):
        text = value.encode()
        return b"\xdb" + struct.pack(">I", len(text)) + text
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(_msgpack, value))
    parts = [_msgpack(one) for entry in value.items() for one in entry]
    return b"\xdf" + struct.pack(">I", len(value)) + b"".join(parts)
