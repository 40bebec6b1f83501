"""What reserved keys say of a set: how many samples it has, and which keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..summary.lists import KeyList
from ..values.compressed import unwrap
from ..values.inert import Unreadable
from ..values.json_reader import looks_json, read_json
from ..values.msgpack_reader import read_msgpack
from ..values.pickle_reader import looks_pickled, read_pickle
from .base import Look

DIGITS = re.compile(rb"\s*([0-9]{1,18})\s*")
DECIMAL = re.compile(rb"0|[1-9][0-9]{0,17}")

COUNT_KEYS = frozenset((b"__len__", b"length", b"num-samples", b"num_examples", b"num_samples"))
LIST_KEYS = frozenset((b"__keys__", b"keys"))

MOST_NUMBERED = 1 << 25
"""Of a count above no list of keys is made; the records are still counted."""


def reserved_value(value: bytes) -> object:
    """What a reserved key holds, as an inert value; ``None`` where that can't be read.

    Whatever the records are written with, a number may be in digits and a list in JSON.
    """
    written = DIGITS.fullmatch(value)
    if written is not None:
        return int(written[1])
    try:
        inner = unwrap(memoryview(value))
        if looks_pickled(inner):
            return read_pickle(inner).root
        if looks_json(inner):
            return read_json(inner)
        root, size = read_msgpack(inner)
    except Unreadable:
        return None
    return root if size == len(inner) else None


def count_in(reserved: Mapping[bytes, bytes], *keys: bytes) -> tuple[bytes, int] | None:
    """The first of some reserved keys that holds a number, and the number."""
    for key in keys:
        count = reserved_value(reserved[key]) if key in reserved else None
        if type(count) is int and count >= 0:
            return key, count
    return None


def keys_in(reserved: Mapping[bytes, bytes], key: bytes) -> KeyList | None:
    """The keys that a reserved record lists, ``None`` where it lists none that can be read."""
    listed = reserved_value(reserved[key]) if key in reserved else None
    if not isinstance(listed, (list, tuple)):
        return None
    keys = [_as_key(one) for one in listed]
    found = [one for one in keys if one is not None]
    return KeyList.of(key.decode(), found) if found and len(found) == len(keys) else None


def _as_key(entry: object) -> bytes | None:
    if isinstance(entry, str):
        return entry.encode(errors="surrogatepass")
    if isinstance(entry, (bytes, memoryview)):
        return bytes(entry)
    return str(entry).encode() if type(entry) is int else None


def numbered_keys(look: Look, counted: tuple[bytes, int] | None) -> KeyList | None:
    """The keys ``0`` to ``count - 1`` that loaders of a set with a count ask for, where its keys are such numbers."""
    if counted is None or not len(look.sample) or not all(map(is_decimal, look.sample.keys)):
        return None
    key, count = counted
    if bytes(look.sample.keys[0]) != b"0" or count > MOST_NUMBERED:  # numbered from elsewhere: nobody knows to where
        return None
    return KeyList.numbered(f"{key.decode()} = {count:,}", count)


def is_decimal(key: Sequence[int] | memoryview) -> bool:
    """Whether a key is a number without padding."""
    return DECIMAL.fullmatch(bytes(key)) is not None
