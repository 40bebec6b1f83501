"""msgpack messages as inert values.

Source: the specification, https://github.com/msgpack/msgpack/blob/master/spec.md. The ``msgpack`` library is not used
here because it says neither where a message is cut nor what was expected there, copies every string, and makes room
for as many elements as a header declares: nested headers ask for a thousand times the message.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from .inert import LONG_BYTES, Bytes, Dict, Extension, Unreadable

MAX_VALUES = 2_000_000
"""Beyond so many the rest is not looked at: it bounds memory and time."""

_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_NUMBERS = {
    0xCA: Struct(">f"),
    0xCB: Struct(">d"),
    0xCC: Struct(">B"),
    0xCD: Struct(">H"),
    0xCE: Struct(">I"),
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def read_msgpack(value: memoryview) -> tuple[object, int]:
    """The message at the start of some bytes, and its size.

    A map is a `Dict`, an array a list, a string that is not UTF-8 is bytes (what writers without a type for bytes
    made of them).

    Raises
    ------
    Unreadable
        When the message is cut short, has a byte that begins nothing, or goes beyond the limit.
    """
    return _Reader(value).read()


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._end = len(data)
        self._at = 0
        self._value_at = 0
        # Containers that are not full yet, innermost last, each with the number of values that it still takes.
        self._open: list[tuple[list[object], int]] = []

    def read(self) -> tuple[object, int]:
        for _ in range(MAX_VALUES):
            self._value_at = self._at
            value, expected = self._next()
            if expected:
                assert isinstance(value, list)
                self._open.append((value, expected))
                continue
            while self._open:
                container, missing = self._open[-1]
                container.append(value)
                if missing > 1:
                    self._open[-1] = (container, missing - 1)
                    break
                self._open.pop()
                value = container
            else:
                return value, self._at
        raise Unreadable(f"more than {MAX_VALUES:,} values: the rest is not looked at", self._at)

    def _next(self) -> tuple[object, int]:
        """The next value, and how many values it waits for if it is a container."""
        if self._at >= self._end:
            raise Unreadable(f"the message is cut short: {self._waiting()}", self._end)
        code = self._data[self._at]
        self._at += 1
        if code <= 0x7F:
            return code, 0
        if code >= 0xE0:
            return code - 0x100, 0
        if code <= 0x8F:
            return self._container(Dict, code & 0x0F)
        if code <= 0x9F:
            return self._container(list, code & 0x0F)
        if code <= 0xBF:
            return self._text(code & 0x1F), 0
        if code in _NUMBERS:
            layout = _NUMBERS[code]
            number: object = layout.unpack(self._take(layout.size))[0]
            return number, 0
        if code in _CONSTANTS:
            return _CONSTANTS[code], 0
        return self._sized(code)

    def _sized(self, code: int) -> tuple[object, int]:
        """Values whose length follows their first byte."""
        if code in _FIXED_EXTENSIONS:
            return self._extension(_FIXED_EXTENSIONS[code]), 0
        for first, last, make in _SIZED:
            if first <= code <= last:
                # Containers have no form with a length of one byte.
                width = (2 if first >= 0xDC else 1) << (code - first)
                return make(self, int.from_bytes(self._take(width), "big"))
        raise Unreadable(f"0x{code:02x} begins no value of a message", self._value_at)

    def _container(self, kind: Callable[[], list[object]], size: int) -> tuple[object, int]:
        return kind(), size * 2 if kind is Dict else size

    def _text(self, size: int) -> str | Bytes:
        taken = self._take(size)
        try:
            return str(taken, "utf-8")
        except UnicodeDecodeError:
            return taken if size >= LONG_BYTES else bytes(taken)

    def _bytes(self, size: int) -> Bytes:
        taken = self._take(size)
        return taken if size >= LONG_BYTES else bytes(taken)

    def _extension(self, size: int) -> Extension:
        code = int.from_bytes(self._take(1), "big", signed=True)
        return Extension(code, self._bytes(size))

    def _take(self, size: int) -> memoryview:
        start = self._at
        if size > self._end - start:
            raise Unreadable(
                f"the message is cut short: a value needs {size:,} bytes more, {self._end - start:,} are left",
                self._value_at,
            )
        self._at = start + size
        return self._data[start : self._at]

    def _waiting(self) -> str:
        if not self._open:
            return "it has no bytes"
        container, missing = self._open[-1]
        return f"{missing:,} values of {'a map' if type(container) is Dict else 'an array'} are missing"


_SIZED: tuple[tuple[int, int, Callable[[_Reader, int], tuple[object, int]]], ...] = (
    (0xC4, 0xC6, lambda reader, size: (reader._bytes(size), 0)),
    (0xC7, 0xC9, lambda reader, size: (reader._extension(size), 0)),
    (0xD9, 0xDB, lambda reader, size: (reader._text(size), 0)),
    (0xDC, 0xDD, lambda reader, size: reader._container(list, size)),
    (0xDE, 0xDF, lambda reader, size: reader._container(Dict, size)),
)
"""First and last code of each kind of value that declares its length."""
