"""The machine that a pickle is a program for, without the means to do anything: it makes inert values only.

Source: ``Lib/pickle.py`` and ``Lib/pickletools.py`` of CPython. The opcodes are in `pickle_opcodes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import NamedTuple

from .inert import LONG_BYTES, Bytes, Call, Global, Unreadable

MAX_OPCODES = 2_000_000
"""Beyond so many the rest is not looked at. It bounds the memo, the stack and the objects that are made as well."""

MAX_LINE = 1000
"""Bytes of a number or a name that is written as text."""

MAX_INTEGER_BYTES = 1024
"""Longer integers take time that grows with the square of their length."""

_STOP = 0x2E


class Operation(NamedTuple):
    """An opcode's name in ``pickletools`` and what it does."""

    name: str
    run: Callable[[Machine], None]


class Machine:
    """Runs one pickle, from its first opcode to STOP.

    Attributes
    ----------
    at
        The next byte to be read.
    stack, memo
        As in CPython: what stands above a mark is a list of its own, the rest waits in ``below``.
    globals
        The names that loading would import, in order.
    misuses
        What is done to a name or with a result that no pickler does; in words.
    calls
        The calls made, also of what is thrown away later.
    """

    def __init__(self, data: memoryview, operations: Mapping[int, Operation]) -> None:
        self.data = data
        self.end = len(data)
        self.at = 0
        self.stack: list[object] = []
        self.below: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.globals: dict[Global, None] = {}
        self.misuses: dict[str, None] = {}
        self.calls: list[Call] = []
        self._operations = operations
        self._opcode_at = 0

    def run(self) -> object:
        """The value that is on the stack at STOP.

        Raises
        ------
        Unreadable
            When the pickle is cut short, uses an opcode wrongly or an unknown one, or goes beyond a limit.
        """
        try:
            for _ in range(MAX_OPCODES):
                self._opcode_at = self.at
                code = self.data[self.at]
                self.at += 1
                if code == _STOP:
                    return self.stack.pop()
                self._operations[code].run(self)
        except IndexError:
            raise self._out_of_bounds() from None
        except KeyError:
            raise Unreadable(f"0x{code:02x} is no opcode of a pickle", self._opcode_at) from None
        raise Unreadable(f"more than {MAX_OPCODES:,} opcodes: the rest is not looked at", self.at)

    def _out_of_bounds(self) -> Unreadable:
        if self._opcode_at >= self.end:
            return Unreadable("the pickle is cut short: it ends without STOP", self.end)
        if self.at > self.end:
            return self.cut(self.at - self._opcode_at - 1)
        return self.wrong("finds too few values on the stack")

    # ---- what is said of a fault ----

    @property
    def opcode(self) -> str:
        """The opcode that is being run, for a message."""
        code = self.data[self._opcode_at]
        return self._operations[code].name if code in self._operations else "STOP"

    def wrong(self, what: str) -> Unreadable:
        """The opcode can't be run."""
        return Unreadable(f"{self.opcode} {what}", self._opcode_at)

    def cut(self, needed: int) -> Unreadable:
        """The opcode's operand is not all there."""
        left = self.end - self._opcode_at - 1
        reason = f"the pickle is cut short: {self.opcode} needs {needed:,} bytes, {max(left, 0):,} are left"
        return Unreadable(reason, self._opcode_at)

    # ---- operands ----

    def number(self, layout: Struct) -> int:
        """A little-endian integer of fixed size."""
        start = self.at
        self.at = start + layout.size
        if self.at > self.end:
            raise self.cut(layout.size)
        value: int = layout.unpack_from(self.data, start)[0]
        return value

    def byte(self) -> int:
        """One unsigned byte."""
        value = self.data[self.at] if self.at < self.end else None
        if value is None:
            raise self.cut(1)
        self.at += 1
        return value

    def take(self, size: int) -> memoryview:
        """The next bytes."""
        start = self.at
        if size > self.end - start:
            raise self.cut(start - self._opcode_at - 1 + size)
        if size < 0:
            raise self.wrong(f"declares {size:,} bytes")
        self.at = start + size
        return self.data[start : self.at]

    def bytes(self, size: int) -> Bytes:
        """The next bytes as a value."""
        taken = self.take(size)
        return taken if size >= LONG_BYTES else bytes(taken)

    def text(self, size: int) -> str:
        """The next bytes as UTF-8."""
        try:
            return str(self.take(size), "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self.wrong(f"holds no UTF-8: {error.reason}") from None

    def line(self, limit: int | None = MAX_LINE) -> Bytes:
        """The bytes up to the next line feed, which is passed over."""
        start = self.at
        stop = _find_newline(self.data, start, None if limit is None else start + limit + 1)
        if stop < 0:
            if limit is not None and self.end - start > limit:
                raise self.wrong(f"has a line of more than {limit:,} bytes")
            reason = f"the pickle is cut short: the line of {self.opcode} has no end"
            raise Unreadable(reason, self._opcode_at)
        self.at = stop + 1
        return bytes(self.data[start:stop])

    # ---- stack and memo ----

    def mark(self) -> None:
        """Begin a new list of values."""
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[object]:
        """The values above the last mark."""
        if not self.below:
            raise self.wrong("finds no mark")
        values = self.stack
        self.stack = self.below.pop()
        return values

    def recall(self, index: int) -> None:
        """Put a remembered value on the stack."""
        try:
            self.stack.append(self.memo[index])
        except KeyError:
            raise self.wrong(f"asks for number {index:,} of the memo, which was never put there") from None

    def remember(self, index: int) -> None:
        """Keep what is on top of the stack."""
        self.memo[index] = self.stack[-1]

    def name(self, module: object, name: object) -> Global:
        """A name to be imported."""
        if not (isinstance(module, str) and isinstance(name, str)):
            raise self.wrong("does not name a global by two strings")
        found = Global(module[:MAX_LINE], name[:MAX_LINE])
        self.globals[found] = None
        return found

    def call(self, function: object, arguments: object) -> None:
        """Note a call instead of making it."""
        if isinstance(function, Call):
            self.misuse(f"a call of what {_called(function)} returns")
        elif not isinstance(function, Global):
            raise self.wrong("calls what can't be called")
        call = Call(function, arguments)
        self.calls.append(call)
        self.stack.append(call)

    def misuse(self, what: str) -> None:
        """Note what no pickler writes."""
        self.misuses[what] = None


def _called(call: Call) -> str:
    return call.function.text if isinstance(call.function, Global) else "another call"


def _find_newline(data: memoryview, start: int, stop: int | None) -> int:
    """Position of the next line feed before ``stop``, -1 if there is none; looked for in steps that grow."""
    end = len(data) if stop is None else min(stop, len(data))
    size = 64
    while start < end:
        found = bytes(data[start : min(start + size, end)]).find(b"\n")
        if found >= 0:
            return start + found
        start += size
        size = min(size * 4, 1 << 20)
    return -1
