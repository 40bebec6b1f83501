"""Nets that real Caffe trained or refused; judged where they are present, without their data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datascan.scanner.finding import Finding, Severity
from datascan.scanner.training.net import DataFacts, check_net, data_sources, read_net
from datascan.scanner.training.prototxt import parse

CAFFE = Path(__file__).resolve().parents[3] / "shared" / "caffe"
RUNS: list[dict[str, Any]] = json.loads((CAFFE / "runs.json").read_text()) if CAFFE.is_dir() else []

SHAPE = (3, 32, 32)
"""Of most of the images; those of HDF5 and of grey sets differ."""

pytestmark = pytest.mark.skipif(not RUNS, reason="the runs of real Caffe are not here")


def judged(run: str) -> list[Finding]:
    net = read_net(parse((CAFFE / "runs" / f"{run}.train.prototxt").read_bytes()))
    stores = [one.source for one in data_sources(net) if one.source in ("lmdb_raw", "lmdb_encoded", "leveldb_raw")]
    facts = DataFacts.of_shapes(dict.fromkeys(stores, SHAPE))
    return check_net(net, facts, [CAFFE / "data"])


def test_nets_that_train_well_give_no_error() -> None:
    clean = [run["run"] for run in RUNS if run["kind"] == "clean"]
    assert len(clean) > 40
    errors = {run: [one.message for one in judged(run) if one.severity is Severity.ERROR] for run in clean}
    assert {run: found for run, found in errors.items() if found} == {}


def test_empty_pooling_windows_are_found_and_no_other() -> None:
    for run in RUNS:
        wrong = [one for one in judged(run["run"]) if one.rule == "net-pooling" and one.severity is Severity.ERROR]
        assert bool(wrong) == ("pooling" in run["accept"]), run["run"]


def test_what_the_layers_themselves_do_is_found_in_the_file() -> None:
    for run in RUNS:
        if "layer-parameters" in run["accept"]:
            causes = {one.data["cause"] for one in judged(run["run"]) if one.severity is Severity.ERROR}
            assert causes & set(run["accept"]), run["run"]
