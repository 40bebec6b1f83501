"""What an inert value holds: its arrays, byte strings and numbers, each under its path (``['image']``, ``[0]``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .call_arrays import DTYPE, RECONSTRUCT, TENSOR, BadArray, array_of, bytes_of
from .inert import Bytes, Call, Dict, Extension, PersistentId, Pickle, Set
from .json_reader import array_in_json
from .msgpack_arrays import packed_array

NAMED_ENTRIES = 64
"""A dictionary of more entries, or a list of more than `NAMED_ELEMENTS`, is a collection: its paths are ``[*]``."""

NAMED_ELEMENTS = 8

MAX_PATH = 200

SHARED = 8
"""Arrays that share bytes may come to so many times the value's size; no library writes more."""

_FIELD = re.compile(r"[A-Za-z_][A-Za-z_ .\-/]*[0-9]{0,3}[A-Za-z_ .\-/]*")
"""Keys that name a field. Others (numbers, hashes, file names) are those of a collection."""

_MAX_FIELD = 40


TroubleKind = Literal["size", "unsafe", "unreadable"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a part of a value."""

    path: str
    kind: TroubleKind
    reason: str


@dataclass(slots=True)
class Contents:
    """What was found, in the order in which it stands.

    Attributes
    ----------
    arrays
        Arrays, tensors and lists of numbers. Not to be written to.
    strings
        Byte strings.
    numbers
        Single numbers: Python's, and NumPy's scalars as arrays without axes.
    troubles
        Arrays that can't be what they declare.
    """

    arrays: list[tuple[str, NDArray[Any]]] = field(default_factory=list)
    strings: list[tuple[str, Bytes]] = field(default_factory=list)
    numbers: list[tuple[str, int | float]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def add(self, path: str, array: NDArray[Any]) -> None:
        """Take in an array; one without axes is a number. Text, dates and structures are not looked into."""
        if array.dtype.kind not in "biufc" or not array.size:
            return
        if array.ndim or array.dtype.kind == "c":
            self.arrays.append((path, array))
        elif array.dtype.kind == "f":
            self.numbers.append((path, float(array)))
        elif array.dtype.kind != "b":
            self.numbers.append((path, int(array)))


def contents_of(root: object, size_bytes: int) -> Contents:
    """Walk an inert value; each object is visited once, whatever refers to it.

    ``size_bytes`` is the size of the value that it was read from: what is made of it stays within a few times that.
    """
    walk = _Walk(size_bytes)
    walk.take(root)
    return walk.found


_VISITED = frozenset((list, tuple, Dict, Set, Call, bytes, memoryview, PersistentId, Extension))
"""Types that hold something; text, names and constants do not."""


class _Walk:
    def __init__(self, size_bytes: int) -> None:
        self.found = Contents()
        self._left = size_bytes * SHARED + (1 << 16)
        self._visited: set[int] = set()
        self._kept: list[Pickle] = []  # what is known by its id must not go away

    def take(self, root: object) -> None:
        """Visit everything, depth first; not by recursion, which a deep value would exhaust."""
        waiting: list[tuple[str, object]] = [("", root)]
        while waiting:
            path, value = waiting.pop()
            kind = type(value)
            if kind is float or kind is int:
                self.found.numbers.append((path, value))  # type: ignore[arg-type]  # the test above says it
            elif kind in _VISITED:
                if id(value) in self._visited:
                    continue
                self._visited.add(id(value))
                waiting += reversed(list(self._inside(path[:MAX_PATH], value)))

    def _inside(self, path: str, value: object) -> Iterator[tuple[str, object]]:
        """Note what a value is; what it holds, if that is to be visited."""
        if isinstance(value, (bytes, memoryview)):
            self.found.strings.append((path, value))
        elif isinstance(value, Call):
            yield from self._inside_call(path, value)
        elif isinstance(value, Dict):
            yield from self._inside_dict(path, value)
        elif isinstance(value, Extension):
            self.found.strings.append((path, value.data))
        elif isinstance(value, PersistentId):
            yield path, value.identifier
        elif isinstance(value, (list, tuple)):
            numbers = None if isinstance(value, Set) else self._numbers(value)
            if numbers is not None:
                self.found.arrays.append((path, numbers))
            else:
                yield from _elements(path, value)

    def _inside_dict(self, path: str, value: Dict) -> Iterator[tuple[str, object]]:
        try:
            packed = packed_array(value)
            written = array_in_json(value) if packed is None else None
        except BadArray as error:
            self._trouble(path, "size", str(error))
            return
        if written is not None:
            self._add(path, written)
        elif packed is None:
            yield from _entries(path, value)
        elif isinstance(packed, Pickle):
            yield from self._inside_pickle(path, packed)
        else:
            self._add(path, packed)

    def _inside_pickle(self, path: str, pickle: Pickle) -> Iterator[tuple[str, object]]:
        if pickle.unsafe:
            self._trouble(path, "unsafe", ", ".join(pickle.unsafe[:3]))
        if pickle.error is not None:
            self._trouble(path, "unreadable", pickle.error.text)
        else:
            self._kept.append(pickle)
            yield path, pickle.root

    def _inside_call(self, path: str, call: Call) -> Iterator[tuple[str, object]]:
        if call.is_of(DTYPE) or self._left < 0:
            return
        try:
            array = array_of(call)
        except BadArray as error:
            self._trouble(path, "size", str(error))
            return
        if array is not None:
            self._add(path, array)
        elif call.is_of(RECONSTRUCT):
            # An array of objects: they are the last part of its state.
            if isinstance(call.state, tuple) and call.state and isinstance(call.state[-1], list):
                yield path, call.state[-1]
        elif not call.is_of(TENSOR):
            data = bytes_of(call)
            if data is None:
                yield from _parts(path, call)
            elif self._charge(path, len(data)):
                self.found.strings.append((path, data))

    def _add(self, path: str, array: NDArray[Any]) -> None:
        if self._charge(path, array.nbytes):
            self.found.add(path, array)

    def _charge(self, path: str, size_bytes: int) -> bool:
        """Whether so many more bytes are within the limit."""
        self._left -= size_bytes
        if self._left < 0:
            self._trouble(path, "unreadable", f"its arrays share bytes and come to more than {SHARED} times its size")
        return self._left >= 0

    def _trouble(self, path: str, kind: TroubleKind, reason: str) -> None:
        self.found.troubles.append(Trouble(path, kind, reason))

    def _numbers(self, values: Sequence[object]) -> NDArray[Any] | None:
        """A list of numbers, or of equally long lists of numbers, as an array; ``None`` if it is anything else."""
        kinds = set(map(type, values))
        if kinds and kinds <= {int, float}:
            return _as_array(values, kinds)
        if not kinds or not kinds <= {list, tuple} or id(values[0]) in self._visited:
            return None
        rows: list[Sequence[object]] = [row for row in values if isinstance(row, (list, tuple))]
        kinds = {kind for row in rows for kind in set(map(type, row))}
        if len(set(map(len, rows))) != 1 or not kinds or not kinds <= {int, float}:
            return None
        ids = set(map(id, rows))
        if len(ids) != len(rows) or not self._visited.isdisjoint(ids):
            return None  # rows that stand in several places: an array of them could be of any size
        self._visited |= ids
        return _as_array(rows, kinds)


def _as_array(values: Sequence[object], kinds: set[type]) -> NDArray[Any] | None:
    try:
        return np.array(values, np.int64 if kinds == {int} else np.float64)
    except OverflowError:
        return None


def _parts(path: str, call: Call) -> Iterator[tuple[str, object]]:
    """What a call is given: arguments, attributes, elements and entries."""
    if isinstance(call.arguments, tuple):
        yield from ((path, argument) for argument in call.arguments)
    if isinstance(call.state, Dict):
        yield from (
            (f"{path}.{key}" if isinstance(key, str) and _is_field(key) else f"{path}.*", value)
            for key, value in _pairs(call.state)
        )
    elif call.state is not None:
        yield path, call.state
    if call.elements:
        yield from _elements(path, call.elements)
    if call.entries:
        yield from _entries(path, call.entries)


def _pairs(entries: Dict) -> Iterator[tuple[object, object]]:
    return zip(entries[::2], entries[1::2], strict=True)


def _entries(path: str, entries: Dict) -> Iterator[tuple[str, object]]:
    named = len(entries) <= 2 * NAMED_ENTRIES
    for key, value in _pairs(entries):
        text = bytes(key).decode("latin-1") if isinstance(key, (bytes, memoryview)) else key
        if named and isinstance(text, str) and _is_field(text):
            yield f"{path}['{text}']", value
        else:
            yield f"{path}[*]", value


def _is_field(key: str) -> bool:
    return len(key) <= _MAX_FIELD and _FIELD.fullmatch(key) is not None


def _elements(path: str, elements: Sequence[object]) -> Iterator[tuple[str, object]]:
    if len(elements) > NAMED_ELEMENTS:
        return ((f"{path}[*]", element) for element in elements)
    return ((f"{path}[{number}]", element) for number, element in enumerate(elements))
