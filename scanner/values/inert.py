"""Inert values: what a pickle or a msgpack message holds, as data that can do nothing.

Numbers, strings, ``None``, lists and tuples are Python's own. Byte strings of `LONG_BYTES` and more are views of the
value that they stand in, shorter ones are copies. Everything else is one of the classes below. Nothing is hashed and
nothing is compared: a stream can hold keys that all have one hash, or tuples whose hash takes for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LONG_BYTES = 64
"""From this size on a copy costs more than a view."""

Bytes = bytes | memoryview


class Unreadable(Exception):
    """Why a value can't be taken apart. ``offset`` is the byte of it where that shows, ``None`` where none does."""

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset

    @property
    def text(self) -> str:
        """Reason and offset, where the value is a part of another."""
        return self.reason if self.offset is None else f"{self.reason} (at its byte {self.offset:,})"


class Global(NamedTuple):
    """A name that a pickle asks to be imported."""

    module: str
    name: str

    @property
    def text(self) -> str:
        """``module.name``, short and in ASCII: it comes from the file."""
        return plain(f"{self.module}.{self.name}", 100)


class Dict(list[object]):
    """A dictionary as it was written: keys and values in turn, repeated keys included."""

    __slots__ = ()

    def get(self, wanted: str) -> object:
        """The last value under a key that is this text, as text or as bytes; ``None`` where there is none."""
        encoded = wanted.encode()
        found: object = None
        for key, value in zip(self[::2], self[1::2], strict=False):
            if key == wanted if type(key) is str else type(key) is bytes and key == encoded:
                found = value
        return found


class Set(list[object]):
    """The elements of a set or frozenset as they were written."""

    __slots__ = ()


class Call:
    """What a pickle would make by calling something.

    Attributes
    ----------
    function, arguments
        What would be called (a `Global`, or whatever stands in its place), with what: a tuple, or what stands there.
    state
        What the object would be given with ``__setstate__`` or as its attributes.
    elements, entries
        What would be appended to it; the keys and values that would be set, in turn.
    content
        What a reader of nested data found in the arguments.
    """

    __slots__ = ("arguments", "content", "elements", "entries", "function", "state")

    def __init__(self, function: object, arguments: object) -> None:
        self.function = function
        self.arguments = arguments
        self.state: object = None
        self.elements: list[object] = []
        self.entries = Dict()
        self.content: object = None

    def is_of(self, names: frozenset[Global]) -> bool:
        """Whether one of these would be called."""
        return type(self.function) is Global and self.function in names

    @property
    def positional(self) -> tuple[object, ...]:
        """The arguments; empty where they are not a tuple."""
        return self.arguments if isinstance(self.arguments, tuple) else ()


class PersistentId:
    """An object that stands outside of the pickle, under an identifier."""

    __slots__ = ("identifier",)

    def __init__(self, identifier: object) -> None:
        self.identifier = identifier


class Extension(NamedTuple):
    """A msgpack value of an application's own type."""

    code: int
    data: Bytes


@dataclass(slots=True)
class Pickle:
    """What reading a pickle found, even if it could not be read to its end.

    Attributes
    ----------
    root
        The inert value; ``None`` if there is an ``error``.
    size
        Bytes up to and with STOP: what stands behind is no part of it.
    unsafe
        What loading it would import outside of the allowed names, or do besides making data; in words, in order. Of a
        pickle that is cut short as well: loading runs up to the cut.
    error
        Why it can't be read.
    """

    root: object
    size: int
    unsafe: tuple[str, ...]
    error: Unreadable | None = None


def plain(text: str, limit: int) -> str:
    """Foreign text for a message: ASCII, cut to some characters."""
    shown = text[:limit].encode("ascii", "backslashreplace").decode()
    return shown if len(text) <= limit else f"{shown}..."


def kind_of(value: object) -> str:
    """What a value is, in a word."""
    if value is None:
        return "None"
    if isinstance(value, memoryview):
        return "bytes"
    if isinstance(value, Call):
        return f"a call of {value.function.text}" if isinstance(value.function, Global) else "a call"
    return type(value).__name__.lower()
