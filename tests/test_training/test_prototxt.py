"""The prototxt reader against protobuf's own text format, and on what no reader may choke on."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message as Proto
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.training.prototxt import DEEPEST, Message, Scalar, float32, parse

F = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "whole": F.TYPE_INT32,
    "natural": F.TYPE_UINT32,
    "wide": F.TYPE_INT64,
    "real": F.TYPE_FLOAT,
    "exact": F.TYPE_DOUBLE,
    "flag": F.TYPE_BOOL,
    "text": F.TYPE_STRING,
    "raw": F.TYPE_BYTES,
}
WORDS = ["MAX", "AVE", "STOCHASTIC"]


def made_at_run_time() -> type[Proto]:
    """A message with a field of every type, each once and repeated, and itself inside itself."""
    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", syntax="proto2")
    enum = file.enum_type.add(name="Pool")
    for number, word in enumerate(WORDS):
        enum.value.add(name=word, number=number)
    message = file.message_type.add(name="Made")
    kinds = {**SCALARS, "pool": F.TYPE_ENUM, "inner": F.TYPE_MESSAGE}
    types = {"pool": ".made.Pool", "inner": ".made.Made"}
    for number, (name, kind) in enumerate(kinds.items()):
        for label, suffix, base in ((F.LABEL_OPTIONAL, "", 1), (F.LABEL_REPEATED, "s", 100)):
            field = message.field.add(name=name + suffix, number=base + number, type=kind, label=label)
            if name in types:
                field.type_name = types[name]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type[Proto] = message_factory.GetMessageClass(pool.FindMessageTypeByName("made.Made"))
    return made


Made = made_at_run_time()

VALUES: dict[str, st.SearchStrategy[object]] = {
    "whole": st.integers(-(2**31), 2**31 - 1),
    "natural": st.integers(0, 2**32 - 1),
    "wide": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(width=32),
    "exact": st.floats(),
    "flag": st.booleans(),
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "raw": st.binary(),
    "pool": st.integers(0, 2),
}
CONTENTS = st.recursive(
    st.fixed_dictionaries({}, optional=VALUES),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **VALUES,
            **{f"{name}s": st.lists(values, min_size=1, max_size=3) for name, values in VALUES.items()},
            "inner": inner,
            "inners": st.lists(inner, min_size=1, max_size=3),
        },
    ),
    max_leaves=6,
)


def proto_of(contents: dict[str, Any]) -> Proto:
    message = Made()
    fill(message, contents)
    return message


def fill(message: Proto, contents: dict[str, Any]) -> None:
    for name, value in contents.items():
        if name == "inner":
            message.inner.SetInParent()
            fill(message.inner, value)
        elif name == "inners":
            for one in value:
                fill(message.inners.add(), one)
        elif isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)


def scalar_of(kind: str, value: Scalar) -> object:
    """A value as protobuf would hold it."""
    if kind in ("whole", "natural", "wide"):
        return value.integer
    if kind == "real":
        return value.real
    if kind == "exact":
        return value.double
    if kind == "flag":
        return value.boolean
    if kind == "pool":
        return WORDS.index(value.text) if value.kind == "word" else value.integer
    return value.text.encode("utf-8", "surrogateescape") if kind == "raw" else value.text


def same(read: Message, proto: Proto) -> None:
    """Every field that protobuf has is read with its value and order, and none besides."""
    counts = {}
    for descriptor, value in proto.ListFields():
        name = descriptor.name
        kind = name.removesuffix("s") if name != "pass" else name
        entries = read.all(name)
        values = list(value) if name.endswith("s") else [value]
        counts[name] = len(values)
        assert len(entries) == len(values), name
        for entry, one in zip(entries, values, strict=True):
            if isinstance(entry.value, Message):
                same(entry.value, one)
            else:
                found = scalar_of(kind, entry.value)
                both_nan = isinstance(found, float) and math.isnan(found) and math.isnan(one)
                assert both_nan or found == one, (name, entry.value, one)
    assert {entry.name for entry in read} == set(counts)


@given(CONTENTS, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_what_protobuf_writes_is_read_as_it_was(
    contents: dict[str, Any], one_line: bool, angles: bool, short_lists: bool, utf8: bool
) -> None:
    proto = proto_of(contents)
    text = text_format.MessageToString(
        proto, as_one_line=one_line, pointy_brackets=angles, use_short_repeated_primitives=short_lists, as_utf8=utf8
    )
    read = parse(text)
    assert read.fault is None, (read.fault, text)
    same(read, proto)


@pytest.mark.parametrize(
    "text",
    [
        "whole: 1 natural: 2",
        "whole: 1, natural: 2; wide: -3",
        "whole:1#comment\nnatural:2 # another",
        "wholes: [1, 2, 3] wholes: 4",
        "wholes: [] whole: 1",
        "inner { whole: 1 } inners: { whole: 2 } inners < whole: 3 >",
        "inners: [{ whole: 1 }, { whole: 2 }]",
        "inners [{ whole: 1 }, < whole: 2 >]",
        "inner { inner { inner { text: 'deep' } } }",
        'text: "a" \'b\'\n  "c" # joined\n  "d"',
        r'text: "tab\t quote\" octal\101 hex\x41 \\ back"',
        r'raw: "\377\000\x00\xfe"',
        r'text: "\u00e9\U0001F600"',
        "text: 'it is \"quoted\"'",
        'text: "# no comment { } : < >"',
        "real: 1f exact: 1.5F reals: .5 reals: 1. reals: 1e3f reals: -2.5e-3",
        "real: inf exact: -inf reals: [nan, -nan, infinity, Inf, -Infinity]",
        "real: 1e39 exact: 1e400",
        "whole: 0x1F natural: 017 wide: -0x10",
        "flag: true flags: [t, f, True, False, 0, 1]",
        "pool: AVE pools: [0, 2, MAX]",
        "whole: 1 whole: 2"[:9],
        "",
        "# only a comment",
        "\r\nwhole: 1\r\n\tnatural: 2\r\n",
    ],
)
def test_a_way_to_write_it_is_read_as_protobuf_reads_it(text: str) -> None:
    proto = Made()
    text_format.Parse(text, proto)
    read = parse(text)
    assert read.fault is None
    same(read, proto)


def refused(text: str) -> bool:
    try:
        text_format.Parse(text, Made())
    except text_format.ParseError:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("whole", 1, 6, "end of the file"),
        ("whole 1", 1, 7, '":" or "{" expected'),
        ("whole:\n  }", 2, 3, "a value expected"),
        ("inner {\n  whole: 1\n", 3, 1, "line 1"),
        ("inner { whole: 1 >", 1, 18, "field name"),
        ("inner < whole: 1 }", 1, 18, "field name"),
        ("whole: 1 }", 1, 10, "field name"),
        ('text: "open\n"', 1, 7, "does not end on its line"),
        ('text: "open', 1, 7, "does not end on its line"),
        ("wholes: [1, 2", 1, 14, '"," or "]"'),
        ("wholes: [1 2]", 1, 12, '"," or "]"'),
        ("whole: 1 ,, natural: 2", 1, 11, "field name"),
        ("whole: -x", 1, 9, "a number"),
        ("whole: é", 1, 8, "may only stand in strings"),
        ("whole: $5", 1, 8, "may only stand in strings"),
        (": 5", 1, 1, "field name"),
        ("inners: [{ whole: 1 }, 2]", 1, 24, '"{" expected'),
    ],
)
def test_a_syntax_error_has_line_and_column(text: str, line: int, column: int, words: str) -> None:
    fault = parse(text).fault
    assert fault is not None
    assert (fault.line, fault.column) == (line, column)
    assert words in fault.reason
    assert refused(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [(r'a: "\q"', "escape"),
     ("a: 08", "octal"), ("a: 1.2.3", "second decimal"), ("a: 0x", "hexadecimal"), ("a: 1e", "exponent"),
     ("a: 0x1.5", "no decimal point")],
)  # fmt: skip
def test_what_the_library_of_caffe_refuses_and_that_of_python_lets_pass(text: str, words: str) -> None:
    """Source: ``io/tokenizer.cc``, ``ConsumeNumber`` and ``ConsumeString``."""
    fault = parse(text).fault
    assert fault is not None
    assert words in fault.reason


def test_a_sign_may_stand_apart_from_its_number() -> None:
    """Source: ``text_format.cc``, where the sign is a token of its own."""
    assert parse("whole: -  5").integer("whole") == -5


def test_every_field_and_value_has_its_place() -> None:
    text = 'layer {\n  name: "conv"\n  param: < lr_mult:\n    2 >\n} top: [ "a",\n "b" ]\n'
    message = parse(text)
    layer = message.first("layer")
    assert layer is not None
    assert (layer.line, layer.column, layer.value.line, layer.value.column) == (1, 1, 1, 7)
    inner = layer.message
    assert inner is not None
    assert [(entry.name, entry.line, entry.column) for entry in inner] == [("name", 2, 3), ("param", 3, 3)]
    lr_mult = inner.messages("param")[0].scalar("lr_mult")
    assert lr_mult is not None
    assert (lr_mult.line, lr_mult.column) == (4, 5)
    assert [(entry.line, entry.value.line, entry.value.column) for entry in message.all("top")] == [
        (5, 5, 10),
        (5, 6, 2),
    ]


def test_a_prototxt_inside_a_log_keeps_the_lines_of_the_log() -> None:
    message = parse('net: "x"\nbase_lr 1', first_line=100)
    assert message.line_of("net") == 100
    assert message.fault is not None
    assert message.fault.line == 101


def test_what_stands_before_an_error_is_kept() -> None:
    message = parse("base_lr: 0.5\nlayer { name: 'x' top: }")
    assert message.real("base_lr") == 0.5
    assert message.messages("layer")[0].string("name") == "x"
    assert message.fault is not None


def test_unknown_names_and_extensions_are_kept() -> None:
    message = parse("[caffe.ext.field] { a: 1 } [type.googleapis.com/made.Made]: { b: 2 } made_up: WORD")
    assert [entry.name for entry in message] == ["[caffe.ext.field]", "[type.googleapis.com/made.Made]", "made_up"]


def test_accessors_give_the_last_value_and_the_default() -> None:
    message = parse('a: 1 a: 2 s: "x" w: 1.5 pool: AVE n: 2 b: false')
    assert message.integer("a") == 2
    assert message.integers("a") == [1, 2]
    assert message.integer("w", 7) == 7, "1.5 is no whole number"
    assert message.string("a", "none") == "none"
    assert message.real("absent", 0.1) == float32(0.1)
    assert message.real("s", 3.0) == 3.0
    assert message.enum("pool", WORDS, "MAX") == "AVE"
    assert message.enum("n", WORDS, "MAX") == "STOCHASTIC"
    assert message.enum("a", ["X"], "X") == "X"
    assert message.boolean("b", True) is False
    assert message.message("a") is None
    assert message.scalar("absent") is None


def test_floats_are_those_of_float32() -> None:
    message = parse("a: 0.1 b: 1e39 c: 1e-50 d: 16777217 e: -1e39")
    assert message.real("a") == 0.10000000149011612
    assert message.real("b") == math.inf
    assert message.real("c") == 0.0
    assert message.real("d") == 16777216.0
    assert message.real("e") == -math.inf


def test_bytes_that_are_no_text_are_kept_in_strings_and_comments() -> None:
    message = parse(b'# caf\xe9\nsource: "caf\xe9"')
    assert message.fault is None
    assert message.string("source").encode("utf-8", "surrogateescape") == b"caf\xe9"


@given(st.text(alphabet="ab:{}<>[],;\"'\\#-.0x19eE \n\xe9\udcff\x00") | st.text())
def test_no_text_raises(text: str) -> None:
    message = parse(text)
    assert message.fault is None or message.fault.line >= 1


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    parse(data)


@pytest.mark.parametrize("opening", ["a{", "a:<", "a:[{", "a", "a:[", "[", "-", '"', "a: 1 "])
def test_hostile_repetition_is_bounded(opening: str) -> None:
    message = parse(opening * 20_000)
    depth = 0
    while message.fields and isinstance(message.fields[-1].value, Message):
        message = message.fields[-1].value
        depth += 1
    assert depth <= DEEPEST


def test_a_number_of_a_million_digits_is_no_trouble() -> None:
    message = parse(f"a: {'9' * 1_000_000} b: 0x{'f' * 1000} c: 1{'0' * 5000}.5")
    assert message.fault is None
    assert message.real("a") == math.inf
    assert message.integer("a", 0) > 10**300
    assert message.real("c") == math.inf
