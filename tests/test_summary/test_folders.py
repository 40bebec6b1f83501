"""Directories in keys that are classes, and the records that disagree with theirs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.test_rebuild.stores import datum, write

from datascan.backends.base import RecordBatch, Table
from datascan.backends.columns import BytesColumn
from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.options import Options
from datascan.scanner.sample import LabelBlock, SampleBatch
from datascan.scanner.summary.folders import MOST_FOLDERS, FolderSummary, Odd

Labelled = list[tuple[bytes, int]]


def summed(keys: Labelled, cuts: tuple[int, ...] = ()) -> FolderSummary:
    """What the parts of a set between some cuts give together."""
    edges = [0, *cuts, len(keys)]
    whole = FolderSummary(Options())
    for start, stop in pairwise(edges):
        part = FolderSummary(Options())
        names = BytesColumn.from_strings(key for key, _ in keys[start:stop])
        rows = np.arange(stop - start)
        samples = SampleBatch(RecordBatch(Table(), rows, names, names), rows)
        samples.labels = [LabelBlock("label", rows, np.array([label for _, label in keys[start:stop]]))]
        part.add(samples)
        whole.merge(part, start)
    return whole


def classes(count: int = 400, pattern: str = "{i:08d}_n0{c}/img_{i}.JPEG", odd: tuple[int, ...] = (123,)) -> Labelled:
    return [(pattern.format(i=i, c=i % 4).encode(), (i + (i in odd)) % 4) for i in range(count)]


@pytest.mark.parametrize("pattern", ["{i:08d}_n0{c}/img_{i}.JPEG", "n0{c}/img_{i}.JPEG", "train/n0{c}/{i}"])
@pytest.mark.parametrize("cuts", [(), (1, 123, 124, 399), (200,)])
def test_a_record_that_disagrees_with_its_directory_is_named(pattern: str, cuts: tuple[int, ...]) -> None:
    folder = b"train/n03" if pattern.startswith("train") else b"n03"
    odd, count = summed(classes(pattern=pattern), cuts).odd()
    assert odd == [Odd(123, folder, 0, 3, 99, 100)]
    assert count == 1


@pytest.mark.parametrize(
    "keys",
    [
        classes(odd=()),
        classes(pattern="{i:08d}", odd=(7,)),
        classes(pattern="{i:08d}_photos/{i}.jpg"),
        [(b"batch_%d/%d" % (i // 100, i), i % 4) for i in range(400)],
        [(b"batch_%d/%d" % (i // 100, i), int(i == 7)) for i in range(400)],
        [(b"clip_%d/%d" % (i // 10, i), int(i >= 380 or i == 7)) for i in range(400)],
        classes(odd=tuple(range(100, 120))),
        [*classes(), *((b"flat%d" % i, 1) for i in range(30))],
        [(b"n0%d/%d" % (i % 100, i), i % 100 + (i == 7)) for i in range(300)],
    ],
    ids=["agree", "flat", "one", "mixed", "rare-label", "clips", "noisy", "half-flat", "few-in-each"],
)
def test_directories_that_are_no_classes_say_nothing(keys: Labelled) -> None:
    assert summed(keys).odd() == ([], 0)


def test_memory_is_bounded_by_a_number_of_directories() -> None:
    keys = [(b"%d/a" % i, 0) for i in range(MOST_FOLDERS + 1)]
    whole = summed(keys, (5, 10_000))
    assert whole.many
    assert not whole.folders


def test_any_number_of_workers_finds_the_same(tmp_path: Path, crew: Crew) -> None:
    source = write("lmdb", tmp_path / "set", {key: datum(i, 3, label) for i, (key, label) in enumerate(classes())})
    found = [check(source, jobs=jobs, select=("label-contradiction",)).reports[0].findings for jobs in (1, 2)]
    assert found[0] == found[1]
    (one,) = found[0]
    assert one.message == "label 0, but 99 of 100 records in n03/ have label 3"
    assert one.location.index == 123
    assert one.data == {"folder": "n03", "label": 0, "usual": 3}
