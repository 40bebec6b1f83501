"""The batch and iteration that a finding names are those in which training that reads in store order breaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.probe_sets import GUILTY, STORES, floats, with_value, write

from datascan.scanner import Finding, check
from datascan.scanner.crew import Crew

CAFFE = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "caffe"
RUNS = {
    "c4_leveldb_float_nan": "leveldb_float_nan",
    "c4_lmdb_float_inf": "lmdb_float_inf",
    "c4_lmdb_float_1e38": "lmdb_float_1e38",
    "h5_f16_nan": "h5_f16_nan.h5",
    "h5_inf_row17": "h5_inf_row17_list.txt",
    "h5_nan_row17": "h5_nan_row17_list.txt",
}
"""Runs of real Caffe with batches of 10, and their data sets."""

present = pytest.mark.skipif(not CAFFE.exists(), reason="the data sets that Caffe wrote are not here")


def only(path: Path, crew: Crew, batch_size: int | None, **given: Any) -> Finding:
    report = check(path, crew=crew, select=("probe",), probe=given, batch_size=batch_size)
    (finding,) = report.reports[0].findings
    return finding


@present
@pytest.mark.parametrize("run", RUNS)
def test_the_loss_of_real_caffe_went_bad_in_the_iteration_that_is_named(run: str, crew: Crew) -> None:
    rows = json.loads((CAFFE / "runs.json").read_text(encoding="utf-8"))
    seen = {row["run"]: int(row["first_non_finite"].rpartition("@")[2]) for row in rows if row["run"] in RUNS}
    finding = only(CAFFE / "data" / "faults" / RUNS[run], crew, 10)
    assert finding.data["loss_bad_from"] == seen[run]


@present
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("batch_size", "iter_size"), [(7, 1), (10, 2), (7, 2)])
def test_other_batches_of_caffes_sets_are_named_by_their_size(
    run: str, batch_size: int, iter_size: int, crew: Crew
) -> None:
    finding = only(CAFFE / "data" / "faults" / RUNS[run], crew, batch_size, iter_size=iter_size)
    guilty = 17 if run.startswith("h5") else 37
    assert finding.location.index == guilty
    assert finding.data["batch"] == guilty // batch_size
    assert finding.data["iteration"] == guilty // (batch_size * iter_size)


@present
def test_training_breaks_when_real_caffes_did(crew: Crew) -> None:
    report = check(
        CAFFE / "data" / "faults" / "lmdb_float_1e38", crew=crew, batch_size=10, probe={"train_steps": 8}
    ).reports[0]
    losses = report.statistics["probe"]["training"]["losses"]
    assert losses[4] == "nan"
    assert all(isinstance(loss, float) for loss in losses[:4])


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("batch_size", "iter_size", "batch", "iteration"), [(10, 1, 2, 2), (7, 1, 3, 3), (10, 2, 2, 1), (None, 1, 0, 0)]
)
def test_batches_are_counted_in_store_order(
    store: str, batch_size: int | None, iter_size: int, batch: int, iteration: int, tmp_path: Path, crew: Crew
) -> None:
    data, labels = floats()
    with_value(np.nan)(data, labels)
    finding = only(write(store, tmp_path, data, labels), crew, batch_size, iter_size=iter_size)
    assert finding.location.index == GUILTY
    assert (finding.data["batch"], finding.data["iteration"]) == (batch, iteration)
    assert finding.data["loss_bad_from"] == iteration
    assert f"training meets it in batch {batch} of {batch_size or 64} records" in finding.message
    assert (f"iteration {iteration}" in finding.message) == (iter_size > 1)


def test_what_only_a_step_makes_infinite_breaks_the_next_iteration(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats()
    with_value(1e30)(data, labels)
    finding = only(write("hdf5", tmp_path, data, labels), crew, 10)
    assert (finding.data["iteration"], finding.data["loss_bad_from"]) == (2, 3)
    assert np.isfinite(finding.data["loss"])


def test_files_of_a_list_are_read_one_after_the_other(tmp_path: Path, crew: Crew) -> None:
    names = []
    for number in range(3):
        data, labels = floats(seed=number)
        if number == 2:
            with_value(np.nan)(data, labels)
        names.append(tmp_path / f"part{number}.h5")
        with h5py.File(names[-1], "w") as file:
            file["data"], file["label"], file["unused"] = data, labels, np.zeros((40, 2), np.float32)
    (tmp_path / "list.txt").write_text("\n".join(map(str, names)), encoding="utf-8")
    finding = only(tmp_path / "list.txt", crew, 10)
    assert finding.location.index == GUILTY
    assert finding.data["file"] == str(names[2])
    assert finding.data["batch"] == (40 + 40 + GUILTY) // 10
