"""Convolution, deconvolution and pooling over any number of spatial axes, with Caffe's geometry.

Source: Caffe's ``base_conv_layer.cpp``, ``deconv_layer.cpp`` and ``pooling_layer.cpp``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import numpy as np

from ....backends.errors import UsageError
from ...training.net_geometry import Window
from ...training.net_windows import Convolving, read_convolution, read_pooling
from ..layers import Array, Shape
from .setting import Make, Run, Setting, each

COLUMN_VALUES = 1 << 21
"""Values of windows that are laid out at a time."""

LOWEST = np.finfo(np.float32).min
"""What MAX pooling begins with: it stays where no value is larger, as with NaN alone."""


def convolution(setting: Setting) -> Run:
    """Convolution: groups, dilation, strides and padding along each axis."""
    spec = read_convolution(setting.layer, len(setting.bottoms[0]))
    weight, bias = setting.blobs[0], setting.blobs[1] if len(setting.blobs) > 1 else None
    grouped = weight.reshape(spec.group, spec.outputs // spec.group, -1)

    def run(x: Array) -> Array:
        outer, x, channels, sides = _spread(x, spec)
        made = tuple(size for size in spec.sizes(sides) if size is not None)
        outputs = np.empty((len(x), spec.outputs, math.prod(made)), np.float32)
        values = channels * math.prod(spec.kernel) * math.prod(made)
        step = max(COLUMN_VALUES // max(values, 1), 1)
        for start in range(0, len(x), step):
            part = x[start : start + step]
            columns = _columns(part, spec, made).reshape(len(part), spec.group, -1, math.prod(made))
            outputs[start : start + step] = (grouped @ columns).reshape(len(part), spec.outputs, -1)
        if bias is not None:
            outputs += bias.reshape(-1, 1)
        return outputs.reshape(*outer, spec.outputs, *made)

    return each(run)


def deconvolution(setting: Setting) -> Run:
    """The transposed convolution: each input is spread over a window."""
    spec = read_convolution(setting.layer, len(setting.bottoms[0]))
    weight, bias = setting.blobs[0], setting.blobs[1] if len(setting.blobs) > 1 else None
    grouped = weight.reshape(spec.group, len(weight) // spec.group, -1).transpose(0, 2, 1)

    def run(x: Array) -> Array:
        outer, x, channels, sides = _spread(x, spec)
        made = tuple(size for size in spec.sizes(sides) if size is not None)
        columns = grouped @ x.reshape(len(x), spec.group, channels // spec.group, -1)
        columns = columns.reshape(len(x), spec.outputs, -1, *sides)
        padded = [size + 2 * pad for size, pad in zip(made, spec.pad, strict=True)]
        outputs = np.zeros((len(x), spec.outputs, *padded), np.float32)
        for number, window in enumerate(_windows(spec, sides)):
            outputs[(slice(None), slice(None), *window)] += columns[:, :, number]
        inside = (slice(pad, pad + size) for size, pad in zip(made, spec.pad, strict=True))
        outputs = outputs[(slice(None), slice(None), *inside)]
        if bias is not None:
            outputs = outputs + bias.reshape(-1, *[1] * len(made))
        return outputs.reshape(*outer, spec.outputs, *made)

    return each(run)


def _spread(x: Array, spec: Convolving) -> tuple[Shape, Array, int, Shape]:
    """The axes before the channels, ``(n, channels, ...)``, the number of channels and the spatial sides."""
    axis = spec.axis % x.ndim
    outer, channels, sides = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    return outer, x.reshape(-1, channels, *sides), channels, sides


def _columns(x: Array, spec: Convolving, made: Shape) -> Array:
    """The inputs that meet each element of the kernel: ``(n, channels, elements, outputs...)``."""
    if any(spec.pad):
        x = np.pad(x, ((0, 0), (0, 0), *((pad, pad) for pad in spec.pad)))
    if math.prod(spec.kernel) == 1 and set(spec.stride) <= {1}:
        return x[:, :, None]
    columns = np.empty((*x.shape[:2], math.prod(spec.kernel), *made), np.float32)
    for number, window in enumerate(_windows(spec, made)):
        columns[:, :, number] = x[(slice(None), slice(None), *window)]
    return columns


def _windows(spec: Convolving, made: Shape) -> Iterator[tuple[slice, ...]]:
    """For each element of the kernel, the padded places that it meets."""
    for element in product(*(range(size) for size in spec.kernel)):
        yield tuple(
            slice(one * dilation, one * dilation + (size - 1) * stride + 1, stride)
            for one, dilation, stride, size in zip(element, spec.dilation, spec.stride, made, strict=True)
        )


def pooling(setting: Setting) -> Run:
    """MAX and AVE pooling.

    MAX drops NaN and minus infinity, as Caffe's comparison does. The divisor of AVE counts padding, but not what is
    beyond it: 0 for a window right behind the input, which gives NaN.
    """
    spec = read_pooling(setting.layer)
    if spec.method == "STOCHASTIC":
        raise UsageError(f"layer {setting.layer.name} pools at random, which Caffe has for GPUs alone")
    sides = setting.bottoms[0][2:]
    windows = spec.windows or tuple(Window(side, 1) for side in sides)
    made = setting.tops[0][2:]
    spans = [_spans(window, side, count) for window, side, count in zip(windows, sides, made, strict=True)]
    return each(_maximum(spans) if spec.method == "MAX" else averaged(spans))


Spans = list[tuple[int, int, int]]
"""For each window along an axis the inputs that it holds, from and up to, and the length that it is divided by."""


def _spans(window: Window, side: int, count: int) -> Spans:
    found = []
    for number in range(count):
        start = number * window.stride - window.pad
        end = min(start + window.kernel, side + window.pad)
        found.append((max(start, 0), min(end, side), end - start))
    return found


def _maximum(spans: list[Spans]) -> Callable[[Array], Array]:
    def run(x: Array) -> Array:
        for axis, along in enumerate(spans, 2):
            x = np.stack(
                [np.fmax.reduce(_between(x, axis, start, stop), axis=axis, initial=LOWEST) for start, stop, _ in along],
                axis=axis,
            )
        return x

    return run


def averaged(spans: list[Spans]) -> Callable[[Array], Array]:
    """Means of windows of ``(n, channels, height, width)``."""
    lengths = [np.array([length for _, _, length in along], np.float32) for along in spans]
    divisor = lengths[0][:, None] * lengths[1]

    def run(x: Array) -> Array:
        for axis, along in enumerate(spans, 2):
            x = np.stack([_between(x, axis, start, stop).sum(axis=axis) for start, stop, _ in along], axis=axis)
        means: Array = x / divisor
        return means

    return run


def _between(x: Array, axis: int, start: int, stop: int) -> Array:
    """Places along an axis; none where a window lies beyond it."""
    values: Array = x[(*[slice(None)] * axis, slice(start, max(stop, start)))]
    return values


def mean_of_windows(side_h: int, side_w: int, kernel: int) -> Callable[[Array], Array]:
    """Means over ``kernel`` x ``kernel`` around each place, divided as by AVE pooling with padding."""
    pad = kernel // 2
    return averaged([_spans(Window(kernel, 1, pad, True), side, side) for side in (side_h, side_w)])


WINDOWS: Mapping[str, Make] = {"Convolution": convolution, "Deconvolution": deconvolution, "Pooling": pooling}
