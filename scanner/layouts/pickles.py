"""Pickles as values, as many recipes write them: ``txn.put(key, pickle.dumps(sample))``, some of them compressed.

Nothing is unpickled: what a pickle holds is found by walking through its opcodes.
"""

from __future__ import annotations

from ..values.compressed import unwrap
from ..values.inert import Call, Dict, Set, Unreadable
from ..values.pickle_reader import looks_pickled, read_pickle
from ..values.structure import contents_of
from .gathering import Gathering
from .serialised import Codec, Serialised, note_pickle


def read_pickled(row: int, value: memoryview, gathering: Gathering) -> object:
    """See `Codec.read`."""
    try:
        inner = unwrap(value)
    except Unreadable as error:
        gathering.fail(row, "record-undecodable", error.reason, offset=error.offset)
        return None
    pickle = read_pickle(inner)
    note_pickle(row, pickle, len(inner), gathering)
    if pickle.error is not None:
        return None
    if pickle.root is None:
        gathering.fail(row, "record-empty", "the pickle holds None")
    elif _is_container(pickle.root) and not pickle.root:
        gathering.fail(row, "record-empty", "the pickle holds an empty container", severe=False)
    gathering.add(row, contents_of(pickle.root, len(inner)), pickle.root)
    return pickle.root


def is_pickle(value: memoryview) -> bool:
    """Whether a value is a pickle to its end. One of protocol 0 or 1 has no magic number: it must hold something."""
    try:
        inner = unwrap(value)
    except Unreadable:
        return False
    if not looks_pickled(inner):
        return False
    pickle = read_pickle(inner)
    if pickle.error is not None:
        return False
    return inner[0] == 0x80 or (pickle.size == len(inner) and _is_container(pickle.root) and bool(pickle.root))


def _is_container(root: object) -> bool:
    return isinstance(root, (list, tuple, Dict, Set, Call))


PICKLE = Codec("pickle", is_pickle, read_pickled)


class PickleRecords(Serialised):
    """See `Serialised`."""

    name = "pickle-records"
    title = "Pickles as values, also in gzip or zlib; never unpickled"
    codecs = (PICKLE,)
