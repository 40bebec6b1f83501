"""Layouts of HDF5: which datasets belong together, what is wrong with them as a set, and what their rows become."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from datascan.backends import open_store
from datascan.backends.base import RowBatch, Table
from datascan.scanner.layouts.base import RowLayout
from datascan.scanner.layouts.choose import choose_layout
from datascan.scanner.layouts.hdf5_names import Name, parse_name
from datascan.scanner.layouts.hdf5_rows import guess_axes
from datascan.scanner.options import Options
from datascan.scanner.sample import Fault, SampleBatch

F32 = np.zeros((6, 3, 8, 8), "f4")
LABELS = np.arange(6)


def write(path: Path, datasets: Mapping[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            if isinstance(values, list):
                file.create_dataset(name, data=values, dtype=h5py.string_dtype())
            else:
                file[name] = values
    return path


def chosen(path: Path) -> RowLayout:
    with open_store(path) as store:
        layout = choose_layout(store, Options()).layout
    assert isinstance(layout, RowLayout)
    return layout


def decoded(path: Path) -> list[SampleBatch]:
    with open_store(path) as store:
        layout = choose_layout(store, Options()).layout
        assert isinstance(layout, RowLayout)
        tables = layout.tables()
        layout = pickle.loads(pickle.dumps(layout))
        partitions = store.partitions(tables)
        parts = [part for partition in partitions for part in store.read(partition) if isinstance(part, RowBatch)]
        return [layout.decode(part) for part in parts]


def columns(layout: RowLayout) -> list[tuple[str, ...]]:
    return [table.columns for table in layout.tables()]


def brief(fault: Fault) -> tuple[str, str | None, bool]:
    return fault.rule, fault.dataset, fault.severe


# ---- names ----


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data", Name("", "", "data")),
        ("/Label", Name("", "", "label")),
        ("/a/b/X_train", Name("/a/b", "train", "x")),
        ("/train_set_x", Name("", "train_set", "x")),
        ("/valid_y", Name("", "valid", "y")),
        ("/testLabels", Name("", "test", "labels")),
        ("/label_train", Name("", "", "label_train")),
        ("/images_val", Name("", "val", "images")),
        ("/list_classes", Name("", "", "list_classes")),
        ("/training", Name("", "", "training")),
        ("/latest_x", Name("", "", "latest_x")),
    ],
)
def test_names_are_taken_apart(path: str, name: Name) -> None:
    assert parse_name(path) == name


@pytest.mark.parametrize("path", ["/label2", "/labels", "/label.field", "/y", "/y_2", "/target", "/targets"])
def test_names_of_labels(path: str) -> None:
    assert parse_name(path).is_label


@pytest.mark.parametrize("path", ["/yaw", "/labeller", "/data", "/x_coordinate", "/xy"])
def test_names_of_no_labels(path: str) -> None:
    assert not parse_name(path).is_label


# ---- pairs ----


@pytest.mark.parametrize(
    ("names", "tables"),
    [
        (["data", "label"], [("/data", "/label")]),
        (["x", "y"], [("/x", "/y")]),
        (["X", "Y"], [("/X", "/Y")]),
        (["images", "labels"], [("/images", "/labels")]),
        (["features", "labels"], [("/features", "/labels")]),
        (["inputs", "targets"], [("/inputs", "/targets")]),
        (["X_train", "y_train"], [("/X_train", "/y_train")]),
        (["train_set_x", "train_set_y"], [("/train_set_x", "/train_set_y")]),
        (["data", "label", "label2", "targets"], [("/data", "/label", "/label2", "/targets")]),
        (["data", "label", "normal"], [("/data", "/label", "/normal")]),
        (["d/train/x", "d/train/y"], [("/d/train/x", "/d/train/y")]),
    ],
)
def test_pairs_are_recognised_by_name(tmp_path: Path, names: list[str], tables: list[tuple[str, ...]]) -> None:
    values = [F32, *[LABELS] * (len(names) - 1)]
    layout = chosen(write(tmp_path / "p.h5", dict(zip(names, values, strict=True))))
    assert (layout.name, columns(layout)) == ("hdf5-pairs", tables)
    assert (list(layout.opening_faults()), list(layout.not_looked_at())) == ([], [])


def test_several_pairs_in_one_file_stay_apart(tmp_path: Path) -> None:
    names = ("test_set_x", "train_set_x", "val/x")
    datasets = dict.fromkeys(names, F32) | {name[:-1] + "y": LABELS for name in names}
    layout = chosen(write(tmp_path / "p.h5", {**datasets, "list_classes": np.array([b"cat", b"dog"])}))
    assert columns(layout) == [
        ("/test_set_x", "/test_set_y"),
        ("/train_set_x", "/train_set_y"),
        ("/val/x", "/val/y"),
    ]
    assert len({table.name for table in layout.tables()}) == 3
    assert list(layout.not_looked_at()) == []


def test_rows_that_differ_in_number_are_a_fault_and_both_are_read(tmp_path: Path) -> None:
    layout = chosen(write(tmp_path / "p.h5", {"data": F32, "label": np.arange(5), "scale": np.float32(1)}))
    (fault,) = layout.opening_faults()
    assert brief(fault) == ("record-missing-twin", "/label", True)
    assert fault.message == "/data has 6 rows, /label has 5 rows"
    assert columns(layout) == [("/data",), ("/label",), ("/scale",)]


def test_a_single_value_is_no_label_for_many_rows(tmp_path: Path) -> None:
    layout = chosen(write(tmp_path / "p.h5", {"data": F32, "label": np.float32(1)}))
    assert [brief(fault) for fault in layout.opening_faults()] == [("record-missing-twin", "/label", True)]


@pytest.mark.parametrize(
    ("label", "held"),
    [
        (np.array([b"a"] * 6), "strings"),
        (["a"] * 6, "strings"),
        (np.array([True] * 6), "truth values"),
        (np.zeros(6, [("a", "i4"), ("b", "f4")]), "compound"),
    ],
)
def test_labels_that_caffe_refuses(tmp_path: Path, label: Any, held: str) -> None:
    path = write(tmp_path / "p.h5", {"data": F32, "label": label})
    (tmp_path / "list.txt").write_text("p.h5\n")
    for source, severe in ((path, False), (tmp_path / "list.txt", True)):
        (fault,) = chosen(source).opening_faults()
        assert brief(fault) == ("record-undecodable", "/label", severe)
        assert held in fault.message


def test_other_names_may_hold_what_caffe_refuses(tmp_path: Path) -> None:
    layout = chosen(write(tmp_path / "p.h5", {"images": F32, "labels": ["cat"] * 6}))
    assert list(layout.opening_faults()) == []


# ---- Caffe's lists ----


def caffe(tmp_path: Path, *files: Mapping[str, Any]) -> RowLayout:
    for number, datasets in enumerate(files):
        write(tmp_path / f"{number}.h5", datasets)
    (tmp_path / "list.txt").write_text("".join(f"{number}.h5\n" for number in range(len(files))))
    layout = chosen(tmp_path / "list.txt")
    assert (layout.name, layout.traits.caffe) == ("caffe-hdf5", True)
    return layout


def test_files_of_a_list_are_tables_of_their_own(tmp_path: Path) -> None:
    layout = caffe(tmp_path, {"data": F32, "label": LABELS}, {"data": F32[:2], "label": LABELS[:2], "notes": ["x"]})
    assert list(layout.tables()) == [
        Table("0.h5:/", ("/data", "/label"), "0.h5"),
        Table("1.h5:/", ("/data", "/label"), "1.h5"),
    ]
    assert (list(layout.opening_faults()), list(layout.not_looked_at())) == ([], [])


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"data": F32[:, :, :4], "label": LABELS}, ("record-shape-mismatch", "/data", True)),
        ({"data": F32, "label": LABELS[:4]}, ("record-missing-twin", "/label", True)),
        ({"data": F32, "label": np.float32(2)}, ("record-missing-twin", "/label", True)),
        ({"data": F32}, ("record-missing-twin", "/label", True)),
        ({"data": F32, "label": np.zeros((6, 1), [("a", "i4")])}, ("record-undecodable", "/label", True)),
    ],
)
def test_files_that_do_not_fit_the_first(
    tmp_path: Path, second: Mapping[str, Any], expected: tuple[str, str, bool]
) -> None:
    layout = caffe(tmp_path, {"data": F32, "label": LABELS}, second)
    faults = [fault for fault in layout.opening_faults() if fault.rule != "record-shape-mismatch" or fault.dataset]
    assert brief(faults[0]) == expected
    assert faults[0].data["file"] == "1.h5"
    assert faults[0].message.startswith("1.h5: ")


def test_datasets_inside_of_groups_are_not_found_by_caffe(tmp_path: Path) -> None:
    layout = caffe(tmp_path, {"g/data": F32, "g/label": LABELS})
    assert [brief(fault) for fault in layout.opening_faults()] == [("record-undecodable", "/g/data", True)]
    assert columns(layout) == [("/g/data",), ("/g/label",)]
    (labels,) = [block for samples in decoded(tmp_path / "list.txt") for block in samples.labels]
    assert labels.values.tolist() == LABELS.tolist()


def test_groups_beside_the_data_are_no_fault(tmp_path: Path) -> None:
    layout = caffe(tmp_path, {"data": F32, "label": LABELS, "meta/mean": F32[0]})
    assert list(layout.opening_faults()) == []
    assert columns(layout) == [("/data", "/label"), ("/meta/mean",)]


def test_more_values_than_a_blob_takes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("data", (60, 3, 4000, 4000), "f4", chunks=(1, 1, 100, 100))
        file["label"] = np.arange(60)
    (tmp_path / "list.txt").write_text("big.h5\n")
    assert [brief(fault) for fault in chosen(tmp_path / "list.txt").opening_faults()] == [
        ("record-undecodable", "/data", True)
    ]


# ---- anything else ----


def test_arrays_of_unknown_meaning_are_tables_of_their_own(tmp_path: Path) -> None:
    datasets = {"actions": np.zeros((6, 2)), "obs/wave": np.zeros(4, "c8"), "n": np.int64(7), "notes": ["a", "b"]}
    with h5py.File(write(tmp_path / "a.h5", datasets), "r+") as file:
        file["ref"] = np.array([file.ref], h5py.ref_dtype)
        file["empty"] = h5py.Empty("f4")
    layout = chosen(tmp_path / "a.h5")
    assert (layout.name, columns(layout)) == ("hdf5-arrays", [("/actions",), ("/n",), ("/obs/wave",)])
    assert [name for name, _ in layout.not_looked_at()] == ["/ref"]
    actions, single, wave = decoded(tmp_path / "a.h5")
    assert actions.contents is None  # equal rows of an unknown array mean nothing
    assert single.arrays[0].values.tolist() == [7]
    assert (wave.arrays[0].values.dtype, wave.arrays[0].shape) == (np.dtype("f4"), (2,))


def test_a_file_that_holds_nothing_is_recognised(tmp_path: Path) -> None:
    layout = chosen(write(tmp_path / "e.h5", {}))
    assert (layout.name, list(layout.tables())) == ("hdf5-arrays", [])


def test_layouts_travel_light(tmp_path: Path) -> None:
    layout = chosen(write(tmp_path / "m.h5", {f"set{number}": np.arange(3) for number in range(500)}))
    assert len(layout.tables()) == 500
    assert len(pickle.dumps(layout)) < 2000


# ---- rows ----


@pytest.mark.parametrize(
    ("shape", "dtype", "axes"),
    [
        ((9, 3, 32, 32), "f4", "CHW"),
        ((9, 1, 28, 28), "u1", "CHW"),
        ((9, 32, 32, 3), "u1", "HWC"),
        ((9, 28, 28), "u1", "HW"),
        ((9, 28, 28), "f4", ""),
        ((9, 8, 6, 5), "f4", ""),
        ((9, 3, 4, 4), "f4", ""),
        ((9, 784), "u1", ""),
        ((9,), "f4", ""),
    ],
)
def test_axes_are_guessed_where_they_are_plain(shape: tuple[int, ...], dtype: str, axes: str) -> None:
    assert guess_axes(shape, np.dtype(dtype)) == axes


def test_rows_become_arrays_labels_and_contents(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((6, 3, 8, 8)).astype("f4")
    path = write(
        tmp_path / "p.h5",
        {"data": values, "label": LABELS.reshape(6, 1), "label_hot": np.eye(6), "label_mask": np.zeros((6, 200, 200))},
    )
    (samples,) = decoded(path)
    assert samples.sample_rows.tolist() == list(range(6))
    blocks = {block.name: (block.shape, block.axes) for block in samples.arrays}
    assert blocks == {"/data": ((3, 8, 8), "CHW"), "/label_mask": ((200, 200), "")}
    assert {block.name: block.values.shape for block in samples.labels} == {"/label": (6,), "/label_hot": (6, 6)}
    assert samples.contents is not None
    assert [bytes(content) for content in samples.contents] == [row.tobytes() for row in values]


def test_text_labels_are_text(tmp_path: Path) -> None:
    (samples,) = decoded(write(tmp_path / "p.h5", {"images": F32, "labels": ["cat", "", "dög", "a", "b", "c"]}))
    (block,) = samples.texts
    assert block.name == "/labels"
    assert [bytes(text).decode() for text in block.texts] == ["cat", "", "dög", "a", "b", "c"]


def test_rows_that_lost_a_column_are_no_samples(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.create_dataset("data", (6, 8), "f4", chunks=(2, 8))[:4] = 1
        file["label"] = LABELS
    batches = decoded(tmp_path / "p.h5")
    assert [(len(samples), len(samples.sample_rows)) for samples in batches] == [(4, 4), (2, 0)]
    assert batches[1].labels[0].values.tolist() == [4, 5]
    assert batches[1].contents is None


def encoded(colour: int, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(colour).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


def test_encoded_images_of_variable_length(tmp_path: Path) -> None:
    images = [encoded(row) for row in range(5)]
    images[2] = images[2][:-100]
    images.append(b"")
    with h5py.File(tmp_path / "i.h5", "w") as file:
        data = file.create_dataset("images", (6,), h5py.vlen_dtype(np.uint8))
        for row, image in enumerate(images):
            data[row] = np.frombuffer(image, np.uint8)
        file["labels"] = LABELS
    (samples,) = decoded(tmp_path / "i.h5")
    assert [(image.row, image.facts.format, image.dataset) for image in samples.images] == [
        (row, "JPEG", "/images") for row in range(5)
    ]
    assert [(fault.row, fault.rule, fault.dataset) for fault in samples.faults] == [
        (2, "image-truncated", "/images"),
        (5, "record-empty", "/images"),
    ]
    assert samples.contents is not None
    assert [bytes(content) for content in samples.contents] == images[:5]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_encoded_images_in_rows_filled_up_with_zeros(tmp_path: Path, kind: str) -> None:
    images = [encoded(row, kind) for row in range(4)]
    rows = np.zeros((4, max(map(len, images)) + 9), np.uint8)
    for row, image in enumerate(images):
        rows[row, : len(image)] = np.frombuffer(image, np.uint8)
    (samples,) = decoded(write(tmp_path / "i.h5", {"camera": rows}))
    assert [(image.facts.format, image.facts.width) for image in samples.images] == [(kind, 16)] * 4
    assert samples.faults == []
    assert samples.arrays == []


def test_plain_rows_of_bytes_are_no_images(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (20, 784), np.uint8)
    (samples,) = decoded(write(tmp_path / "i.h5", {"x": pixels, "y": np.arange(20)}))
    assert (samples.images, samples.arrays[0].shape) == ([], (784,))
