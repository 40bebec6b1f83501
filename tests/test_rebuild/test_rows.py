"""HDF5 rebuilt: rows that belong together go together, and all else of the file is what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.test_rebuild.stores import state
from tests.test_rebuild.test_records import facts

from datascan.backends.errors import UsageError
from datascan.scanner import check, rebuild
from datascan.scanner.crew import Crew

ROWS = 90
BROKEN = (17, 50)


def samples(rows: int = ROWS, broken: tuple[int, ...] = BROKEN) -> Any:
    data = np.random.default_rng(5).normal(size=(rows, 3, 6, 6)).astype(np.float32)
    data[list(broken), 1, 2, 3] = np.nan
    return data


def write(path: Path, broken: tuple[int, ...] = BROKEN, **options: Any) -> Path:
    """Samples with labels and names beside them, and datasets that are no rows."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", data=samples(broken=broken), **options)
        data.attrs["mean"] = 0.5
        data.attrs["axes"] = ["C", "H", "W"]
        file["label"] = (np.arange(ROWS) % 5 + 1).astype(np.float32)
        file.create_dataset("name", data=[f"img{i}" for i in range(ROWS)], dtype=h5py.string_dtype())
        file.create_dataset("kind", data=np.arange(ROWS) % 2, dtype=h5py.enum_dtype({"A": 0, "B": 1}))
        file["pair"] = np.array([(i, i / 2) for i in range(ROWS)], [("id", "i4"), ("half", "f8")])
        file["mean"] = np.zeros((3, 6, 6))
        file["group/deep/note"] = "text"
        file["group/soft"] = h5py.SoftLink("/data")
        file["group/hard"] = file["label"]
        file.attrs["version"] = np.int16(3)
    return path


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    broken=st.sets(st.integers(0, ROWS - 1), max_size=30),
    options=st.sampled_from(
        [{}, {"chunks": (7, 3, 6, 6), "compression": "gzip", "shuffle": True, "maxshape": (None, 3, 6, 6)}]
    ),
)
def test_any_broken_rows_go_and_all_others_stay(
    broken: set[int], options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, crew: Crew
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    path = write(folder / "a.h5", tuple(sorted(broken)), **options)
    before = state(path)
    report = rebuild(path, folder / "b.h5", ignore=("value-constant",), crew=crew)
    assert state(path) == before
    assert facts(report)["quarantined"] == len(broken)
    assert report.exit_code == 0
    kept = [row for row in range(ROWS) if row not in broken]
    with h5py.File(path) as old, h5py.File(folder / "b.h5") as new:
        for name in ("data", "label", "name", "kind", "pair"):
            assert np.array_equal(new[name][:], old[name][kept]), name
            assert new[name].dtype == old[name].dtype
            assert (new[name].chunks, new[name].compression, new[name].maxshape[0]) == (
                old[name].chunks,
                old[name].compression,
                old[name].maxshape[0] and len(kept),
            )
        assert h5py.check_enum_dtype(new["kind"].dtype) == {"A": 0, "B": 1}
        assert new["mean"].shape == (3, 6, 6)
        assert new["group/deep/note"][()] == b"text"
        assert new["group"].get("soft", getlink=True).path == "/data"
        assert new["group/hard"] == new["label"]
        assert dict(new.attrs) == {"version": 3}
        assert new["data"].attrs["mean"] == 0.5
        assert list(new["data"].attrs["axes"]) == ["C", "H", "W"]
    if broken:
        lines = (folder / "b-quarantine" / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["index"] for line in lines] == sorted(broken)
        with h5py.File(folder / "b-quarantine" / "records.h5") as file:
            assert np.array_equal(file["data"][:], samples(broken=tuple(broken))[sorted(broken)], equal_nan=True)


def test_one_large_file_becomes_a_list_that_caffe_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.h5")
    (tmp_path / "parts").mkdir()
    monkeypatch.chdir(tmp_path)
    facts(rebuild("a.h5", "parts/train.txt", rows_per_file=25, jobs=1))
    names = Path("parts/train.txt").read_text(encoding="utf-8").split()
    assert names == [f"parts/train-files/{number:05d}.h5" for number in range(4)]
    parts = []
    for name in names:
        with h5py.File(name) as file:
            parts.append(file["data"][:])
    assert [len(part) for part in parts] == [25, 25, 25, 13]
    assert np.array_equal(np.concatenate(parts), np.delete(samples(), BROKEN, axis=0))
    facts(rebuild("parts/train.txt", "again.txt", jobs=1))
    assert check("again.txt", jobs=1).exit_code == 0
    assert sorted(entry.name for entry in Path("again-files").iterdir()) == [f"{number:05d}.h5" for number in range(4)]


def test_rows_are_shuffled_and_split_together(tmp_path: Path, crew: Crew) -> None:
    path = write(tmp_path / "a.h5")
    facts(rebuild(path, tmp_path / "b.h5", shuffle=3, split=0.8, crew=crew))
    with h5py.File(tmp_path / "b.h5") as train, h5py.File(tmp_path / "b-val.h5") as val, h5py.File(path) as old:
        names = [*train["name"][:].tolist(), *val["name"][:].tolist()]
        assert sorted(names) == sorted(f"img{row}".encode() for row in range(ROWS) if row not in BROKEN)
        assert names != sorted(names, key=lambda name: int(name[3:]))
        for file in (train, val):
            rows = [int(name[3:]) for name in file["name"][:]]
            assert np.array_equal(file["data"][:], old["data"][:][rows])
            assert np.array_equal(file["label"][:], old["label"][:][rows])
        assert set(np.bincount(val["label"][:].astype(int), minlength=6)[1:].tolist()) <= {3, 4}


def test_labels_lose_their_offset(tmp_path: Path, crew: Crew) -> None:
    path = write(tmp_path / "a.h5")
    report = rebuild(path, tmp_path / "b.h5", fixes="label-offset", crew=crew)
    facts(report)
    with h5py.File(tmp_path / "b.h5") as new:
        assert np.array_equal(new["label"][:], np.delete(np.arange(ROWS) % 5, BROKEN))
        assert new["label"].dtype == np.float32
    with pytest.raises(UsageError, match="do not run from 1"):
        rebuild(tmp_path / "b.h5", tmp_path / "c.h5", fixes="label-offset", crew=crew)


def test_rows_of_a_damaged_chunk_are_left_out_of_all_columns(tmp_path: Path, crew: Crew) -> None:
    path = write(tmp_path / "a.h5", chunks=(10, 3, 6, 6), compression="gzip", fletcher32=True)
    with h5py.File(path) as file:
        info = file["data"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[info.byte_offset + 40] ^= 0xFF
    path.write_bytes(content)
    report = rebuild(path, tmp_path / "b.h5", crew=crew)
    assert report.exit_code == 3, "ten rows could not be read"
    assert facts(report)["unreadable"] == 10
    with h5py.File(tmp_path / "b.h5") as new:
        rows = [int(name[3:]) for name in new["name"][:]]
        assert rows == [row for row in range(ROWS) if row not in (*BROKEN, *range(20, 30))]
        assert np.array_equal(new["label"][:], np.array(rows) % 5 + 1)
    assert check(tmp_path / "b.h5", crew=crew).exit_code == 0


def test_what_stands_in_another_file_is_refused_with_a_word(tmp_path: Path, crew: Crew) -> None:
    write(tmp_path / "other.h5")
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["far"] = h5py.ExternalLink("other.h5", "/data")
    with pytest.raises(UsageError, match="refers to data that stands elsewhere"):
        rebuild(path, tmp_path / "b.h5", crew=crew)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.h5", "other.h5"]
