"""Sets that hold the two halves of each sample, given together."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image
from tests.test_layouts.messages import Datum

from datascan.scanner import check
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.twin_sizes import Odd, odd_pairs
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


# ---- sizes ----


def write_images(path: Path, sizes: dict[str, tuple[int, int]]) -> Path:
    """A BasicSR set: PNGs of a (width, height) each, and meta_info.txt."""
    rng = np.random.default_rng(len(path.name))
    lines = []
    with lmdb.open(str(path), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
        for key, (width, height) in sizes.items():
            stream = BytesIO()
            Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(stream, "PNG")
            txn.put(key.encode(), stream.getvalue())
            lines.append(f"{key}.png ({height},{width},3) 1\n")
    (path / "meta_info.txt").write_text("".join(lines))
    return path


def test_a_pair_of_another_scale_is_named(tmp_path: Path, crew: Crew) -> None:
    low = {f"{number:04d}": (10 + number % 3, 12) for number in range(40)}
    high = {key: (4 * width, 4 * height) for key, (width, height) in low.items()} | {"0017": (44, 47)}
    sources = (write_images(tmp_path / "train_LR.lmdb", low), write_images(tmp_path / "train_HR.lmdb", high))
    report = check(*sources, crew=crew, select=("record-shape-mismatch",))
    assert [(n, f.location.key) for n, one in enumerate(report.reports) for f in one.findings] == [(1, b"0017")]
    (finding,) = report
    assert "44x47 (width x height), and 12x12 in" in finding.message
    assert finding.message.endswith("the other pairs are 4 times as large")
    (turned,) = check(*reversed(sources), crew=crew, select=("record-shape-mismatch",))
    assert turned.message.endswith("the other pairs are 1/4 as large")


def test_pairs_of_one_scale_or_of_none_give_nothing() -> None:
    low = {b"%d" % number: (8 + number, 9, 3) for number in range(40)}
    assert odd_pairs(low, low, 9) == Odd(Fraction(1), (), 0)
    thrice = {key: (3 * height, 3 * width, 3) for key, (height, width, _) in low.items()}
    assert odd_pairs(thrice, low, 9) == Odd(Fraction(3), (), 0)
    mixed = {key: (2 * h, 2 * w, 3) if int(key) % 2 else (3 * h, 3 * w, 3) for key, (h, w, _) in low.items()}
    assert odd_pairs(mixed, low, 9) is None
    assert odd_pairs({}, low, 9) is None
