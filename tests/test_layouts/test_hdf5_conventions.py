"""HDF5 layouts that names of datasets speak for, on the files of their own projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from datascan.backends import open_store
from datascan.backends.base import Store, Table
from datascan.backends.hdf5_plan import cut_rows
from datascan.backends.hdf5_store import Hdf5Store
from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.layouts import LAYOUTS, ROW_LAYOUTS
from datascan.scanner.layouts.base import RowLayout
from datascan.scanner.layouts.choose import choose_layout
from datascan.scanner.options import Options

CLEAN = Path(__file__).resolve().parents[2] / "fixtures" / "clean"
FILES = {
    "robomimic": "robomimic",
    "aloha": "aloha",
    "d4rl": "d4rl",
    "minari": "minari",
    "fastmri": "fastmri",
    "ann-benchmarks": "ann-benchmarks",
    "pdebench": "pdebench",
    "pdebench-groups": "pdebench",
    "jetnet": "jetnet",
    "matlab": "matlab",
    "hdf5-pairs": "hdf5-pairs",
    "hdf5-regression": "hdf5-pairs",
    "hdf5-arrays": "hdf5-arrays",
}
GENERAL = {"hdf5-pairs", "hdf5-arrays"}


def file_of(name: str) -> Path:
    (path,) = (path for path in (CLEAN / name).rglob("*") if path.suffix in (".h5", ".hdf5", ".mat"))
    return path


def claims(store: Store) -> set[str]:
    found = set()
    for name in ROW_LAYOUTS:
        layout = LAYOUTS[name]
        assert issubclass(layout, RowLayout)
        if layout.belongs(store) and layout.recognise(store.datasets(), Options()) is not None:
            found.add(name)
    return found


@pytest.mark.parametrize("name", FILES)
def test_each_project_s_own_file_is_recognised_and_claimed_by_no_other(name: str) -> None:
    with open_store(file_of(name)) as store:
        assert choose_layout(store, Options()).layout.name == FILES[name]
        assert claims(store) - GENERAL == {FILES[name]} - GENERAL


@pytest.mark.parametrize("name", FILES)
def test_every_dataset_is_read_once(name: str) -> None:
    with open_store(file_of(name)) as store:
        choice = choose_layout(store, Options())
        columns = [column for table in choice.tables or () for column in table.columns]
        assert len(columns) == len(set(columns))
        assert {info.path for info in store.datasets() if info.readable and info.kind in ("numeric", "complex")} <= (
            set(columns)
        )


MISNAMED: dict[str, Callable[[h5py.File], object]] = {
    "demonstrations without actions": lambda file: file.create_dataset("data/demo_0/obs/pos", data=np.ones((5, 3))),
    "an action alone": lambda file: file.create_dataset("action", data=np.ones((5, 3))),
    "real kspace": lambda file: file.create_dataset("kspace", data=np.ones((5, 3, 4))),
    "a tensor alone": lambda file: file.create_dataset("tensor", data=np.ones((5, 3, 4))),
    "train and test": lambda file: (
        file.create_dataset("train", data=np.ones((5, 3))),
        file.create_dataset("test", data=np.ones((5, 3))),
    ),
    "flat particles": lambda file: file.create_dataset("particle_features", data=np.ones((5, 3))),
}


@pytest.mark.parametrize("how", MISNAMED)
def test_a_name_alone_is_not_enough(tmp_path: Path, how: str) -> None:
    with h5py.File(tmp_path / "some.h5", "w") as file:
        MISNAMED[how](file)
    with open_store(tmp_path / "some.h5") as store:
        assert claims(store) <= GENERAL


def test_random_names_are_no_convention(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = ["data", "demo_0", "obs", "train", "x", "episode_1", "grid", "0001", "features", "values", "rewards"]
    for number in range(30):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for _ in range(6):
                path = "/".join(rng.choice(words, int(rng.integers(1, 4))))
                if path not in file and not any(isinstance(file.get(p), h5py.Dataset) for p in _parents(path)):
                    file[path] = rng.normal(0, 1, (int(rng.integers(2, 6)), 3))
        with open_store(tmp_path / f"{number}.h5") as store:
            assert claims(store) <= GENERAL


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def test_small_tables_are_planned_as_if_their_datasets_had_been_opened() -> None:
    for name in FILES:
        with Hdf5Store(file_of(name)) as store:
            tables = choose_layout(store, Options()).tables or ()
            planned = {partition.table: partition.token for partition in store.partitions(tables)}
            for table in tables:
                readers = store._table_readers(table)
                rows = min(reader.rows for reader in readers.values())
                assert [planned[table]] == [(start, stop) for start, stop, _ in cut_rows(readers, rows)]


def test_many_episodes_are_one_partition_each(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "many.hdf5", "w") as file:
        for i in range(200):
            group = file.create_group(f"data/demo_{i}")
            group.attrs["num_samples"] = 4
            for name in ("actions", "rewards", "states", "obs/pos"):
                group[name] = np.random.default_rng(i).uniform(-1, 1, (4, 2))
        file["data"].attrs["total"] = 800
    with open_store(tmp_path / "many.hdf5") as store:
        choice = choose_layout(store, Options())
        assert len(choice.tables or ()) == len(store.partitions(choice.tables)) == 200


def test_attributes_are_read_where_that_is_safe(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "some.h5", "w") as file:
        group = file.create_group("a/b")
        values: dict[str, Any] = {
            "count": 3,
            "share": 0.5,
            "flag": True,
            "fixed": np.bytes_("word"),
            "varying": "words of any length",
            "several": np.arange(3),
            "many": np.arange(1000),
        }
        for name, value in values.items():
            group.attrs[name] = value
        file["away"] = h5py.ExternalLink("other.h5", "/a")
    with Hdf5Store(tmp_path / "some.h5") as store:
        found = store.attributes("/a/b", [*values, "none"])
        assert {name: found[name] for name in ("count", "share", "fixed")} == {
            "count": 3,
            "share": 0.5,
            "fixed": "word",
        }
        assert found["several"].tolist() == [0, 1, 2]
        assert not found.keys() & {"varying", "many", "none"}
        assert store.attributes("/away", ["count"]) == store.attributes("/nowhere", ["count"]) == {}


def test_steps_are_named_by_dataset_and_row(tmp_path: Path, crew: Crew) -> None:
    target = tmp_path / "demos.hdf5"
    target.write_bytes(file_of("robomimic").read_bytes())
    with h5py.File(target, "r+") as file:
        file["data/demo_3/actions"][7, 2] = np.nan
        file["data/demo_1/rewards"][...] = 0
    report = check(target, crew=crew)
    assert [(f.rule, f.location.dataset, f.location.index, f.location.element) for f in report] == [
        ("value-nan", "/data/demo_3/actions", 7, (2,))
    ]


def test_a_table_without_plain_datasets_is_opened() -> None:
    with Hdf5Store(file_of("matlab")) as store:
        assert store.partitions([Table("/names", ("/names",))]) == []
