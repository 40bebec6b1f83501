"""Between key-value stores and HDF5: every number and label is what it was, or the conversion is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from tests.test_layouts.messages import Datum
from tests.test_rebuild.stores import FAULTS, datum, datums, pictures, read, write
from tests.test_rebuild.test_records import facts

from datascan.backends.errors import UsageError
from datascan.backends.writing import WriteError
from datascan.scanner import check, rebuild
from datascan.scanner.crew import Crew


def pixels(value: bytes) -> Any:
    message = Datum.FromString(value)
    return np.frombuffer(message.data, np.uint8).reshape(message.channels, message.height, message.width)


@pytest.mark.parametrize("source", ["lmdb", "leveldb"])
def test_datums_become_rows_and_rows_datums(source: str, tmp_path: Path, crew: Crew) -> None:
    path = write(source, tmp_path / "source", {**datums(50), b"00000050": FAULTS["value-nan"]})
    facts(rebuild(path, tmp_path / "a.h5", to="hdf5", dtype="stored", crew=crew))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].dtype == np.uint8
        assert np.array_equal(file["data"][:], [pixels(value) for value in datums(50).values()])
        assert file["label"].dtype == np.float32
        assert file["label"][:].tolist() == [i % 3 for i in range(50)]
    lines = (tmp_path / "a-map.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[8] == "00000007_7.png\t7\t\t7\ttarget"
    assert list(read(source, tmp_path / "a-quarantine")) == [b"00000050"]
    facts(rebuild(tmp_path / "a.h5", tmp_path / "back", to="lmdb", crew=crew))
    back = read("lmdb", tmp_path / "back")
    assert list(back) == [b"%08d" % i for i in range(50)]
    for made, stored in zip(back.values(), datums(50).values(), strict=True):
        assert Datum.FromString(made) == Datum.FromString(stored)


def test_caffe_s_own_types_are_written_unless_told_otherwise(tmp_path: Path, crew: Crew) -> None:
    path = write("lmdb", tmp_path / "source", datums(30))
    facts(rebuild(path, tmp_path / "a.txt", to="hdf5", rows_per_file=12, crew=crew))
    report = check(tmp_path / "a.txt", crew=crew)
    assert report.exit_code == 0
    assert report.reports[0].source.layout == "caffe-hdf5"
    with h5py.File(tmp_path / "a-files" / "00002.h5") as file:
        assert file["data"].dtype == np.float32
        assert file["data"].shape == (6, 3, 4, 4)
    facts(rebuild(tmp_path / "a-files" / "00000.h5", tmp_path / "back", to="leveldb", crew=crew))
    message = Datum.FromString(read("leveldb", tmp_path / "back")[b"00000003"])
    assert np.array_equal(np.array(message.float_data), pixels(datum(3)).ravel())
    assert (message.channels, message.height, message.width, message.label) == (3, 4, 4, 0)


def test_encoded_images_are_decoded_only_where_asked(tmp_path: Path, crew: Crew) -> None:
    path = write("lmdb", tmp_path / "source", pictures(12))
    with pytest.raises(UsageError, match="holds encoded images: give --decode"):
        rebuild(path, tmp_path / "a.h5", to="hdf5", crew=crew)
    report = rebuild(path, tmp_path / "a.h5", to="hdf5", decode=True, dtype="stored", crew=crew)
    facts(report)
    assert report.rebuild is not None
    assert report.rebuild.fixed == {"decode": 12}
    (tmp_path / "image.jpg").write_bytes(Datum.FromString(next(iter(pictures(1).values()))).data)
    with Image.open(tmp_path / "image.jpg") as image, h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["data"][0], np.asarray(image)[:, :, ::-1].transpose(2, 0, 1)), "BGR, as Caffe has it"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": "hdf5", "renumber": True}, "rows have no keys"),
        ({"decode": True}, "--decode is for writing HDF5"),
        ({"rows_per_file": 5}, "--rows-per-file is for HDF5"),
        ({"to": "hdf5", "split": 0.5, "rows_per_file": 5}, "split first"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str, tmp_path: Path, crew: Crew) -> None:
    path = write("lmdb", tmp_path / "source", datums(10))
    with pytest.raises(UsageError, match=said):
        rebuild(path, tmp_path / "target", crew=crew, **options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["source"]


def test_what_can_t_be_a_row_names_its_record(tmp_path: Path, crew: Crew) -> None:
    path = write("lmdb", tmp_path / "source", {**datums(10), b"00000010": FAULTS["record-shape-mismatch"]})
    with pytest.raises(WriteError, match="the record 00000010 is 3x6x6, others are 3x4x4"):
        rebuild(path, tmp_path / "a.h5", to="hdf5", drop="never", crew=crew)
    labels = np.array([0.5, 1, 2, 3])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"], file["label"] = np.ones((4, 3)), labels
    with pytest.raises(WriteError, match=r"the label of row 0 is 0\.5"):
        rebuild(tmp_path / "b.h5", tmp_path / "back", to="lmdb", drop="never", crew=crew)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b.h5", "source"]
