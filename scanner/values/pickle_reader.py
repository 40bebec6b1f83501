"""Pickles read inertly: what loading one would make and import, found out without importing or calling anything."""

from __future__ import annotations

import re

from .call_arrays import bytes_of
from .inert import Call, Pickle, Unreadable
from .pickle_globals import LOADS_BYTES, unsafe_globals
from .pickle_machine import Machine
from .pickle_opcodes import MAX_PROTOCOL, OPERATIONS
from .torch_file import TorchFile, read_torch_file

MAX_NESTING = 4
"""Pickles within pickles: a tensor holds one."""

_TEXT_START = re.compile(
    rb"[(\]}](?:[lpdtqIJKMNSUVXFGL(]|.{0,2}p[0-9]+\n)|c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n", re.DOTALL
)


HEAD_BYTES = 300
"""As many bytes are enough for `looks_pickled`."""


def looks_pickled(value: memoryview) -> bool:
    """Whether bytes begin as a pickle does: protocols 2 to 5 say so, older ones have a usual first opcode."""
    if len(value) < 2:
        return False
    if value[0] == 0x80:
        return 2 <= value[1] <= MAX_PROTOCOL
    return _TEXT_START.match(bytes(value[:HEAD_BYTES])) is not None


def read_pickle(value: memoryview, nesting: int = 0) -> Pickle:
    """Read the pickle at the start of some bytes. Total: any bytes give an answer, never an exception.

    Time and memory are bounded: by the number of opcodes, and by the bytes themselves, which are not copied.
    """
    machine = Machine(value, OPERATIONS)
    root: object = None
    error: Unreadable | None = None
    try:
        root = machine.run()
    except Unreadable as found:
        error = found
    unsafe = dict.fromkeys(name.text for name in unsafe_globals(machine.globals))
    unsafe |= machine.misuses
    nested = _Nested(len(value), nesting + 1)
    for call in machine.calls:
        if call.is_of(LOADS_BYTES):
            unsafe |= dict.fromkeys(nested.read(call))
    return Pickle(root, machine.at, tuple(unsafe), error)


class _Nested:
    """Reads the tensor storages that calls in one pickle would load, each once, and no more of them than fit in it."""

    def __init__(self, size_bytes: int, nesting: int) -> None:
        self._left = size_bytes + 1
        self._nesting = nesting
        self._read: dict[int, TorchFile] = {}

    def read(self, call: Call) -> tuple[str, ...]:
        """What is unsafe in the storage that is a call's argument."""
        argument = call.positional[0] if len(call.positional) == 1 else None
        if id(argument) not in self._read:
            data = bytes_of(argument) if self._left > 0 and self._nesting <= MAX_NESTING else None
            if data is None:
                return ("a nested pickle that can't be looked into",)
            self._left -= len(data)
            file = read_torch_file(memoryview(data), lambda inner: read_pickle(inner, self._nesting))
            self._read[id(argument)] = file
        call.content = self._read[id(argument)]
        return self._read[id(argument)].unsafe
