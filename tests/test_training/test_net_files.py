"""Files that a net names: mean images, Infogain matrices, stores and lists, looked at where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.test_training.test_binaryproto import blob_class

from datascan.scanner.finding import Finding, Severity
from datascan.scanner.training.net import DataFacts, check_net
from datascan.scanner.training.prototxt import parse

NET = """layer { name: "data" type: "Data" top: "data" top: "label"
  transform_param { TRANSFORM }
  data_param { source: "set" batch_size: 16 BACKEND } }
layer { name: "scores" type: "InnerProduct" bottom: "data" top: "scores"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "LOSS" bottom: "scores" bottom: "label" top: "loss"
  infogain_loss_param { source: "H.binaryproto" } }
"""


def judged(
    folder: Path, transform: str = "", backend: str = "backend: LMDB", loss: str = "SoftmaxWithLoss", size: int = 8
) -> list[Finding]:
    text = NET.replace("TRANSFORM", transform).replace("BACKEND", backend).replace("LOSS", loss)
    facts = DataFacts.of_shapes({"set": (3, size, size)})
    return [one for one in check_net(parse(text), facts, [folder]) if one.severity > Severity.INFO]


def write(path: Path, values: np.ndarray, *dims: int) -> None:
    message = blob_class(True)(data=values.ravel().tolist())
    message.num, message.channels, message.height, message.width = dims
    path.write_bytes(message.SerializeToString())


def mean(folder: Path, *dims: int) -> np.ndarray:
    values = np.full(dims, 120, np.float32)
    write(folder / "mean.binaryproto", values, 1, *dims)
    return values


MEAN = 'mean_file: "mean.binaryproto"'


def test_a_sound_mean_gives_nothing(tmp_path: Path) -> None:
    mean(tmp_path, 3, 8, 8)
    assert judged(tmp_path, MEAN) == []
    assert judged(tmp_path, f"{MEAN} crop_size: 8") == []


def test_a_mean_that_is_not_finite_is_named_with_its_place(tmp_path: Path) -> None:
    values = mean(tmp_path, 3, 8, 8)
    values[1, 2, 3] = np.nan
    values[2, 0, 0] = np.inf
    write(tmp_path / "mean.binaryproto", values, 1, 3, 8, 8)
    [finding] = judged(tmp_path, MEAN)
    assert (finding.rule, finding.severity, finding.location.line) == ("net-mean", Severity.ERROR, 2)
    assert finding.data["cause"] == "input-data"
    assert finding.data["element"] == [1, 2, 3]
    assert "2 numbers" in finding.message


def test_a_mean_of_another_size_stops_caffe(tmp_path: Path) -> None:
    mean(tmp_path, 3, 7, 8)
    [finding] = judged(tmp_path, MEAN)
    assert (finding.rule, finding.data["cause"]) == ("net-mean", "aborted")
    assert "3x7x8, the images are 3x8x8" in finding.message


def test_a_crop_larger_than_the_mean_can_fit_no_image(tmp_path: Path) -> None:
    mean(tmp_path, 3, 8, 8)
    text = (
        NET.replace("TRANSFORM", f"{MEAN} crop_size: 9")
        .replace("BACKEND", "backend: LMDB")
        .replace("LOSS", "HingeLoss")
    )
    [finding] = check_net(parse(text), None, [tmp_path])
    assert (finding.rule, finding.data["remedy"]) == ("net-crop", "crop_size: 8")


@pytest.mark.parametrize("contents", [b"", b"no mean", b"\x08\x01\x10\x03\x18\x08\x20\x08\x2a\x04\0\0\0\0"])
def test_what_is_no_mean_stops_caffe(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "mean.binaryproto").write_bytes(contents)
    [finding] = judged(tmp_path, MEAN)
    assert (finding.rule, finding.data["cause"]) == ("net-mean", "aborted")


def test_files_are_read_only_where_folders_are_given(tmp_path: Path) -> None:
    (tmp_path / "mean.binaryproto").write_bytes(b"no mean")
    text = NET.replace("TRANSFORM", MEAN).replace("BACKEND", "backend: LMDB").replace("LOSS", "HingeLoss")
    assert check_net(parse(text)) == []
    assert check_net(parse(text), None, [tmp_path]) != []


EYE = np.eye(3, dtype=np.float32)


def with_value(value: float) -> np.ndarray:
    matrix = EYE.copy()
    matrix[2, 1] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "cause", "severity", "words"),
    [
        (with_value(np.inf), "loss-function", Severity.ERROR, "infinite at row 2, column 1"),
        (with_value(np.nan), "loss-function", Severity.ERROR, "NaN at row 2, column 1"),
        (-EYE, "loss-function", Severity.WARNING, "negative weights (least -1)"),
        (1000 * EYE, "gradient-explosion", Severity.WARNING, "weights up to 1000"),
        (0 * EYE, "loss-function", Severity.WARNING, "all 0"),
        (np.eye(4, dtype=np.float32), "aborted", Severity.ERROR, "is 4 x 4, not 3 x 3"),
    ],
)
def test_infogain_matrices(tmp_path: Path, matrix: np.ndarray, cause: str, severity: Severity, words: str) -> None:
    write(tmp_path / "H.binaryproto", matrix, 1, 1, *matrix.shape)
    [finding] = judged(tmp_path, loss="InfogainLoss")
    assert (finding.rule, finding.data["cause"], finding.severity) == ("net-infogain", cause, severity)
    assert words in finding.message
    assert finding.location.line == 7


def test_a_sound_infogain_matrix_gives_nothing(tmp_path: Path) -> None:
    write(tmp_path / "H.binaryproto", EYE, 1, 1, 3, 3)
    assert judged(tmp_path, loss="InfogainLoss") == []


def test_the_backend_is_held_against_the_store(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "data.mdb").touch()
    assert judged(tmp_path) == []
    for backend in ("", "backend: LEVELDB"):
        [finding] = judged(tmp_path, backend=backend)
        assert (finding.rule, finding.severity) == ("net-backend", Severity.ERROR)
        assert finding.data["remedy"] == "backend: LMDB"
    (tmp_path / "set" / "data.mdb").rename(tmp_path / "set" / "CURRENT")
    assert judged(tmp_path, backend="") == []
    assert [one.data["remedy"] for one in judged(tmp_path)] == ["backend: LEVELDB"]


HDF5 = """layer { name: "data" type: "HDF5Data" top: "data" hdf5_data_param { source: "list.txt" batch_size: 4 } }
layer { name: "quiet" type: "Silence" bottom: "data" }
"""


@pytest.mark.parametrize(
    ("contents", "words"), [(b"\x89HDF\r\n\x1a\n\0", "is an HDF5 file"), (b" \n", "lists no file")]
)
def test_hdf5_sources_are_lists(tmp_path: Path, contents: bytes, words: str) -> None:
    (tmp_path / "list.txt").write_bytes(contents)
    [finding] = check_net(parse(HDF5), None, [tmp_path])
    assert (finding.rule, finding.location.line) == ("net-data-layer", 1)
    assert words in finding.message
    (tmp_path / "list.txt").write_text("train.h5\n")
    assert check_net(parse(HDF5), None, [tmp_path]) == []
