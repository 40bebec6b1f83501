"""Pickles read inertly: what loading one would make and import, found out without importing or calling anything."""

from __future__ import annotations

import re

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
    read: dict[int, TorchFile] = {}
    for call in machine.calls:
        if call.is_of(LOADS_BYTES):
            unsafe |= dict.fromkeys(_read_nested(call, nesting + 1, read))
    return Pickle(root, machine.at, tuple(unsafe), error)


def _read_nested(call: Call, nesting: int, read: dict[int, TorchFile]) -> tuple[str, ...]:
    """Read the tensor storage that a call would load; what is unsafe in it. The same bytes are read once."""
    data = call.positional[0] if len(call.positional) == 1 else None
    if not isinstance(data, (bytes, memoryview)) or nesting > MAX_NESTING:
        return ("a nested pickle that can't be looked into",)
    if id(data) not in read:
        read[id(data)] = read_torch_file(memoryview(data), lambda value: read_pickle(value, nesting))
    call.content = read[id(data)]
    return read[id(data)].unsafe
