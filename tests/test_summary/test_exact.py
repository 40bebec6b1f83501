"""Sums of bytes are exact by every path, wherever the bytes lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datascan.scanner.summary import exact
from datascan.scanner.summary.exact import SPAN, channel_sums, row_sums
from datascan.scanner.summary.sums import block_moments

Sums = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@pytest.fixture(params=["plain", "fastest"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Sums by numpy alone, and by whatever is installed."""
    if request.param == "plain":
        monkeypatch.setattr(exact, "_fastest", lambda: exact._plain_sums)
    return str(request.param)


def test_the_fast_path_is_the_one_that_is_tested() -> None:
    pytest.importorskip("simsimd")
    assert exact._fastest() is not exact._plain_sums


def drawn(seed: int, *shape: int) -> NDArray[np.uint8]:
    """Bytes of which many are as large as can be."""
    values = np.random.default_rng(seed).integers(0, 512, shape)
    return np.minimum(values, 255).astype(np.uint8)


@pytest.mark.parametrize("width", [1, 7, 255, 257, 784, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 3 * SPAN - 3, 65537])
def test_rows_are_summed_exactly(path: str, width: int) -> None:
    blocks = [drawn(seed, 3, width) for seed in (1, 2)]
    blocks[1][0] = 255
    rows = np.concatenate(blocks).astype(np.int64)
    total, squares = row_sums(blocks)
    assert total.tolist() == rows.sum(axis=1).tolist()
    assert squares.tolist() == (rows**2).sum(axis=1).tolist()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("pixels", [1, 5, 10922, 10923, 100_000])
def test_alternating_channels_are_summed_exactly(path: str, channels: int, pixels: int) -> None:
    values = drawn(3, pixels, channels)
    wide = values.astype(np.int64)
    total, squares = channel_sums(values.reshape(-1), channels)
    assert total.tolist() == wide.sum(axis=0).tolist()
    assert squares.tolist() == (wide**2).sum(axis=0).tolist()


@settings(deadline=None)
@given(
    records=st.integers(1, 5),
    channels=st.integers(1, 6),
    inner=st.one_of(st.integers(1, 40), st.integers(30_000, 40_000)),
    gap=st.integers(0, 9),
    offset=st.integers(0, 9),
    last=st.booleans(),
)
def test_moments_of_bytes_do_not_depend_on_where_they_lie(
    records: int, channels: int, inner: int, gap: int, offset: int, last: bool
) -> None:
    size = channels * inner
    buffer = drawn(records, offset + records * (size + gap))
    strides = (size + gap, 1, channels) if last else (size + gap, inner, 1)
    values = np.lib.stride_tricks.as_strided(buffer[offset:], (records, channels, inner), strides, writeable=False)
    axis = 1
    if last:
        values, axis = values.transpose(0, 2, 1), 2
    moments = block_moments(values, axis)
    assert moments is not None
    flat = np.moveaxis(values, axis, 0).reshape(channels, -1).astype(np.int64)
    assert moments.mean.tolist() == (flat.sum(axis=1) / (records * inner)).tolist()
    deviations = ((flat - flat.mean(axis=1)[:, None]) ** 2).sum(axis=1)
    np.testing.assert_allclose(moments.m2, deviations, rtol=1e-9, atol=1e-6 * records * inner)
    assert moments.minimum.tolist() == flat.min(axis=1).tolist()
    assert moments.maximum.tolist() == flat.max(axis=1).tolist()
