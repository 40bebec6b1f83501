"""What bytes look like, for values that no layout decodes. Nothing is parsed further than telling the kinds apart."""

from __future__ import annotations

import json
import re

import numpy as np

from ..images import sniff_format
from ..values.npy import MAGIC
from .wire import WireError, fields

_LOOKED_AT = 1 << 12
"""Bytes of a long value that text is judged by."""

_MAGICS = (
    (MAGIC, "npy"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"ARROW1", "arrow"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
)
_ZLIB = frozenset((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"))
_NPZ = re.compile(rb"PK\x03\x04.{26}[^/]{1,255}?\.npy", re.DOTALL)
_TEXT_PICKLE = re.compile(rb"[(\]}](?:[lpdtq]|.{0,2}p[0-9]+\n)|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def value_kind(value: memoryview) -> str:
    """The kind of a value: ``jpeg``, ``npz``, ``pickle protocol 4``, ``json``, ``text``, ``protobuf``, ``zeros`` ..."""
    if not len(value):
        return "empty"
    head = bytes(value[:64])
    image = sniff_format(value)
    if image is not None:
        return image.lower()
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return "npz" if kind == "zip" and _NPZ.match(bytes(value[:300])) else kind
    if head[:2] in _ZLIB and len(value) > 6:
        return "zlib"
    return _pickle(value, head) or _text(value) or _binary(value, head)


def _pickle(value: memoryview, head: bytes) -> str | None:
    """Protocols 2 to 5 say so themselves; older ones begin with an opcode and end with a full stop."""
    if len(value) < 2 or value[-1] != 0x2E:
        return None
    if head[0] == 0x80 and 2 <= head[1] <= 5:
        return f"pickle protocol {head[1]}"
    return "pickle protocol 0" if _TEXT_PICKLE.match(head) else None


def _text(value: memoryview) -> str | None:
    start = bytes(value[:_LOOKED_AT])
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if len(value) <= _LOOKED_AT or error.start < _LOOKED_AT - 3:
            return None
        text = start[: error.start].decode()  # a character that the limit cut in two
    if _CONTROL.search(text):
        return None
    return "json" if _is_json(value, text) else "text"


def _is_json(value: memoryview, text: str) -> bool:
    """Objects and arrays only: a bare number or word is text. Long ones are taken by their first and last byte."""
    stripped = text.strip()
    if stripped[:1] not in ("{", "["):
        return False
    if len(value) > _LOOKED_AT:
        return bytes(value[-16:]).rstrip()[-1:] in (b"}", b"]")
    try:
        json.loads(stripped)
    except (ValueError, RecursionError):
        return False
    return True


def _binary(value: memoryview, head: bytes) -> str:
    if not any(head) and not np.frombuffer(value, np.uint8).any():
        return "zeros"
    if _is_msgpack(head):
        return "msgpack"
    try:
        numbers = [field[0] for field in fields(value)]
    except WireError:
        return "other"
    return "protobuf" if numbers and max(numbers) < 1000 else "other"


def _is_msgpack(head: bytes) -> bool:
    """A map or an array of a few elements whose first is a string or bytes, as msgpack_numpy and tensorpack write."""
    if 0x81 <= head[0] <= 0x9F and head[0] != 0x90:
        first = head[1:2]
    elif head[0] in (0xDC, 0xDE):
        first = head[3:4]
    else:
        return False
    return bool(first) and (0xA1 <= first[0] <= 0xBF or first[0] in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB))
