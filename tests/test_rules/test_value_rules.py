from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tests.test_rules.samples import findings, records, rows, run_rule

from datascan.scanner.finding import Severity
from datascan.scanner.rules.magnitude import SPAN, largest_bound
from datascan.scanner.rules.value import ValueConstant, ValueExtreme, ValueInf, ValueNan, ValueUnscaled
from datascan.scanner.sample import ArrayBlock, ChannelSums, ImageFacts, ImageSample, SampleBatch

FLOATS = ["f2", "f4", "f8", ">f4", "c8", "c16"]


def zeros(dtype: str = "f4", shape: tuple[int, ...] = (3, 16, 16), n: int = 40) -> NDArray[Any]:
    return np.zeros((n, *shape), dtype)


def batch(values: NDArray[Any], axes: str = "CHW") -> SampleBatch:
    return records(len(values), arrays=values, axes=axes)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("rule", "value"), [(ValueNan, np.nan), (ValueInf, np.inf), (ValueInf, -np.inf)])
def test_the_record_and_the_element_are_named(rule: Any, value: float, dtype: str) -> None:
    values = zeros(dtype)
    values[37, 1, 2, 12] = value
    assert run_rule(rule, batch(values)) == [(37, rule.name, (1, 2, 12))]
    (found,) = findings(rule, batch(values))
    assert found.data == {"count": 1, "flat": 300}
    assert found.message.endswith(" in 1 of 768 values, the first at [1, 2, 12]")
    assert found.message.startswith({"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}[str(value)])


def test_nan_and_inf_do_not_hide_one_another() -> None:
    values = zeros(n=3)
    values[1, 0, 0, 5], values[1, 2, 0, 0], values[2] = np.inf, np.nan, np.nan
    assert run_rule(ValueNan, batch(values)) == [(1, "value-nan", (2, 0, 0)), (2, "value-nan", (0, 0, 0))]
    assert run_rule(ValueInf, batch(values)) == [(1, "value-inf", (0, 0, 5))]
    assert findings(ValueNan, batch(values))[1].message == "NaN in all 768 values"


def test_a_value_at_the_end_of_a_long_array_is_found() -> None:
    values = zeros(shape=(SPAN * 3 + 5,), n=2)
    for place in (SPAN * 2, SPAN * 3 + 4):
        damaged = values.copy()
        damaged[1, place] = np.nan
        assert run_rule(ValueNan, batch(damaged, "")) == [(1, "value-nan", (place,))]


def test_records_of_several_arrays_are_named_in_row_order() -> None:
    nan = np.array([[np.nan]], np.float32)
    blocks = [ArrayBlock(name, np.array([row]), nan) for name, row in (("a", 2), ("b", 0), ("c", 1))]
    assert [index for index, *_ in run_rule(ValueNan, records(3, arrays=blocks))] == [0, 1, 2]


def test_rows_name_their_dataset_and_scalars_have_no_element() -> None:
    samples = rows({"/x": np.array([0, np.nan], np.float32), "/y": np.zeros((2, 3))}, positions=[7, 8])
    (found,) = findings(ValueNan, samples, store="hdf5")
    assert (found.location.index, found.location.dataset, found.location.element) == (8, "/x", None)
    assert found.message == "NaN"


@pytest.mark.parametrize("dtype", ["u1", "i8", "?", *FLOATS])
def test_finite_values_are_clean(dtype: str) -> None:
    values = np.ones((4, 2, 3, 3)).astype(dtype)
    for rule in (ValueNan, ValueInf, ValueExtreme):
        assert run_rule(rule, batch(values)) == []


@pytest.mark.parametrize("rule", [ValueNan, ValueInf])
def test_finite_values_whose_squares_overflow_are_not_taken_for_inf(rule: Any) -> None:
    assert run_rule(rule, batch(np.full((2, 1, 8, 8), 3e38, np.float32))) == []
    assert run_rule(rule, batch(np.full((2, 1, 8, 8), 1e308))) == []


@pytest.mark.parametrize(
    ("value", "severity"),
    [(1.001e6, Severity.WARNING), (-1e18, Severity.WARNING), (1e20, Severity.ERROR), (-3e38, Severity.ERROR)],
)
def test_extreme_magnitudes_are_named(value: float, severity: Severity) -> None:
    values = zeros()
    values[5, 2, 0, 1] = value
    (found,) = findings(ValueExtreme, batch(values))
    assert (found.location.index, found.location.element, found.severity) == (5, (2, 0, 1), severity)
    assert found.data == {"count": 1, "flat": 513, "largest": float(np.float32(abs(value)))}


def test_the_largest_of_several_extremes_is_told() -> None:
    values = zeros(n=1)
    values[0, 0, 0, :3] = 2e6, -8e6, np.inf
    (found,) = findings(ValueExtreme, batch(values))
    assert found.message == "2 of 768 values are beyond 1e+06 in magnitude, the largest -8e+06"


def test_the_limit_is_not_beyond_itself_and_can_be_moved() -> None:
    values = np.full((2, 1, 64, 64), 1e6, np.float32)
    assert run_rule(ValueExtreme, batch(values)) == []
    assert len(run_rule(ValueExtreme, batch(values), extreme=1e5)) == 2
    assert run_rule(ValueExtreme, batch(np.full((2, 1, 8, 8), 65504, np.float16))) == []
    assert len(run_rule(ValueExtreme, batch(np.full((2, 1, 8, 8), 65504, np.float16)), extreme=1e4)) == 2


def test_integers_may_be_large() -> None:
    assert run_rule(ValueExtreme, batch(np.full((2, 1, 2, 2), 1 << 60))) == []


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.complex64]), hnp.array_shapes(max_dims=3, max_side=6)
    )
)
def test_the_bound_is_never_below_a_magnitude(values: NDArray[Any]) -> None:
    bounds = largest_bound(values)
    parts = values.reshape(len(values), -1)
    with np.errstate(all="ignore"):
        peaks = np.maximum(np.abs(parts.real), np.abs(parts.imag)).max(axis=1).astype(np.float64)
    clean = np.isfinite(bounds)
    assert np.isfinite(peaks[clean]).all()
    # squares below the smallest number vanish
    assert (bounds[clean] >= peaks[clean] * (1 - 1e-3) - 1e-18).all()


# ---- of the set ----


def features(n: int = 20, width: int = 8, dtype: str = "f4") -> NDArray[Any]:
    return np.random.default_rng(1).random((n, width)).astype(dtype)


def test_a_feature_that_never_changes_is_named() -> None:
    values = features()
    values[:, 3] = 0.5
    (found,) = findings(ValueConstant, batch(values, ""))
    assert (found.message, found.data) == ("feature 3 is 0.5 in all 20 samples", {"constant": [3]})


def test_a_channel_that_never_changes_is_named() -> None:
    values = np.random.default_rng(2).integers(0, 256, (12, 3, 4, 4), np.uint8)
    values[:, 1:] = 0
    (found,) = findings(ValueConstant, batch(values))
    assert found.message == "2 of 3 channels have one value each in all 12 samples: 1, 2"


def test_few_samples_may_be_alike() -> None:
    assert run_rule(ValueConstant, batch(np.zeros((9, 3, 4, 4), np.uint8))) == []
    assert run_rule(ValueConstant, batch(np.zeros((10, 3, 4, 4), np.uint8))) != []


@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_the_unused_border_of_flattened_pictures_is_no_fault(dtype: str) -> None:
    values = (features(width=784) * (1 if dtype == "f4" else 255)).astype(dtype)
    values[:, :60] = 0
    assert run_rule(ValueConstant, batch(values, "")) == []
    values[:, 300] = 0.25 if dtype == "f4" else 7
    assert len(run_rule(ValueConstant, batch(values, ""))) == 1


def test_features_that_hold_both_extremes_are_no_border() -> None:
    values = features(width=784)
    values[:, :30], values[:, 30:60] = 0, 1
    assert len(run_rule(ValueConstant, batch(values, ""))) == 1


def test_an_opaque_alpha_channel_is_no_fault() -> None:
    sums = ChannelSums(
        4,
        np.array([4.0, 8, 6, 1020]),
        np.array([9.0, 30, 20, 260100]),
        np.array([0.0, 0, 0, 255]),
        np.array([3.0, 5, 4, 255]),
    )
    images = [ImageSample(row, ImageFacts("PNG", 2, 2, 4, "RGBA", sums=sums)) for row in range(12)]
    assert run_rule(ValueConstant, records(12, images=images)) == []


def test_a_channel_that_is_constant_in_the_summed_images_alone_is_no_fault() -> None:
    sums = ChannelSums(4, np.array([8.0]), np.array([16.0]), np.array([2.0]), np.array([2.0]))
    images = [ImageSample(row, ImageFacts("PNG", 2, 2, 1, "L", sums=sums)) for row in range(12)]
    assert len(run_rule(ValueConstant, records(12, images=images))) == 1
    images[5] = ImageSample(5, ImageFacts("PNG", 2, 2, 1, "L", sums=ChannelSums.left_out(1)))
    assert run_rule(ValueConstant, records(12, images=images)) == []


@pytest.mark.parametrize(("value", "found"), [(2.0, 1), (3.0, 0)])
def test_images_that_are_no_part_of_the_sums_can_tell_that_a_channel_is_not_constant(value: float, found: int) -> None:
    sums = ChannelSums(4, np.array([8.0]), np.array([16.0]), np.array([2.0]), np.array([2.0]))
    other = ChannelSums(4, np.array([8.0]), np.array([16.0]), np.array([value]), np.array([value])).uncounted()
    for counted in range(12):
        images = [
            ImageSample(row, ImageFacts("JPEG", 2, 2, 1, "L", sums=sums if row < counted else other))
            for row in range(12)
        ]
        assert len(run_rule(ValueConstant, records(12, images=images))) == (found if counted else 1)


def test_a_single_number_a_record_may_be_constant() -> None:
    assert run_rule(ValueConstant, batch(np.ones(20, np.float32), "")) == []


@pytest.mark.parametrize(
    ("low", "high", "found"), [(0, 255, 1), (0, 200, 1), (0, 1, 0), (-1, 255, 0), (0, 127, 0), (0, 256, 0)]
)
def test_floats_that_span_a_byte_are_said_once(low: float, high: float, found: int) -> None:
    values = np.full((12, 3, 4, 4), (low + high) / 2, np.float32)
    values[3, 1, 0, 0], values[7, 0, 0, 0] = low, high
    assert len(run_rule(ValueUnscaled, batch(values))) == found


def test_bytes_and_plain_features_are_not_unscaled_pictures() -> None:
    assert run_rule(ValueUnscaled, batch(np.full((12, 3, 4, 4), 255, np.uint8))) == []
    assert run_rule(ValueUnscaled, batch(np.full((12, 20), 200.0), "")) == []


@pytest.mark.parametrize("width", [1, 16, SPAN // 8 - 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e4, 1e25])
def test_one_large_value_among_short_rows_is_of_its_row_alone(width: int, value: float) -> None:
    rows = np.random.default_rng(2).standard_normal((9000, width), np.float32)
    rows[5555, width // 2] = value
    bounds = largest_bound(rows)
    assert np.flatnonzero(~(bounds < 1e4)).tolist() == [5555]
    others = np.delete(np.arange(9000), 5555)
    assert (bounds[others] >= np.abs(rows[others]).max(axis=1)).all()
