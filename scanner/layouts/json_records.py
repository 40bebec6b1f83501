"""JSON objects as values, also in gzip or zlib: protein sets and others write a row of a ``.jsonl`` file a record."""

from __future__ import annotations

from ..values.compressed import unwrap
from ..values.inert import Dict, Unreadable
from ..values.json_reader import looks_json, read_json
from ..values.structure import contents_of
from .base import Look
from .gathering import Gathering
from .serialised import Codec, Serialised


def is_json(value: memoryview) -> bool:
    """Whether a value is a JSON object or array to its end. It must name something: digits in brackets are text."""
    try:
        inner = unwrap(value)
        if not looks_json(inner):
            return False
        root = read_json(inner)
    except Unreadable:
        return False
    if isinstance(root, Dict):
        return len(root) > 0
    return isinstance(root, list) and any(type(one) is not int for one in root)


def read_object(row: int, value: memoryview, gathering: Gathering) -> object:
    """See `Codec.read`."""
    try:
        inner = unwrap(value)
        root = read_json(inner)
    except Unreadable as error:
        gathering.fail(row, "record-undecodable", error.reason, offset=error.offset)
        return None
    if root is None or (isinstance(root, list) and not root):
        gathering.fail(row, "record-empty", "the JSON text holds nothing", severe=False)
    gathering.add(row, contents_of(root, len(inner)), root)
    return root


JSON = Codec("json", is_json, read_object)


class JsonRecords(Serialised):
    """See `Serialised`."""

    name = "json-records"
    title = "JSON objects as values, also in gzip or zlib (SaProt and other .jsonl rows)"
    codecs = (JSON,)

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`. ASE's and ATOM3D's sets are JSON as well, and have layouts of their own."""
        return b"nextid" not in look.reserved and b"serialization_format" not in look.reserved
