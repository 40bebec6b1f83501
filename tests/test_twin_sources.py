"""Sets that hold the two halves of each sample, given together."""

from __future__ import annotations

from pathlib import Path

import lmdb
import numpy as np
import pytest
from tests.test_layouts.messages import Datum

from datascan.scanner import check
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.twin_sources import are_twins


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/train_db/features", "a/train_db/labels", True),
        ("a/features", "b/labels", False),
        ("DIV2K_train_HR_sub.lmdb", "DIV2K_train_LR_bicubic_X4_sub.lmdb", True),
        ("DIV2K_train_HR_sub.lmdb", "DIV2K_valid_LR_bicubic_X4_sub.lmdb", False),
        ("x/gt/train.lmdb", "x/lq/train.lmdb", False),
        ("train_image_lmdb", "train_label_lmdb", True),
        ("train_lmdb", "val_lmdb", False),
        ("train_image_lmdb", "train_image_lmdb", False),
    ],
)
def test_halves_are_known_by_their_names(one: str, other: str, expected: bool) -> None:
    assert are_twins(one, other) == are_twins(other, one) == expected


def write(path: Path, numbers: list[int], values: int = 9, key: str = "%09d") -> None:
    path.parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(values)
    with lmdb.open(str(path), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
        for number in numbers:
            datum = Datum(channels=1, height=1, width=values, float_data=rng.normal(0, 1, values))
            txn.put((key % number).encode(), datum.SerializeToString())


def found_in(*sources: Path, crew: Crew, **options: int) -> list[tuple[int, int | None, str]]:
    report = check(*sources, crew=crew, select=("record-missing-twin",), **options)  # type: ignore[arg-type]
    return [(n, f.location.index, f.message) for n, one in enumerate(report.reports) for f in one.findings]


def test_records_without_their_other_half_are_named(tmp_path: Path, crew: Crew) -> None:
    features, labels = tmp_path / "db" / "features", tmp_path / "db" / "labels"
    write(features, [n for n in range(60) if n != 41])
    write(labels, [n for n in range(60) if n != 17], values=4)
    assert found_in(features, labels, crew=crew) == [
        (1, None, f"000000017 of {features} has no twin here"),
        (1, 40, f"has no twin in {features}"),
    ]
    assert found_in(labels, crew=crew) == []


def test_equal_halves_and_sets_numbered_differently_give_nothing(tmp_path: Path, crew: Crew) -> None:
    features, labels = tmp_path / "db" / "features", tmp_path / "db" / "labels"
    write(features, list(range(40)))
    write(labels, list(range(40)), values=4)
    assert found_in(features, labels, crew=crew) == []
    images, masks = tmp_path / "one" / "image", tmp_path / "one" / "mask"
    write(images, list(range(40)))
    write(masks, list(range(40)), key="m%09d")
    assert found_in(images, masks, crew=crew) == []


def test_the_command_line_compares_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features, labels = tmp_path / "db" / "features", tmp_path / "db" / "labels"
    write(features, list(range(30)))
    write(labels, list(range(29)), values=4)
    code = main(["check", str(features), str(labels), "--no-progress", "--select", "record-missing-twin"])
    assert code == 1
    assert "000000029" in capsys.readouterr().out


def test_a_label_that_is_not_the_one_in_its_digits_key(tmp_path: Path, crew: Crew) -> None:
    rng = np.random.default_rng(1)
    for name, factor in (("digits_lmdb", 1), ("other_lmdb", 7)):
        with lmdb.open(str(tmp_path / name), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
            for i in range(40):
                label = 2 if i == 21 else i % 3
                datum = Datum(channels=1, height=4, width=4, data=rng.bytes(16), label=label)
                txn.put(f"{i:08d}_{i % 3 * factor + factor // 7}".encode(), datum.SerializeToString())
    (found,) = check(tmp_path / "digits_lmdb", crew=crew, select=("label-contradiction",)).reports[0].findings
    assert (found.location.index, found.data) == (21, {"label": 2, "key_label": 0})
    assert len(check(tmp_path / "other_lmdb", crew=crew, select=("label-contradiction",))) == 0
