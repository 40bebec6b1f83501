"""Windows against a simulation of Caffe's own loops, for every small geometry."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from datascan.scanner.training.net_geometry import Window, convolved, deconvolved

SIZES, KERNELS, STRIDES = range(1, 13), range(1, 7), range(1, 7)

LOWEST = np.finfo(np.float32).min


def simulated(
    size: int, kernel: int, stride: int, pad: int, padded: bool, floor: bool
) -> tuple[list[float], list[float]]:
    """Outputs of AVE and of MAX pooling over ones: the loops of Caffe's ``pooling_layer.cpp`` along one axis.

    ``padded`` is whether any axis has padding, which decides on the clipping of all.
    """
    ratio = np.float32(size + 2 * pad - kernel) / np.float32(stride)
    pooled = int(math.floor(ratio) if floor else math.ceil(ratio)) + 1
    if padded and (pooled - 1) * stride >= size + pad:
        pooled -= 1
    ones = np.ones(size, np.float32)
    averages, maxima = [], []
    for place in range(pooled):
        start = place * stride - pad
        end = min(start + kernel, size + pad)
        divisor = end - start
        start, end = max(start, 0), min(end, size)
        total, largest = np.float32(0), LOWEST
        for at in range(start, end):
            total += ones[at]
            largest = max(largest, ones[at])
        with np.errstate(divide="ignore", invalid="ignore"):
            averages.append(float(total / np.float32(divisor)))
        maxima.append(float(largest))
    return averages, maxima


@pytest.mark.parametrize("floor", [False, True])
def test_windows_are_where_caffes_loops_find_them(floor: bool) -> None:
    seen = {"inside": 0, "edge": 0, "beyond": 0}
    for size, kernel, stride, padded in product(SIZES, KERNELS, STRIDES, (False, True)):
        for pad in range(kernel) if padded else (0,):
            window = Window(kernel, stride, pad, padded, floor)
            averages, maxima = simulated(size, kernel, stride, pad, padded, floor)
            assert max(window.outputs(size), 0) == len(averages)
            edge = window.edge(size)
            seen[edge] += 1
            assert any(math.isnan(value) for value in averages) == (edge == "edge")
            assert any(value == 0 for value in averages) == (edge == "beyond")
            assert any(value == LOWEST for value in maxima) == (edge != "inside")
            assert edge == "inside" or window.may_be_empty
    assert (seen["edge"] > 0) == (seen["beyond"] > 0) == (not floor)


def test_what_is_said_of_unknown_sizes_is_true() -> None:
    for kernel, stride in product(KERNELS, STRIDES):
        window = Window(kernel, stride)
        edges = {size: window.edge(size) for size in range(1, 60)}
        assert window.may_be_empty == any(edge != "inside" for edge in edges.values())
        if kernel < stride:
            assert [size for size, edge in edges.items() if edge == "edge"] == [
                size for size in edges if size % stride == 0
            ]
            assert [size for size, edge in edges.items() if edge == "beyond"] == [
                size for size in edges if size % stride > kernel
            ]


def test_convolutions_are_as_large_as_caffes_division_makes_them() -> None:
    for size, kernel, stride, pad, dilation in product(SIZES, KERNELS, STRIDES, range(3), (1, 2)):
        room = size + 2 * pad - (dilation * (kernel - 1) + 1)
        assert convolved(size, kernel, stride, pad, dilation) == int(room / stride) + 1
        if room >= 0:
            starts = range(-pad, size + pad - dilation * (kernel - 1), stride)
            assert convolved(size, kernel, stride, pad, dilation) == len(starts)


def test_a_deconvolution_undoes_the_size_of_a_convolution() -> None:
    for outputs, kernel, stride, pad in product(SIZES, KERNELS, STRIDES, range(3)):
        size = deconvolved(outputs, kernel, stride, pad, 1)
        if size + 2 * pad >= kernel:
            assert convolved(size, kernel, stride, pad, 1) == outputs
