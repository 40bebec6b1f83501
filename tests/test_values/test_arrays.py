"""Arrays and tensors inside of pickles and msgpack messages, against what was written."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import warnings
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.test_values.inert_values import stand_ins

from datascan.scanner.values.inert import Pickle
from datascan.scanner.values.msgpack_reader import read_msgpack
from datascan.scanner.values.pickle_reader import read_pickle
from datascan.scanner.values.structure import Contents, contents_of

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

numeric = st.one_of(
    hnp.integer_dtypes(endianness="="),
    hnp.integer_dtypes(endianness=">"),
    hnp.floating_dtypes(),
    hnp.floating_dtypes(endianness=">"),
    hnp.complex_number_dtypes(),
    hnp.boolean_dtypes(),
)
arrays = hnp.arrays(numeric, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))


def read(data: bytes) -> Pickle:
    found = read_pickle(memoryview(data))
    assert found.error is None
    return found


def contents(data: bytes) -> Contents:
    return contents_of(read(data).root, len(data))


def equal(found: np.ndarray, written: np.ndarray) -> bool:
    return found.dtype == written.dtype and found.shape == written.shape and found.tobytes() == written.tobytes()


@given(arrays, st.sampled_from("CFKT"), st.sampled_from(PROTOCOLS))
def test_arrays_of_all_types_and_orders_are_equal(array: np.ndarray, order: str, protocol: int) -> None:
    written = array.T if order == "T" else np.array(array, order=order)  # type: ignore[call-overload]
    data = pickle.dumps({"x": written}, protocol)
    assert read(data).unsafe == ()
    ((path, found),) = contents(data).arrays
    assert path == "['x']"
    assert equal(found, written)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_modules_of_numpy_1_mean_the_same(protocol: int) -> None:
    array = np.arange(12.0).reshape(3, 4)
    data = pickle.dumps(array, protocol)
    old = data.replace(b"numpy._core.", b"numpy.core.")
    if protocol >= 4:  # the length stands before the name, and the frame's before everything
        old = old.replace(b"\x8c\x16numpy.core", b"\x8c\x15numpy.core").replace(
            b"\x8c\x13numpy.core", b"\x8c\x12numpy.core"
        )
        old = old[:3] + struct.pack("<Q", len(old) - 11) + old[11:]
    with warnings.catch_warnings(action="ignore"):
        assert np.array_equal(pickle.loads(old), array)
    assert read(old).unsafe == ()
    assert equal(contents(old).arrays[0][1], array)


def test_scalars_are_numbers() -> None:
    value = {"a": np.float32(1.5), "b": np.int64(-3), "c": np.bool_(True), "d": np.complex64(1j), "e": np.array(2.0)}
    found = contents(pickle.dumps(value))
    assert found.numbers == [("['a']", 1.5), ("['b']", -3), ("['e']", 2.0)]
    assert [path for path, _ in found.arrays] == ["['d']"]


def test_text_dates_and_structures_are_left_alone() -> None:
    value = [np.array(["ab", "c"]), np.array(["2020-01-01"], "M8[D]"), np.zeros(3, [("x", "f4"), ("y", "i2")])]
    found = contents(pickle.dumps(value))
    assert (found.arrays, found.troubles) == ([], [])


def test_arrays_of_objects_are_looked_into() -> None:
    array = np.empty(2, object)
    array[0], array[1] = np.arange(3), [0.5, 1.5]
    found = contents(pickle.dumps(array))
    assert [(path, values.tolist()) for path, values in found.arrays] == [("[0]", [0, 1, 2]), ("[1]", [0.5, 1.5])]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_bytes_that_do_not_fit_the_shape_are_named(protocol: int) -> None:
    data = pickle.dumps({"x": np.zeros((3, 5), np.float32)}, protocol)
    pair = b"K\x03K\x05\x86"
    assert data.count(pair) == 1
    found = contents(data.replace(pair, b"K\x03K\x06\x86"))
    ((path, kind, reason),) = [(trouble.path, trouble.kind, trouble.reason) for trouble in found.troubles]
    assert (path, kind, reason) == ("['x']", "size", "holds 60 of 72 bytes (float32 3x6)")
    assert found.arrays == []


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (b"J\xff\xff\xff\xffK\x05\x86", "its shape holds what is no size"),
        (b"G\x3f\xf0\0\0\0\0\0\0K\x05\x86", "its shape holds what is no size"),
        (b"\x8a\x07" + b"\xff" * 6 + b"\x7f\x8a\x07" + b"\xff" * 6 + b"\x7f\x86", "holds 60 of"),
        (b"N", "its shape is None"),
        (b"(" + b"K\x01" * 100 + b"t", "its shape is tuple"),
    ],
)
def test_shapes_that_are_none(shape: bytes, reason: str) -> None:
    data = pickle.dumps(np.zeros((3, 5), np.float32), 2).replace(b"K\x03K\x05\x86", shape)
    (trouble,) = contents(data).troubles
    assert reason in trouble.reason


def test_lists_of_numbers_are_arrays() -> None:
    value = {"a": [1, 2], "b": [1, 2.5], "c": [[1, 2], [3, 4]], "d": [[1], [2, 3]], "e": [True, 1], "f": [1 << 70]}
    found = contents(pickle.dumps(value))
    assert [(path, values.tolist()) for path, values in found.arrays] == [
        ("['a']", [1, 2]),
        ("['b']", [1.0, 2.5]),
        ("['c']", [[1, 2], [3, 4]]),
        ("['d'][0]", [1]),
        ("['d'][1]", [2, 3]),
    ]


def test_paths_name_fields_and_not_the_members_of_collections() -> None:
    value = {
        "objects": [{"mask": b"x"}, {"mask": b"y"}],
        "by_id": {1000 + i: b"a" for i in range(2)},
        "many": [b"z"] * 2 + [b"%d" % i for i in range(9)],
        "0fe4c1": b"hash",
        "layer12.weight": b"w",
    }
    paths = list(dict.fromkeys(path for path, _ in contents(pickle.dumps(value)).strings))
    assert paths == [
        "['objects'][0]['mask']",
        "['objects'][1]['mask']",
        "['by_id'][*]",
        "['many'][*]",
        "[*]",
        "['layer12.weight']",
    ]


def test_arrays_that_share_bytes_do_not_multiply() -> None:
    """One megabyte of bytes under a thousand arrays is a gigabyte to look through."""
    shared = b"\x80\x04B" + struct.pack("<I", 1 << 17) + bytes(1 << 17) + b"r\x10\x00\x00\x000("
    array = (
        b"cnumpy._core.numeric\n_frombuffer\n(j\x10\x00\x00\x00cnumpy\ndtype\n(X\x02\0\0\0u1I00\nI01\ntR"
        b"(J\0\0\x02\0tX\x01\0\0\0CtR"
    )
    found = contents(shared + array * 1000 + b"t.")
    assert sum(values.nbytes for _, values in found.arrays) <= 9 << 20
    assert "its arrays share bytes" in found.troubles[0].reason


def test_rows_that_stand_in_many_tables_are_taken_once() -> None:
    rows = [list(range(100)) for _ in range(50)]
    data = pickle.dumps([[list(range(100)), *rows] for _ in range(100)])
    assert sum(values.size for _, values in contents(data).arrays) == 5000 + 100 * 100


# ---- tensors, whose library is not needed: these classes pickle as PyTorch's do ----


class Storage:
    """Pickles as ``torch.FloatStorage`` does: the bytes of ``torch.save`` in its older format."""

    kind = "FloatStorage"

    def __init__(self, values: np.ndarray, numel: int | None = None, magic: int = 0x1950A86A20F9469CFC6C) -> None:
        self.values, self.numel, self.magic = values, len(values) if numel is None else numel, magic

    def saved(self) -> bytes:
        out = io.BytesIO()
        pickle.dump(self.magic, out, 2)
        pickle.dump(1001, out, 2)
        pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, out, 2)
        pickler = Persistent(out, 2)
        pickler.storage = ("storage", type(self), "94123", "cpu", self.numel, None)
        pickler.dump(self)
        pickle.dump(["94123"], out, 2)
        out.write(struct.pack("<q", self.numel) + self.values.tobytes())
        return out.getvalue()

    def __reduce__(self) -> Any:
        return load_from_bytes, (self.saved(),)


class Persistent(pickle.Pickler):
    storage: Any = None

    def persistent_id(self, value: object) -> Any:
        return self.storage if isinstance(value, Storage) else None


class Tensor:
    def __init__(self, storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.parts: tuple[Any, ...] = (storage, offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self) -> Any:
        return rebuild, self.parts


def load_from_bytes(data: bytes) -> None:
    raise AssertionError("nothing is called")


def rebuild(*parts: Any) -> None:
    raise AssertionError("nothing is called")


def pickled(value: object, protocol: int, kind: str = "FloatStorage") -> bytes:
    with stand_ins(
        {
            "torch": {kind: Storage},
            "torch.storage": {"_load_from_bytes": load_from_bytes},
            "torch._utils": {"_rebuild_tensor_v2": rebuild},
        }
    ):
        return pickle.dumps(value, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("FloatStorage", "f4"),
        ("DoubleStorage", "f8"),
        ("LongStorage", "i8"),
        ("HalfStorage", "f2"),
        ("BoolStorage", "b1"),
    ],
)
def test_tensors_are_rebuilt_from_their_bytes(protocol: int, kind: str, dtype: str) -> None:
    values = np.arange(24).astype(dtype)
    tensor = Tensor(Storage(values), 4, (2, 3), (10, 2))
    data = pickled({"pos": tensor, "y": Tensor(Storage(values), 0, (4, 6), (6, 1))}, protocol, kind)
    assert read(data).unsafe == ()
    found = dict(contents(data).arrays)
    assert equal(found["['pos']"], np.ascontiguousarray(values[4:].reshape(-1)[[[0, 2, 4], [10, 12, 14]]]))
    assert equal(found["['y']"], values.reshape(4, 6))


def test_half_precision_of_the_other_kind_becomes_float32() -> None:
    values = np.array([1.5, np.nan, -2.0], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    data = pickled([Tensor(Storage(halves), 0, (3,), (1,))], 2, "BFloat16Storage")
    ((_, found),) = contents(data).arrays
    assert found.dtype == np.float32
    assert np.array_equal(found, values, equal_nan=True)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (
            Tensor(Storage(np.zeros(6, np.float32)), 0, (2, 4), (4, 1)),
            "reaches element 7 of a storage of 6 (float32 2x4)",
        ),
        (Tensor(Storage(np.zeros(6, np.float32)), 5, (2,), (1,)), "reaches element 6"),
        (Tensor(Storage(np.zeros(6, np.float32)), 0, (2,), (1, 1)), "has 1 sizes and 2 strides"),
        (Tensor(Storage(np.zeros(6, np.float32), 9), 0, (9,), (1,)), "storage is cut short: 24 of 36 bytes are there"),
        (Tensor(Storage(np.zeros(6, np.float32), -1), 0, (9,), (1,)), "storage is cut short"),
        (Tensor(Storage(np.zeros(6, np.float32)), 0, (-1,), (1,)), "its shape holds what is no size"),
    ],
)
def test_tensors_that_reach_beyond_their_storage_are_named(tensor: Tensor, reason: str) -> None:
    data = pickled({"x": tensor}, 2)
    (trouble,) = contents(data).troubles
    assert (trouble.path, trouble.kind) == ("['x']", "size")
    assert reason in trouble.reason


def test_an_expanded_tensor_is_looked_at_once() -> None:
    data = pickled([Tensor(Storage(np.ones(2, np.float32)), 0, (1 << 40, 2), (0, 1))], 2)
    ((_, found),) = contents(data).arrays
    assert found.tolist() == [1, 1]


class Runs:
    def __reduce__(self) -> Any:
        import os

        return os.system, ("true",)


def test_a_command_in_a_tensors_storage_is_named() -> None:
    class Loads:
        def __reduce__(self) -> Any:
            return load_from_bytes, (pickle.dumps(Runs()),)

    assert read(pickled([Loads()], 4)).unsafe[0] == "posix.system"


def test_storages_in_an_unknown_format_are_unsafe() -> None:
    assert "unknown format" in read(pickled(Storage(np.zeros(2, np.float32), magic=5), 2)).unsafe[0]

    class Nothing:
        def __reduce__(self) -> Any:
            return load_from_bytes, ("text",)

    assert read(pickled(Nothing(), 4)).unsafe == ("a nested pickle that can't be looked into",)


def test_one_storage_under_many_calls_is_not_read_for_each() -> None:
    """Each call would decode the same text again, and read what it holds."""
    call = b"ctorch.storage\n_load_from_bytes\n(c_codecs\nencode\n(h\x05X\x06\0\0\0latin1tRtR"
    data = b"\x80\x02(X\x10\x27\0\0" + b"N" * 10_000 + b"q\x05" + call * 50 + b"t."
    assert "a nested pickle that can't be looked into" in read(data).unsafe


def test_storages_within_storages_end() -> None:
    value: Any = Storage(np.zeros(2, np.float32))

    class Loads:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def __reduce__(self) -> Any:
            return load_from_bytes, (self.data,)

    data = pickled(value, 2)
    for _ in range(10):
        data = pickled(Loads(data), 2)
    assert "a nested pickle that can't be looked into" in read(data).unsafe


# ---- msgpack_numpy ----


def packed(array: Any, text: bool = False) -> dict[Any, Any]:
    """As ``msgpack_numpy.encode`` makes it; keys are text where an old reader decodes them."""
    key = (lambda name: name) if text else str.encode
    if isinstance(array, np.ndarray):
        kind = {"V": b"V", "O": b"O"}.get(array.dtype.kind, b"")
        raw = array.dumps() if kind == b"O" else array.tobytes()
        fields = {"nd": True, "type": array.dtype.str, "kind": kind, "shape": array.shape, "data": raw}
    else:
        fields = {"nd": False, "type": array.dtype.str, "data": array.data.tobytes()}
    return {key(name): value for name, value in fields.items()}


def message(value: object) -> Contents:
    data = msgpack.packb(value)
    root, size = read_msgpack(memoryview(data))
    assert size == len(data)
    return contents_of(root, len(data))


@given(arrays, st.booleans())
def test_packed_arrays_are_equal(array: np.ndarray, text: bool) -> None:
    array = np.ascontiguousarray(array)
    ((path, found),) = message({"x": packed(array, text)}).arrays
    assert path == "['x']"
    assert equal(found, array)


def test_packed_scalars_and_sizes() -> None:
    assert message([packed(np.float32(2.5)), b"x"]).numbers == [("[0]", 2.5)]
    short = packed(np.zeros(4, np.float32))
    short[b"data"] = bytes(10)
    (trouble,) = message([short]).troubles
    assert (trouble.kind, trouble.reason) == ("size", "holds 10 of 16 bytes (float32 4)")
    endless = packed(np.zeros(4, np.float32))
    endless[b"shape"] = ((1 << 62), (1 << 62))
    (trouble,) = message([endless]).troubles
    assert trouble.kind == "size"


def test_packed_objects_are_pickles_and_named_if_unsafe() -> None:
    harmless = np.array([1, "a", None], object)
    assert message([packed(harmless)]).troubles == []
    unsafe = np.array([Runs()], object)
    (trouble,) = message([packed(unsafe)]).troubles
    assert (trouble.path, trouble.kind, trouble.reason) == ("[0]", "unsafe", "posix.system")
