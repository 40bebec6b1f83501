from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.test_layouts.records import any_bytes, batch_of, check_shape, decode, short

from datascan.scanner.layouts.npy import Npy
from datascan.scanner.options import Options


def saved(array: Any, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), version=version, allow_pickle=True)
    return out.getvalue()


def headed(header: str, payload: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin-1")
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + payload


arrays = hnp.arrays(
    st.one_of(hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.complex_number_dtypes(), hnp.boolean_dtypes()),
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
)


@given(
    st.lists(st.tuples(arrays, st.sampled_from("CF")), min_size=1, max_size=6),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
    st.sampled_from([[0], [3, 1]]),
)
def test_arrays_survive_the_round_trip(
    pairs: list[tuple[np.ndarray, str]], version: tuple[int, int], gaps: list[int]
) -> None:
    values = [saved(np.array(array, order=order), version) for array, order in pairs]  # type: ignore[call-overload]
    samples = Npy(Options()).decode(batch_of(values * 2, gaps=gaps))
    check_shape(samples)
    assert samples.faults == []
    found = {
        row: block.values[place : place + 1]
        for block in samples.arrays
        for place, row in enumerate(block.rows.tolist())
    }
    for row, (array, _) in enumerate(pairs * 2):
        assert found[row].dtype == array.dtype
        assert found[row].shape == (1, *array.shape)
        assert found[row].tobytes() == array.tobytes()


def test_equal_headers_share_a_block() -> None:
    values = [saved(np.full((2, 3), i, np.float32)) for i in range(5)] + [saved(np.zeros(7, np.int8))]
    samples = decode(Npy, values[:2] + values[5:] + values[2:5])
    assert [(block.rows.tolist(), block.shape) for block in samples.arrays] == [([0, 1, 3, 4, 5], (2, 3)), ([2], (7,))]
    assert samples.arrays[0].values[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert samples.arrays[0].values.flags.aligned


def test_numbers_at_odd_places_come_out_aligned() -> None:
    values = [saved(np.full(50_000, i, np.float64)) for i in range(3)]
    (block,) = Npy(Options()).decode(batch_of(values, gaps=[1])).arrays
    assert block.values.flags.aligned
    assert block.values[:, -1].tolist() == [0, 1, 2]


def test_more_headers_than_are_looked_for_together_are_all_decoded() -> None:
    samples = decode(Npy, [saved(np.arange(1 + i % 100)) for i in range(200)])
    check_shape(samples)
    assert sum(len(block.rows) for block in samples.arrays) == 200


SOUND = saved(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize(
    ("value", "rule", "message"),
    [
        (b"", "record-empty", "0 bytes"),
        (b"\x93NUMPX" + SOUND[6:], "record-undecodable", "magic bytes"),
        (SOUND[:9], "record-undecodable", "cut short after 9 bytes"),
        (SOUND[:50], "record-undecodable", "of which 40 are there"),
        (SOUND[:6] + b"\x04" + SOUND[7:], "record-undecodable", "version 4.0"),
        (SOUND[:-1], "record-size-mismatch", "holds 15 of 16 bytes (float32 2x2)"),
        (SOUND + b"\0", "record-size-mismatch", "holds 17 bytes instead of 16 (float32 2x2)"),
        (saved(np.array([{}, None], object)), "record-unsafe-pickle", "an array of objects"),
        (saved(np.zeros(2, [("a", "<f4"), ("b", "O")])), "record-unsafe-pickle", "an array of objects"),
        (headed("{'descr': '<f4', 'shape': (2,)}"), "record-undecodable", "does not hold descr"),
        (headed("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}"), "record-undecodable", "fortran_order"),
        (headed("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}"), "record-undecodable", "no valid shape"),
        (headed("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}"), "record-undecodable", "no valid shape"),
        (headed("{'descr': 'float', 'fortran_order': False, 'shape': (2,)}"), "record-undecodable", "no valid dtype"),
        (headed("{'descr': [], 'fortran_order': False, 'shape': (2,)}"), "record-undecodable", "no valid dtype"),
        (headed("__import__('os').getpid()"), "record-undecodable", "not a literal"),
        (headed("'\\d'"), "record-undecodable", "does not hold descr"),
        (headed("(" * 9000), "record-undecodable", "not a literal"),
        (headed(" " * 20000), "record-undecodable", "beyond the 10000"),
        (
            headed(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 4000},)}}"),
            "record-undecodable",
            "no valid shape",
        ),
        (
            headed("{'descr': '<f8', 'fortran_order': False, 'shape': (1 << 60,)}"),
            "record-undecodable",
            "not a literal",
        ),
        (
            headed(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({1 << 60},) }}"),
            "record-size-mismatch",
            "holds 0 of",
        ),
    ],
)
def test_each_kind_of_damage_has_its_own_fault(value: bytes, rule: str, message: str) -> None:
    samples = decode(Npy, [SOUND, value, SOUND])
    assert short(samples.faults) == [(1, rule)]
    assert message in samples.faults[0].message
    assert samples.arrays[0].rows.tolist() == [0, 2]
    assert samples.content_rows is not None
    assert samples.content_rows.tolist() == [0, 2]


def test_an_array_without_elements_is_worth_a_warning() -> None:
    (fault,) = decode(Npy, [saved(np.zeros((0, 4), np.float32))]).faults
    assert (fault.rule, fault.severe) == ("record-empty", False)


def test_text_and_structures_are_measured_but_give_no_numbers() -> None:
    values = [saved(np.array(["ab", "c"])), saved(np.zeros(3, [("x", "<f4"), ("y", "<i2", (2,))]))]
    samples = decode(Npy, [*values, values[1][:-1]])
    assert samples.arrays == []
    assert short(samples.faults) == [(2, "record-size-mismatch")]


def test_truncated_anywhere_is_one_fault() -> None:
    value = saved(np.arange(6, dtype=np.int16))
    for stop in range(len(value)):
        samples = decode(Npy, [value[:stop]])
        assert len(samples.faults) == 1
        assert samples.arrays == []


@given(
    st.one_of(
        any_bytes,
        any_bytes.map(lambda tail: SOUND[:8] + tail),
        st.text(max_size=60).map(lambda text: headed(text.encode("utf-8").decode("latin-1"), version=3)),
    )
)
def test_any_bytes_give_samples_or_faults(value: bytes) -> None:
    samples = decode(Npy, [value])
    check_shape(samples)
    assert len(samples.faults) + len(samples.arrays) <= 1


@given(st.integers(10, len(SOUND) - 1), st.integers(1, 255))
def test_flipped_bytes_never_raise(place: int, flip: int) -> None:
    value = bytearray(SOUND)
    value[place] ^= flip
    check_shape(decode(Npy, [bytes(value)]))
