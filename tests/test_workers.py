"""The report does not depend on how many workers made it, nor on whose executor ran them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import plyvel
import pytest

from datascan.scanner import Report, check
from datascan.scanner.crew import Crew
from datascan.scanner.layouts.datum_writer import encode_datum

SIDE = 192
COUNT = 1400
"""Records of 108 kB, so that the set is cut into three partitions."""


def records() -> Iterator[tuple[bytes, bytes]]:
    """Raw Datums with faults on both sides of every cut: a copy, a hole in the numbers, wrong labels and sizes."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, 3 * SIDE * SIDE + COUNT, np.uint8)
    for index in range(COUNT):
        number = index + (index >= 700)
        pixels = noise[index : index + 3 * SIDE * SIDE] if index != 1200 else noise[100 : 100 + 3 * SIDE * SIDE]
        data = pixels.tobytes() if index % 500 != 499 else pixels.tobytes()[:-1]
        label = index * 7 % 10 if index % 300 != 299 else -1
        yield f"{number:08d}".encode(), encode_datum(dims=(3, SIDE, SIDE), data=data, label=label, encoded=False)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("large")
    with lmdb.open(str(folder / "lmdb"), map_size=1 << 30) as env, env.begin(write=True) as txn:
        for key, value in records():
            txn.put(key, value)
    with plyvel.DB(str(folder / "leveldb"), create_if_missing=True, compression=None) as db:
        for key, value in records():
            db.put(key, value)
    rng = np.random.default_rng(4)
    data = rng.normal(0, 1, (40_000, 1024)).astype(np.float32)
    data[33_333, 7] = np.nan
    with h5py.File(folder / "rows.h5", "w") as file:
        file["data"] = data
        file["label"] = rng.integers(0, 10, 40_000)
    return {"lmdb": folder / "lmdb", "leveldb": folder / "leveldb", "hdf5": folder / "rows.h5"}


def content(report: Report) -> dict[str, Any]:
    """The report without what may differ from run to run."""
    loaded: dict[str, Any] = json.loads(report.to_json())
    for source in loaded["reports"]:
        del source["run"]
    return loaded


@pytest.mark.parametrize("store", ["lmdb", "leveldb", "hdf5"])
def test_the_report_is_the_same_for_any_number_of_workers(sources: dict[str, Path], store: str, crew: Crew) -> None:
    two = check(sources[store], crew=crew)
    assert two.reports[0].run.workers == 2, "the set must be cut into partitions for this to mean anything"
    assert content(two) == content(check(sources[store], jobs=1)) == content(check(sources[store], jobs=5))
    assert len(two) >= 1


def test_the_faults_on_both_sides_of_the_cuts_are_found(sources: dict[str, Path], crew: Crew) -> None:
    report = check(sources["lmdb"], crew=crew)
    found = {(finding.rule, finding.location.index, finding.location.key) for finding in report}
    assert found == {
        *(("record-size-mismatch", index, f"{index + (index >= 700):08d}".encode()) for index in (499, 999)),
        *(("label-negative", index, f"{index + (index >= 700):08d}".encode()) for index in (299, 599, 899, 1199)),
        ("record-key-gap", 700, b"00000701"),
        ("record-duplicate", 1200, b"00001201"),
    }


def test_an_executor_of_somebody_else_gives_the_same_report(sources: dict[str, Path], crew: Crew) -> None:
    with ThreadPoolExecutor(2) as executor:
        other = check(sources["lmdb"], executor=executor, jobs=2)
    assert content(other) == content(check(sources["lmdb"], crew=crew))
