"""Files that are only read: ranges, ends, and many targets at once."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from datascan.backends import files
from datascan.backends.files import ReadOnlyFile, mapping
from datascan.scanner.testing.store_contract import untouched

CONTENT = random.Random(1).randbytes(10_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


@pytest.mark.parametrize(("offset", "length"), [(0, 10_000), (17, 100), (9_990, 100), (10_000, 5), (20_000, 5), (5, 0)])
def test_reads_stop_at_the_end_of_the_file(path: Path, offset: int, length: int) -> None:
    file = ReadOnlyFile(path)
    target = np.full(length, 7, np.uint8)
    count = file.read_into(target, offset)
    assert file.read(offset, length) == CONTENT[offset : offset + length]
    assert target[:count].tobytes() == CONTENT[offset : offset + length]
    assert (target[count:] == 7).all()
    file.close()


@pytest.mark.parametrize("count", [1, 3, 700, 1100])
def test_scatter_fills_targets_one_after_the_other(path: Path, count: int) -> None:
    file = ReadOnlyFile(path)
    targets = [np.zeros(10, np.uint8) for _ in range(count)]
    assert file.scatter(targets, 5) == min(count * 10, len(CONTENT) - 5)
    assert b"".join(target.tobytes() for target in targets) == CONTENT[5 : 5 + count * 10].ljust(count * 10, b"\0")
    file.close()


def test_file_is_left_untouched(path: Path) -> None:
    with untouched(path):
        file = ReadOnlyFile(path)
        assert file.size_bytes == len(CONTENT)
        file.prefetch(0, 4096)
        file.read(0, 10)
        file.close()
        file.close()


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(("offset", "length"), [(0, 10_000), (17, 100), (4096, 4096), (5000, 3), (10_000, 5), (9, 0)])
def test_a_view_is_what_stands_there(
    path: Path, offset: int, length: int, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LEAST_MAPPED", 0)
    with untouched(path), mapping(mapped):
        file = ReadOnlyFile(path)
        view = file.view(offset, length)
        file.close()
        assert view.tobytes() == CONTENT[offset : offset + length]
    if mapped and sys.platform == "linux" and 0 < length <= len(CONTENT) - offset:
        assert not view.flags.writeable


@pytest.mark.parametrize("mapped", [False, True])
def test_a_view_ends_with_the_file(path: Path, mapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LEAST_MAPPED", 0)
    with mapping(mapped):
        file = ReadOnlyFile(path)
        os.truncate(path, 6000)
        assert file.view(4096, 5904).tobytes() == CONTENT[4096:6000]
        assert file.view(8192, 100).tobytes() == b""
        file.close()


def test_nothing_is_mapped_where_nobody_allows_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LEAST_MAPPED", 0)
    with mapping(True):
        pass
    file = ReadOnlyFile(path)
    assert file.view(0, 100).flags.writeable
    file.close()
