from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.test_rules.samples import records

from datascan.scanner.options import Options
from datascan.scanner.sample import ArrayBlock, ChannelSums, ImageFacts, ImageSample
from datascan.scanner.summary import Moments, ValueSummary
from datascan.scanner.summary.sums import PIECE, block_moments

DTYPES = ["u1", "i1", "?", "u2", "i4", "i8", "f2", "f4", "f8", ">f4", ">u2"]
SHAPES = [
    ((7, 3, 32, 32), 1),
    ((3, 3, 17, 31), 1),
    ((5, 33, 17, 3), 3),
    ((300, 20), 1),
    ((1000, 1), 1),
    ((2, 1, 3, 200, 200), 2),
]


def reference(values: NDArray[Any], axis: int) -> tuple[NDArray[Any], ...]:
    flat = np.moveaxis(values.astype(np.float64), axis, 0).reshape(values.shape[axis], -1)
    return flat.mean(axis=1), flat.std(axis=1), flat.min(axis=1), flat.max(axis=1)


def assert_moments(moments: Moments | None, values: NDArray[Any], axis: int, rtol: float) -> None:
    assert moments is not None
    mean, std, low, high = reference(values, axis)
    np.testing.assert_allclose(moments.mean, mean, rtol)
    np.testing.assert_allclose(moments.std, std, rtol)
    np.testing.assert_array_equal(moments.minimum, low)
    np.testing.assert_array_equal(moments.maximum, high)
    assert (moments.count == values.size // values.shape[axis]).all()


def draw(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return (np.random.default_rng(1).random(shape) * (2 if dtype == "?" else 100)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_moments_agree_with_numpy(dtype: str, shape: tuple[int, ...], axis: int) -> None:
    values = draw(shape, dtype)
    assert_moments(block_moments(values, axis), values, axis, 2e-6)


@pytest.mark.parametrize(("shape", "axis"), [((2, 3, 300, 500), 1), ((2, 300, 500, 3), 3), ((1, 2, PIECE + 5), 1)])
def test_records_larger_than_a_piece_are_summed_in_full(shape: tuple[int, ...], axis: int) -> None:
    values = draw(shape, "f4")
    assert_moments(block_moments(values, axis), values, axis, 2e-6)


def test_sums_of_bytes_are_exact_whatever_the_batch() -> None:
    values = np.full((40, 3, 57, 57), 255, np.uint8)
    values[:, :, 0, 0] = 254
    moments = block_moments(values, 1)
    assert moments is not None
    total = 40 * (57 * 57 * 255 - 1)
    assert moments.mean.tolist() == [total / (40 * 57 * 57)] * 3


@pytest.mark.parametrize(("shape", "axis"), [((1, 1, PIECE * 3), 1), ((3, PIECE // 2, 2), 2)])
def test_extremes_in_the_last_piece_are_found(shape: tuple[int, ...], axis: int) -> None:
    values = np.full(shape, 100, np.uint8)
    values.reshape(-1)[[0, 1, -3, -2, -1]] = 5, 200, 0, 255, 254
    moments = block_moments(values, axis)
    assert moments is not None
    assert (moments.minimum.min(), moments.maximum.max()) == (0, 255)


def test_a_view_with_gaps_between_records_counts_only_the_records() -> None:
    buffer = np.random.default_rng(2).integers(0, 256, 10 * 800, np.uint8)
    values = np.lib.stride_tricks.as_strided(buffer[13:], (9, 3, 16, 16), (790, 256, 16, 1), writeable=False)
    assert_moments(block_moments(values, 1), values, 1, 1e-12)


def test_what_is_not_finite_is_left_out() -> None:
    values = draw((20, 3, 16, 16), "f4")
    values[3, 0, 2, 2], values[4, 0, 5, 5], values[5, 2, 0, 0] = np.nan, np.inf, -np.inf
    moments = block_moments(values, 1)
    assert moments is not None
    assert moments.count.tolist() == [5118, 5120, 5119]
    kept = values[:, 0][np.isfinite(values[:, 0])].astype(np.float64)
    assert moments.mean[0] == pytest.approx(kept.mean(), 1e-6)
    assert moments.maximum[0] == kept.max()


def test_finite_values_whose_squares_overflow_float32_count() -> None:
    values = np.zeros((1, 1, 2, 2), np.float32)
    values[0, 0, 0, 1] = 1e38
    moments = block_moments(values, 1)
    assert moments is not None
    assert moments.count.tolist() == [4]
    assert moments.maximum.tolist() == [float(np.float32(1e38))]
    assert moments.std[0] == pytest.approx(1e38 * np.sqrt(3) / 4, 1e-6)


@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("mean", [300, 1e4])
def test_a_mean_far_from_zero_costs_no_digits_of_the_std(mean: float, axis: int) -> None:
    values = (np.random.default_rng(3).random((4, 3, 40, 3)) + mean).astype(np.float32)
    assert_moments(block_moments(values, axis), values, axis, 1e-5)


def test_complex_values_count_as_two_numbers_each() -> None:
    moments = block_moments(np.array([[1 + 3j, 5 - 1j]], np.complex64), None)
    assert moments is not None
    assert (moments.count.tolist(), moments.mean.tolist(), moments.minimum.tolist()) == ([4], [2.0], [-1.0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_merging_is_associative(values: list[float], one: int, two: int) -> None:
    start, stop = sorted((min(one, len(values)), min(two, len(values))))
    parts = [np.array(part).reshape(-1, 1) for part in (values[:start], values[start:stop], values[stop:])]

    def merged(order: tuple[int, int, int]) -> Moments:
        moments = [block_moments(part, None) or Moments.empty(1) for part in parts]
        first, second, third = (moments[place] for place in order)
        if order[0] == 0:
            first.merge(second)
            first.merge(third)
            return first
        second.merge(third)
        first.merge(second)
        return first

    left, right = merged((0, 1, 2)), merged((2, 0, 1))
    for moments in (left, right):
        assert moments.count.tolist() == [len(values)]
        assert moments.mean[0] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
        assert moments.std[0] == pytest.approx(np.std(values), rel=1e-6, abs=1e-3)
        assert (moments.minimum[0], moments.maximum[0]) == (min(values), max(values))


def statistics(*blocks: ArrayBlock, images: list[ImageSample] | None = None) -> dict[str, Any]:
    summary = ValueSummary(Options())
    summary.add(records(4, arrays=list(blocks), images=images or []))
    found = summary.statistics()
    json.dumps(found, allow_nan=False)
    return found


def block(values: NDArray[Any], axes: str = "", name: str = "data") -> ArrayBlock:
    return ArrayBlock(name, np.arange(len(values)), values, axes)


def test_statistics_are_rounded_to_six_digits_and_whole_for_integers() -> None:
    values = np.zeros((4, 1, 1, 3), np.uint8)
    values[..., 0] = 1
    assert statistics(block(values, "CHW")) == {"channels": [{"mean": 0.333333, "std": 0.471405, "min": 0, "max": 1}]}


def test_an_array_without_a_finite_value_has_no_figures() -> None:
    nowhere = np.full((4, 1, 2, 2), np.nan, np.float32)
    assert statistics(block(nowhere, "CHW")) == {"channels": [{"mean": None, "std": None, "min": None, "max": None}]}


def test_several_arrays_are_listed_by_name_and_many_features_pooled() -> None:
    found = statistics(block(np.ones((4, 20)), name="/x"), block(np.ones((4, 2)), name="/y"))
    one = {"mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0}
    assert found == {"channels": [one], "arrays": {"/x": [one], "/y": [one, one]}}


def test_pixels_of_images_are_summed_up_with_what_the_decoder_gave() -> None:
    sums = ChannelSums(4, np.array([8.0]), np.array([24.0]), np.array([0.0]), np.array([4.0]))
    images = [ImageSample(row, ImageFacts("PNG", 2, 2, 1, "L", sums=sums)) for row in range(2)]
    assert statistics(images=images) == {"channels": [{"mean": 2.0, "std": 1.41421, "min": 0, "max": 4}]}


def test_images_left_out_of_the_sums_are_counted() -> None:
    sums = ChannelSums(4, np.array([8.0]), np.array([24.0]), np.array([0.0]), np.array([4.0]))
    whole = [ImageSample(row, ImageFacts("PNG", 2, 2, 1, "L", sums=sums)) for row in range(2)]
    rest = [ImageSample(row, ImageFacts("PNG", 2, 2, 1, "L", sums=ChannelSums.left_out(1))) for row in range(2, 9)]
    channels = [{"mean": 2.0, "std": 1.41421, "min": 0, "max": 4}]
    assert statistics(images=whole + rest) == {"channels": channels, "channels_of": {"samples": 2, "decoded": 9}}
    nothing = [{"mean": None, "std": None, "min": None, "max": None}]
    assert statistics(images=rest) == {"channels": nothing, "channels_of": {"samples": 0, "decoded": 7}}


def test_the_usual_number_of_channels_makes_the_main_statistics() -> None:
    grey = ArrayBlock("data", np.array([0]), np.zeros((1, 1, 2, 2), np.uint8), "CHW")
    colour = ArrayBlock("data", np.array([1, 2, 3]), np.ones((3, 3, 2, 2), np.uint8), "CHW")
    found = statistics(grey, colour)
    assert [channel["mean"] for channel in found["channels"]] == [1.0, 1.0, 1.0]
    assert list(found["arrays"]) == ["data, 1 channel", "data, 3 channels"]


def test_arrays_that_hold_no_numbers_are_left_out() -> None:
    assert statistics(block(np.array([b"a", b"b"]))) == {}
