"""Training on the first batches: the curve, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.probe_sets import floats, with_value, write, write_values
from tests.test_layouts.messages import Datum

from datascan.scanner import SourceReport, check
from datascan.scanner.crew import Crew


def trained(path: Path, crew: Crew, **given: Any) -> SourceReport:
    (report,) = check(path, crew=crew, select=("probe",), probe=given, batch_size=8).reports
    return report


def test_a_healthy_set_is_learned(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    data[:, 0] += labels[:, None, None]
    report = trained(write("lmdb", tmp_path, data, labels), crew, train_steps=60, rate=0.1)
    curve = report.statistics["probe"]["training"]
    assert report.findings == ()
    assert len(curve["losses"]) == 60
    assert curve["rate"] == 0.1
    assert curve["losses"][-1] < 0.5 * curve["losses"][0]


def test_a_scale_that_makes_training_explode_is_seen_to_explode(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    path = write("hdf5", tmp_path, data * 1e5, labels / 7)
    report = trained(path, crew, train_steps=40, rate=0.1, net="mlp", loss="squared")
    (finding,) = report.findings
    assert finding.rule == "probe-non-finite"
    assert finding.message.startswith("training at a rate of 0.1 explodes: the loss of step")
    losses = report.statistics["probe"]["training"]["losses"]
    assert finding.data["step"] == len(losses) - 1
    assert losses[-1] in ("inf", "nan")
    assert trained(path, crew, train_steps=40, rate=0.01, scale=1e-5, net="mlp", loss="squared").findings == ()


def test_the_step_that_meets_a_nan_ends_training(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(np.nan)(data, labels)
    report = trained(write("leveldb", tmp_path, data, labels), crew, train_steps=30)
    assert len(report.statistics["probe"]["training"]["losses"]) == 23 // 8 + 1
    assert {finding.location.index for finding in report.findings} == {None, 23}


def test_each_network_and_loss_can_be_trained(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    path = write("hdf5", tmp_path, data, labels)
    for net in ("softmax", "mlp", "conv", "lstm"):
        for dtype in ("float32", "float16"):
            report = trained(path, crew, train_steps=10, net=net, dtype=dtype)
            assert len(report.statistics["probe"]["training"]["losses"]) == 10


def test_batches_are_cut_across_partitions_and_passes(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    path = write("hdf5", tmp_path, data, labels)
    (report,) = check(path, crew=crew, probe={"train_steps": 5}, batch_size=24).reports
    curve = report.statistics["probe"]["training"]["losses"]
    wide = tmp_path / "twice"
    wide.mkdir()
    twice = write("hdf5", wide, np.concatenate([data, data, data]), np.concatenate([labels, labels, labels]))
    (again,) = check(twice, crew=crew, probe={"train_steps": 5}, batch_size=24).reports
    assert again.statistics["probe"]["training"]["losses"] == curve


def test_samples_of_other_shapes_are_left_out_and_counted(tmp_path: Path, crew: Crew) -> None:
    values = []
    for index in range(40):
        side = 6 if index % 4 == 3 else 8
        pixels = np.random.default_rng(index).integers(0, 256, (3, side, side), np.uint8)
        datum = Datum(channels=3, height=side, width=side, data=pixels.tobytes(), label=index % 5)
        values.append(datum.SerializeToString())
    report = trained(write_values("lmdb", tmp_path, values), crew, train_steps=6, scale=0.01)
    assert report.statistics["probe"]["training"]["left_out"] == 10
    assert len(report.statistics["probe"]["training"]["losses"]) == 6
    assert report.statistics["probe"]["networks"] == {"conv on 3x6x6": 10, "conv on 3x8x8": 30}
