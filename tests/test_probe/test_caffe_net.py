"""A user's Caffe net with its weights: run as Caffe runs it, fed as its data layer says, refused where it can't be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.probe_sets import (
    GUILTY,
    STORES,
    encoded,
    floats,
    with_label,
    with_value,
    write,
    write_pixels,
    write_values,
)
from tests.test_layouts.messages import Datum
from tests.test_probe.caffe_layer import write_weights

from datascan.backends.errors import UsageError
from datascan.scanner import SourceReport, check
from datascan.scanner.crew import Crew
from datascan.scanner.probe.caffe.net import SUPPORTED

Array = NDArray[Any]
CAFFE = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "caffe"
present = pytest.mark.skipif(not CAFFE.exists(), reason="the data sets that Caffe wrote are not here")

LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "head" bottom: "label" top: "loss" }'
HEAD = """
layer {{ name: "head" type: "InnerProduct" bottom: "{bottom}" top: "head"
  inner_product_param {{ num_output: 5 weight_filler {{ type: "xavier" }} }} }}
"""
CONV = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 group: 1 weight_filler { type: "msra" } } }
layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
"""


def data_layer(param: str = 'source: "train"', transform: str = "", kind: str = "Data") -> str:
    name = {"Data": "data_param", "HDF5Data": "hdf5_data_param"}[kind]
    return (
        f'layer {{ name: "data" type: "{kind}" top: "data" top: "label" include {{ phase: TRAIN }} '
        f"transform_param {{ {transform} }} {name} {{ batch_size: 10 {param} }} }}"
    )


def net(path: Path, *parts: str) -> str:
    path.write_text("\n".join(['name: "net"', *parts]), encoding="utf-8")
    return str(path)


def small(path: Path, kind: str = "Data", transform: str = "") -> str:
    return net(path, data_layer(kind=kind, transform=transform), CONV, HEAD.format(bottom="pool"), LOSS)


def probe(source: Path | str, crew: Crew, model: str, **given: Any) -> SourceReport:
    options = {name: given.pop(name) for name in ("batch_size", "crop", "num_classes") if name in given}
    (report,) = check(source, crew=crew, select=("probe",), probe={"caffe": model, **given}, **options).reports
    assert report.error is None, report.error
    return report


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_the_record_is_named(store: str, value: float, tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(value)(data, labels)
    kind = "HDF5Data" if store == "hdf5" else "Data"
    report = probe(write(store, tmp_path, data, labels), crew, small(tmp_path / "net.prototxt", kind))
    (finding,) = report.findings
    assert (finding.rule, finding.location.index) == ("probe-non-finite", GUILTY)
    assert finding.data["batch"] == GUILTY // 10
    assert finding.data["input_finite"] == np.isfinite(value)


@pytest.mark.parametrize("store", STORES)
def test_clean_sets_have_no_finding(store: str, tmp_path: Path, crew: Crew) -> None:
    kind = "HDF5Data" if store == "hdf5" else "Data"
    report = probe(write(store, tmp_path, *floats()), crew, small(tmp_path / "net.prototxt", kind))
    assert report.findings == ()
    told = report.statistics["probe"]
    assert told["finite_losses"] == told["samples"] == 40
    assert [(layer["name"], layer["shape"], layer["parameters"]) for layer in told["layers"]] == [
        ("conv", [4, 6, 7], 112),
        ("norm", [4, 6, 7], 9),
        ("scale", [4, 6, 7], 8),
        ("relu", [4, 6, 7], 0),
        ("pool", [4, 3, 4], 0),
        ("head", [5], 245),
        ("loss", [], 0),
    ]
    assert told["batch_size"] == 10


def test_caffes_max_pooling_hides_nan_which_the_report_says(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(np.nan)(data, labels)
    pool = (
        'layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }'
    )
    model = net(tmp_path / "net.prototxt", data_layer(), pool, HEAD.format(bottom="pool"), LOSS)
    report = probe(write("lmdb", tmp_path, data, labels), crew, model)
    (finding,) = report.findings
    assert finding.location.index == GUILTY
    assert "which hides it" in finding.message
    assert "NaN" in report.statistics["probe"]["masks"]
    assert any("NaN" in one.reason for one in report.coverage.not_run)


def test_labels_beyond_the_outputs_are_named(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_label(5)(data, labels)
    report = probe(write("leveldb", tmp_path, data, labels), crew, small(tmp_path / "net.prototxt"))
    (finding,) = report.findings
    assert (finding.rule, finding.location.index) == ("probe-failed", GUILTY)
    assert "label 5" in finding.message


def mean_loss(report: SourceReport) -> float:
    return float(report.statistics["probe"]["loss"]["mean"])


def by_hand(data: Array, labels: Array, weight: Array, bias: Array) -> float:
    """Softmax cross-entropy behind an inner product, in float64."""
    scores = data.reshape(len(data), -1).astype(np.float64) @ weight.T + bias
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(data)), labels.astype(int)].mean())


@pytest.mark.parametrize("old", [False, True])
def test_weights_are_those_of_the_file_new_and_old(old: bool, tmp_path: Path, crew: Crew) -> None:
    random = np.random.default_rng(3)
    data, labels = floats()
    weight, bias = random.normal(0, 0.1, (5, 216)), random.normal(0, 1, 5)
    model = net(tmp_path / "net.prototxt", data_layer(), HEAD.format(bottom="data"), LOSS)
    weights = write_weights(tmp_path / "w.caffemodel", {"head": [weight, bias], "other": [bias]}, old=old)
    report = probe(write("lmdb", tmp_path, data, labels), crew, model, weights=weights)
    assert mean_loss(report) == pytest.approx(by_hand(data, labels, weight, bias), rel=1e-5)
    assert report.statistics["probe"]["notes"][1:] == []


def test_layers_of_the_old_style(tmp_path: Path, crew: Crew) -> None:
    text = """
    layers { name: "data" type: DATA top: "data" top: "label" data_param { batch_size: 10 scale: 0.5 } }
    layers { name: "head" type: INNER_PRODUCT bottom: "data" top: "head" inner_product_param { num_output: 5 } }
    layers { name: "loss" type: SOFTMAX_LOSS bottom: "head" bottom: "label" }
    """
    random = np.random.default_rng(3)
    data, labels = floats()
    weight, bias = random.normal(0, 0.1, (5, 216)), random.normal(0, 1, 5)
    weights = write_weights(tmp_path / "w.caffemodel", {"head": [weight, bias]}, old=True)
    model = net(tmp_path / "net.prototxt", text)
    report = probe(write("lmdb", tmp_path, data, labels), crew, model, weights=weights)
    assert mean_loss(report) == pytest.approx(by_hand(data, labels, weight, bias), rel=1e-5)


def test_the_data_layers_preprocessing_is_taken(tmp_path: Path, crew: Crew) -> None:
    random = np.random.default_rng(3)
    source = write_pixels("lmdb", tmp_path)
    transform = "scale: 0.01 mean_value: 100 mean_value: 110 mean_value: 120 crop_size: 8 mirror: true"
    weight, bias = random.normal(0, 0.1, (5, 192)), random.normal(0, 1, 5)
    model = net(tmp_path / "net.prototxt", data_layer(transform=transform), HEAD.format(bottom="data"), LOSS)
    weights = write_weights(tmp_path / "w.caffemodel", {"head": [weight, bias]})
    report = probe(source, crew, model, weights=weights)
    pixels = np.random.default_rng(9)
    data = np.stack([pixels.integers(0, 256, (3, 20, 24), np.uint8) for _ in range(40)])[:, :, 6:14, 8:16]
    prepared = (data - np.array([100, 110, 120]).reshape(3, 1, 1)) * 0.01
    assert mean_loss(report) == pytest.approx(by_hand(prepared, np.arange(40) * 3 % 5, weight, bias), rel=1e-4)
    assert report.statistics["probe"]["notes"] == [
        f"preprocessing of layer data in {model}; mirror not imitated; the crop is the middle one"
    ]
    other = probe(source, crew, model, weights=weights, mean_values=(0.0,))
    assert mean_loss(other) == pytest.approx(by_hand(data * 0.01, np.arange(40) * 3 % 5, weight, bias), rel=1e-4)


def test_layers_without_stored_weights_are_drawn_and_said(tmp_path: Path, crew: Crew) -> None:
    weights = write_weights(tmp_path / "w.caffemodel", {"head": [np.zeros((5, 48)), np.zeros(5)]})
    report = probe(write("lmdb", tmp_path, *floats()), crew, small(tmp_path / "net.prototxt"), weights=weights)
    assert mean_loss(report) == pytest.approx(np.log(5), rel=1e-5)
    assert f"{weights} has no weights for conv, norm, scale: they are drawn" in report.statistics["probe"]["notes"][-1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_the_finding(bad: float, tmp_path: Path, crew: Crew) -> None:
    weight = np.zeros((5, 48))
    weight[2, 3] = bad
    weights = write_weights(tmp_path / "w.caffemodel", {"head": [weight, np.zeros(5)]})
    report = probe(write("lmdb", tmp_path, *floats()), crew, small(tmp_path / "net.prototxt"), weights=weights)
    (finding,) = report.findings
    assert finding.message.startswith(f"the weights {weights} hold 1 values that are not finite in layer head")


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        ('type: "Dropout" dropout_param { dropout_ratio: 1 }', "odd"),
        ('type: "Log" log_param { scale: 0 shift: -1 }', "odd"),
    ],
)
def test_a_net_that_spoils_every_loss_is_the_finding(layer: str, where: str, tmp_path: Path, crew: Crew) -> None:
    odd = f'layer {{ name: "odd" bottom: "data" top: "odd" {layer} }}'
    model = net(tmp_path / "net.prototxt", data_layer(), odd, HEAD.format(bottom="odd"), LOSS)
    (finding,) = probe(write("lmdb", tmp_path, *floats()), crew, model).findings
    assert "by itself gives no finite loss" in finding.message
    assert f"first in {where}" in finding.message


def test_a_net_without_a_loss_gets_that_of_the_labels(tmp_path: Path, crew: Crew) -> None:
    head = HEAD.format(bottom="data")
    entry = 'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 dim: 8 dim: 9 } } }'
    softmax = 'layer { name: "prob" type: "Softmax" bottom: "head" top: "prob" }'
    source = write("lmdb", tmp_path, *floats())
    with_loss = probe(source, crew, net(tmp_path / "a.prototxt", data_layer(), head, LOSS))
    for name, parts in {"b": (entry, head), "c": (entry, head, softmax)}.items():
        report = probe(source, crew, net(tmp_path / f"{name}.prototxt", *parts))
        assert mean_loss(report) == pytest.approx(mean_loss(with_loss), rel=1e-5)


def test_only_the_layers_of_the_phase_are_run(tmp_path: Path, crew: Crew) -> None:
    noise = 'layer { name: "odd" type: "Python" bottom: "head" top: "odd" include { phase: TEST } }'
    accuracy = 'layer { name: "hits" type: "Accuracy" bottom: "head" bottom: "label" top: "hits" }'
    head = HEAD.format(bottom="data")
    model = net(
        tmp_path / "net.prototxt", data_layer().replace("include { phase: TRAIN }", ""), head, noise, accuracy, LOSS
    )
    report = probe(write("lmdb", tmp_path, *floats()), crew, model)
    assert [layer["name"] for layer in report.statistics["probe"]["layers"]] == ["head", "loss"]


def test_losses_are_weighed_and_summed(tmp_path: Path, crew: Crew) -> None:
    head, source = HEAD.format(bottom="data"), write("lmdb", tmp_path, *floats())
    one = mean_loss(probe(source, crew, net(tmp_path / "a.prototxt", data_layer(), head, LOSS)))
    second = LOSS.replace('"loss"', '"aux"').replace("top:", "loss_weight: 0.5 top:")
    both = mean_loss(probe(source, crew, net(tmp_path / "b.prototxt", data_layer(), head, LOSS, second)))
    assert both == pytest.approx(1.5 * one, rel=1e-6)


def test_targets_and_several_labels(tmp_path: Path, crew: Crew) -> None:
    data, _ = floats()
    random = np.random.default_rng(1)
    head = HEAD.format(bottom="data")
    for loss, labels in {
        "EuclideanLoss": random.standard_normal((40, 5), np.float32),
        "SigmoidCrossEntropyLoss": random.integers(0, 2, (40, 5)).astype(np.float32),
    }.items():
        with h5py.File(tmp_path / "train.h5", "w") as file:
            file["data"], file["label"] = data, labels
        model = net(tmp_path / "net.prototxt", data_layer(kind="HDF5Data"), head, LOSS.replace("SoftmaxWithLoss", loss))
        report = probe(tmp_path / "train.h5", crew, model)
        assert report.findings == ()
        assert report.statistics["probe"]["finite_losses"] == 40


def test_half_precision(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(70000.0)(data, labels)
    model, source = small(tmp_path / "net.prototxt"), write("lmdb", tmp_path, data, labels)
    assert probe(source, crew, model).findings == ()
    (finding,) = probe(source, crew, model, dtype="float16").findings
    assert finding.location.index == GUILTY


REFUSED: dict[str, tuple[Sequence[str], str]] = {
    "unsupported": (
        ['layer { name: "rnn" type: "LSTM" bottom: "data" top: "rnn" }', HEAD.format(bottom="rnn"), LOSS],
        "layer rnn is of type LSTM, which the probe does not run; it runs " + ", ".join(SUPPORTED),
    ),
    "no-bottom": ([HEAD.format(bottom="dota"), LOSS], "Unknown bottom blob"),
    "mixes": (
        [
            'layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" flatten_param { axis: 0 } }',
            HEAD.format(bottom="flat").replace("num_output: 5", "axis: 0 num_output: 5"),
            LOSS,
        ],
        "can't be told record by record",
    ),
    "no-loss": ([], "neither a loss nor an output"),
    "kernel": (
        [CONV.replace("kernel_size: 3", "kernel_size: 12"), HEAD.format(bottom="pool"), LOSS],
        "a kernel of 12 on an input of 8",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nets_that_are_not_run(name: str, tmp_path: Path, crew: Crew) -> None:
    parts, reason = REFUSED[name]
    model = net(tmp_path / "net.prototxt", data_layer(), *parts)
    with pytest.raises(UsageError) as caught:
        probe(write("lmdb", tmp_path, *floats()), crew, model)
    assert reason in str(caught.value)


def test_weights_that_do_not_fit(tmp_path: Path, crew: Crew) -> None:
    source, model = write("lmdb", tmp_path, *floats()), small(tmp_path / "net.prototxt")
    damaged = tmp_path / "damaged.caffemodel"
    write_weights(damaged, {"head": [np.zeros((5, 48)), np.zeros(5)]})
    damaged.write_bytes(damaged.read_bytes()[:-50])
    (tmp_path / "text").write_text("no weights", encoding="utf-8")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["data"] = np.zeros(3)
    cases = {
        write_weights(
            tmp_path / "a", {"head": [np.zeros((5, 49)), np.zeros(5)]}
        ): "5x48 in the net, 5x49 in the weights",
        write_weights(tmp_path / "b", {"head": [np.zeros((5, 48))]}): "2 arrays of weights in the net, 1 in the file",
        write_weights(tmp_path / "c", {"other": [np.zeros(5)]}): "has weights for no layer",
        str(damaged): "damaged",
        str(tmp_path / "text"): "is no .caffemodel",
        str(tmp_path / "w.h5"): "HDF5",
        str(tmp_path / "absent"): "can't read the weights",
    }
    for weights, reason in cases.items():
        with pytest.raises(UsageError) as caught:
            probe(source, crew, model, weights=weights)
        assert reason in str(caught.value)


def test_one_hot_labels_are_refused_as_caffe_refuses_them(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["data"], file["label"] = data, np.eye(5, dtype=np.float32)[labels.astype(int)]
    with pytest.raises(UsageError, match="labels are rows of 5; the net's loss takes one class number"):
        probe(tmp_path / "train.h5", crew, small(tmp_path / "net.prototxt", "HDF5Data"))


def test_images_of_other_sizes_are_said_record_by_record(tmp_path: Path, crew: Crew) -> None:
    values = [
        Datum(data=encoded("PNG", 24, 20 + 4 * (index == GUILTY)), label=index % 5, encoded=True).SerializeToString()
        for index in range(30)
    ]
    model = net(tmp_path / "net.prototxt", data_layer(), HEAD.format(bottom="data"), LOSS)
    weights = write_weights(tmp_path / "w", {"head": [np.zeros((5, 1440)), np.zeros(5)]})
    (finding,) = probe(write_values("lmdb", tmp_path, values), crew, model, weights=weights).findings
    assert (finding.rule, finding.location.index) == ("probe-failed", GUILTY)
    assert "5x1728 in the net, 5x1440 in the weights" in finding.message


@present
def test_the_loss_is_real_caffes(crew: Crew) -> None:
    weights = str(CAFFE / "data" / "models" / "healthy_iter_10.caffemodel")
    model = str(CAFFE / "runs" / "finetune_from_healthy_weights.train.prototxt")
    (report,) = check(
        CAFFE / "data" / "lmdb_gray", crew=crew, select=("probe",), limit=10, probe={"caffe": model, "weights": weights}
    ).reports
    assert mean_loss(report) == pytest.approx(1.16929, abs=2e-5)


@present
def test_weights_that_real_caffe_spoilt(crew: Crew) -> None:
    weights = str(CAFFE / "data" / "models" / "nan_iter_10.caffemodel")
    model = str(CAFFE / "runs" / "finetune_from_nan_weights.train.prototxt")
    (finding,) = probe(CAFFE / "data" / "lmdb_gray", crew, model, weights=weights).findings
    assert "16,384 values that are not finite in layer ip1" in finding.message


@present
@pytest.mark.parametrize("run", ["c4_leveldb_float_nan", "c4_lmdb_float_inf", "c4_lmdb_float_1e38"])
@pytest.mark.parametrize(("batch_size", "iter_size"), [(10, 1), (7, 1), (10, 2)])
def test_runs_of_real_caffe_break_where_their_own_net_says(
    run: str, batch_size: int, iter_size: int, crew: Crew
) -> None:
    model = CAFFE / "runs" / f"{run}.train.prototxt"
    report = probe(
        CAFFE / "data" / "faults" / run.removeprefix("c4_"),
        crew,
        str(model),
        batch_size=batch_size,
        iter_size=iter_size,
    )
    (finding,) = report.findings
    assert finding.location.index == 37
    assert finding.data["iteration"] == 37 // (batch_size * iter_size)
    if (batch_size, iter_size) == (10, 1):
        rows = json.loads((CAFFE / "runs.json").read_text(encoding="utf-8"))
        seen = next(row["first_non_finite"] for row in rows if row["run"] == run)
        assert finding.data["loss_bad_from"] == int(seen.rpartition("@")[2])


@present
def test_what_real_caffes_pooling_hid_is_named_nevertheless(crew: Crew) -> None:
    model = str(CAFFE / "runs" / "c4_lmdb_float_nan_relu_conv.train.prototxt")
    (finding,) = probe(CAFFE / "data" / "faults" / "lmdb_float_nan", crew, model).findings
    assert finding.location.index == 37
    assert "which hides it" in finding.message


@present
def test_pooling_that_spoilt_real_caffes_first_loss(crew: Crew) -> None:
    (finding,) = probe(CAFFE / "data" / "lmdb_raw", crew, str(CAFFE / "runs" / "c5_AVE_k1_s2.train.prototxt")).findings
    assert "shows first in pool1; training meets it in iteration 0" in finding.message


@present
@pytest.mark.parametrize(
    ("run", "layer"),
    [("c3_bn_eps0_batch1", "bn"), ("c3_bn_negeps", "bn"), ("c3_lrn_negalpha", "n1")],
)
def test_nets_that_were_nan_from_the_first_iteration_in_real_caffe(run: str, layer: str, crew: Crew) -> None:
    (finding,) = probe(CAFFE / "data" / "lmdb_raw", crew, str(CAFFE / "runs" / f"{run}.train.prototxt")).findings
    assert f"shows first in {layer}; training meets it in iteration 0" in finding.message
