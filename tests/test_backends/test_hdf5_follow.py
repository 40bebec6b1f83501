"""Following references out of an HDF5 file, where that was asked for: regular files around it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.hdf5_reading import flip, read_rows, written
from tests.test_fuzz.wellformed import fingerprint

from datascan.backends import hdf5_outside
from datascan.backends.base import Damage, Table
from datascan.backends.hdf5_store import Hdf5Store
from datascan.scanner import check
from datascan.scanner.crew import Crew


def followed(path: Path) -> Hdf5Store:
    return Hdf5Store(path, follow_external=True)


def column(path: Path, name: str = "/x") -> tuple[list[float], list[Damage]]:
    """The values of a column of one number a row, and the damage met."""
    with followed(path) as store:
        rows = read_rows(store, [Table("t", (name,))])
        return rows.array(name).tolist(), rows.damages


def external(store: Hdf5Store) -> dict[str | None, str]:
    return {damage.dataset: damage.reason for damage in store.opening_damage() if damage.kind == "external-reference"}


# ---- links ----


def test_links_lead_to_datasets_and_groups_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    with written(tmp_path / "parts" / "deep.h5") as file:
        file["y"] = np.arange(5)
    with written(tmp_path / "parts" / "other.h5") as file:
        file["group/x"] = np.arange(3)
        file["group/soft"] = h5py.SoftLink("/group/x")
        file["group/on"] = h5py.ExternalLink("deep.h5", "/y")
        file["group/back"] = h5py.ExternalLink("../main.h5", "/")
    with written(tmp_path / "main.h5") as file:
        file["mine"] = np.arange(2)
        file["all"] = h5py.ExternalLink("parts/other.h5", "/group")
        file["one"] = h5py.ExternalLink(str(tmp_path / "parts" / "other.h5"), "/group/x")
        file["detour"] = h5py.SoftLink("/all/on")
    before = fingerprint(tmp_path)
    with followed(tmp_path / "main.h5") as store:
        listed = {info.path: info.shape for info in store.datasets()}
        assert listed == {"/one": (3,), "/all/on": (5,), "/mine": (2,)}
        assert store.opening_damage() == []
        assert {name: read_rows(store, [Table(name, (name,))]).extent for name in listed} == {
            name: shape[0] for name, shape in listed.items() if shape
        }
    assert fingerprint(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/passwd", "outside of the folder"),
        ("../beside.h5", "outside of the folder"),
        ("link.h5", "outside of the folder"),
        ("fifo.h5", "not a regular file"),
        ("folder.h5", "not a regular file"),
        ("gone.h5", "No such file"),
        ("text.h5", "no HDF5 signature"),
        ("sound.h5", "no such object"),
    ],
)
def test_links_that_lead_elsewhere_are_named_and_not_followed(tmp_path: Path, name: str, words: str) -> None:
    folder = tmp_path / "set"
    (folder / "folder.h5").mkdir(parents=True)
    os.mkfifo(folder / "fifo.h5")  # opening it would block for ever
    (folder / "text.h5").write_text("no data")
    for path in (tmp_path / "beside.h5", folder / "sound.h5"):
        with written(path) as file:
            file["y"] = np.arange(3)
    (folder / "link.h5").symlink_to(tmp_path / "beside.h5")
    with written(folder / "main.h5") as file:
        file["x"] = h5py.ExternalLink(name, "/nothing")
        file["mine"] = np.arange(2)
    with followed(folder / "main.h5") as store:
        assert [info.path for info in store.datasets()] == ["/mine"]
        (reason,) = external(store).values()
        assert words in reason


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_outside, "MAX_FILES", 2)
    with written(tmp_path / "main.h5") as file:
        for number in range(4):
            with written(tmp_path / f"{number}.h5") as other:
                other["x"] = np.arange(3)
            file[f"x{number}"] = h5py.ExternalLink(f"{number}.h5", "/x")
    with followed(tmp_path / "main.h5") as store:
        assert len(store.datasets()) == 2
        assert all("more than 2 files" in reason for reason in external(store).values())


def test_damage_of_another_file_is_named_with_it(tmp_path: Path) -> None:
    with written(tmp_path / "other.h5") as file:
        file.create_dataset("x", data=np.arange(100.0), chunks=(10,), compression="gzip")
        chunk = file["x"].id.get_chunk_info(3)
    with written(tmp_path / "main.h5") as file:
        file["x"] = h5py.ExternalLink("other.h5", "/x")
    flip(tmp_path / "other.h5", chunk.byte_offset + 5)
    values, damages = column(tmp_path / "main.h5")
    assert values == [*range(30), *range(40, 100)]
    assert [(damage.kind, damage.data["rows"]) for damage in damages] == [("damaged", [30, 40])]


def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    with written(tmp_path / "other.h5") as file:
        file["x"] = np.arange(3)
    with written(tmp_path / "main.h5") as file:
        file["x"] = h5py.ExternalLink("other.h5", "/x")
    with followed(tmp_path / "main.h5") as store:
        assert store.datasets()
        assert store.closing_damage(3) == []
        os.utime(tmp_path / "other.h5", (1, 1))
        assert [damage.kind for damage in store.closing_damage(3)] == ["in-use"]


# ---- raw data in other files ----


def test_raw_data_is_read_from_several_files(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(40, 3))
    content = values.tobytes()
    (tmp_path / "a.raw").write_bytes(b"head" + content[:500])
    (tmp_path / "b.raw").write_bytes(content[500:])
    with written(tmp_path / "main.h5") as file:
        raw = [("a.raw", 4, 500), ("b.raw", 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("x", (40, 3), "f8", external=raw)
    with followed(tmp_path / "main.h5") as store:
        rows = read_rows(store, [Table("t", ("/x",))])
        assert store.opening_damage() == rows.damages == []
        assert (rows.array("/x") == values).all()


def test_what_of_raw_data_is_not_there_is_lost_row_by_row(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "a.raw").write_bytes(np.arange(10.0).tobytes()[:-3])
    (tmp_path / "c.raw").write_bytes(np.arange(20.0, 30.0).tobytes())
    with written(tmp_path / "main.h5") as file:
        raw = [("a.raw", 0, 80), ("fifo", 0, 80), ("c.raw", 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("x", (40,), "f8", external=raw)
    values, damages = column(tmp_path / "main.h5")
    assert values == [*range(9), *range(20, 30)]
    assert [(damage.kind, damage.records_lost, damage.data["rows"]) for damage in damages] == [
        ("external-reference", 1, [9, 10]),
        ("external-reference", 10, [10, 20]),
        ("external-reference", 10, [30, 40]),
    ]
    assert "not a regular file" in damages[1].reason


def test_raw_data_of_text_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"secrets!")
    with written(tmp_path / "main.h5") as file:
        file.create_dataset("x", (2,), "S4", external=[("a.raw", 0, 8)])
    with followed(tmp_path / "main.h5") as store:
        assert [info.readable for info in store.datasets()] == [False]
        assert "only numbers" in external(store)["/x"]


# ---- virtual datasets ----


def parts(folder: Path, count: int = 3, rows: int = 10) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    values = np.random.default_rng(2).normal(size=(count * rows, 4))
    for number in range(count):
        with written(folder / f"part{number}.h5") as file:
            file.create_dataset(
                "x", data=values[number * rows : (number + 1) * rows], chunks=(5, 4), compression="gzip"
            )
    return values


def test_a_virtual_dataset_is_its_parts_end_to_end(tmp_path: Path) -> None:
    values = parts(tmp_path)
    layout = h5py.VirtualLayout((30, 4), "f8")
    for number in (2, 0, 1):
        source = h5py.VirtualSource(f"part{number}.h5", "x", (10, 4))
        layout[number * 10 : number * 10 + 10] = source
    with written(tmp_path / "main.h5") as file:
        file.create_virtual_dataset("x", layout)
        file["y"] = np.arange(30)
    with followed(tmp_path / "main.h5") as store:
        rows = read_rows(store, [Table("t", ("/x", "/y"))])
        assert store.opening_damage() == rows.damages == []
        assert (rows.array("/x") == values).all()


def test_parts_of_parts_and_single_rows(tmp_path: Path) -> None:
    values = parts(tmp_path)
    with written(tmp_path / "row.h5") as file:
        file["x"] = np.arange(4.0)
    layout = h5py.VirtualLayout((7, 4), "f8")
    layout[0:4] = h5py.VirtualSource("part1.h5", "x", (10, 4))[3:7]
    layout[4] = h5py.VirtualSource("row.h5", "x", (4,))
    layout[5:7] = h5py.VirtualSource("part2.h5", "x", (10, 4))[0:2]
    with written(tmp_path / "main.h5") as file:
        file.create_virtual_dataset("x", layout)
    with followed(tmp_path / "main.h5") as store:
        found = read_rows(store, [Table("t", ("/x",))])
    assert found.damages == []
    assert (found.array("/x") == np.concatenate([values[13:17], np.arange(4.0)[None], values[20:22]])).all()


def test_what_of_a_virtual_dataset_is_not_there_is_lost_row_by_row(tmp_path: Path) -> None:
    values = parts(tmp_path)
    os.mkfifo(tmp_path / "part1.fifo")
    with h5py.File(tmp_path / "part2.h5") as file:
        chunk = file["x"].id.get_chunk_info(1)
    flip(tmp_path / "part2.h5", chunk.byte_offset + 8)
    layout = h5py.VirtualLayout((60, 4), "f8")
    for number, name in enumerate(("part0.h5", "part1.fifo", "part2.h5", "gone.h5", "/etc/passwd")):
        layout[number * 10 : number * 10 + 10] = h5py.VirtualSource(name, "x", (10, 4))
    with written(tmp_path / "main.h5") as file:
        file.create_virtual_dataset("x", layout)
    with followed(tmp_path / "main.h5") as store:
        found = read_rows(store, [Table("t", ("/x",))])
    assert (found.array("/x") == np.concatenate([values[:10], values[20:25]])).all()
    lost = [(damage.kind, damage.data["rows"]) for damage in found.damages]
    assert lost == [
        ("external-reference", [10, 20]),
        ("damaged", [25, 30]),
        ("external-reference", [30, 40]),
        ("external-reference", [40, 50]),
        ("damaged", [50, 60]),
    ]
    assert sum(damage.records_lost or 0 for damage in found.damages) == 45


def test_virtual_datasets_of_other_forms_are_named(tmp_path: Path) -> None:
    parts(tmp_path)
    os.mkfifo(tmp_path / "fifo.h5")  # asking for the shape of a dataset that grows with its sources opens them
    columns = h5py.VirtualLayout((10, 8), "f8")
    columns[:, 0:4] = h5py.VirtualSource("part0.h5", "x", (10, 4))
    growing = h5py.VirtualLayout((10,), "f8", maxshape=(None,))
    endless = h5py.h5s.UNLIMITED
    growing[:endless] = h5py.VirtualSource("fifo.h5", "y", (10,), maxshape=(None,))[:endless]
    with h5py.File(tmp_path / "main.h5", "w", libver="latest") as file:
        for name, layout in (("columns", columns), ("growing", growing)):
            file.create_virtual_dataset(name, layout, fillvalue=-1.0)
    with followed(tmp_path / "main.h5") as store:
        assert [info.readable for info in store.datasets()] == [False] * 2
        assert set(external(store)) == {"/columns", "/growing"}
        assert all("whole rows" in reason for reason in external(store).values())


def test_a_source_that_refers_on_is_not_followed_further(tmp_path: Path) -> None:
    parts(tmp_path, 1)
    inner = h5py.VirtualLayout((10, 4), "f8")
    inner[:] = h5py.VirtualSource("part0.h5", "x", (10, 4))
    with written(tmp_path / "inner.h5") as file:
        file.create_virtual_dataset("x", inner)
    outer = h5py.VirtualLayout((10, 4), "f8")
    outer[:] = h5py.VirtualSource("inner.h5", "x", (10, 4))
    with written(tmp_path / "main.h5") as file:
        file.create_virtual_dataset("x", outer)
    values, damages = column(tmp_path / "main.h5")
    assert values == []
    assert ["refers to other data itself" in damage.reason for damage in damages] == [True]


# ---- the option ----


def test_a_scan_follows_only_where_it_is_asked_to(tmp_path: Path, crew: Crew) -> None:
    data = np.random.default_rng(3).normal(size=(20, 3, 4, 4)).astype(np.float32)
    data[7, 1, 2, 3] = np.nan
    with written(tmp_path / "pixels.h5") as file:
        file["data"] = data
    with written(tmp_path / "train.h5") as file:
        file["data"] = h5py.ExternalLink("pixels.h5", "/data")
        file["label"] = (np.arange(20) * 7 % 5).astype(np.float32)
    (tmp_path / "list.txt").write_text("train.h5\n")
    for path in (tmp_path / "train.h5", tmp_path / "list.txt"):
        named = check(path, crew=crew)
        assert [finding.rule for finding in named] == ["store-external-reference"]
        read = check(path, crew=crew, follow_external=True)
        assert [(f.rule, f.location.index, f.location.element) for f in read] == [("value-nan", 7, (1, 2, 3))]
