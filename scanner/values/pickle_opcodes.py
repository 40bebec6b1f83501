"""The opcodes of pickle protocols 0 to 5, as operations on a `Machine`. Named as in ``pickletools``."""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Callable
from struct import Struct

from .inert import Bytes, Call, Dict, Global, PersistentId, Set
from .pickle_machine import MAX_INTEGER_BYTES, Machine, Operation

MAX_PROTOCOL = 5

OPERATIONS: dict[int, Operation] = {}

_INT32, _UINT16, _UINT32, _UINT64 = Struct("<i"), Struct("<H"), Struct("<I"), Struct("<Q")
_DOUBLE = Struct(">d")

_Run = Callable[[Machine], None]


def _opcode(name: str, code: bytes) -> Callable[[_Run], _Run]:
    def register(run: _Run) -> _Run:
        OPERATIONS[code[0]] = Operation(name, run)
        return run

    return register


# ---- numbers ----


@_opcode("INT", b"I")
def _int(machine: Machine) -> None:
    line = machine.line()
    machine.stack.append(line == b"01" if line in (b"00", b"01") else _decimal(machine, line))


@_opcode("LONG", b"L")
def _long(machine: Machine) -> None:
    line = bytes(machine.line())
    machine.stack.append(_decimal(machine, line[:-1] if line.endswith(b"L") else line))


def _decimal(machine: Machine, line: Bytes) -> int:
    try:
        return int(bytes(line))
    except ValueError:
        raise machine.wrong("holds no number") from None


@_opcode("BININT", b"J")
def _binint(machine: Machine) -> None:
    machine.stack.append(machine.number(_INT32))


@_opcode("BININT1", b"K")
def _binint1(machine: Machine) -> None:
    machine.stack.append(machine.byte())


@_opcode("BININT2", b"M")
def _binint2(machine: Machine) -> None:
    machine.stack.append(machine.number(_UINT16))


@_opcode("LONG1", b"\x8a")
def _long1(machine: Machine) -> None:
    machine.stack.append(int.from_bytes(machine.take(machine.byte()), "little", signed=True))


@_opcode("LONG4", b"\x8b")
def _long4(machine: Machine) -> None:
    size = machine.number(_INT32)
    if size > MAX_INTEGER_BYTES:
        raise machine.wrong(f"declares an integer of {size:,} bytes, more than {MAX_INTEGER_BYTES:,}")
    machine.stack.append(int.from_bytes(machine.take(size), "little", signed=True))


@_opcode("FLOAT", b"F")
def _float(machine: Machine) -> None:
    try:
        machine.stack.append(float(bytes(machine.line())))
    except ValueError:
        raise machine.wrong("holds no number") from None


@_opcode("BINFLOAT", b"G")
def _binfloat(machine: Machine) -> None:
    machine.stack.append(_DOUBLE.unpack(machine.take(8))[0])


# ---- strings of bytes and text ----


@_opcode("STRING", b"S")
def _string(machine: Machine) -> None:
    line = bytes(machine.line(None)).strip()
    if len(line) < 2 or line[0] != line[-1] or line[0] not in b"\"'":
        raise machine.wrong("holds no quoted string")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python remarks on a backslash that escapes nothing
            machine.stack.append(codecs.escape_decode(line[1:-1])[0])
    except ValueError:
        raise machine.wrong("holds an escape that is none") from None


@_opcode("BINSTRING", b"T")
def _binstring(machine: Machine) -> None:
    machine.stack.append(machine.bytes(machine.number(_INT32)))


@_opcode("SHORT_BINSTRING", b"U")
@_opcode("SHORT_BINBYTES", b"C")
def _short_binbytes(machine: Machine) -> None:
    machine.stack.append(machine.bytes(machine.byte()))


@_opcode("BINBYTES", b"B")
def _binbytes(machine: Machine) -> None:
    machine.stack.append(machine.bytes(machine.number(_UINT32)))


@_opcode("BINBYTES8", b"\x8e")
@_opcode("BYTEARRAY8", b"\x96")
def _binbytes8(machine: Machine) -> None:
    machine.stack.append(machine.bytes(machine.number(_UINT64)))


@_opcode("UNICODE", b"V")
def _unicode(machine: Machine) -> None:
    try:
        machine.stack.append(bytes(machine.line(None)).decode("raw-unicode-escape"))
    except UnicodeDecodeError as error:
        raise machine.wrong(f"holds no text: {error.reason}") from None


@_opcode("SHORT_BINUNICODE", b"\x8c")
def _short_binunicode(machine: Machine) -> None:
    machine.stack.append(machine.text(machine.byte()))


@_opcode("BINUNICODE", b"X")
def _binunicode(machine: Machine) -> None:
    machine.stack.append(machine.text(machine.number(_UINT32)))


@_opcode("BINUNICODE8", b"\x8d")
def _binunicode8(machine: Machine) -> None:
    machine.stack.append(machine.text(machine.number(_UINT64)))


@_opcode("NEXT_BUFFER", b"\x97")
@_opcode("READONLY_BUFFER", b"\x98")
def _buffer(machine: Machine) -> None:
    raise machine.wrong("refers to a buffer outside of the pickle")


# ---- constants and containers ----


@_opcode("NONE", b"N")
def _none(machine: Machine) -> None:
    machine.stack.append(None)


@_opcode("NEWTRUE", b"\x88")
def _newtrue(machine: Machine) -> None:
    machine.stack.append(True)


@_opcode("NEWFALSE", b"\x89")
def _newfalse(machine: Machine) -> None:
    machine.stack.append(False)


@_opcode("EMPTY_TUPLE", b")")
def _empty_tuple(machine: Machine) -> None:
    machine.stack.append(())


@_opcode("TUPLE", b"t")
def _tuple(machine: Machine) -> None:
    values = machine.pop_mark()
    machine.stack.append(tuple(values))


@_opcode("TUPLE1", b"\x85")
def _tuple1(machine: Machine) -> None:
    machine.stack.append((machine.stack.pop(),))


@_opcode("TUPLE2", b"\x86")
def _tuple2(machine: Machine) -> None:
    second = machine.stack.pop()
    machine.stack.append((machine.stack.pop(), second))


@_opcode("TUPLE3", b"\x87")
def _tuple3(machine: Machine) -> None:
    third, second = machine.stack.pop(), machine.stack.pop()
    machine.stack.append((machine.stack.pop(), second, third))


@_opcode("EMPTY_LIST", b"]")
def _empty_list(machine: Machine) -> None:
    machine.stack.append([])


@_opcode("LIST", b"l")
def _list(machine: Machine) -> None:
    values = machine.pop_mark()
    machine.stack.append(values)


@_opcode("EMPTY_DICT", b"}")
def _empty_dict(machine: Machine) -> None:
    machine.stack.append(Dict())


@_opcode("DICT", b"d")
def _dict(machine: Machine) -> None:
    pairs = _pairs(machine, machine.pop_mark())
    machine.stack.append(Dict(pairs))


@_opcode("EMPTY_SET", b"\x8f")
def _empty_set(machine: Machine) -> None:
    machine.stack.append(Set())


@_opcode("FROZENSET", b"\x91")
def _frozenset(machine: Machine) -> None:
    values = machine.pop_mark()
    machine.stack.append(Set(values))


# ---- filling containers and objects ----


@_opcode("APPEND", b"a")
def _append(machine: Machine) -> None:
    value = machine.stack.pop()
    _elements(machine).append(value)


@_opcode("APPENDS", b"e")
def _appends(machine: Machine) -> None:
    values = machine.pop_mark()
    _elements(machine).extend(values)


@_opcode("ADDITEMS", b"\x90")
def _additems(machine: Machine) -> None:
    values = machine.pop_mark()
    target = machine.stack[-1]
    if isinstance(target, Call):
        target.elements.extend(values)
    elif isinstance(target, Set):
        target.extend(values)
    else:
        raise machine.wrong("adds to what is no set")


@_opcode("SETITEM", b"s")
def _setitem(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _entries(machine).extend((key, value))


@_opcode("SETITEMS", b"u")
def _setitems(machine: Machine) -> None:
    pairs = _pairs(machine, machine.pop_mark())
    _entries(machine).extend(pairs)


def _pairs(machine: Machine, values: list[object]) -> list[object]:
    if len(values) % 2:
        raise machine.wrong("has a key without a value")
    return values


def _elements(machine: Machine) -> list[object]:
    """What the values on the stack are appended to."""
    target = machine.stack[-1]
    if isinstance(target, Call):
        return target.elements
    if type(target) is not list:
        raise machine.wrong("appends to what is no list")
    return target


def _entries(machine: Machine) -> list[object]:
    target = machine.stack[-1]
    if isinstance(target, Dict):
        return target
    if isinstance(target, Call):
        return target.entries
    if isinstance(target, Global):
        machine.misuse(f"a change to {target.text}")
        return []
    raise machine.wrong("sets an entry of what is no dictionary")


@_opcode("BUILD", b"b")
def _build(machine: Machine) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    if isinstance(target, Call):
        # A second state is kept beside the first, so that nothing that was read is out of sight.
        target.state = state if target.state is None else (target.state, state)
    elif isinstance(target, Global):
        machine.misuse(f"a change to {target.text}")
    else:
        raise machine.wrong("gives a state to what has none")


# ---- stack and memo ----


@_opcode("MARK", b"(")
def _mark(machine: Machine) -> None:
    machine.mark()


@_opcode("POP", b"0")
def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


@_opcode("POP_MARK", b"1")
def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


@_opcode("DUP", b"2")
def _dup(machine: Machine) -> None:
    machine.stack.append(machine.stack[-1])


@_opcode("GET", b"g")
def _get(machine: Machine) -> None:
    machine.recall(_decimal(machine, machine.line()))


@_opcode("BINGET", b"h")
def _binget(machine: Machine) -> None:
    machine.recall(machine.byte())


@_opcode("LONG_BINGET", b"j")
def _long_binget(machine: Machine) -> None:
    machine.recall(machine.number(_UINT32))


@_opcode("PUT", b"p")
def _put(machine: Machine) -> None:
    index = _decimal(machine, machine.line())
    if index < 0:
        raise machine.wrong("names a negative number of the memo")
    machine.remember(index)


@_opcode("BINPUT", b"q")
def _binput(machine: Machine) -> None:
    machine.remember(machine.byte())


@_opcode("LONG_BINPUT", b"r")
def _long_binput(machine: Machine) -> None:
    machine.remember(machine.number(_UINT32))


@_opcode("MEMOIZE", b"\x94")
def _memoize(machine: Machine) -> None:
    machine.remember(len(machine.memo))


# ---- names and calls ----


@_opcode("GLOBAL", b"c")
def _global(machine: Machine) -> None:
    machine.stack.append(_named_by_lines(machine))


@_opcode("STACK_GLOBAL", b"\x93")
def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.name(module, name))


@_opcode("REDUCE", b"R")
@_opcode("NEWOBJ", b"\x81")
def _reduce(machine: Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.call(function, arguments)


@_opcode("NEWOBJ_EX", b"\x92")
def _newobj_ex(machine: Machine) -> None:
    keywords, arguments, function = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    machine.call(function, (arguments, keywords))


@_opcode("INST", b"i")
def _inst(machine: Machine) -> None:
    arguments = machine.pop_mark()
    machine.call(_named_by_lines(machine), tuple(arguments))


@_opcode("OBJ", b"o")
def _obj(machine: Machine) -> None:
    function, *arguments = machine.pop_mark() or [None]
    machine.call(function, tuple(arguments))


def _named_by_lines(machine: Machine) -> Global:
    module, name = bytes(machine.line()), bytes(machine.line())
    try:
        return machine.name(module.decode(), name.decode())
    except UnicodeDecodeError:
        raise machine.wrong("names a global in no UTF-8") from None


@_opcode("EXT1", b"\x82")
def _ext1(machine: Machine) -> None:
    _extension(machine, machine.byte())


@_opcode("EXT2", b"\x83")
def _ext2(machine: Machine) -> None:
    _extension(machine, machine.number(_UINT16))


@_opcode("EXT4", b"\x84")
def _ext4(machine: Machine) -> None:
    _extension(machine, machine.number(_INT32))


def _extension(machine: Machine, code: int) -> None:
    """A name that only a registry of the process that wrote it knows."""
    machine.stack.append(machine.name("extension", str(code)))


@_opcode("PERSID", b"P")
def _persid(machine: Machine) -> None:
    machine.stack.append(PersistentId(bytes(machine.line())))


@_opcode("BINPERSID", b"Q")
def _binpersid(machine: Machine) -> None:
    machine.stack.append(PersistentId(machine.stack.pop()))


# ---- framing ----


@_opcode("PROTO", b"\x80")
def _proto(machine: Machine) -> None:
    protocol = machine.byte()
    if protocol > MAX_PROTOCOL:
        raise machine.wrong(f"declares protocol {protocol}, which does not exist")


@_opcode("FRAME", b"\x95")
def _frame(machine: Machine) -> None:
    size = machine.number(_UINT64)
    if size > machine.end - machine.at:
        raise machine.cut(size + _UINT64.size)
