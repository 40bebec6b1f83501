"""The tables of names and types against protobuf's parser, for which they are made into a descriptor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message as Proto

from datascan.scanner.training.prototxt import Message, float32, parse
from datascan.scanner.training.schema import as_meant, check_message, distance, enum_numbers, fields_of, nearest
from datascan.scanner.training.schema_tables import ENUMS, MESSAGES

RUNS = Path(__file__).resolve().parents[3] / "shared" / "caffe" / "runs"
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "training"

F = descriptor_pb2.FieldDescriptorProto
TYPES = {
    "int32": F.TYPE_INT32,
    "uint32": F.TYPE_UINT32,
    "int64": F.TYPE_INT64,
    "float": F.TYPE_FLOAT,
    "bool": F.TYPE_BOOL,
    "string": F.TYPE_STRING,
}


@cache
def proto_class(name: str) -> type[Proto]:
    """A message class of protobuf's, from the tables; the fork's own fields are whole numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for enum_name in ENUMS:
        enum = file.message_type.add(name=f"In{enum_name}").enum_type.add(name=enum_name)
        for word, value in sorted(enum_numbers(enum_name).items(), key=lambda pair: pair[1]):
            enum.value.add(name=word, number=value)
    for message_name in MESSAGES:
        message = file.message_type.add(name=message_name)
        for number, (field_name, kind) in enumerate(fields_of(message_name).items(), 1):
            label = F.LABEL_REPEATED if kind.repeated else F.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            if kind.name in MESSAGES:
                field.type, field.type_name = F.TYPE_MESSAGE, f".caffe.{kind.name}"
            elif kind.name in ENUMS:
                field.type, field.type_name = F.TYPE_ENUM, f".caffe.In{kind.name}.{kind.name}"
            else:
                field.type = TYPES.get(kind.name, F.TYPE_INT32)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type[Proto] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
    return made


def values(read: Message, message_type: str) -> Iterator[tuple[str, object]]:
    """Fields and values as protobuf would list them, in the order of the file."""
    known = fields_of(message_type)
    for entry in read:
        kind = known[entry.name].name
        if isinstance(entry.value, Message):
            yield entry.name, sorted(values(entry.value, kind), key=str)
        elif kind == "float":
            yield entry.name, entry.value.real
        elif kind == "bool":
            yield entry.name, entry.value.boolean
        elif kind == "string":
            yield entry.name, entry.value.text
        elif kind in ENUMS:
            number = entry.value.integer
            yield entry.name, enum_numbers(kind)[entry.value.text] if number is None else number
        else:
            yield entry.name, entry.value.integer


def proto_values(proto: Proto) -> Iterator[tuple[str, object]]:
    for descriptor, value in proto.ListFields():
        for one in value if descriptor.is_repeated else [value]:
            inner = descriptor.message_type is not None
            shown = sorted(proto_values(one), key=str) if inner else float32(one) if isinstance(one, float) else one
            yield descriptor.name, shown


def refusal(text: str, message_type: str) -> str | None:
    """Why protobuf refuses a text, ``None`` where it reads it."""
    try:
        text_format.Parse(text, proto_class(message_type)())
    except text_format.ParseError as exc:
        return str(exc)
    return None


CLEAN = sorted((FIXTURES / "clean").glob("*.prototxt"))
REAL = sorted(RUNS.glob("*.prototxt"))


@pytest.mark.parametrize("paths", [CLEAN, REAL], ids=["fixtures", "real runs"])
def test_protobuf_reads_every_file_to_the_same_values_and_refuses_the_same(paths: list[Path]) -> None:
    if not paths:
        pytest.skip("the neighbouring data is not here")
    for path in paths:
        kind = "NetParameter" if path.name.endswith(".train.prototxt") else "SolverParameter"
        text = path.read_text(encoding="utf-8")
        read = parse(text)
        assert read.fault is None, path.name
        refused_here = [one for one in check_message(read, kind) if one.kind != "fork-field"]
        assert bool(refused_here) == (refusal(text, kind) is not None), path.name
        if not refused_here:
            proto = text_format.Parse(text, proto_class(kind)())
            found, wanted = (sorted(map(str, pairs)) for pairs in (values(read, kind), proto_values(proto)))
            assert found == wanted, path.name


@pytest.mark.parametrize(
    ("text", "kind", "remedy"),
    [
        ("max_iter: 1e5", "wrong-type", "max_iter: 100000"),
        ("max_iter: 10.5", "wrong-type", "max_iter: 10"),
        ('max_iter: "500"', "wrong-type", "max_iter: 500"),
        ("max_iter: 3000000000", "wrong-type", "max_iter: 2147483647"),
        ('base_lr: "0.1"', "wrong-type", "base_lr: 0.1"),
        ("base_lr: 0x10", "wrong-type", "base_lr: 0.01"),
        ("base_lr: true", "wrong-type", "base_lr: 0.01"),
        ("lr_policy: fixed", "wrong-type", 'lr_policy: "fixed"'),
        ('solver_mode: "GPU"', "wrong-type", "solver_mode: GPU"),
        ("solver_mode: gpu", "wrong-type", "solver_mode: GPU"),
        ("solver_mode: 2", "wrong-type", "solver_mode: GPU"),
        ("debug_info: yes", "wrong-type", "debug_info: true"),
        ("debug_info: 2", "wrong-type", "debug_info: false"),
        ("net { name: 'x' }", "wrong-type", "net: ..."),
        ("net_param: 5", "wrong-type", "net_param { ... }"),
        ("max_iter: 1 max_iter: 2", "repeated-field", "keep one of the lines 1 and 1"),
        ("momentun: 1", "unknown-field", "write momentum"),
        ("baselr: 1", "unknown-field", "write base_lr"),
        ("BASE_LR: 1", "unknown-field", "write base_lr"),
        ("something_else: 1", "unknown-field", "take something_else out, or train with the fork that knows it"),
        ("train_state { stag: 'x' }", "unknown-field", "write stage"),
        ("net_param { layer { transform_param { crop_size: -1 } } }", "wrong-type", "crop_size: 0"),
    ],
)
def test_what_protobuf_refuses_is_complained_of_with_a_remedy(text: str, kind: str, remedy: str) -> None:
    (complaint,) = check_message(parse(text), "SolverParameter")
    assert (complaint.kind, complaint.remedy) == (kind, remedy)
    assert refusal(text, "SolverParameter") is not None


@pytest.mark.parametrize(
    "text",
    [
        "base_lr: 1",
        "base_lr: nan gamma: -inf power: 1e39",
        "base_lr: 1.f",
        "solver_mode: 1 debug_info: 1 snapshot_diff: f",
        "random_seed: -9000000000",
        "stepvalue: 1 stepvalue: [2, 3]",
        "train_state { level: 1 stage: ['a', 'b'] }",
    ],
)
def test_what_protobuf_takes_is_not_complained_of(text: str) -> None:
    assert refusal(text, "SolverParameter") is None
    assert list(check_message(parse(text), "SolverParameter")) == []


def test_a_field_of_the_fork_is_told_apart_from_an_unknown_one() -> None:
    text = "layer { annotated_data_param { anything { at: ALL } } roi_pooling_param { pooled_w: 7 } }"
    kinds = [complaint.kind for complaint in check_message(parse(text), "NetParameter")]
    assert kinds == ["fork-field", "unknown-field"]


@pytest.mark.parametrize("name", ["roi_pooling_param", "bn_param", "psroi_pooling_param", "upsample_param", "x"])
def test_a_layer_of_a_fork_is_no_slip_of_one_of_caffe(name: str) -> None:
    assert nearest(name, fields_of("LayerParameter")) is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("poolling_param", "pooling_param"), ("convolution_parm", "convolution_param"), ("botom", "bottom"),
     ("Type", "type"), ("innerproduct_param", "inner_product_param")],
)  # fmt: skip
def test_a_slip_is_recognised(name: str, wanted: str) -> None:
    assert nearest(name, fields_of("LayerParameter")) == wanted


def test_distance_counts_a_swap_once() -> None:
    assert [distance("gamma", other) for other in ("gamma", "gmama", "gama", "gammas", "gemme")] == [0, 1, 1, 1, 2]


def test_slips_are_judged_as_what_was_meant() -> None:
    message = parse('max_iter: 1e5 momentun: 0.9 lr_policy: step base_lr: "x" debug_info: maybe')
    meant = as_meant(message, check_message(message, "SolverParameter"))
    assert meant.integer("max_iter") == 100_000
    assert meant.real("momentum") == float32(0.9)
    assert meant.string("lr_policy") == "step"
    assert "base_lr" in meant
    assert meant.real("base_lr", 7) == 7, "nothing tells what was meant"
    assert meant.line_of("momentum") == 1


@pytest.mark.parametrize("text", ["a" * 100_000 + ": 1", "net: " + "b" * 100_000, "max_iter: " + "9" * 100_000])
def test_complaints_stay_short(text: str) -> None:
    for complaint in check_message(parse(text), "SolverParameter"):
        assert len(complaint.text) < 300
        assert len(complaint.remedy) < 300
