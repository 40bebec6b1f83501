"""``datascan probe`` and ``datascan check --probe`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

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
    ],
)
def test_bad_use_gets_a_clear_line(
    argv: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
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
