"""Against PyTorch, where it is installed: layers forward and backward, and models saved by ``torch.export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.probe_sets import GUILTY, floats, with_value, write

from datascan.scanner import check
from datascan.scanner.probe.layers import Conv, Linear, Pool
from datascan.scanner.probe.losses import LOSSES, LossName
from datascan.scanner.probe.lstm import Lstm
from datascan.scanner.probe.network import build_network
from datascan.scanner.probe.torch_model import TorchModel

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")


def first(values: NDArray[Any]) -> Any:
    return torch.tensor(np.ascontiguousarray(np.moveaxis(values, -1, 0)))


def close(ours: NDArray[Any], theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_convolution_and_pooling_and_their_gradients() -> None:
    random = np.random.default_rng(1)
    conv, pool = Conv("c", 3, 4, 5, random, stride=2, pad=2), Pool("p", "max", 2, 2)
    inputs = random.standard_normal((3, 16, 15, 6), np.float32)
    x, w = first(inputs).requires_grad_(), torch.tensor(conv.params["weight"], requires_grad=True)
    b = torch.tensor(conv.params["bias"], requires_grad=True)
    theirs = torch.nn.functional.conv2d(x, w, b, stride=2, padding=2)
    theirs = torch.nn.functional.max_pool2d(theirs, 2, 2, ceil_mode=True)
    ours = pool.forward(conv.forward(inputs, True), True)
    close(np.moveaxis(ours, -1, 0), theirs)
    theirs.square().sum().backward()
    below = conv.backward(pool.backward(2 * ours))
    close(np.moveaxis(below, -1, 0), x.grad)
    close(conv.grads["weight"], w.grad)
    close(conv.grads["bias"], b.grad)


def test_lstm_and_its_gradients() -> None:
    random = np.random.default_rng(2)
    lstm = Lstm("l", 7, 5, random)
    theirs = torch.nn.LSTM(7, 5)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.tensor(lstm.params["kernel"]))
        theirs.weight_hh_l0.copy_(torch.tensor(lstm.params["recurrent"]))
        theirs.bias_ih_l0.copy_(torch.tensor(lstm.params["bias"]))
        theirs.bias_hh_l0.zero_()
    inputs = random.standard_normal((11, 7, 4), np.float32)
    x = torch.tensor(inputs.transpose(0, 2, 1).copy(), requires_grad=True)
    output = theirs(x)[0][-1]
    ours = lstm.forward(inputs, True)
    close(ours.T, output)
    output.square().sum().backward()
    close(lstm.backward(2 * ours).transpose(0, 2, 1), x.grad)
    close(lstm.grads["kernel"], theirs.weight_ih_l0.grad)
    close(lstm.grads["recurrent"], theirs.weight_hh_l0.grad)
    close(lstm.grads["bias"], theirs.bias_ih_l0.grad)
    assert sum(p.numel() for p in theirs.parameters()) == lstm.size + 4 * 5


def test_inner_product_losses_and_their_gradients() -> None:
    random = np.random.default_rng(3)
    linear = Linear("l", 12, 6, random)
    inputs, targets = random.standard_normal((12, 9), np.float32), random.random((9, 6)).astype(np.float32)
    labels = random.integers(0, 6, 9)
    functions = torch.nn.functional
    cases: dict[LossName, tuple[Any, Any]] = {
        "softmax": (labels, lambda y: functions.cross_entropy(y, torch.tensor(labels), reduction="none")),
        "sigmoid": (
            targets,
            lambda y: functions.binary_cross_entropy_with_logits(y, torch.tensor(targets), reduction="none").sum(1),
        ),
        "squared": (targets, lambda y: functions.mse_loss(y, torch.tensor(targets), reduction="none").sum(1) / 2),
    }
    for name, (wanted, function) in cases.items():
        x = first(inputs).requires_grad_()
        theirs = function(functions.linear(x, torch.tensor(linear.params["weight"])))
        loss, gradient = LOSSES[name]
        outputs = linear.forward(inputs, True)
        close(loss(outputs, wanted), theirs)
        theirs.sum().backward()
        close(np.moveaxis(linear.backward(gradient(outputs, wanted)), -1, 0), x.grad)


def small_net() -> Any:
    torch.manual_seed(0)
    layers = torch.nn
    return layers.Sequential(layers.Conv2d(3, 4, 3), layers.ReLU(), layers.Flatten(), layers.Linear(168, 10)).eval()


@pytest.mark.parametrize("dynamic", [True, False])
def test_an_exported_model_is_run_as_pytorch_runs_it(dynamic: bool, tmp_path: Path) -> None:
    net = small_net()
    shapes = {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamic else {}
    torch.export.save(torch.export.export(net, (torch.zeros(4, 3, 8, 9),), **shapes), str(tmp_path / "m.pt2"))
    model = TorchModel(str(tmp_path / "m.pt2"))
    assert model.wanted == (3, 8, 9)
    assert model.parameters == sum(p.numel() for p in net.parameters())
    samples = np.random.default_rng(5).standard_normal((7, 3, 8, 9), np.float32)
    close(model.run(samples)[0], net(torch.tensor(samples)))


def test_the_record_is_named_by_a_users_model(tmp_path: Path) -> None:
    program = torch.export.export(small_net(), (torch.zeros(4, 3, 8, 9),), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(program, str(tmp_path / "m.pt2"))
    data, labels = floats()
    with_value(np.nan)(data, labels)
    path = write("hdf5", tmp_path, data, labels)
    (report,) = check(path, jobs=1, select=("probe",), probe={"torch": str(tmp_path / "m.pt2")}).reports
    assert [finding.location.index for finding in report.findings] == [GUILTY]
    assert report.statistics["probe"]["networks"] == {"torch model on 3x8x9": 40}


@pytest.mark.parametrize("kind", ["softmax", "mlp", "conv"])
def test_steps_of_training_are_those_of_pytorch(kind: str) -> None:
    random = np.random.default_rng(6)
    shape = (3, 16, 16) if kind == "conv" else (12,)
    inputs, labels = random.standard_normal((*shape, 32), np.float32), random.integers(0, 5, 32)
    network = build_network(kind, shape, 5, "softmax")
    functions = torch.nn.functional
    weights = [
        {name: torch.tensor(values.copy(), requires_grad=True) for name, values in layer.params.items()}
        for layer in network.layers
    ]
    x, wanted = first(inputs), torch.tensor(labels)
    for _ in range(12):
        values = x
        for layer, own in zip(network.layers, weights, strict=True):
            if isinstance(layer, Conv):
                values = functions.conv2d(values, **own, stride=layer.stride, padding=layer.pad)
            elif isinstance(layer, Linear):
                values = functions.linear(values.flatten(1), **own)
            elif isinstance(layer, Pool):
                values = functions.max_pool2d(values, layer.kernel, layer.stride, ceil_mode=True)
            else:
                values = functions.relu(values)
        loss = functions.cross_entropy(values, wanted)
        loss.backward()
        assert network.step(inputs, labels, 0.1) == pytest.approx(float(loss.detach()), rel=1e-5)
        with torch.no_grad():
            for own in weights:
                for one in own.values():
                    one -= 0.1 * one.grad
                    one.grad = None
