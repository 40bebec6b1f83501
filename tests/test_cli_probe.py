"""``datascan probe`` and ``datascan check --probe`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.probe_sets import GUILTY, floats, with_label, with_value, write, write_pixels

from datascan.scanner.__main__ import main


@pytest.fixture
def nan_set(tmp_path: Path) -> Path:
    data, labels = floats()
    with_value(np.nan)(data, labels)
    return write("lmdb", tmp_path, data, labels)


def test_the_network_is_shown_before_it_runs(nan_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(nan_set), "--batch-size", "10"]) == 1
    out = capsys.readouterr().out
    shown, _, report = out.partition("FAIL")
    assert shown.splitlines() == [
        str(nan_set),
        "network  conv on 3x8x9, softmax cross-entropy, float32",
        "  conv  conv    8x8x9    608 parameters",
        "  relu  relu    8x8x9",
        "  pool  pool    8x4x5",
        "  head  linear  10     1,610 parameters",
        "  2,218 parameters; batches of 10",
        "  its loss stays finite although one input is 3e38: inputs and layers are",
        "  tested, too",
        "",
    ]
    assert "00000023" in report
    assert "training meets it in\n       batch 2 of 10 records" in report or "batch 2 of 10" in report


def test_an_lstm_shows_what_num_units_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("hdf5", tmp_path, *floats((28, 28)))
    assert main(["probe", str(path), "--net", "lstm", "--num-units", "128"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "network lstm on 28x28, softmax" in out
    assert "lstm lstm 128 80,384 parameters head linear 10 1,290 parameters 81,674 parameters" in out


def test_probe_and_check_find_the_same(nan_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for argv in (["probe"], ["check", "--probe"]):
        assert main([*argv, str(nan_set), "--output", "json", "--batch-size", "7", "--iter-size", "2"]) == 1
        report = json.loads(capsys.readouterr().out)["reports"][0]
        found.append([f for f in report["findings"] if f["rule"].startswith("probe")])
        assert report["statistics"]["probe"]["samples"] == 40
    assert found[0] == found[1]
    assert found[0][0]["location"]["index"] == GUILTY
    assert found[0][0]["data"] == {
        "layer": "input",
        "input_finite": False,
        "loss": "nan",
        "batch": 3,
        "iteration": 1,
        "loss_bad_from": 1,
    }


def test_check_alone_runs_no_network(nan_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(nan_set), "--output", "json"]) == 1
    report = json.loads(capsys.readouterr().out)["reports"][0]
    assert "probe" not in report["statistics"]
    assert not [entry for entry in report["coverage"]["not_run"] if entry["rule"].startswith("probe")]


def test_a_rule_of_the_probe_that_is_asked_for_without_it_was_not_run(
    nan_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(nan_set), "--select", "probe", "--output", "json"]) == 0
    report = json.loads(capsys.readouterr().out)["reports"][0]
    assert [entry["rule"] for entry in report["coverage"]["not_run"]] == ["probe-non-finite", "probe-failed"]


def data_layer(name: str, rest: str = "") -> str:
    return f'layer {{ name: "{name}" type: "Data" top: "d" top: "l" data_param {{ source: "{name}_lmdb" {rest} }} '


DEPLOY = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 6 } } }'
NETS = {
    "mean": "numbers: 3",
    "cut": "layer { name: ",
    "deploy": DEPLOY,
    "two": data_layer("a", "batch_size: 3") + "}\n" + data_layer("b", "batch_size: 4") + "}",
    "lost": data_layer("a") + 'transform_param { mean_file: "gone.binaryproto" } }',
    "one.prototxt": data_layer("a") + "}",
}


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["check", "SET", "--scale", "2"], "--scale is about a network; give --probe as well"),
        (["probe", "SET", "--mean-value", "a"], "'a' is no number"),
        (["probe", "SET", "--mean-file", "nowhere"], "can't read the mean file nowhere"),
        (["probe", "SET", "--mean-file", "mean", "--mean-value", "1"], "--mean-file and --mean-value were both given"),
        (["probe", "SET", "--mean-value", "1,2"], "2 numbers of --mean-value for samples of 3 channels"),
        (["probe", "SET", "--onnx", "a", "--torch", "b"], "--onnx and --torch were both given"),
        (["probe", "SET", "--onnx", "nowhere"], "can't read the model nowhere"),
        (["probe", "SET", "--crop", "21"], "the crop of 21 is larger than the image, 24x20"),
        (["probe", "ROWS", "--net", "conv"], "a conv network reads images; the samples are 6"),
        (["probe", "SET", "--num-units", "0"], "0 is not in the range"),
        (["probe", "SET", "--onnx", "a", "--net", "conv"], "--net is for the probe's own networks; --onnx runs yours"),
        (["probe", "SET", "--torch", "a", "--train-steps", "3"], "--train-steps is for the probe's own networks"),
        (["probe", "SET", "--onnx", "a", "--dtype", "float16"], "--onnx computes in its own precision"),
        (["probe", "SET", "--weights", "a"], "--weights belongs to a net in prototxt: give it with --caffe"),
        (["probe", "SET", "--phase", "test"], "--phase belongs to a net in prototxt"),
        (["probe", "SET", "--caffe", "nowhere"], "nowhere: no such file"),
        (["probe", "SET", "--caffe", "mean"], "mean: neither a solver nor a net"),
        (["probe", "SET", "--caffe", "cut"], "cut is no prototxt"),
        (["probe", "SET", "--prototxt", "deploy"], "deploy has no data layer that names a source"),
        (["probe", "SET", "--prototxt", "two"], "two has several data layers (a, b), and none of them names"),
        (["probe", "SET", "--prototxt", "lost"], "layer a subtracts gone.binaryproto, which is not found"),
        (["probe", "one.prototxt", "--prototxt", "two"], "one.prototxt says itself how its sources are read"),
    ],
)
def test_bad_use_gets_a_clear_line(
    argv: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text_of in NETS.items():
        (tmp_path / name).write_text(text_of, encoding="utf-8")
    sets = {"SET": str(write_pixels("lmdb", tmp_path)), "ROWS": str(write("hdf5", tmp_path, *floats((6,))))}
    assert main([sets.get(word, word) for word in argv]) == 2
    err = capsys.readouterr().err
    assert text in " ".join(err.split())
    assert "Traceback" not in err


def test_labels_beyond_the_outputs_are_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, labels = floats()
    with_label(7)(data, labels)
    path = write("leveldb", tmp_path, data, labels)
    assert main(["probe", str(path), "--outputs", "5"]) == 1
    assert "label 7 is none of the network's 5 outputs" in " ".join(capsys.readouterr().out.split())
    assert main(["probe", str(path)]) == 0


def test_the_curve_of_training_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("hdf5", tmp_path, *floats())
    assert main(["probe", str(path), "--train-steps", "20", "--rate", "0.05", "--batch-size", "8"]) == 0
    assert "trained 20 steps at a rate of 0.05: loss" in capsys.readouterr().out


def test_quiet_shows_no_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("hdf5", tmp_path, *floats())
    assert main(["probe", str(path), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_a_source_that_is_not_there_is_left_to_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("hdf5", tmp_path, *floats())
    assert main(["probe", str(tmp_path / "nowhere"), str(path)]) == 3
    out = capsys.readouterr().out
    assert "PASS" in out


def test_a_source_without_samples_is_no_reason_to_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["data"], file["label"] = np.empty((0, 3, 4, 4), np.float32), np.empty(0, np.float32)
    assert main(["probe", str(tmp_path / "empty.h5")]) in (0, 1)
    assert "bug" not in capsys.readouterr().err


def train_val(folder: Path, transform: str = "") -> str:
    """A net whose data layer reads the set ``lmdb`` in a folder."""
    path = folder / "train_val.prototxt"
    path.write_text(
        'layer { name: "data" type: "Data" top: "data" top: "label" '
        f'data_param {{ source: "lmdb" backend: LMDB batch_size: 7 }} transform_param {{ {transform} }} }}\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5 '
        'weight_filler { type: "xavier" } } }\n'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }\n',
        encoding="utf-8",
    )
    return str(path)


def told(path: Path) -> dict[str, Any]:
    reports = json.loads(path.read_text(encoding="utf-8"))["reports"]
    return next(dict(one) for one in reports if "probe" in one.get("statistics", {}))


@pytest.mark.parametrize("command", [["probe"], ["check", "--probe"]])
def test_what_a_net_reads_is_probed_as_it_trains(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pixels("lmdb", tmp_path)
    net = train_val(tmp_path, "scale: 1e38 mean_value: 4 crop_size: 10")
    monkeypatch.chdir(tmp_path)
    assert main([*command, net, "-q", "-o", "json=report.json"]) == 1
    report = told(tmp_path / "report.json")
    assert report["statistics"]["probe"]["batch_size"] == 7
    assert "on 3x10x10 of 3x20x24" in report["statistics"]["probe"]["network"]
    assert report["counts"]["error"] == 40
    assert "which becomes inf as input" in report["findings"][0]["message"]
    given = ["--scale", "0.01", "--batch-size", "8"]
    assert main([*command, net, *given, "-q", "-o", "json=report.json"]) == 0
    assert told(tmp_path / "report.json")["statistics"]["probe"]["batch_size"] == 8
    if command == ["probe"]:
        capsys.readouterr()
        main([*command, net, *given])
        shown = " ".join(capsys.readouterr().out.split())
        assert "preprocessing of layer data in" in shown
        assert "the crop is the middle one" in shown


@pytest.mark.parametrize("option", ["--prototxt", "--caffe"])
def test_a_set_is_read_as_a_net_says(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_pixels("lmdb", tmp_path)
    net = train_val(tmp_path, "scale: 0.01 crop_size: 10")
    monkeypatch.chdir(tmp_path)
    assert main(["probe", str(source), option, net, "-q", "-o", "json=report.json"]) == 0
    settled = told(tmp_path / "report.json")["statistics"]["probe"]
    assert settled["batch_size"] == 7
    assert settled["networks"] == {f"{'conv' if option == '--prototxt' else 'caffe net'} on 3x10x10 of 3x20x24": 40}
    assert settled["layers"][-1]["shape"] == ([5] if option == "--prototxt" else [])


def test_no_report_is_written_over_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, net = write_pixels("lmdb", tmp_path), train_val(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = Path(net).read_bytes()
    assert main(["probe", str(source), "--caffe", net, "-o", f"json={net}"]) == 2
    assert Path(net).read_bytes() == before
