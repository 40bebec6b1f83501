"""Caffe's layers: equal to ONNX Runtime's where both have them, to plain loops and stored numbers where not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.test_probe.caffe_layer import run_layer
from tests.test_probe.test_layers import onnx_run

Array = NDArray[Any]
NAN, INF = np.nan, np.inf


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def column(*values: float) -> Array:
    return np.array([values], np.float32)


def close(ours: Array, theirs: Array) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


CONVOLUTIONS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "plain": ("kernel_size: 3", (2, 3, 8, 9), {"kernel_shape": [3, 3]}),
    "one": ("kernel_size: 1", (3, 3, 5, 4), {"kernel_shape": [1, 1]}),
    "group": ("kernel_size: 3 group: 2 pad: 1", (2, 4, 6, 6), {"kernel_shape": [3, 3], "group": 2, "pads": [1] * 4}),
    "depthwise": ("kernel_size: 3 group: 4", (2, 4, 6, 6), {"kernel_shape": [3, 3], "group": 4}),
    "uneven": (
        "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 1",
        (2, 3, 9, 7),
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [0, 1, 0, 1]},
    ),
    "dilated": (
        "kernel_size: 3 dilation: 2 pad: 2 stride: 2",
        (2, 3, 11, 10),
        {"kernel_shape": [3, 3], "dilations": [2, 2], "pads": [2] * 4, "strides": [2, 2]},
    ),
    "volume": (
        "kernel_size: 2 kernel_size: 3 kernel_size: 2 pad: 1",
        (2, 2, 4, 5, 4),
        {"kernel_shape": [2, 3, 2], "pads": [1] * 6},
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("biased", [True, False])
def test_convolutions_are_those_of_onnx_runtime(name: str, biased: bool) -> None:
    text, shape, attributes = CONVOLUTIONS[name]
    x, group = drawn(*shape), int(attributes.get("group", 1))
    kernel: Sequence[int] = attributes["kernel_shape"]
    weight, bias = drawn(4, shape[1] // group, *kernel, seed=1), drawn(4, seed=2)
    weights = [weight, bias] if biased else [weight]
    param = f"num_output: 4 {text} bias_term: {str(biased).lower()}"
    (ours,) = run_layer(f'type: "Convolution" convolution_param {{ {param} }}', x, weights=weights)
    named = {"w": weight, "b": bias} if biased else {"w": weight}
    close(ours, onnx_run("Conv", x, named, 1, 0, **attributes))


DECONVOLUTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("kernel_size: 3", {"kernel_shape": [3, 3]}),
    "upsampling": ("kernel_size: 4 stride: 2 pad: 1", {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1] * 4}),
    "group": ("kernel_size: 3 group: 2 stride: 2", {"kernel_shape": [3, 3], "group": 2, "strides": [2, 2]}),
    "dilated": ("kernel_size: 2 dilation: 2", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
}


@pytest.mark.parametrize("name", DECONVOLUTIONS)
def test_deconvolutions_are_those_of_onnx_runtime(name: str) -> None:
    text, attributes = DECONVOLUTIONS[name]
    x, group = drawn(2, 4, 5, 6), int(attributes.get("group", 1))
    kernel: Sequence[int] = attributes["kernel_shape"]
    weight, bias = drawn(4, 6 // group, *kernel, seed=1), drawn(6, seed=2)
    param = f"num_output: 6 {text}"
    (ours,) = run_layer(f'type: "Deconvolution" convolution_param {{ {param} }}', x, weights=[weight, bias])
    close(ours, onnx_run("ConvTranspose", x, {"w": weight, "b": bias}, 1, 0, **attributes))


def pooled_by_loops(x: Array, method: str, kernel: int, stride: int, pad: int) -> Array:
    """Caffe's pooling layer, read line by line into loops over single values."""
    n, channels, height, width = x.shape
    rows, columns = (math.ceil((side + 2 * pad - kernel) / stride) + 1 for side in (height, width))
    if pad:
        rows -= (rows - 1) * stride >= height + pad
        columns -= (columns - 1) * stride >= width + pad
    made = np.empty((n, channels, rows, columns), np.float32)
    for i, c, row, left in product(range(n), range(channels), range(rows), range(columns)):
        h, w = row * stride - pad, left * stride - pad
        if method == "MAX":
            best = np.float32(-3.4028234663852886e38)
            for y in range(max(h, 0), min(h + kernel, height)):
                for z in range(max(w, 0), min(w + kernel, width)):
                    if x[i, c, y, z] > best:
                        best = x[i, c, y, z]
            made[i, c, row, left] = best
            continue
        end_h, end_w = min(h + kernel, height + pad), min(w + kernel, width + pad)
        size = np.float32((end_h - h) * (end_w - w))
        total = np.float32(0)
        for y in range(max(h, 0), min(end_h, height)):
            for z in range(max(w, 0), min(end_w, width)):
                total += x[i, c, y, z]
        with np.errstate(all="ignore"):
            made[i, c, row, left] = total / size
    return made


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"),
    [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), (1, 2, 0), (1, 3, 0), (5, 3, 2), (3, 3, 2)],
)
def test_pooling_is_caffes_window_by_window(method: str, kernel: int, stride: int, pad: int) -> None:
    x = drawn(2, 2, 7, 6)
    x[0, 0, 0, 0], x[0, 1, 3, 2], x[1, 0, 6, 5], x[1, 1, 2:5, 2:5] = NAN, INF, -INF, NAN
    param = f"pool: {method} kernel_size: {kernel} stride: {stride} pad: {pad}"
    (ours,) = run_layer(f'type: "Pooling" pooling_param {{ {param} }}', x)
    close(ours, pooled_by_loops(x, method, kernel, stride, pad))


def test_pooling_of_everything() -> None:
    x = drawn(2, 3, 4, 5)
    (ours,) = run_layer('type: "Pooling" pooling_param { pool: AVE global_pooling: true }', x)
    close(ours, x.mean(axis=(2, 3), keepdims=True))
    (ours,) = run_layer('type: "Pooling" pooling_param { global_pooling: true }', x)
    close(ours, x.max(axis=(2, 3), keepdims=True))


def test_a_window_behind_the_input_is_caffes_nan_or_lowest_number() -> None:
    x = np.ones((1, 1, 4, 4), np.float32)
    (average,) = run_layer('type: "Pooling" pooling_param { pool: AVE kernel_size: 1 stride: 2 }', x)
    assert np.isnan(average[0, 0, 2]).all()
    assert np.isfinite(average[0, 0, :2, :2]).all()
    (largest,) = run_layer('type: "Pooling" pooling_param { kernel_size: 1 stride: 2 }', x)
    assert (largest[0, 0, 2] == np.finfo(np.float32).min).all()


SAME: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ReLU": ("", "Relu", {}),
    "leaky": ("ReLU relu_param { negative_slope: 0.1 }", "LeakyRelu", {"alpha": 0.1}),
    "ELU": ("ELU elu_param { alpha: 0.7 }", "Elu", {"alpha": 0.7}),
    "Sigmoid": ("", "Sigmoid", {}),
    "TanH": ("", "Tanh", {}),
    "BNLL": ("", "Softplus", {}),
    "AbsVal": ("", "Abs", {}),
    "Exp": ("", "Exp", {}),
    "Softmax": ("", "Softmax", {"axis": 1}),
    "LRN": (
        "LRN lrn_param { local_size: 3 alpha: 0.4 beta: 0.6 k: 2 }",
        "LRN",
        {"size": 3, "alpha": 0.4, "beta": 0.6, "bias": 2.0},
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_layers_without_weights_are_those_of_onnx_runtime(name: str) -> None:
    text, operator, attributes = SAME[name]
    kind, _, param = (text or name).partition(" ")
    x = 3 * drawn(2, 5, 4, 3)
    (ours,) = run_layer(f'type: "{kind}" {param}', x)
    close(ours, onnx_run(operator, x, {}, 1, 0, **attributes))


def test_inner_products_and_slopes_and_stored_statistics_are_those_of_onnx_runtime() -> None:
    x, weight, bias = drawn(3, 2, 4), drawn(5, 8, seed=1), drawn(5, seed=2)
    flat = x.reshape(3, 8)
    (ours,) = run_layer('type: "InnerProduct" inner_product_param { num_output: 5 }', x, weights=[weight, bias])
    close(ours, onnx_run("Gemm", flat, {"w": weight, "b": bias}, 1, 0, transB=1))
    text = 'type: "InnerProduct" inner_product_param { num_output: 5 transpose: true bias_term: false axis: 2 }'
    (ours,) = run_layer(text, x, weights=[weight[:, :4].T.copy()])
    close(ours, x @ weight[:, :4].T)

    x, slopes = drawn(2, 3, 4, 4), drawn(3, seed=1)
    (ours,) = run_layer('type: "PReLU"', x, weights=[slopes])
    close(ours, onnx_run("PRelu", x, {"s": slopes.reshape(3, 1, 1)}, 1, 0))

    mean, variance, ones = drawn(3, seed=1), np.abs(drawn(3, seed=2)), np.ones(3, np.float32)
    (ours,) = run_layer('type: "BatchNorm"', x, weights=[mean * 4, variance * 4, np.array([4])], training=False)
    named = {"s": ones, "b": 0 * ones, "m": mean, "v": variance}
    close(ours, onnx_run("BatchNormalization", x, named, 1, 0, epsilon=1e-5))


@pytest.mark.parametrize("ignored", [None, 3])
def test_softmax_loss_is_onnx_runtimes_of_each_sample(ignored: int | None) -> None:
    scores, labels = 3 * drawn(4, 5, 2, 3), np.random.default_rng(1).integers(0, 5, (4, 2, 3))
    param = "" if ignored is None else f"loss_param {{ ignore_label: {ignored} }}"
    (ours,) = run_layer(f'type: "SoftmaxWithLoss" {param}', scores, labels.astype(np.float32))
    given = {} if ignored is None else {"ignore_index": ignored}
    theirs = [
        onnx_run(
            "SoftmaxCrossEntropyLoss", scores[n : n + 1], {"l": labels[n : n + 1]}, 1, 0, reduction="mean", **given
        )
        for n in range(4)
    ]
    close(ours, np.array(theirs))


def test_normalisations_of_the_loss() -> None:
    scores, labels = drawn(2, 3, 4), np.array([[0, 1, 2, 2], [1, 1, 0, 2]], np.float32)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    each = -np.take_along_axis(logs, labels.astype(int)[:, None], axis=1)[:, 0]
    counted = labels != 2
    wanted = {
        "VALID": (each * counted).sum(axis=1) / counted.sum(axis=1),
        "FULL": (each * counted).sum(axis=1) / 4,
        "BATCH_SIZE": (each * counted).sum(axis=1),
        "NONE": (each * counted).sum(axis=1),
    }
    for how, losses in wanted.items():
        text = f'type: "SoftmaxWithLoss" loss_param {{ ignore_label: 2 normalization: {how} }}'
        close(run_layer(text, scores, labels)[0], losses)
    text = 'type: "SoftmaxWithLoss" loss_param { ignore_label: 2 normalize: false }'
    close(run_layer(text, scores, labels)[0], wanted["BATCH_SIZE"])


STORED: dict[str, tuple[str, list[Array], list[float]]] = {
    "power": ("Power power_param { power: 3 scale: 2 shift: 1 }", [column(1, -1)], [27, -1]),
    "power-0": ("Power power_param { power: 0 }", [column(5, NAN)], [1, 1]),
    "power-scale-0": ("Power power_param { power: 2 scale: 0 shift: 3 }", [column(5, NAN)], [9, 9]),
    "power-nan": ("Power power_param { power: 0.5 }", [column(4, -4)], [2, NAN]),
    "exp-base": ("Exp exp_param { base: 2 scale: 3 shift: 1 }", [column(1, 0)], [16, 2]),
    "log-base": ("Log log_param { base: 10 scale: 10 shift: 90 }", [column(1, -8, -9)], [2, 1, -INF]),
    "threshold": ("Threshold threshold_param { threshold: 1 }", [column(1, 1.5, NAN)], [0, 1, 0]),
    "clip": ("Clip clip_param { min: -1 max: 2 }", [column(-5, 5, 1, NAN)], [-1, 2, 1, -1]),
    "swish": ("Swish swish_param { beta: 2 }", [column(0, 1)], [0, 0.8807970779778823]),
    "relu-inf": ("ReLU", [column(INF, -INF, NAN)], [INF, NAN, NAN]),
    "sum": (
        "Eltwise eltwise_param { coeff: 1 coeff: -2 coeff: 0.5 }",
        [column(1, 2), column(3, 4), column(2, 2)],
        [-4, -5],
    ),
    "product": ("Eltwise eltwise_param { operation: PROD }", [column(1, 2), column(3, 4), column(2, 2)], [6, 16]),
    "max": (
        "Eltwise eltwise_param { operation: MAX }",
        [column(1, 2, NAN, 5), column(3, 1, 4, NAN), column(2, 2, 1, 7)],
        [3, 2, 4, NAN],
    ),
    "hinge": ("HingeLoss", [column(0.5, 2, -3), np.array([1], np.float32)], [1.5]),
    "hinge-2": (
        "HingeLoss hinge_loss_param { norm: L2 }",
        [column(0.5, 2, -3), np.array([0], np.float32)],
        [9.25],
    ),
    "hinge-nan": ("HingeLoss", [column(NAN, 2, -3), np.array([1], np.float32)], [0]),
    "multinomial": ("MultinomialLogisticLoss", [column(0.25, 0.75), np.array([0], np.float32)], [1.3862944]),
    "multinomial-0": ("MultinomialLogisticLoss", [column(-3, 0.75), np.array([0], np.float32)], [46.0517019]),
    "sigmoid": ("SigmoidCrossEntropyLoss", [column(0, 2, -3), column(1, 1, 0)], [0.868661623]),
    "sigmoid-ignored": (
        "SigmoidCrossEntropyLoss loss_param { ignore_label: -1 }",
        [column(0, 2, -3), column(1, -1, -1)],
        [0.69314718],
    ),
    "euclidean": ("EuclideanLoss", [column(1, 2, 3), column(1, 0, 6)], [6.5]),
    "contrastive": (
        "ContrastiveLoss contrastive_loss_param { margin: 2 }",
        [np.array([[0, 3], [0, 1]], np.float32), np.array([[0, 1], [0, 0]], np.float32), np.array([1, 0], np.float32)],
        [2, 0.5],
    ),
    "contrastive-legacy": (
        "ContrastiveLoss contrastive_loss_param { margin: 2 legacy_version: true }",
        [np.array([[0, 3], [0, 1]], np.float32), np.array([[0, 1], [0, 0]], np.float32), np.array([1, 0], np.float32)],
        [2, 0.5],
    ),
    "loss-clamped": ("SoftmaxWithLoss", [column(0, 200), np.array([0], np.float32)], [87.3365448]),
    "concat": ("Concat", [column(1, 2), column(3)], [1, 2, 3]),
    "flatten": ("Flatten", [np.array([[[1, 2], [3, 4]]], np.float32)], [1, 2, 3, 4]),
    "reshape": ("Reshape reshape_param { shape { dim: 0 dim: 1 dim: -1 } }", [column(1, 2, 3)], [1, 2, 3]),
    "tile": ("Tile tile_param { tiles: 2 }", [column(1, 2)], [1, 2, 1, 2]),
    "mean": ("Reduction reduction_param { operation: MEAN axis: 1 coeff: 2 }", [column(1, -2, 4)], [2]),
    "asum": ("Reduction reduction_param { operation: ASUM axis: 1 }", [column(1, -2, 4)], [7]),
    "sumsq": ("Reduction reduction_param { operation: SUMSQ axis: 1 }", [column(1, -2, 4)], [21]),
}
"""Layers, their inputs, and what their formulas give by hand."""


@pytest.mark.parametrize("name", STORED)
def test_stored_values(name: str) -> None:
    text, inputs, wanted = STORED[name]
    kind, _, param = text.partition(" ")
    (ours,) = run_layer(f'type: "{kind}" {param}', *inputs)
    np.testing.assert_allclose(ours.reshape(-1), np.array(wanted), rtol=1e-6, atol=1e-6)


def test_slices_and_splits() -> None:
    x = drawn(2, 5, 3)
    parts = run_layer('type: "Slice" slice_param { slice_point: 1 slice_point: 3 }', x, tops=3)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), x)
    assert [part.shape[1] for part in parts] == [1, 2, 2]
    equal = run_layer('type: "Slice" slice_param { axis: 2 }', x, tops=3)
    np.testing.assert_array_equal(np.concatenate(equal, axis=2), x)
    for one in run_layer('type: "Split"', x, tops=2):
        np.testing.assert_array_equal(one, x)


def test_crop() -> None:
    x, size = drawn(2, 3, 6, 7), np.zeros((2, 3, 4, 4), np.float32)
    (ours,) = run_layer('type: "Crop" crop_param { offset: 1 offset: 2 }', x, size)
    np.testing.assert_array_equal(ours, x[:, :, 1:5, 2:6])


def test_scale_and_bias_along_their_axes() -> None:
    x, factors, summands = drawn(2, 3, 4), drawn(3, seed=1), drawn(3, seed=2)
    (ours,) = run_layer('type: "Scale" scale_param { bias_term: true }', x, weights=[factors, summands])
    close(ours, x * factors[:, None] + summands[:, None])
    whole = drawn(3, 4, seed=3)
    close(run_layer('type: "Scale" scale_param { num_axes: -1 }', x, weights=[whole])[0], x * whole)
    close(
        run_layer('type: "Scale" scale_param { axis: 0 }', x, drawn(2, seed=4))[0], x * drawn(2, seed=4)[:, None, None]
    )
    close(run_layer('type: "Bias" bias_param { axis: 2 num_axes: 1 }', x, weights=[drawn(4)])[0], x + drawn(4))
    close(run_layer('type: "Bias"', x, drawn(3, 4, seed=5))[0], x + drawn(3, 4, seed=5))


def test_embed() -> None:
    rows, bias = drawn(4, 3), drawn(3, seed=1)
    x = np.array([[0, 3], [2, 2]], np.float32)
    text = 'type: "Embed" embed_param { num_output: 3 input_dim: 4 }'
    (ours,) = run_layer(text, x, weights=[rows, bias])
    close(ours, rows[x.astype(int)] + bias)


def test_mean_and_variance_normalisation() -> None:
    x = drawn(2, 3, 4, 5)
    (ours,) = run_layer('type: "MVN"', x)
    centred = x - x.mean(axis=(2, 3), keepdims=True)
    close(ours, centred / (x.std(axis=(2, 3), keepdims=True) + 1e-9))
    (ours,) = run_layer('type: "MVN" mvn_param { across_channels: true normalize_variance: false }', x)
    close(ours, x - x.mean(axis=(1, 2, 3), keepdims=True))
    (ours,) = run_layer('type: "MVN" mvn_param { eps: 0 }', np.ones((1, 1, 2, 2), np.float32))
    assert np.isnan(ours).all()


def test_lrn_within_channels_by_loops() -> None:
    x = drawn(1, 2, 5, 4)
    (ours,) = run_layer('type: "LRN" lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }', x)
    squares = np.pad(x * x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for c, row, left in product(range(2), range(5), range(4)):
        total = squares[0, c, row : row + 3, left : left + 3].sum()
        size = (min(row + 2, 6) - row + 1) * (min(left + 2, 5) - left + 1)  # padding counts, up to its end
        wanted = x[0, c, row, left] * (1 + 0.5 * total / size) ** -0.75
        assert ours[0, c, row, left] == pytest.approx(wanted, rel=1e-5)


def test_batch_normalisation_in_training_leaves_spoilt_samples_out() -> None:
    x = drawn(5, 3, 2, 2)
    blank = [np.zeros(3), np.zeros(3), np.zeros(1)]
    whole = np.delete(x, 2, axis=0)
    x[2, 1, 0, 0] = NAN
    (ours,) = run_layer('type: "BatchNorm"', x, weights=blank)
    mean, variance = whole.mean(axis=(0, 2, 3), keepdims=True), whole.var(axis=(0, 2, 3), keepdims=True)
    close(np.delete(ours, 2, axis=0), (whole - mean) / np.sqrt(variance + 1e-5))
    assert np.isnan(ours[2, 1, 0, 0])


def test_a_batch_of_one_value_is_normalised_to_nan_without_epsilon() -> None:
    blank = [np.zeros(3), np.zeros(3), np.zeros(1)]
    (ours,) = run_layer('type: "BatchNorm" batch_norm_param { eps: 0 }', drawn(1, 3), weights=blank)
    assert np.isnan(ours).all()


def test_dropout_passes_on_in_the_test_phase_and_drops_alike_for_all_samples_in_training() -> None:
    x = np.ones((3, 1000), np.float32)
    (test,) = run_layer('type: "Dropout"', x, training=False)
    np.testing.assert_array_equal(test, x)
    (train,) = run_layer('type: "Dropout" dropout_param { dropout_ratio: 0.25 }', x)
    assert set(np.unique(train).tolist()) == {0.0, np.float32(4 / 3)}
    np.testing.assert_array_equal(train[0], train[2])
    assert 0.2 < (train == 0).mean() < 0.3
    (all_dropped,) = run_layer('type: "Dropout" dropout_param { dropout_ratio: 1 }', x)
    assert np.isnan(all_dropped).all()
