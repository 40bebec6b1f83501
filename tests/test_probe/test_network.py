"""The small networks: sizes, fixed results, and what they see of values that can't be trained on."""

from __future__ import annotations

import numpy as np
import pytest

from datascan.scanner.probe.network import Network, build_network

SHAPES: dict[str, tuple[int, ...]] = {"softmax": (40,), "mlp": (40,), "conv": (3, 16, 16), "lstm": (12, 6)}


def samples(shape: tuple[int, ...], n: int = 6) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(4).standard_normal((*shape, n), np.float32)


def small(kind: str, half: bool = False) -> Network:
    return build_network(kind, SHAPES[kind], 10, "softmax", half=half)


def test_an_lstm_of_128_units_has_the_parameters_of_tensorflow_and_keras() -> None:
    lines = build_network("lstm", (28, 28), 10, "softmax", units=128).summary()
    assert [(line.name, line.shape, line.parameters) for line in lines] == [
        ("lstm", (128,), 80_384),
        ("head", (10,), 1_290),
    ]


@pytest.mark.parametrize(("units", "keras"), [(16, 2_880), (32, 7_808), (64, 23_808), (128, 80_384)])
def test_lstm_parameters_follow_both_conventions(units: int, keras: int) -> None:
    lstm = build_network("lstm", (28, 28), 10, "softmax", units=units).summary()[0]
    assert lstm.parameters == keras
    torch = {16: 2_944, 32: 7_936, 64: 24_064, 128: 80_896}[units]
    assert lstm.parameters + 4 * units == torch


def test_the_summary_has_every_layer_with_its_shape_and_size() -> None:
    lines = build_network("conv", (3, 16, 16), 5, "softmax").summary()
    assert [(line.name, line.kind, line.shape, line.parameters) for line in lines] == [
        ("conv", "conv", (8, 8, 8), 608),
        ("relu", "relu", (8, 8, 8), 0),
        ("pool", "pool", (8, 4, 4), 0),
        ("head", "linear", (5,), 645),
    ]


STORED = {
    "softmax": [3.733193, 3.153001, 1.937087, 1.851664],
    "mlp": [2.330816, 2.92172, 2.607048, 2.932496],
    "conv": [2.847379, 2.659328, 3.746357, 2.474753],
    "lstm": [2.451499, 2.292793, 2.163713, 2.403027],
}
"""Losses of four waves by each network, as they were when the layers were held against ONNX Runtime."""


@pytest.mark.parametrize("kind", SHAPES)
def test_losses_are_the_same_each_time_and_everywhere(kind: str) -> None:
    shape = SHAPES[kind]
    inputs = np.sin(np.arange(np.prod(shape) * 4, dtype=np.float64)).astype(np.float32).reshape(*shape, 4)
    passed = small(kind).forward(inputs, np.arange(4))
    np.testing.assert_allclose(passed.losses, STORED[kind], rtol=1e-5)
    assert passed.seen == ()


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_seen_in_its_sample_alone(kind: str, value: float) -> None:
    inputs = samples(SHAPES[kind])
    inputs.reshape(-1, 6)[11, 2] = value
    seen = small(kind).forward(inputs, np.arange(6)).seen
    assert seen[0].layer == "input"
    assert seen[0].finite.tolist() == [True, True, False, True, True, True]
    weighted = next(line.name for line in small(kind).summary() if line.parameters)
    assert weighted in [one.layer for one in seen]
    assert all(one.sound[[0, 1, 3, 4, 5]].all() for one in seen)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_finite_value_whose_square_overflows_is_seen(kind: str) -> None:
    inputs = samples(SHAPES[kind])
    inputs.reshape(-1, 6)[11, 2] = 3e38
    seen = small(kind).forward(inputs, np.arange(6)).seen
    assert seen[0].layer == "input"
    assert seen[0].finite.all()
    assert seen[0].sound.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize("value", [np.inf, 3e38])
def test_saturated_gates_hide_infinities_from_the_loss_but_not_from_the_eye(value: float) -> None:
    inputs = samples(SHAPES["lstm"])
    inputs[3, 2, 1] = value
    passed = small("lstm").forward(inputs, np.arange(6))
    assert np.isfinite(passed.losses).all()
    assert {one.layer for one in passed.seen} == {"input", "lstm"}


@pytest.mark.parametrize("kind", ["softmax", "mlp", "conv"])
def test_half_precision_shows_what_overflows_in_it(kind: str) -> None:
    inputs = samples(SHAPES[kind]) * 0.1
    inputs[..., 4] = 6e4
    assert small(kind).forward(inputs, np.arange(6)).seen == ()
    assert small(kind, half=True).forward(inputs * 1.2, np.arange(6)).seen[0].finite.tolist() == [
        True, True, True, True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
def test_steps_of_gradient_descent_lower_the_loss(kind: str) -> None:
    network, inputs, labels = small(kind), samples(SHAPES[kind], 16), np.arange(16) % 10
    losses = [network.step(inputs, labels, 0.3) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_a_scale_that_is_too_large_explodes(kind: str) -> None:
    network, inputs, labels = small(kind), samples(SHAPES[kind], 16) * 1e12, np.arange(16) % 10
    losses = [network.step(inputs, labels, 1.0) for _ in range(12)]
    assert not np.isfinite(losses[-1]) or losses[-1] > 1e20


@pytest.mark.parametrize(("kind", "shape"), [("conv", (40,)), ("lstm", (3, 8, 8)), ("rnn", (4, 4))])
def test_a_shape_that_does_not_fit_is_refused(kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs|no network"):
        build_network(kind, shape, 10, "softmax")


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 7, 8, 9, 16])
def test_any_image_has_a_convolution(side: int) -> None:
    network = build_network("conv", (1, side, side + 1), 3, "softmax")
    assert np.isfinite(network.forward(samples((1, side, side + 1)), np.arange(6) % 3).losses).all()
