"""Caffe's list files: which texts are one, where their names lead, and what is said of those that lead nowhere."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.hdf5_reading import read_rows

from datascan.backends import open_store
from datascan.backends.base import Damage, Table
from datascan.backends.hdf5_list import is_hdf5_list
from datascan.backends.hdf5_list_store import Hdf5ListStore
from datascan.backends.hdf5_store import Hdf5Store
from datascan.scanner.testing.store_contract import untouched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sets").mkdir()
    for number, name in enumerate(("a.h5", "sets/b.h5", "sets/c.hdf5")):
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = np.arange(10) + 100 * number
            file["label"] = np.arange(10)
    return tmp_path


def list_of(folder: Path, content: str, name: str = "sets/list.txt") -> Path:
    (folder / name).write_text(content)
    return folder / name


def data_tables(store: Hdf5ListStore) -> list[Table]:
    files = dict.fromkeys(info.file for info in store.datasets())
    return [Table(f"{file}:/", ("/data", "/label"), file) for file in files]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.h5\nb.h5\n", True),
        ("a.h5 b.hdf5\tsub/c.h5", True),
        ("\n\n  /data/sets/train.h5  \r\n", True),
        ("# training files\nhdf5/train.h5\n", True),
        ("", True),
        (" \n\n", True),
        ("images/cat.jpg 0\nimages/dog.jpg 1\n", False),
        ('source: "train.h5"\n', False),
        ("this data set is in train.h5 and val.h5\n", False),
        ("a.h5\0", False),
    ],
)
def test_which_texts_are_lists(tmp_path: Path, content: str, expected: bool) -> None:
    assert is_hdf5_list(list_of(tmp_path, content, "list.txt")) is expected


def test_other_things_are_no_lists(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    paths = [list_of(tmp_path, "", "empty.bin"), tmp_path / "fifo", tmp_path, tmp_path / "absent", folder / "a.h5"]
    paths.append(list_of(tmp_path, "a.h5\n", "net.prototxt"))
    assert [is_hdf5_list(path) for path in paths] == [False] * len(paths)


def test_a_name_without_a_usual_suffix_counts_if_the_file_is_hdf5(folder: Path) -> None:
    (folder / "a.h5").rename(folder / "a.data")
    assert is_hdf5_list(list_of(folder, "a.data\n", "list"))
    assert not is_hdf5_list(list_of(folder, "list\nsets/list.data\n", "other"))


def test_lists_and_files_are_told_apart(folder: Path) -> None:
    with open_store(list_of(folder, "b.h5\n")) as store:
        assert isinstance(store, Hdf5ListStore)
    with open_store(folder / "a.h5") as single:
        assert isinstance(single, Hdf5Store)


def test_names_count_from_here_from_the_list_or_from_above_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = list_of(folder, f"b.h5 sets/c.hdf5\n{folder}/a.h5\n")
    with Hdf5ListStore(path) as store:
        assert store.opening_damage() == []
        rows = read_rows(store, data_tables(store))
    assert rows.array("/data").tolist() == [*range(100, 110), *range(200, 210), *range(10)]
    here = folder / "elsewhere"
    here.mkdir()
    with h5py.File(here / "b.h5", "w") as file:
        file["data"] = np.arange(5)
    monkeypatch.chdir(here)
    with Hdf5ListStore(path) as store:
        assert dict(store.files)["b.h5"] == here / "b.h5"


def test_every_file_is_its_own_table_and_read_once(folder: Path) -> None:
    with Hdf5ListStore(list_of(folder, "b.h5\nc.hdf5\nb.h5\n")) as store:
        assert [(info.file, info.path) for info in store.datasets()] == [
            ("b.h5", "/data"),
            ("b.h5", "/label"),
            ("c.hdf5", "/data"),
            ("c.hdf5", "/label"),
        ]
        partitions = store.partitions()
        assert [partition.table.name for partition in partitions] == [
            "b.h5:/data",
            "b.h5:/label",
            "c.hdf5:/data",
            "c.hdf5:/label",
        ]
        assert [partition.ordinal for partition in partitions] == [0, 1, 2, 3]
        assert pickle.loads(pickle.dumps(partitions)) == partitions
        assert store.size_bytes == sum(os.path.getsize(folder / "sets" / name) for name in ("b.h5", "c.hdf5"))


@pytest.mark.parametrize("limit", [0, 1, 10, 13, 20, 99])
def test_limit_counts_over_all_files(folder: Path, limit: int) -> None:
    with Hdf5ListStore(list_of(folder, "b.h5\nc.hdf5\n")) as store:
        rows = read_rows(store, data_tables(store), limit)
    assert rows.array("/data").tolist() == [*range(100, 110), *range(200, 210)][:limit]
    assert rows.extent == min(limit, 20)


def test_missing_files_are_named_and_the_others_read(folder: Path) -> None:
    with h5py.File(folder / "sets/cut.h5", "w") as file:
        file["data"] = np.arange(1000)
        file["label"] = np.arange(1000)
    os.truncate(folder / "sets/cut.h5", os.path.getsize(folder / "sets/cut.h5") - 1000)
    with Hdf5ListStore(list_of(folder, "# files\nb.h5 gone.h5 cut.h5\n")) as store:
        damages = list(store.opening_damage())
        rows = read_rows(store, data_tables(store))
    assert [(damage.kind, damage.data["file"]) for damage in damages] == [
        ("unreadable", "#"),
        ("unreadable", "files"),
        ("unreadable", "gone.h5"),
        ("truncated", "cut.h5"),
    ]
    assert "knows no comments" in damages[0].reason
    assert f"looked in {os.getcwd()}, {folder / 'sets'}, {folder}" in damages[2].reason
    (lost,) = rows.damages
    assert (lost.data["file"], lost.dataset, lost.records_lost) == ("cut.h5", "/label", 125)
    assert lost.reason.startswith("cut.h5: rows 875 to 999")
    assert rows.extent == 1010


def test_an_empty_list_is_damage(folder: Path) -> None:
    with Hdf5ListStore(list_of(folder, "\n")) as store:
        assert store.opening_damage() == [Damage("empty", "the list names no file")]
        assert (store.datasets(), store.partitions(), store.size_bytes) == ([], [], 0)


def test_a_list_of_many_files_keeps_few_open(folder: Path) -> None:
    names = []
    for number in range(40):
        names.append(f"part{number}.h5")
        with h5py.File(folder / "sets" / names[-1], "w") as file:
            file["data"] = np.full(3, number)
            file["label"] = np.arange(3)
    path = list_of(folder, "\n".join(names))
    before = len(os.listdir("/proc/self/fd"))
    with Hdf5ListStore(path) as store:
        rows = read_rows(store, data_tables(store))
        assert len(os.listdir("/proc/self/fd")) - before < 20
    assert len(os.listdir("/proc/self/fd")) == before
    assert rows.array("/data").tolist() == np.repeat(np.arange(40), 3).tolist()


def test_nothing_is_touched_and_changes_are_named(folder: Path) -> None:
    path = list_of(folder, "b.h5\nc.hdf5\n")
    with untouched(folder), Hdf5ListStore(path) as store:
        assert read_rows(store, data_tables(store)).extent == 20
        assert store.closing_damage(20) == []
        assert (store.sample(), store.find(b"1"), store.records_claimed) == (None, None, None)
    with Hdf5ListStore(path) as store:
        with (folder / "sets/c.hdf5").open("ab") as stream:
            stream.write(b"more")
        assert [(d.kind, d.data["file"]) for d in store.closing_damage(0)] == [("in-use", "c.hdf5")]
