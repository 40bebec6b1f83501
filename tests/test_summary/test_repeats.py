"""Records whose hash occurs again are given back, whatever is few and whatever fits in memory; few others with them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from datascan.scanner.spill import Workspace
from datascan.scanner.summary.contents import SECOND
from datascan.scanner.summary.repeats import FEW, WORTHWHILE, Chunk, Repeats

RECORDS = 3 * WORTHWHILE


def hashes_with(repeats: int) -> NDArray[np.uint64]:
    """Hashes of which the last ones were at the beginning, every other time with another second half."""
    hashes = np.random.default_rng(7).integers(0, 1 << 64, (RECORDS, 2), np.uint64)
    hashes[RECORDS - repeats :] = hashes[:repeats]
    hashes[RECORDS - repeats :: 2, 1] += np.uint64(1)
    return hashes


def chunks_of(hashes: NDArray[np.uint64], positions: NDArray[np.int64], rows: int) -> list[Chunk]:
    return [
        Chunk.of(hashes[start : start + rows], positions[start : start + rows]) for start in range(0, len(hashes), rows)
    ]


def found(repeats: Repeats) -> NDArray[np.uint64]:
    return np.concatenate([np.empty((0, 3), np.uint64), *repeats.rows().blocks()])


@pytest.mark.parametrize("step", [1, 3], ids=["gapless", "with holes"])
@pytest.mark.parametrize("rows", [100, WORTHWHILE])
@pytest.mark.parametrize("limit_bytes", [None, RECORDS * 8, 20_000])
def test_those_that_occur_again_are_picked_out(limit_bytes: int | None, rows: int, step: int) -> None:
    few = RECORDS // FEW // 4
    hashes, positions = hashes_with(few), np.arange(RECORDS) * step + 5
    repeats = Repeats(Workspace(limit_bytes=limit_bytes))
    for chunk in chunks_of(hashes, positions, 3 * rows):
        repeats.add(chunks_of(chunk.hashes, chunk.places(), rows), 0)
    expected = np.column_stack([hashes, positions.astype(np.uint64)])[np.r_[0:few, RECORDS - few : RECORDS]]
    expected = expected[np.lexsort(expected.T[::-1])]
    assert len(repeats) == RECORDS
    for _ in range(2):  # may be asked again
        assert np.array_equal(found(repeats), expected)


@pytest.mark.parametrize("limit_bytes", [None, 20_000])
def test_all_are_given_back_where_many_occur_again(limit_bytes: int | None) -> None:
    hashes = hashes_with(RECORDS // 4)
    repeats = Repeats(Workspace(limit_bytes=limit_bytes))
    repeats.add(chunks_of(hashes, np.arange(RECORDS), WORTHWHILE), 0)
    rows = found(repeats)
    assert len(rows) == RECORDS
    assert set(map(tuple, rows.tolist())) == {(*pair, place) for place, pair in enumerate(hashes.tolist())}


def test_none_are_given_back_where_none_occurs_again() -> None:
    repeats = Repeats(Workspace(limit_bytes=20_000))
    repeats.add(chunks_of(hashes_with(0), np.arange(RECORDS), WORTHWHILE), 0)
    assert len(found(repeats)) == 0


@pytest.mark.parametrize("rows", [100, WORTHWHILE])
@pytest.mark.parametrize("step", [1, 2])
def test_those_of_a_second_set_are_marked(step: int, rows: int) -> None:
    hashes = np.random.default_rng(1).integers(0, 1 << 64, (RECORDS, 2), np.uint64)
    repeats = Repeats(Workspace())
    repeats.add(chunks_of(hashes, np.arange(RECORDS), RECORDS), 0)
    repeats.add(chunks_of(hashes[:10], np.arange(10) * step, rows), SECOND)
    positions = found(repeats)[:, 2]
    assert sorted(positions.tolist()) == [*range(10), *(SECOND + place * step for place in range(10))]


def test_equals_are_found_across_the_blocks_of_a_sorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datascan.scanner.spill.sorter.SLICE_ROWS", 1)
    few = RECORDS // FEW // 4
    repeats = Repeats(Workspace())
    repeats.add(chunks_of(hashes_with(few), np.arange(RECORDS), WORTHWHILE), 0)
    assert sorted(found(repeats)[:, 2].tolist()) == [*range(few), *range(RECORDS - few, RECORDS)]
