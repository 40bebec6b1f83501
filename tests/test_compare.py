"""Two sets beside each other: what they share is found, what differs is told, and two halves of one set are quiet."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import plyvel
import pytest
from numpy.typing import NDArray

from datascan.backends.errors import UsageError
from datascan.scanner import Report, check, compare
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.layouts.datum_writer import encode_datum
from datascan.scanner.summary.pair import Pair

RNG = np.random.default_rng(7)
IMAGES = RNG.integers(0, 256, (1200, 3, 6, 6), np.uint8)
LABELS = RNG.integers(0, 6, 1200)
LIMIT = "datascan.scanner.spill.workspace.LIMIT_BYTES"


def datums(
    rows: Sequence[int], images: NDArray[np.uint8] = IMAGES, labels: NDArray[np.int64] = LABELS, key: str = "{1:05}"
) -> list[tuple[bytes, bytes]]:
    """Some of the images as Datums; a key is made of the place in the set and the number of the image."""
    found = []
    for place, row in enumerate(rows):
        image = images[row]
        datum = encode_datum(dims=image.shape, data=image.tobytes(), label=int(labels[row]), encoded=False)
        found.append((key.format(place, row).encode(), datum))
    return found


def write_lmdb(path: Path, records: list[tuple[bytes, bytes]]) -> Path:
    with lmdb.open(str(path), map_size=1 << 26) as env, env.begin(write=True) as txn:
        for key, value in records:
            txn.put(key, value)
    return path


def found(report: Report) -> list[tuple[str, int | None]]:
    """Rules and places of the findings about the pair."""
    assert list(report.reports[0].findings) == []
    return [(finding.rule, finding.location.index) for finding in report.reports[1].findings]


def content(report: Report) -> list[dict[str, Any]]:
    return [{**one, "run": None} for one in json.loads(report.to_json())["reports"]]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_lmdb(tmp_path / "train", datums(range(800)))


# ---- leaks ----


def test_a_leaked_record_is_named_with_both_of_its_keys_and_labels(train: Path, tmp_path: Path, crew: Crew) -> None:
    labels = LABELS.copy()
    labels[33] = (labels[33] + 1) % 6
    val = write_lmdb(tmp_path / "val", datums([900, 33, *range(901, 1100), 7], labels=labels, key="{0:04}_{1}"))
    report = compare(train, val, crew=crew)
    assert found(report) == [("set-leak", 1), ("set-leak", 201)]
    first, second = report.reports[1].findings
    assert (first.location.key, first.data["first"], first.data["first_key"]) == (b"0001_33", 33, "00033")
    assert f"label {LABELS[33]} there and {labels[33]} here" in first.message
    assert "label" not in second.message
    assert report.exit_code == 1
    assert report.reports[1].statistics["comparison"]["shared"] == {
        "contents": 2,
        "with_another_label": 1,
        "keys": 0,
        "keys_with_other_contents": 0,
    }


def test_stores_of_different_kinds_are_compared_by_their_pixels(train: Path, tmp_path: Path, crew: Crew) -> None:
    rows = [5, *range(900, 1000), 6]
    with plyvel.DB(str(tmp_path / "leveldb"), create_if_missing=True) as db:
        for key, value in datums(rows, key="{0:04}_{1}"):
            db.put(key, value)
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"], file["label"] = IMAGES[rows], LABELS[rows]
    for other in ("leveldb", "rows.h5"):
        assert found(compare(train, tmp_path / other, crew=crew)) == [("set-leak", 0), ("set-leak", 101)], other
    back = compare(tmp_path / "rows.h5", tmp_path / "leveldb", crew=crew)
    assert back.reports[1].rule_count("set-leak") == len(rows)


def test_numbers_of_another_type_are_other_contents(train: Path, tmp_path: Path, crew: Crew) -> None:
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"], file["label"] = IMAGES[:300].astype(np.float32), LABELS[:300]
    report = compare(train, tmp_path / "rows.h5", crew=crew)
    assert found(report) == [("set-shape-drift", None)]
    assert "values are float32 here and uint8 in" in report.reports[1].findings[0].message


def test_the_report_is_the_same_on_disk_and_for_any_number_of_workers(
    train: Path, tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    val = write_lmdb(tmp_path / "val", datums(range(200, 1000), key="{0:04}_{1}"))
    whole = content(compare(train, val, crew=crew, max_findings=40))
    assert whole == content(compare(train, val, jobs=1, max_findings=40))
    monkeypatch.setattr(LIMIT, 4000)
    assert content(compare(train, val, crew=crew, max_findings=40)) == whole
    assert whole[1]["omitted"] == {"set-leak": 560}


# ---- keys ----


def test_a_key_with_other_contents_is_named_where_keys_name_records(train: Path, tmp_path: Path, crew: Crew) -> None:
    images = IMAGES.copy()
    images[44] ^= 1
    new = write_lmdb(tmp_path / "new", datums(range(800), images))
    report = compare(train, new, crew=crew, ignore=("set-leak",))
    assert found(report) == [("set-key-conflict", 44)]
    assert report.exit_code == 0


def test_sets_that_are_merely_numbered_alike_say_nothing(tmp_path: Path, crew: Crew) -> None:
    one = write_lmdb(tmp_path / "one", datums(range(400), key="{0:05}"))
    two = write_lmdb(tmp_path / "two", datums(range(400, 800), key="{0:05}"))
    assert found(compare(one, two, crew=crew)) == []


# ---- distributions ----


@pytest.mark.parametrize("seed", range(6))
def test_two_halves_of_one_set_are_quiet(seed: int, tmp_path: Path, crew: Crew) -> None:
    """Classes of very different sizes, brightness that varies from image to image, a small second half."""
    rng = np.random.default_rng(seed)
    bright = np.clip(rng.normal(0, 40, (1200, 3, 6, 6)) + rng.normal(120, 50, (1200, 1, 1, 1)), 0, 255)
    labels = np.minimum(rng.zipf(1.6, 1200) - 1, 40)
    order = rng.permutation(1200)
    cut = [600, 1100, 1180][seed % 3]
    one = write_lmdb(tmp_path / "one", datums(order[:cut].tolist(), bright.astype(np.uint8), labels))
    two = write_lmdb(tmp_path / "two", datums(order[cut:].tolist(), bright.astype(np.uint8), labels))
    assert found(compare(one, two, crew=crew)) == []


def test_other_shares_of_the_classes_are_told_once(train: Path, tmp_path: Path, crew: Crew) -> None:
    labels = np.where(RNG.random(1200) < 0.5, 2, LABELS)
    report = compare(train, write_lmdb(tmp_path / "val", datums(range(800, 1200), labels=labels)), crew=crew)
    assert found(report) == [("set-label-drift", None)]
    assert "class 2 is" in report.reports[1].findings[0].message
    figures = report.reports[1].statistics["comparison"]["labels"]
    assert figures["total_variation"] > 0.3 > 2 * figures["by_chance"]
    assert 0 < figures["jensen_shannon"] < 1


@pytest.mark.parametrize("swapped", [False, True])
def test_a_class_that_one_set_lacks_is_named(swapped: bool, train: Path, tmp_path: Path, crew: Crew) -> None:
    rows = [row for row in range(800, 1200) if LABELS[row] != 4]
    val = write_lmdb(tmp_path / "val", datums(rows))
    report = compare(val, train, crew=crew) if swapped else compare(train, val, crew=crew)
    told = [finding for finding in report.reports[1].findings if finding.rule == "set-class-missing"]
    (only,) = told
    assert only.data["class"] == "4"
    assert only.message.startswith("class 4 does not occur " + ("in " if swapped else "here"))


def test_values_of_another_scale_are_told_once(tmp_path: Path, crew: Crew) -> None:
    for name, factor, rows in (("one", 1.0, slice(0, 300)), ("two", 1 / 255, slice(300, 600))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"], file["label"] = (IMAGES[rows] * factor).astype(np.float32), LABELS[rows]
    report = compare(tmp_path / "one.h5", tmp_path / "two.h5", crew=crew)
    assert found(report) == [("set-value-drift", None)]
    assert report.reports[1].findings[0].data == {"channels": [0, 1, 2]}


def test_one_channel_that_is_darker_is_named(train: Path, tmp_path: Path, crew: Crew) -> None:
    images = IMAGES.copy()
    images[:, 1] //= 2
    report = compare(train, write_lmdb(tmp_path / "val", datums(range(800, 1200), images)), crew=crew)
    assert found(report) == [("set-value-drift", None)]
    assert report.reports[1].findings[0].data == {"channels": [1]}


def test_samples_of_another_shape_are_told(train: Path, tmp_path: Path, crew: Crew) -> None:
    larger = RNG.integers(0, 256, (300, 3, 8, 8), np.uint8)
    report = compare(train, write_lmdb(tmp_path / "val", datums(range(300), larger)), crew=crew)
    assert found(report) == [("set-shape-drift", None)]
    assert "samples are 3x8x8 here and 3x6x6 in" in report.reports[1].findings[0].message


# ---- what can't be said ----


def test_a_set_that_is_not_there_is_no_clean_comparison(train: Path, tmp_path: Path, crew: Crew) -> None:
    for pair in ((train, tmp_path / "no"), (tmp_path / "no", train)):
        report = compare(*pair, crew=crew)
        assert report.exit_code == 3
        there = report.reports[pair.index(train)]
        assert there.coverage.complete is (pair[0] == train)


def test_without_classes_the_rules_about_them_are_not_run(train: Path, tmp_path: Path, crew: Crew) -> None:
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"] = IMAGES[900:1100]
    report = compare(train, tmp_path / "rows.h5", crew=crew)
    assert {entry.rule for entry in report.reports[1].coverage.not_run} == {"set-label-drift", "set-class-missing"}
    assert report.exit_code == 0
    asked = compare(train, tmp_path / "rows.h5", crew=crew, select=("set-label-drift",))
    assert asked.exit_code == 3


def test_a_full_disk_is_no_clean_comparison(
    train: Path, tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LIMIT, 4000)
    monkeypatch.setattr(os, "pwrite", full)
    report = compare(train, write_lmdb(tmp_path / "val", datums([3, *range(800, 1200)])), crew=crew)
    assert {"set-leak", "set-key-conflict"} <= {entry.rule for entry in report.reports[1].coverage.not_run}
    assert report.exit_code == 3


def test_damage_of_either_set_is_reported(train: Path, tmp_path: Path, crew: Crew) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    data = (train / "data.mdb").read_bytes()
    (cut / "data.mdb").write_bytes(data[: len(data) // 2])
    report = compare(cut, train, crew=crew)
    assert any(finding.rule.startswith("store-") for finding in report.reports[0].findings)
    assert report.reports[1].rule_count("set-leak") > 100


def test_an_interruption_while_comparing_leaves_a_partial_report(
    train: Path, tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Pair) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pair, "shared", interrupted)
    report = compare(train, write_lmdb(tmp_path / "val", datums(range(700, 900))), crew=crew)
    assert [one.exit_code for one in report.reports] == [0, 130]
    assert "set-leak" in {entry.rule for entry in report.reports[1].coverage.not_run}


def test_rules_that_look_at_two_sets_are_for_this_command_alone(train: Path, crew: Crew) -> None:
    with pytest.raises(UsageError, match="datascan compare"):
        check(train, crew=crew, select=("set",))
    with pytest.raises(UsageError, match="families set and store"):
        compare(train, train, crew=crew, select=("value-nan",))
    assert check(train, crew=crew, select=("set-leak", "value-nan")).exit_code == 3


# ---- the command ----


def test_the_command_reports_and_exits_as_the_report_says(
    train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = write_lmdb(tmp_path / "val", datums([7, *range(800, 1000)], key="{0:04}_{1}"))
    file = tmp_path / "report.json"
    assert main(["compare", str(train), str(val), "-j", "1", "-o", "text", "-o", f"json={file}"]) == 1
    text = capsys.readouterr().out
    assert "same contents as record 7 of" in text
    assert "total variation" in text
    assert json.loads(file.read_text())["reports"][1]["statistics"]["comparison"]["labels"]["counts"]
    assert main(["compare", str(train), str(val), "-j", "1", "--ignore", "set-leak", "-q"]) == 0
    assert main(["compare", str(train), str(val), "--work-dir", str(val)]) == 2
    assert main(["compare", str(train), str(val), "-o", f"json={val / 'x.json'}"]) == 2
    assert main(["compare", str(train)]) == 2
