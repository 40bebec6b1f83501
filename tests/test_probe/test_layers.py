"""The layers compute what other implementations compute, and their gradients are those of their outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from datascan.scanner.probe.layers import Conv, Layer, Linear, Pool, Relu, as_stored
from datascan.scanner.probe.losses import LOSSES, LossName
from datascan.scanner.probe.lstm import Lstm, sigmoid

Array = NDArray[Any]
LAYERS: dict[str, tuple[Callable[[Any, Any], Layer], tuple[int, ...]]] = {
    "linear": (lambda random, dtype: Linear("l", 12, 5, random, dtype), (3, 4)),
    "conv": (lambda random, dtype: Conv("c", 2, 4, 3, random, dtype=dtype), (2, 6, 7)),
    "conv-stride-pad": (lambda random, dtype: Conv("c", 3, 4, 5, random, stride=2, pad=2, dtype=dtype), (3, 8, 7)),
    "conv-rest": (lambda random, dtype: Conv("c", 1, 2, 3, random, stride=3, dtype=dtype), (1, 8, 10)),
    "relu": (lambda random, dtype: Relu("r"), (3, 4)),
    "max": (lambda random, dtype: Pool("p", "max", 2, 2), (3, 5, 6)),
    "max-overlap": (lambda random, dtype: Pool("p", "max", 3, 2), (2, 7, 7)),
    "max-beyond": (lambda random, dtype: Pool("p", "max", 3, 3), (2, 7, 8)),
    "ave": (lambda random, dtype: Pool("p", "ave", 3, 2), (2, 7, 8)),
    "lstm": (lambda random, dtype: Lstm("l", 4, 5, random, dtype), (6, 4)),
}


def samples_first(values: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(values, -1, 0))


def onnx_run(op: str, inputs: Array, weights: dict[str, Array], outputs: int, at: int, **attributes: Any) -> Array:
    """One ONNX operator on samples-first inputs; ``at`` is which of its outputs is wanted."""
    names = ["x", *(name if values is not None else "" for name, values in weights.items())]
    out = [f"y{number}" for number in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, out, **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs.shape)],
        [helper.make_tensor_value_info(out[at], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items() if values is not None],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: Array = session.run([out[at]], {"x": inputs})[0]
    return result


def reference(layer: Layer, inputs: Array) -> Array:
    """What ONNX Runtime computes with the layer's own parameters, samples first."""
    weights = layer.params
    if isinstance(layer, Linear):
        flat = inputs.reshape(len(inputs), -1)
        return onnx_run("Gemm", flat, {"w": weights["weight"], "b": weights["bias"]}, 1, 0, transB=1)
    if isinstance(layer, Conv):
        sides = {"strides": [layer.stride] * 2, "pads": [layer.pad] * 4}
        return onnx_run("Conv", inputs, {"w": weights["weight"], "b": weights["bias"]}, 1, 0, **sides)
    if isinstance(layer, Relu):
        return onnx_run("Relu", inputs, {}, 1, 0)
    if isinstance(layer, Pool):
        op = "MaxPool" if layer.method == "max" else "AveragePool"
        windows = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "ceil_mode": 1}
        return onnx_run(op, inputs, {}, 1, 0, **windows)
    assert isinstance(layer, Lstm)

    def reordered(values: Array) -> Array:  # i, f, c, o to ONNX's i, o, f, c
        let_in, kept, cell, let_out = np.split(values, 4)
        return np.concatenate([let_in, let_out, kept, cell])[None]

    bias = reordered(weights["bias"])
    arrays = {
        "w": reordered(weights["kernel"]),
        "r": reordered(weights["recurrent"]),
        "b": np.concatenate([bias, np.zeros_like(bias)], axis=1),
    }
    steps_first = np.ascontiguousarray(inputs.transpose(1, 0, 2))
    output: Array = onnx_run("LSTM", steps_first, arrays, 3, 1, hidden_size=layer.units)[0]
    return output


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_what_onnx_runtime_computes(name: str) -> None:
    make, shape = LAYERS[name]
    random = np.random.default_rng(1)
    layer = make(random, np.float32)
    for values in layer.params.values():
        values += random.normal(0, 0.1, values.shape).astype(np.float32)
    inputs = random.standard_normal((*shape, 7), np.float32)
    got = samples_first(layer.forward(inputs))
    assert got.dtype == np.float32
    assert got.shape[1:] == layer.shape_after(shape)
    np.testing.assert_allclose(got, reference(layer, samples_first(inputs)), rtol=1e-5, atol=1e-6)


def numeric(function: Callable[[], float], values: Array) -> Array:
    """Central differences of a number with respect to each element of an array, which is changed in place."""
    slopes = np.zeros_like(values)
    for place in np.ndindex(values.shape):
        kept = values[place]
        values[place] = kept + 1e-6
        above = function()
        values[place] = kept - 1e-6
        slopes[place] = (above - function()) / 2e-6
        values[place] = kept
    return slopes


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    make, shape = LAYERS[name]
    random = np.random.default_rng(2)
    layer = make(random, np.float64)
    inputs = random.standard_normal((*shape, 3))
    weights = random.standard_normal(layer.forward(inputs).shape)

    def value() -> float:
        return float((layer.forward(inputs) * weights).sum())

    layer.forward(inputs, training=True)
    below = layer.backward(weights)
    np.testing.assert_allclose(below, numeric(value, inputs), rtol=1e-6, atol=1e-7)
    assert set(layer.grads) == set(layer.params)
    for parameter, slopes in layer.grads.items():
        np.testing.assert_allclose(slopes, numeric(value, layer.params[parameter]), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["softmax", "sigmoid", "squared"])
def test_losses_have_the_gradients_of_finite_differences(name: LossName) -> None:
    random = np.random.default_rng(3)
    outputs = random.standard_normal((5, 4)) * 3
    targets = np.array([0, 4, 2, 2]) if name == "softmax" else random.random((4, 5))
    loss, gradient = LOSSES[name]
    np.testing.assert_allclose(
        gradient(outputs, targets), numeric(lambda: float(loss(outputs, targets).sum()), outputs), rtol=1e-6, atol=1e-8
    )


def test_losses_have_known_values() -> None:
    zeros = np.zeros((10, 2), np.float32)
    np.testing.assert_allclose(LOSSES["softmax"][0](zeros, np.array([3, 9])), np.log([10, 10]), rtol=1e-6)
    np.testing.assert_allclose(LOSSES["sigmoid"][0](zeros, np.ones((2, 10))), 10 * np.log([2, 2]), rtol=1e-6)
    np.testing.assert_allclose(LOSSES["squared"][0](zeros, np.full((2, 10), 2.0)), [20, 20])


def test_losses_of_large_outputs_do_not_overflow() -> None:
    outputs = np.array([[1e30, -1e4], [-1e30, 1e4]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(LOSSES["softmax"][0](outputs, np.array([1, 1])), [2e30, 0], rtol=1e-6)
        np.testing.assert_allclose(LOSSES["sigmoid"][0](outputs, np.zeros((2, 2))), [1e30, 1e4], rtol=1e-6)


def test_the_sigmoid_overflows_for_no_input() -> None:
    with np.errstate(all="raise"):
        values = sigmoid(np.array([-3e38, -100, 0, 100, 3e38], np.float32))
    np.testing.assert_allclose(values, [0, 0, 0.5, 1, 1], atol=1e-7)


@pytest.mark.parametrize("method", ["max", "ave"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pooling_passes_what_is_not_finite(method: Any, value: float) -> None:
    inputs = np.zeros((1, 4, 4, 2), np.float32)
    inputs[0, 3, 0, 1] = value
    outputs = Pool("p", method, 2, 2).forward(inputs)
    assert np.isfinite(outputs[..., 0]).all()
    assert list(np.argwhere(~np.isfinite(outputs[..., 1])).ravel()) == [0, 1, 0]


def test_half_precision_stores_what_float16_can_hold() -> None:
    stored = as_stored(np.array([1.0001, 65504, 65520, -1e5], np.float32), True)
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, [1, 65504, np.inf, -np.inf])
