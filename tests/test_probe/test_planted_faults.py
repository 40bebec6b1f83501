"""Faults planted in each store are named, record by record, by each network; clean sets give no finding."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from tests.probe_sets import (
    CLASSES,
    GUILTY,
    SHAPE,
    STORES,
    encoded,
    floats,
    key,
    with_label,
    with_value,
    write,
    write_encoded,
    write_pixels,
    write_values,
)
from tests.test_layouts.messages import Datum

from datascan.scanner import Finding, Report, check
from datascan.scanner.crew import Crew
from datascan.scanner.options import Statistics

NETS = ("auto", "softmax", "mlp", "conv", "lstm")
VALUES = {0: np.nan, 7: np.inf, 15: -np.inf, 23: 3e38, 30: -3e38}
LABELS = {3: CLASSES, 18: -1, 39: 1e6}
"""Faults by the record that has them."""


def probe(path: Path, crew: Crew, net: str = "auto", **given: Any) -> Report:
    fields = {name: given.pop(name) for name in list(given) if name in ("num_classes", "batch_size", "crop")}
    report = check(path, crew=crew, select=("probe",), probe={"net": net, **given}, **fields)
    assert report.reports[0].coverage.complete, report.reports[0].coverage
    return report


def coordinates(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(one) for one in np.unravel_index(flat, shape))


def only(report: Report) -> Finding:
    (finding,) = report.reports[0].findings
    return finding


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("store", STORES)
def test_every_planted_fault_is_named_and_nothing_else(store: str, net: str, tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    for index, value in VALUES.items():
        data[index].reshape(-1)[index * 7] = value
    for index, label in LABELS.items():
        labels[index] = label
    report = probe(write(store, tmp_path, data, labels), crew, net, num_classes=CLASSES)
    found = {finding.location.index: finding for finding in report}
    assert len(report) == len(found)
    assert {index for index, one in found.items() if one.rule == "probe-non-finite"} == set(VALUES)
    assert {index for index, one in found.items() if one.rule == "probe-failed"} == set(LABELS)
    for index in (*VALUES, *LABELS):
        finding = found[index]
        assert finding.location.key == (None if store == "hdf5" else key(index))
        assert finding.location.dataset == ("/data" if store == "hdf5" else None)
    for index, value in VALUES.items():
        finding = found[index]
        assert finding.location.element == coordinates(index * 7, SHAPE)
        assert finding.data["layer"] == "input"
        assert finding.data["input_finite"] == np.isfinite(value)
        assert finding.data["batch"] == finding.data["iteration"] == 0
    assert "is none of the network's 5 outputs" in found[min(LABELS)].message


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("label", [np.nan, np.inf])
def test_a_label_that_is_not_finite_is_named(net: str, label: float, tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_label(label)(data, labels)
    finding = only(probe(write("hdf5", tmp_path, data, labels), crew, net))
    assert (finding.rule, finding.location.index, finding.data["layer"]) == ("probe-non-finite", GUILTY, "label")


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("store", STORES)
def test_a_clean_set_gives_no_finding(store: str, net: str, tmp_path: Path, crew: Crew) -> None:
    report = probe(write(store, tmp_path, *floats()), crew, net, num_classes=CLASSES)
    assert report.exit_code == 0
    assert report.reports[0].statistics["probe"]["samples"] == 40
    assert report.reports[0].statistics["probe"]["finite_losses"] == 40


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "raw"])
@pytest.mark.parametrize("store", ["lmdb", "leveldb"])
def test_clean_images_give_no_finding(store: str, kind: str, tmp_path: Path, crew: Crew) -> None:
    path = write_pixels(store, tmp_path) if kind == "raw" else write_encoded(store, tmp_path, kind)
    for statistics in ("full", "sampled"):
        for net in NETS if statistics == "full" else ("auto",):
            report = check(path, crew=crew, select=("probe",), probe={"net": net}, statistics=statistics)
            assert report.exit_code == 0
            assert report.reports[0].statistics["probe"]["finite_losses"] == 40


@pytest.mark.parametrize(
    ("shape", "network"),
    [
        ((3, 8, 9), "conv on 3x8x9"),
        ((1, 50, 70), "conv on 1x12x14 of 1x50x70"),
        ((64, 64, 3), "conv on 3x16x16 of 3x64x64"),
        ((12, 6), "lstm on 12x6"),
        ((200, 300), "lstm on 50x100 of 200x300"),
        ((17,), "mlp on 17"),
        ((5000,), "mlp on 1000 of 5000"),
        ((), "mlp on 1"),
        ((2, 3, 4, 5), "mlp on 120"),
    ],
)
def test_the_network_follows_the_shape_of_the_samples(
    shape: tuple[int, ...], network: str, tmp_path: Path, crew: Crew
) -> None:
    data, labels = floats(shape)
    with_value(np.nan)(data.reshape(40, -1), labels)
    report = probe(write("hdf5", tmp_path, data, labels), crew)
    assert report.reports[0].statistics["probe"]["networks"] == {network: 40}
    finding = only(report)
    assert finding.location.index == GUILTY
    assert finding.location.element == (tuple(side - 1 for side in shape) if shape else None)


@pytest.mark.parametrize("place", [0, 1, 777, 100 * 90 * 3 - 1])
def test_no_value_is_lost_where_samples_are_thinned_out(place: int, tmp_path: Path, crew: Crew) -> None:
    data, labels = floats((3, 100, 90))
    data[GUILTY].reshape(-1)[place] = np.inf
    finding = only(probe(write("hdf5", tmp_path, data, labels), crew))
    assert finding.location.index == GUILTY
    assert finding.location.element == coordinates(place, (3, 100, 90))
    assert "the loss is" in finding.message


def test_every_kind_of_label_has_its_loss(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    rows = np.eye(CLASSES, dtype=np.float32)[labels.astype(int)]
    several = (np.random.default_rng(3).random((40, 6)) < 0.4).astype(np.int64)
    several[0] = 1
    kinds = {
        "classes": (labels, "softmax", 10),
        "one-hot": (rows, "softmax", 5),
        "several": (several, "sigmoid", 6),
        "numbers": (labels / 7, "squared", 1),
        "points": (rows * 0.3, "squared", 5),
    }
    for name, (values, loss, outputs) in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        report = probe(write("hdf5", folder, data, values), crew)
        found = report.reports[0].statistics["probe"]
        assert (found["loss_function"], found["layers"][-1]["shape"]) == (loss, [outputs]), name
        assert report.exit_code == 0
        if values.dtype == np.float32:
            spoilt = values.copy()
            spoilt[GUILTY] = np.nan
            (folder / "again").mkdir()
            assert only(probe(write("hdf5", folder / "again", data, spoilt), crew)).location.index == GUILTY


def test_doubles_beyond_single_precision_are_not_finite_as_inputs(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    wide = data.astype(np.float64)
    wide[GUILTY, 0, 0, 0] = 1e39
    finding = only(probe(write("hdf5", tmp_path, wide, labels), crew))
    assert finding.location.index == GUILTY
    assert finding.data["input_finite"] is False
    assert "1e+39 at [0, 0, 0], which becomes inf as input: the loss is" in finding.message


def test_a_finite_input_that_overflows_in_the_network_is_told_apart(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats((16,))
    data[GUILTY] = 3e38
    for net in ("softmax", "mlp"):
        finding = only(probe(write("hdf5", tmp_path, data, labels), crew, net))
        assert finding.data["input_finite"] is True
        (tmp_path / "train.h5").unlink()


def test_half_precision_overflows_where_single_precision_does_not(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(7e4)(data, labels)
    path = write("hdf5", tmp_path, data, labels)
    assert probe(path, crew).exit_code == 0
    finding = only(probe(path, crew, dtype="float16"))
    assert (finding.location.index, finding.data["layer"]) == (GUILTY, "input")


def test_preprocessing_is_that_of_training(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    path = write("hdf5", tmp_path, data * 1e6, labels)
    assert probe(path, crew).exit_code == 0
    report = probe(path, crew, scale=1e14)
    assert {finding.location.index for finding in report} == set(range(40))
    assert probe(path, crew, scale=1e14, std=(1e20, 1e20, 1e20)).exit_code == 0
    moved = probe(path, crew, mean_values=(1e6, 0, 0), scale=1e-6).reports[0].statistics["probe"]["loss"]
    assert moved != probe(path, crew, scale=1e-6).reports[0].statistics["probe"]["loss"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"scale": np.inf}, "scale inf"),
        ({"mean_values": (np.nan,)}, "mean value nan"),
        ({"std": (0.0,)}, "std 0"),
    ],
)
def test_numbers_that_spoil_every_input_are_said_once(
    given: dict[str, Any], text: str, tmp_path: Path, crew: Crew
) -> None:
    finding = only(probe(write_pixels("lmdb", tmp_path), crew, **given))
    assert finding.rule == "probe-non-finite"
    assert finding.location.index is None
    assert finding.message.startswith(text)
    assert finding.data["iteration"] == 0


def test_a_mean_file_that_holds_nan_spoils_every_input(tmp_path: Path, crew: Crew) -> None:
    path = write_pixels("lmdb", tmp_path)
    mean = np.zeros((3, 20, 24), np.float32)
    np.save(tmp_path / "mean.npy", mean)
    assert probe(path, crew, mean_file=str(tmp_path / "mean.npy")).exit_code == 0
    mean[1, 2, 3] = np.nan
    np.save(tmp_path / "mean.npy", mean)
    finding = only(probe(path, crew, mean_file=str(tmp_path / "mean.npy")))
    assert "holds nan at [1, 2, 3]" in finding.message


def test_images_smaller_than_the_crop_are_named(tmp_path: Path, crew: Crew) -> None:
    values = [
        Datum(data=encoded("JPEG", 60 if index == GUILTY else 90, 90), label=index % 5, encoded=True)
        for index in range(40)
    ]
    path = write_values("lmdb", tmp_path, [value.SerializeToString() for value in values])
    finding = only(probe(path, crew, crop=64))
    assert (finding.rule, finding.location.index) == ("probe-failed", GUILTY)
    assert probe(path, crew, crop=60).exit_code == 0


def test_a_set_of_minus_one_is_unlabelled_and_said_once(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    report = probe(write("hdf5", tmp_path, data, np.full_like(labels, -1)), crew)
    assert report.exit_code == 0
    assert "no labels were found" in " ".join(entry.reason for entry in report.reports[0].coverage.not_run)


def test_ignored_labels_are_left_out_of_the_loss(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    labels[GUILTY] = 255
    path = write("hdf5", tmp_path, data, labels)
    assert only(probe(path, crew, num_classes=CLASSES)).rule == "probe-failed"
    report = check(path, crew=crew, select=("probe",), probe=True, num_classes=CLASSES, ignore_labels=(255,))
    assert report.exit_code == 0
    assert report.reports[0].statistics["probe"]["loss"]["min"] == 0


def test_findings_beyond_the_limit_are_counted(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    data[5:35, 0] = np.nan
    path = write("hdf5", tmp_path, data, labels)
    (report,) = check(path, crew=crew, select=("probe",), probe=True, max_findings=4).reports
    assert [finding.location.index for finding in report.findings] == [5, 6, 7, 8]
    assert report.rule_count("probe-non-finite") == 30


def test_a_batch_of_finite_losses_can_overflow_as_a_whole(tmp_path: Path, crew: Crew) -> None:
    data = np.ones((40, 2), np.float32)
    targets = np.where(np.arange(40)[:, None] // 10 == 2, 8e18, 0.5).astype(np.float32)
    path = tmp_path / "train.h5"
    with h5py.File(path, "w") as file:
        file["data"], file["label"] = data, np.repeat(targets, 2, axis=1)
    finding = only(probe(path, crew, batch_size=10))
    assert finding.data["batch"] == 2
    assert "not the sum of batch 2" in finding.message


def test_a_set_without_numbers_or_images_was_not_probed(tmp_path: Path, crew: Crew) -> None:
    path = write_values("lmdb", tmp_path, [b"some text %d, no numbers" % index for index in range(20)])
    (report,) = check(path, crew=crew, select=("probe",), probe=True, layout="raw").reports
    assert [finding.rule for finding in report.findings] == ["probe-failed"]
    assert report.findings[0].location.index is None


def test_images_inside_of_other_values_are_shown_to_the_network(tmp_path: Path, crew: Crew) -> None:
    values = [pickle.dumps({"image": encoded("PNG", seed=index), "label": index % 5}) for index in range(40)]
    report = check(write_values("lmdb", tmp_path, values), crew=crew, probe=True).reports[0]
    assert report.coverage.complete, report.tracebacks
    assert report.statistics["probe"]["samples"] == 40
    assert not [finding for finding in report.findings if finding.rule.startswith("probe")]


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "1", "I;16", "CMYK"])
@pytest.mark.parametrize("statistics", ["full", "sampled"])
def test_images_of_every_mode_are_shown_to_the_network(
    mode: str, statistics: Statistics, tmp_path: Path, crew: Crew
) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    values = []
    for index in range(20):
        random = np.random.default_rng(index)
        if mode == "I;16":
            stream = BytesIO()
            Image.fromarray(random.integers(0, 1 << 16, (70, 80)).astype(np.uint16)).save(stream, "PNG")
            values.append(stream.getvalue())
        else:
            values.append(encoded(kind, mode=mode, seed=index))
    (report,) = check(
        write_values("lmdb", tmp_path, values), crew=crew, select=("probe",), probe=True, statistics=statistics
    ).reports
    assert report.coverage.complete, report.tracebacks
    assert report.statistics["probe"]["samples"] == 20
    assert report.findings == ()
