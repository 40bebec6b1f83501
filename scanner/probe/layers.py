"""Layers of the small networks, forward and backward, in numpy.

Samples are the *last* axis of everything that passes through a layer: ``(features, n)``, ``(channels, height, width,
n)``, ``(steps, values, n)``. Every operation then runs along contiguous samples, however small the images are: with
the samples first, most of the time goes into starting loops of five elements.

Layers compute in the type of what they are given. In half precision values are stored as float16 between layers while
sums are formed in float32, as the matrix units of GPUs do (see `as_stored`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]


def as_stored(values: Array, half: bool) -> Array:
    """Values as they are after being stored: with ``half``, rounded to float16, beyond 65504 infinite."""
    if not half:
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(values.dtype)


def xavier(random: np.random.Generator, shape: Shape, fan_in: int, dtype: Any = np.float32) -> Array:
    """Weights as Caffe's ``xavier`` filler draws them: uniform, variance 1 / fan_in."""
    limit = math.sqrt(3 / fan_in)
    return random.uniform(-limit, limit, shape).astype(dtype)


class Layer(ABC):
    """One layer.

    Attributes
    ----------
    name
        As findings and the summary call it.
    params, grads
        Its parameters by name, and after `backward` their gradients, summed over the samples.
    weighted
        Whether it multiplies by weights: its output is what a non-linearity gets to see, and is tested.
    """

    weighted = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(values.size for values in self.params.values())

    @abstractmethod
    def shape_after(self, shape: Shape) -> Shape:
        """The shape of one sample behind the layer, from its shape before it."""

    @abstractmethod
    def forward(self, inputs: Array, training: bool = False) -> Array:
        """The output; with ``training`` what `backward` needs is kept."""

    @abstractmethod
    def backward(self, above: Array) -> Array:
        """The gradient of the inputs from that of the output of the last `forward`."""


class Linear(Layer):
    """Inner product of all features: ``weight`` is ``(outputs, inputs)``, ``bias`` ``(outputs,)``.

    Inputs of more axes are taken as one row of features, in C order.
    """

    weighted = True

    def __init__(self, name: str, inputs: int, outputs: int, random: np.random.Generator, dtype: Any = np.float32):
        super().__init__(name)
        self.params = {
            "weight": xavier(random, (outputs, inputs), inputs, dtype),
            "bias": np.zeros(outputs, dtype),
        }

    def shape_after(self, shape: Shape) -> Shape:
        """See `Layer.shape_after`."""
        return (len(self.params["bias"]),)

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """See `Layer.forward`."""
        flat = inputs.reshape(-1, inputs.shape[-1])
        if training:
            self._shape, self._flat = inputs.shape, flat
        outputs: Array = self.params["weight"] @ flat
        outputs += self.params["bias"][:, None]
        return outputs

    def backward(self, above: Array) -> Array:
        """See `Layer.backward`."""
        self.grads = {"weight": above @ self._flat.T, "bias": above.sum(axis=1)}
        below: Array = (self.params["weight"].T @ above).reshape(self._shape)
        return below


class Conv(Layer):
    """Convolution as neural networks have it (no flipped kernel): ``weight`` is ``(outputs, channels, k, k)``."""

    weighted = True

    def __init__(
        self,
        name: str,
        channels: int,
        outputs: int,
        kernel: int,
        random: np.random.Generator,
        *,
        stride: int = 1,
        pad: int = 0,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(name)
        self.kernel, self.stride, self.pad = kernel, stride, pad
        self.params = {
            "weight": xavier(random, (outputs, channels, kernel, kernel), channels * kernel * kernel, dtype),
            "bias": np.zeros(outputs, dtype),
        }

    def shape_after(self, shape: Shape) -> Shape:
        """See `Layer.shape_after`."""
        sides = ((side + 2 * self.pad - self.kernel) // self.stride + 1 for side in shape[1:])
        return (len(self.params["bias"]), *sides)

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """See `Layer.forward`."""
        columns = self._columns(inputs)
        if training:
            self._shape, self._kept = inputs.shape, columns
        weight = self.params["weight"]
        outputs: Array = weight.reshape(len(weight), -1) @ columns.reshape(weight[0].size, -1)
        outputs += self.params["bias"][:, None]
        return outputs.reshape(len(weight), *columns.shape[3:])

    def backward(self, above: Array) -> Array:
        """See `Layer.backward`."""
        weight, kept = self.params["weight"], self._kept
        flat = above.reshape(len(weight), -1)
        self.grads = {
            "weight": (flat @ kept.reshape(weight[0].size, -1).T).reshape(weight.shape),
            "bias": flat.sum(axis=1),
        }
        columns = (weight.reshape(len(weight), -1).T @ flat).reshape(kept.shape)
        channels, height, width, n = self._shape
        padded = np.zeros((channels, height + 2 * self.pad, width + 2 * self.pad, n), above.dtype)
        for row in range(self.kernel):
            for column in range(self.kernel):
                padded[self._window(row, column, kept.shape)] += columns[:, row, column]
        return padded[:, self.pad : self.pad + height, self.pad : self.pad + width]

    def _columns(self, inputs: Array) -> Array:
        """Every window's values: ``(channels, k, k, height, width, n)`` of the output."""
        if self.pad:
            sides = (self.pad, self.pad)
            inputs = np.pad(inputs, ((0, 0), sides, sides, (0, 0)))
        channels, n = inputs.shape[0], inputs.shape[-1]
        height, width = ((side - self.kernel) // self.stride + 1 for side in inputs.shape[1:3])
        columns = np.empty((channels, self.kernel, self.kernel, height, width, n), inputs.dtype)
        for row in range(self.kernel):
            for column in range(self.kernel):
                columns[:, row, column] = inputs[self._window(row, column, columns.shape)]
        return columns

    def _window(self, row: int, column: int, columns: Shape) -> tuple[slice, slice, slice]:
        """The inputs that meet one element of the kernel."""
        height, width = columns[3], columns[4]
        return (
            slice(None),
            slice(row, row + (height - 1) * self.stride + 1, self.stride),
            slice(column, column + (width - 1) * self.stride + 1, self.stride),
        )


class Relu(Layer):
    """``max(x, 0)``; NaN stays NaN."""

    def shape_after(self, shape: Shape) -> Shape:
        """See `Layer.shape_after`."""
        return shape

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """See `Layer.forward`."""
        if training:
            self._passed = inputs > 0
        outputs: Array = np.maximum(inputs, inputs.dtype.type(0))
        return outputs

    def backward(self, above: Array) -> Array:
        """See `Layer.backward`."""
        below: Array = above * self._passed
        return below


class Pool(Layer):
    """The largest (``max``) or mean (``ave``) value of each window, without padding.

    As in Caffe windows at the lower and right edge may reach beyond it, where they have nothing, so that no input is
    left out; none is empty. NaN and infinities pass: Caffe's MAX pooling drops NaN, which a network that shall show
    them must not.
    """

    def __init__(self, name: str, method: Literal["max", "ave"], kernel: int, stride: int) -> None:
        super().__init__(name)
        self.method, self.kernel, self.stride = method, kernel, stride

    def shape_after(self, shape: Shape) -> Shape:
        """See `Layer.shape_after`."""
        return (shape[0], *(self._windows(side) for side in shape[1:]))

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """See `Layer.forward`."""
        parts = self._parts(inputs.shape)
        outputs: Array = inputs[parts[0][1]].copy()
        for outside, inside in parts[1:]:
            if self.method == "max":
                np.maximum(outputs[outside], inputs[inside], out=outputs[outside])
            else:
                outputs[outside] += inputs[inside]
        if self.method == "ave":
            outputs /= self._counts(inputs.shape, outputs)
        if training:
            self._inputs, self._outputs = inputs, outputs
        return outputs

    def backward(self, above: Array) -> Array:
        """See `Layer.backward`; of equal largest values the first gets the gradient."""
        parts = self._parts(self._inputs.shape)
        below = np.zeros_like(self._inputs)
        if self.method == "ave":
            share = above / self._counts(self._inputs.shape, above)
            for outside, inside in parts:
                below[inside] += share[outside]
            return below
        free = np.ones(above.shape, np.bool_)
        for outside, inside in parts:
            largest = free[outside] & (self._inputs[inside] == self._outputs[outside])
            below[inside] += above[outside] * largest
            free[outside] &= ~largest
        return below

    def _windows(self, side: int) -> int:
        """Windows along a side; the last one begins inside."""
        windows = -(-max(side - self.kernel, 0) // self.stride) + 1
        return windows - 1 if (windows - 1) * self.stride >= side else windows

    def _parts(self, shape: Shape) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """For each element of the kernel: the outputs whose windows have it, and the inputs that it meets."""
        height, width = shape[1:3]
        parts: list[tuple[tuple[slice, ...], tuple[slice, ...]]] = []
        for row in range(min(self.kernel, height)):
            for column in range(min(self.kernel, width)):
                rows = min(self._windows(height), (height - row - 1) // self.stride + 1)
                columns = min(self._windows(width), (width - column - 1) // self.stride + 1)
                inside = (
                    slice(None),
                    slice(row, row + (rows - 1) * self.stride + 1, self.stride),
                    slice(column, column + (columns - 1) * self.stride + 1, self.stride),
                )
                parts.append(((slice(None), slice(rows), slice(columns)), inside))
        return parts

    def _counts(self, shape: Shape, like: Array) -> Array:
        """How many inputs each window has."""
        counts = np.zeros((1, *like.shape[1:3], 1), like.dtype)
        for outside, _ in self._parts(shape):
            counts[outside] += 1
        return counts
