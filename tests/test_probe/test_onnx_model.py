"""A user's own model in ONNX: run, looked into, and refused where it can't be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.probe_sets import GUILTY, floats, with_label, with_value, write, write_encoded

from datascan.backends.errors import MissingDependency, UsageError
from datascan.scanner import Report, check
from datascan.scanner.crew import Crew
from datascan.scanner.probe import onnx_model


def save(path: Path, nodes: Sequence[Any], shape: Sequence[Any], outputs: int = 10, **weights: Any) -> str:
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], outputs])],
        [numpy_helper.from_array(np.asarray(values, np.float32), name) for name, values in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), str(path))
    return str(path)


def linear(path: Path, shape: Sequence[Any], outputs: int = 10, before: Sequence[Any] = (), **weights: Any) -> str:
    """Flatten and inner product, behind other nodes that turn ``x`` into ``h``."""
    size = int(np.prod(shape[1:]))
    nodes = [
        *(before or [helper.make_node("Identity", ["x"], ["h"])]),
        helper.make_node("Flatten", ["h"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"], transB=1),
    ]
    random = np.random.default_rng(1)
    return save(path, nodes, shape, outputs, w=random.normal(0, 0.05, (outputs, size)), **weights)


def probe(path: Path, crew: Crew, model: str, **given: Any) -> Report:
    return check(path, crew=crew, select=("probe",), probe={"onnx": model}, **given)


@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_the_record_is_named_by_a_users_model(batch: object, value: float, tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(value)(data, labels)
    model = linear(tmp_path / "m.onnx", [batch, 3, 8, 9])
    (report,) = probe(write("lmdb", tmp_path, data, labels), crew, model).reports
    (finding,) = report.findings
    assert (finding.rule, finding.location.index) == ("probe-non-finite", GUILTY)
    assert report.statistics["probe"]["networks"] == {"onnx model on 3x8x9": 40}
    assert report.statistics["probe"]["layers"] == [
        {"name": "model", "kind": "onnx model", "shape": [10], "parameters": 2160}
    ]


def test_losses_are_those_of_the_model(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    model = linear(tmp_path / "m.onnx", ["n", 3, 8, 9])
    (report,) = probe(write("hdf5", tmp_path, data, labels), crew, model).reports
    weights = np.random.default_rng(1).normal(0, 0.05, (10, 216)).astype(np.float32)
    outputs = data.reshape(40, -1) @ weights.T
    losses = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(40), labels.astype(int)]
    assert report.statistics["probe"]["loss"]["mean"] == pytest.approx(losses.mean(), rel=1e-4)
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["z"], transB=1),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    soft = save(tmp_path / "soft.onnx", nodes, ["n", 3, 8, 9], w=weights)
    (again,) = probe(tmp_path / "train.h5", crew, soft).reports
    assert again.statistics["probe"]["loss"]["mean"] == pytest.approx(losses.mean(), rel=1e-4)


def test_a_model_that_hides_what_it_is_given_is_found_out(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(np.nan)(data, labels)
    before = [
        helper.make_node("IsNaN", ["x"], ["is"]),
        helper.make_node("Where", ["is", "zero", "x"], ["some"]),
        helper.make_node("Clip", ["some", "low", "high"], ["h"]),
    ]
    model = linear(tmp_path / "m.onnx", ["n", 3, 8, 9], 10, before, zero=0, low=-10, high=10)
    (report,) = probe(write("hdf5", tmp_path, data, labels), crew, model).reports
    assert report.statistics["probe"]["masks"] == ["NaN", "Inf", "3e38"]
    assert any("a finite loss proves nothing for these" in entry.reason for entry in report.coverage.not_run)
    (finding,) = report.findings
    assert finding.location.index == GUILTY
    assert "which hides it" in finding.message


def test_an_overflow_inside_of_the_model_is_seen_and_named(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    data[GUILTY] *= 50
    before = [
        helper.make_node("Exp", ["x"], ["large"]),
        helper.make_node("Clip", ["large", "low", "high"], ["h"]),
    ]
    model = linear(tmp_path / "m.onnx", ["n", 3, 8, 9], 10, before, low=-10, high=10)
    (report,) = probe(write("hdf5", tmp_path, data, labels), crew, model).reports
    (finding,) = report.findings
    assert (finding.location.index, finding.data["layer"]) == (GUILTY, "large")
    assert finding.data["input_finite"] is True


def test_encoded_images_are_resized_to_what_the_model_reads(tmp_path: Path, crew: Crew) -> None:
    model = linear(tmp_path / "m.onnx", ["n", 3, 24, 32])
    (report,) = probe(write_encoded("lmdb", tmp_path, "JPEG"), crew, model).reports
    assert report.statistics["probe"]["networks"] == {"onnx model on 3x24x32": 40}
    assert report.findings == ()


def test_channels_may_come_last(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats((20, 30, 3))
    data[GUILTY, 4, 5, 1] = np.nan
    model = linear(tmp_path / "m.onnx", ["n", 20, 30, 3])
    (report,) = probe(write("hdf5", tmp_path, data, labels), crew, model).reports
    assert [finding.location.element for finding in report.findings] == [(4, 5, 1)]


def test_labels_beyond_the_models_outputs_are_named(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_label(5)(data, labels)
    model = linear(tmp_path / "m.onnx", ["n", 3, 8, 9], 5)
    (report,) = probe(write("lmdb", tmp_path, data, labels), crew, model).reports
    (finding,) = report.findings
    assert (finding.rule, finding.location.index) == ("probe-failed", GUILTY)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: linear(path, ["n", 3, 9, 9]), "samples are 3x8x9, the model reads 3x9x9"),
        (lambda path: str(path / "nowhere"), "can't read the model"),
        (lambda path: path.write_bytes(b"\x80\x04N.") and str(path), "is no ONNX model"),
        (lambda path: path.write_bytes(b"") or str(path), "is no ONNX model"),
        (
            lambda path: save(path, [helper.make_node("Nonsense", ["x"], ["y"])], ["n", 3, 8, 9]),
            "ONNX Runtime can't run",
        ),
        (lambda path: linear(path, ["n", 3, 8, 9], 1), "1 output, which can't tell classes apart"),
    ],
)
def test_a_model_that_can_not_be_used_is_refused_in_one_line(make: Any, text: str, tmp_path: Path, crew: Crew) -> None:
    path = write("hdf5", tmp_path, *floats())
    with pytest.raises(UsageError, match=text) as caught:
        probe(path, crew, make(tmp_path / "m.onnx"))
    assert "\n" not in str(caught.value)


def test_weights_in_other_files_are_not_read(tmp_path: Path, crew: Crew) -> None:
    path = write("hdf5", tmp_path, *floats())
    inside = linear(tmp_path / "m.onnx", ["n", 3, 8, 9])
    model = onnx.load(inside)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    (tmp_path / "out.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="keeps weights in other files"):
        probe(path, crew, str(tmp_path / "out.onnx"))


def test_a_missing_extra_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"pip install 'datascan\[onnx\]'"):
        onnx_model.OnnxModel(str(tmp_path / "m.onnx"))
