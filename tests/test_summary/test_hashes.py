from __future__ import annotations

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from datascan.backends.columns import BytesColumn
from datascan.scanner.summary.hashes import _BLOCK as BLOCK
from datascan.scanner.summary.hashes import _COPIED as COPIED
from datascan.scanner.summary.hashes import _TOGETHER as TOGETHER
from datascan.scanner.summary.hashes import SHORT, ContentHasher, content_hashes

CONTENTS = st.lists(
    st.one_of(st.binary(max_size=12), st.binary(min_size=SHORT - 3, max_size=SHORT + 3)), min_size=1, max_size=30
)


def hashes_of(*contents: bytes) -> list[tuple[int, int]]:
    found = content_hashes(BytesColumn.from_strings(contents))
    return [(low, high) for low, high in found.tolist()]


@given(CONTENTS)
def test_a_hash_depends_on_the_bytes_alone(contents: list[bytes]) -> None:
    together = hashes_of(*contents)
    assert together == [hashes_of(content)[0] for content in contents]
    assert together == hashes_of(b"x" * 7, *contents, b"y" * 400)[1:-1]
    assert len(set(together)) == len(set(contents))


@pytest.mark.parametrize("length", [SHORT + 1, 300, COPIED, COPIED + 1])
@pytest.mark.parametrize("gap", [0, 17])
def test_long_contents_have_xxh3(length: int, gap: int) -> None:
    """Side by side, apart from each other, in another order, and of several lengths."""
    count = 2 * TOGETHER + 3
    buffer = np.random.default_rng(2).integers(0, 256, count * (length + gap), np.uint8)
    starts, lengths = np.arange(count) * (length + gap), np.full(count, length)

    def expected(some: NDArray[np.int64], sizes: NDArray[np.int64]) -> bytes:
        places = zip(some.tolist(), sizes.tolist(), strict=True)
        return b"".join(xxhash.xxh3_128_digest(buffer[start : start + size].tobytes()) for start, size in places)

    mixed = np.random.default_rng(3).permutation(starts)
    uneven = np.where(starts % 2 == 0, length, SHORT + 1)
    for some, sizes in ((starts, lengths), (mixed, lengths), (starts, uneven)):
        assert content_hashes(BytesColumn(buffer, some, sizes)).tobytes() == expected(some, sizes)


def test_zeros_behind_the_end_make_another_content() -> None:
    assert len(set(hashes_of(*(bytes(length) for length in range(SHORT + 20))))) == SHORT + 20


def test_rows_that_lie_apart_are_hashed_like_rows_side_by_side() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (50, 40), np.uint8)
    apart = BytesColumn(rows.ravel(), np.arange(50) * 40 + 3, np.full(50, 21))
    assert content_hashes(apart).tolist() == [list(one) for one in hashes_of(*(bytes(row[3:24]) for row in rows))]


def test_rows_of_round_numbers_do_not_collide() -> None:
    """Floats whose lower bits are zero, in every combination: what a weak hash confuses."""
    values = np.array([0.0, 1.0, -1.0, 2.0, 0.5, 4.0, 1024.0, -0.0], np.float32)
    rows = np.stack(np.meshgrid(*[values] * 6), axis=-1).reshape(-1, 6)
    column = BytesColumn(rows.view(np.uint8).ravel(), np.arange(len(rows)) * 24, np.full(len(rows), 24))
    assert len(np.unique(content_hashes(column), axis=0)) == len(rows)
    assert len(np.unique(content_hashes(column)[:, 0])) == len(rows)


def test_a_word_that_differs_shows_in_both_halves() -> None:
    """Each single bit of contents of each length: what a sum with even factors overlooks."""
    for length in (1, 4, 31, 64, SHORT):
        flipped = np.zeros((8 * length, length), np.uint8)
        flipped[np.arange(8 * length), np.arange(8 * length) // 8] = 1 << np.arange(8 * length) % 8
        found = content_hashes(
            BytesColumn(flipped.ravel(), np.arange(8 * length) * length, np.full(8 * length, length))
        )
        assert not (found == hashes_of(bytes(length))[0]).any()


def part(place: int, half: int, which: int) -> int:
    return (xxhash.xxh3_64_intdigest(bytes([place, half, which])) >> 48) - (1 << 15)


@pytest.mark.parametrize("length", [1, 3, 4, 16, 21, 64, 127, SHORT - 1, SHORT])
@pytest.mark.parametrize("beyond", [None, -1, 0, 1])
def test_short_contents_have_two_sums_of_products(length: int, beyond: int | None) -> None:
    """The definition, in Python's own integers; the first, the last and some rows between, about a block of them."""
    count = 1 if beyond is None else BLOCK // -(-length // 4) + beyond
    rows = np.random.default_rng(length).integers(0, 256, (count, length), np.uint8)
    rows[-1], rows[count // 3], rows[count // 2] = 255, 127, np.resize([0, 0, 0, 128], length)  # the largest words
    found = content_hashes(BytesColumn(rows.ravel(), np.arange(count) * length, np.full(count, length)))
    for row in {0, count // 3, count // 2, count - 1}:
        content = rows[row].tobytes()
        words = [
            int.from_bytes(content[at : at + 4].ljust(4, b"\0"), "little", signed=True) for at in range(0, length, 4)
        ]
        sums = []
        for half in (0, 1):
            factors = [
                2 * part(place, half, 0) + 1 + 2 * part(place, half, 1) * 0x9E3779B97F4A7C15
                for place in range(SHORT // 4)
            ]
            total = sum(word * factor for word, factor in zip(words, factors, strict=False))
            sums.append((total + length * (xxhash.xxh3_64_intdigest(bytes([half])) | 1)) % (1 << 64))
        assert found[row].tolist() == sums


@pytest.mark.parametrize("passes", [[], [1, 2, 3], [0, 3, 3], [9], [2, 1]], ids=str)
def test_hashes_made_in_passing_are_those_of_all_contents(passes: list[int]) -> None:
    contents = [bytes([row]) * (200 * row) for row in range(8)]
    column = BytesColumn.from_strings(contents)
    hasher = ContentHasher(column, np.arange(1, 17, 2))
    passed = hasher.follow(np.array([3, 4, 9]))
    for count in passes:
        passed(count)
    assert hasher.all().tolist() == content_hashes(column).tolist()
    assert hasher.all().tolist() == [list(one) for one in hashes_of(*contents)]


def test_sums_are_exact_at_their_largest() -> None:
    """All words as large as they can be, with the sign of their factors: 53 bits hold the sum, in any order."""
    for half, which in np.ndindex(2, 2):
        for sign in (1, -1):
            words = [
                -(1 << 31) if sign * part(place, half, which) < 0 else (1 << 31) - 1 for place in range(SHORT // 4)
            ]
            content = b"".join(word.to_bytes(4, "little", signed=True) for word in words)
            factors = [
                2 * part(place, half, 0) + 1 + 2 * part(place, half, 1) * 0x9E3779B97F4A7C15
                for place in range(SHORT // 4)
            ]
            total = sum(word * factor for word, factor in zip(words, factors, strict=True))
            total += SHORT * (xxhash.xxh3_64_intdigest(bytes([half])) | 1)
            assert hashes_of(content)[0][half] == total % (1 << 64)
