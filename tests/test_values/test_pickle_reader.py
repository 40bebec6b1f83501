"""The inert reader against Python's own pickler, and against what only an attacker writes."""

from __future__ import annotations

import collections
import datetime
import functools
import operator
import os
import pickle
import pickletools
import random
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_values.inert_values import lively

from datascan.scanner.values.inert import Call, Dict, Global, Pickle
from datascan.scanner.values.pickle_globals import ALLOWED
from datascan.scanner.values.pickle_machine import MAX_OPCODES
from datascan.scanner.values.pickle_opcodes import OPERATIONS
from datascan.scanner.values.pickle_reader import looks_pickled, read_pickle
from datascan.scanner.values.structure import contents_of

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(data: bytes) -> Pickle:
    return read_pickle(memoryview(data))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(1 << 2000), max_value=1 << 2000),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.binary(min_size=60, max_size=300),
    st.complex_numbers(allow_nan=False),
)
keys = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(max_size=80), st.tuples(st.text()))
objects = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(keys, inner, max_size=5),
        st.frozensets(keys, max_size=5),
        st.dictionaries(st.text(), inner, max_size=3).map(collections.OrderedDict),
    ),
    max_leaves=20,
)


@given(objects, st.sampled_from(PROTOCOLS))
def test_every_protocol_gives_what_was_pickled(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    found = read(data)
    assert (found.error, found.unsafe, found.size) == (None, (), len(data))
    assert lively(found.root) == value
    assert looks_pickled(memoryview(data)) or protocol < 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_and_endless_values_keep_their_shape(protocol: int) -> None:
    shared = [1, 2]
    endless: list[Any] = [shared, shared]
    endless.append(endless)
    root: Any = read(pickle.dumps(endless, protocol)).root
    assert root[0] is root[1]
    assert root[2] is root
    assert lively(root[0]) == shared


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("count", [0, 1, 3, 300, 70_000])
def test_containers_of_any_size(protocol: int, count: int) -> None:
    for value in (list(range(count)), tuple(range(count)), {str(i): i for i in range(count)}, set(range(count))):
        assert lively(read(pickle.dumps(value, protocol)).root) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_harmless_objects_are_calls_that_nobody_makes(protocol: int) -> None:
    value = {
        "when": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "counts": collections.Counter("abca"),
        "queue": collections.deque([1, 2], maxlen=3),
        "lists": collections.defaultdict(list, {"a": [1]}),
        "changed": bytearray(b"abc" * 50),
    }
    found = read(pickle.dumps(value, protocol))
    assert (found.error, found.unsafe) == (None, ())
    assert isinstance(found.root, Dict)
    when, lists = found.root.get("when"), found.root.get("lists")
    assert isinstance(when, Call)
    assert isinstance(lists, Call)
    assert when.function == Global("datetime", "datetime")
    assert lists.entries == ["a", [1]]
    assert lively(found.root.get("changed")) == value["changed"]


def test_every_opcode_of_pickletools_is_known_under_its_name() -> None:
    known = {chr(code): operation.name for code, operation in OPERATIONS.items()} | {".": "STOP"}
    assert known == {opcode.code: opcode.name for opcode in pickletools.opcodes}


RARE: dict[str, tuple[bytes, object]] = {
    "INT, booleans and PUT, GET": (b"(I5\nI01\nI00\np7\n0g7\nt.", (5, True, False)),
    "STRING with escapes": (b"S'a\\n\\x41\\q'\n.", b"a\nA\\q"),
    "BINSTRING": (b"T\x03\0\0\0abc.", b"abc"),
    "SHORT_BINSTRING": (b"U\x01a.", b"a"),
    "UNICODE": (b"V\\u20ac\n.", "€"),
    "FLOAT": (b"F1.5\n.", 1.5),
    "LONG without its letter": (b"L-12\n.", -12),
    "LONG4": (b"\x8b\x02\0\0\0\xff\xff.", -1),
    "LIST, DICT": (b"((I1\nld.", None),
    "DUP": (b"K\x012\x86.", (1, 1)),
    "POP of a mark": (b"K\x01(0.", 1),
    "POP_MARK": (b"K\x01(K\x02K\x031.", 1),
    "LONG_BINPUT, LONG_BINGET": (b"K\x05r\xff\xff\xff\xff0j\xff\xff\xff\xff.", 5),
    "BINUNICODE8 and BINBYTES8": (b"\x8d\x01" + bytes(7) + b"a\x8e\x01" + bytes(7) + b"b\x86.", ("a", b"b")),
    "FROZENSET and ADDITEMS": (b"\x8f(K\x01\x90.", frozenset({1})),
}


@pytest.mark.parametrize("name", RARE)
def test_opcodes_that_todays_pickler_does_not_write(name: str) -> None:
    data, value = RARE[name]
    found = read(data)
    if value is None:
        assert found.error is not None
        assert "key without a value" in found.error.reason
    else:
        assert found.error is None
        assert lively(found.root) == value


def test_old_instances_are_calls() -> None:
    for data in (b"(K\x01imod\nCls\n.", b"(cmod\nCls\nK\x01o."):
        root = read(data).root
        assert isinstance(root, Call)
        assert (root.function, root.arguments) == (Global("mod", "Cls"), (1,))
    keywords = read(b"cmod\nCls\n)}\x92.").root
    assert isinstance(keywords, Call)
    assert keywords.arguments == ((), Dict())


# ---- unsafe ----


class Runs:
    def __init__(self, function: Any, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_command_is_named_and_not_run(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    command = f"touch {marker}"
    data = pickle.dumps({"image": b"abc", "label": Runs(os.system, command)}, protocol)
    found = read(data)
    contents_of(found.root, len(data))
    assert found.unsafe == ("posix.system",)
    assert not marker.exists()
    pickle.loads(data)
    assert marker.exists(), "the example is harmless, so that the test shows nothing"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Runs(eval, "1"), "builtins.eval"),
        (Runs(exec, "1"), "builtins.exec"),
        (Runs(__import__, "os"), "builtins.__import__"),
        (Runs(getattr, "abc", "upper"), "builtins.getattr"),
        (Runs(open, "/etc/passwd"), "io.open"),
        (operator.attrgetter("system"), "operator.attrgetter"),
        (functools.partial(print, 1), "functools.partial"),
        (sys.exit, "sys.exit"),
        (Path.unlink, "pathlib.Path.unlink"),
    ],
)
def test_other_ways_to_run_something_are_named(value: object, name: str) -> None:
    assert read(pickle.dumps(value, 4)).unsafe[0] == name


def test_a_dotted_name_on_an_allowed_module_is_not_allowed() -> None:
    data = b"\x80\x04\x8c\x0bcollections\x8c\x1aOrderedDict.__init__.x.y.z\x93."
    assert read(data).unsafe == ("collections.OrderedDict.__init__.x.y.z",)


def test_what_is_thrown_away_counts() -> None:
    assert read(b"cposix\nsystem\n(S'ls'\ntR0N.").unsafe == ("posix.system",)


def test_what_runs_before_a_cut_counts() -> None:
    found = read(b"cposix\nsystem\n(S'ls'\ntRX\xff\0\0\0ab")
    assert found.unsafe == ("posix.system",)
    assert found.error is not None
    assert found.error.reason == "the pickle is cut short: BINUNICODE needs 259 bytes, 6 are left"


def test_names_from_an_extension_registry_are_not_known() -> None:
    for data in (b"\x82\x05.", b"\x83\x05\0.", b"\x84\x05\0\0\0."):
        assert read(data).unsafe == ("extension.5",)


def test_changes_to_a_name_and_calls_of_results_are_misuse() -> None:
    assert read(b"ccollections\nOrderedDict\n}b.").unsafe == ("a change to collections.OrderedDict",)
    assert read(b"ccollections\nOrderedDict\nK\x01K\x02s.").unsafe == ("a change to collections.OrderedDict",)
    assert read(b"ccollections\nOrderedDict\n)R)R.").unsafe == ("a call of what collections.OrderedDict returns",)


def test_no_allowed_name_is_a_way_out() -> None:
    modules = {name.module for name in ALLOWED}
    assert not modules & {"os", "posix", "nt", "sys", "subprocess", "importlib", "functools", "operator", "types", "io"}
    callables = {"eval", "exec", "compile", "getattr", "setattr", "open", "__import__", "input", "globals", "type"}
    assert not callables & {name.name for name in ALLOWED}
    assert not any("." in name.name for name in ALLOWED)


def test_names_from_the_file_are_shown_in_ascii() -> None:
    (name,) = read("cmödule\nname\x1b[31m\n.".encode()).unsafe
    assert name.isascii()
    (long,) = read(b"c" + b"m" * 900 + b"\nn\n.").unsafe
    assert len(long) < 120


# ---- damaged ----


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_anywhere_is_cut_short(protocol: int) -> None:
    data = pickle.dumps({"image": bytes(range(256)) * 2, "label": 300, "names": ["a", "b"], "x": 1.5}, protocol)
    for size in range(len(data)):
        error = read(data[:size]).error
        assert error is not None, size
        assert "cut short" in error.reason, size
        assert error.offset is not None
        assert error.offset <= size


def test_what_is_behind_the_end_is_not_a_part() -> None:
    data = pickle.dumps([1])
    assert read(data + b"more").size == len(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x04\xffN.", "0xff is no opcode of a pickle"),
        (b"\x80\x06N.", "PROTO declares protocol 6, which does not exist"),
        (b"\x85.", "TUPLE1 finds too few values on the stack"),
        (b".", "STOP finds too few values on the stack"),
        (b"t.", "TUPLE finds no mark"),
        (b"(.", "STOP finds too few values on the stack"),
        (b"h\x05.", "BINGET asks for number 5 of the memo"),
        (b"j\xff\xff\xff\xff.", "LONG_BINGET asks for number 4,294,967,295 of the memo"),
        (b"g-1\n.", "GET asks for number -1 of the memo"),
        (b"Np-1\n.", "PUT names a negative number of the memo"),
        (b"Ix\n.", "INT holds no number"),
        (b"Fx\n.", "FLOAT holds no number"),
        (b"I" + b"1" * 5000 + b"\n.", "INT has a line of more than 1,000 bytes"),
        (b"Sabc\n.", "STRING holds no quoted string"),
        (b"S'\\x'\n.", "STRING holds an escape that is none"),
        (b"V\\uZZZZ\n.", "UNICODE holds no text"),
        (b"X\x01\0\0\0\xff.", "BINUNICODE holds no UTF-8"),
        (b"T\xff\xff\xff\xffabc.", "BINSTRING declares -1 bytes"),
        (b"\x8b\xff\xff\xff\xff.", "LONG4 declares -1 bytes"),
        (b"\x8b\xff\xff\xff\x7f.", "LONG4 declares an integer of 2,147,483,647 bytes, more than 1,024"),
        (b"\x8e" + struct.pack("<Q", 1 << 40) + b"ab.", "BINBYTES8 needs 1,099,511,627,784 bytes, 11 are left"),
        (b"\x96" + struct.pack("<Q", (1 << 64) - 1) + b".", "BYTEARRAY8 needs 18,446,744,073,709,551,623 bytes"),
        (
            b"\x80\x04\x95" + struct.pack("<Q", 1 << 63) + b"N.",
            "FRAME needs 9,223,372,036,854,775,816 bytes, 10 are left",
        ),
        (b"\x97.", "NEXT_BUFFER refers to a buffer outside of the pickle"),
        (b"K\x01K\x02\x93.", "STACK_GLOBAL does not name a global by two strings"),
        (b"c\xff\nx\n.", "GLOBAL names a global in no UTF-8"),
        (b"K\x01)R.", "REDUCE calls what can't be called"),
        (b"K\x01K\x02a.", "APPEND appends to what is no list"),
        (b"}K\x02a.", "APPEND appends to what is no list"),
        (b"K\x01(K\x02\x90.", "ADDITEMS adds to what is no set"),
        (b"]K\x01K\x02s.", "SETITEM sets an entry of what is no dictionary"),
        (b"}(K\x01u.", "SETITEMS has a key without a value"),
        (b"]}b.", "BUILD gives a state to what has none"),
        (b"(o.", "OBJ calls what can't be called"),
    ],
)
def test_damage_is_told_apart(data: bytes, reason: str) -> None:
    error = read(data).error
    assert error is not None
    assert reason in error.reason


def test_huge_memo_numbers_are_harmless() -> None:
    """CPython's unpickler makes room for as many entries."""
    data = b"]r\xfe\xff\xff\x7f]p99999999999999\na."
    tracemalloc.start()
    found = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.error is None
    assert lively(found.root) == [[]]
    assert peak < 1 << 20


@pytest.mark.parametrize("opcode", [b"N", b"(", b"]", b"N0"])
def test_opcodes_are_counted(opcode: bytes) -> None:
    error = read(b"N" + opcode * (MAX_OPCODES // len(opcode)) + b".").error
    assert error is not None
    assert f"more than {MAX_OPCODES:,} opcodes" in error.reason


def test_values_nested_without_end_are_walked() -> None:
    depth = 50_000
    for data in (
        b"]" * depth + b"a" * (depth - 1) + b".",
        b")" + b"\x85" * depth + b".",
        b"}" * 1 + (b"N}" * depth) + b"s" * depth + b".",
    ):
        found = read(data)
        assert found.error is None
        assert contents_of(found.root, len(data)).arrays == []


def test_few_opcodes_that_stand_for_many_values_stay_few() -> None:
    """Each level holds the one below twice: 2 to the power of 5,000 values for whoever copies or hashes them."""
    tuples = b"K\x01" + b"q\x00h\x00\x86" * 5000
    lists = b"]" + b"q\x00]h\x00ah\x00a" * 5000
    for data in (tuples + b".", lists + b".", b"}" + tuples + b"Ns.", b"\x8f(" + tuples + b"\x90."):
        found = read(data)
        assert found.error is None
        contents_of(found.root, len(data))


def test_keys_of_one_hash_take_no_longer_than_others() -> None:
    colliding = b"".join(b"\x8a\x0c" + (i * ((1 << 61) - 1)).to_bytes(12, "little") + b"N" for i in range(20_000))
    root = read(b"}(" + colliding + b"u.").root
    assert isinstance(root, Dict)
    assert len(root) == 40_000


opcodes = st.sampled_from([bytes((code,)) for code in [*OPERATIONS, ord(".")]])


@given(st.lists(st.one_of(opcodes, st.binary(max_size=6)), max_size=60).map(b"".join))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    found = read(data)
    assert found.size <= len(data) + 8
    contents_of(found.root, len(data))


SEEDS = [
    pickle.dumps(value, protocol)
    for protocol in PROTOCOLS
    for value in (
        {"image": bytes(range(200)), "label": 3, "boxes": [[1.5, 2.0], [3.0, 4.0]], "name": "é"},
        [collections.OrderedDict(a=1), {1, 2}, datetime.date(2020, 1, 1), -(1 << 70), Runs(os.getcwd)],
    )
]


def test_mutated_pickles_give_an_answer() -> None:
    """Bytes flipped, cut out, doubled and spliced; what is unpickled here is nothing."""
    source = random.Random(5)
    for turn in range(6000):
        data = bytearray(source.choice(SEEDS))
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(len(data))
            match source.randrange(4):
                case 0:
                    data[at] ^= 1 << source.randrange(8)
                case 1:
                    data[at] = source.choice([*OPERATIONS])
                case 2:
                    del data[at : at + source.randrange(1, 9)]
                case _:
                    data[at:at] = source.choice(SEEDS)[: source.randrange(30)]
            data = data or bytearray(b".")
        found = read(bytes(data))
        contents_of(found.root, len(data))
        assert (found.error is None) or found.root is None, turn
