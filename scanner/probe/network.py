"""The small networks: layers in a row, a loss at the end, and an eye on every value before a non-linearity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layers import Array, Conv, Layer, Linear, Pool, Relu, Shape, as_stored
from .losses import LOSSES, LossName
from .lstm import Lstm

SEED = 20120901
"""Weights are drawn anew from it for every network: same samples, same losses."""

UNITS = 16
"""Hidden units of ``mlp`` and ``lstm`` unless ``--num-units`` says otherwise."""

FILTERS = 8
INPUT = "input"


@dataclass(frozen=True, slots=True)
class Seen:
    """Values of some samples that can't be trained on, at one place of the network.

    ``finite`` is ``(n,)``: which samples hold neither NaN nor infinity there. ``sound`` are those of which the sum of
    squares is finite as well: a gradient step on a sample changes what a layer makes of it by the rate times that sum.
    """

    layer: str
    finite: NDArray[np.bool_]
    sound: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Passed:
    """What a forward pass gave: ``losses`` ``(n,)``, and the places where not all samples were sound, in order."""

    losses: Array
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class LayerLine:
    """A line of the summary: the layer, one sample's shape behind it, its parameters."""

    name: str
    kind: str
    shape: Shape
    parameters: int


class Network:
    """Layers in a row and a loss.

    ``half`` computes as half precision does: values and weights are rounded to float16, sums are float32.
    """

    def __init__(self, kind: str, shape: Shape, layers: Sequence[Layer], loss: LossName, *, half: bool = False) -> None:
        self.kind, self.shape, self.layers, self.loss, self.half = kind, shape, tuple(layers), loss, half
        self._last = [layer for layer in self.layers if layer.weighted][-1]
        self._round_weights()

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self._last.shape_after(())[0]

    @property
    def widest(self) -> int:
        """Most values that one sample takes in any layer."""
        shapes = [line.shape for line in self.summary()]
        return max(math.prod(shape) for shape in [self.shape, *shapes])

    def summary(self) -> list[LayerLine]:
        """One line for each layer."""
        lines, shape = [], self.shape
        for layer in self.layers:
            shape = layer.shape_after(shape)
            lines.append(LayerLine(layer.name, type(layer).__name__.lower(), shape, layer.size))
        return lines

    def forward(self, inputs: Array, targets: Array) -> Passed:
        """Losses of samples ``(..., n)``; what is not finite on the way is seen, whatever later layers make of it."""
        seen: list[Seen] = []
        with np.errstate(all="ignore"):
            inputs = as_stored(inputs, self.half)
            self._watch(INPUT, inputs, seen)
            outputs = self._through(inputs, seen)
            losses = as_stored(LOSSES[self.loss][0](outputs, targets), self.half)
        return Passed(losses, tuple(seen))

    def step(self, inputs: Array, targets: Array, rate: float) -> float:
        """Loss of a batch, and one step of gradient descent on it; the loss is that before the step."""
        loss, gradient = LOSSES[self.loss]
        with np.errstate(all="ignore"):
            values = as_stored(inputs, self.half)
            for layer in self.layers:
                values = as_stored(layer.forward(values, training=True), self.half)
            mean = as_stored(loss(values, targets).mean(keepdims=True), self.half)
            above = as_stored(gradient(values, targets) / values.dtype.type(values.shape[-1]), self.half)
            for layer in reversed(self.layers):
                above = as_stored(layer.backward(above), self.half)
                for name, slope in layer.grads.items():
                    layer.params[name] -= slope.dtype.type(rate) * as_stored(slope, self.half)
            self._round_weights()
        return float(mean[0])

    def _round_weights(self) -> None:
        for layer in self.layers:
            layer.params = {name: as_stored(values, self.half) for name, values in layer.params.items()}

    def _through(self, values: Array, seen: list[Seen]) -> Array:
        for layer in self.layers:
            values = as_stored(layer.forward(values), self.half)
            if isinstance(layer, Lstm):
                self._note(layer.name, layer.gates_finite, layer.gate_squares, seen)
            elif layer.weighted:
                self._watch(layer.name, values, seen, last=layer is self._last)
        return values

    def _watch(self, name: str, values: Array, seen: list[Seen], last: bool = False) -> None:
        flat = values.reshape(-1)
        if np.isfinite(np.dot(flat, flat)):
            return
        rows = values.reshape(-1, values.shape[-1])
        finite = np.logical_and.reduce(np.isfinite(rows), axis=0)
        # squares of the outputs enter no gradient: a loss that squares them is infinite by itself
        self._note(name, finite, np.zeros(1) if last else np.einsum("fn,fn->n", rows, rows), seen)

    def _note(self, name: str, finite: NDArray[np.bool_], squares: Array, seen: list[Seen]) -> None:
        # in half precision sums are formed in float32 and only the values are stored in float16
        sound = finite & np.isfinite(squares)
        if not sound.all():
            seen.append(Seen(name, finite, sound))


def build_network(
    kind: str,
    shape: Shape,
    outputs: int,
    loss: LossName,
    *,
    units: int | None = None,
    dtype: Any = np.float32,
    half: bool = False,
) -> Network:
    """A network for samples of a shape: ``(values,)``, ``(channels, height, width)`` or ``(steps, values)``.

    Raises
    ------
    ValueError
        The shape is none for this kind of network.
    """
    random = np.random.default_rng(SEED)
    if kind == "lstm":
        if len(shape) != 2:
            raise ValueError("an lstm needs samples of steps and values")
        lstm = Lstm("lstm", shape[1], units or UNITS, random, dtype)
        layers: list[Layer] = [lstm, Linear("head", lstm.units, outputs, random, dtype)]
    elif kind == "conv":
        if len(shape) != 3:
            raise ValueError("a convolution needs images")
        layers = _conv_layers(shape, outputs, random, dtype)
    elif kind == "mlp":
        hidden = units or UNITS
        layers = [
            Linear("hidden", math.prod(shape), hidden, random, dtype),
            Relu("relu"),
            Linear("head", hidden, outputs, random, dtype),
        ]
    elif kind == "softmax":
        layers = [Linear("head", math.prod(shape), outputs, random, dtype)]
    else:
        raise ValueError(f"no network {kind!r}")
    return Network(kind, shape, layers, loss, half=half)


def _conv_layers(shape: Shape, outputs: int, random: np.random.Generator, dtype: Any) -> list[Layer]:
    """Convolution, ReLU, pooling, inner product; for images too small for a window, with smaller ones."""
    side = min(shape[1:])
    kernel = 5 if side >= 5 else 3 if side >= 3 else 1
    conv = Conv("conv", shape[0], FILTERS, kernel, random, stride=2 if side > 8 else 1, pad=kernel // 2, dtype=dtype)
    behind = conv.shape_after(shape)
    window = 2 if min(behind[1:]) >= 2 else 1
    pool = Pool("pool", "max", window, window)
    features = math.prod(pool.shape_after(behind))
    return [conv, Relu("relu"), pool, Linear("head", features, outputs, random, dtype)]
