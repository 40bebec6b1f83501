"""Records that the tree has lost: intact pages found by looking at every page of the file.

A page says its own number, so an intact page can be told from a value's bytes. Which of the intact pages still
count is decided by the free list, by what other trees reach, and, where both metas are lost, by which tree is whole.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from .base import Table
from .files import ReadOnlyFile
from .lmdb_format import (
    BIG,
    BRANCH,
    DUP_SORT,
    DUPLICATES,
    FORMATS,
    INTEGER_KEY,
    LEAF,
    LMDB_09,
    OVERFLOW,
    REVERSE_KEY,
    TREE,
    TREE_BYTES,
    Flags,
    Ints,
    PageFormat,
    Pages,
    Tree,
    gather_u64,
    parse_nodes,
    sort_key,
)
from .lmdb_leaves import leaf_nodes, longest_ascending
from .lmdb_metas import PAGE_SIZES
from .lmdb_pages import UNKNOWN, LeafPlan, PageReader
from .lmdb_records import RecordReader
from .lmdb_values import Rows, ValueFetcher

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Survey:
    """Every intact page of a tree in the file, whether or not it is still in use.

    ``transaction`` is the one that wrote the page, 0 in format 1. ``referred`` are pages that some intact page
    leads to.
    """

    numbers: Ints
    is_leaf: Flags
    count: Ints
    transaction: Ints
    referred: Ints


def guess_format(file: ReadOnlyFile) -> tuple[PageFormat, int]:
    """Format and page size of a file without metas: those under which most pages say their own number."""
    best, chosen = 0, (LMDB_09, PAGE_SIZES[0])
    for form in FORMATS:
        for size in PAGE_SIZES:
            reader = PageReader(file, form, size)
            pages = reader.read(np.arange(2, min(reader.page_count, 130)))
            stored = pages.content[:, :8].copy().view("<u8").ravel() == pages.numbers.astype(np.uint64)
            known = (pages.fault == 0) | (pages.kind == OVERFLOW)
            # Small pages are more: what counts is the share of the file that they explain.
            fits = int((stored & known).sum()) * size
            if fits > best:
                best, chosen = fits, (form, size)
    return chosen


def survey(reader: PageReader) -> Survey:
    """Look at every page of the file."""
    numbers, leaves, counts, written = [_NONE], [np.empty(0, np.bool_)], [_NONE], [_NONE]
    referred = [_NONE]
    for first in range(2, reader.page_count, reader.window):
        pages = reader.read(np.arange(first, min(first + reader.window, reader.page_count)))
        good = _intact(reader, pages, referred)
        numbers.append(pages.numbers[good])
        leaves.append(pages.kind[good] == LEAF)
        counts.append(pages.count[good])
        unwritten = np.zeros(len(good), np.int64)
        written.append(unwritten if reader.form is LMDB_09 else pages.content[good, 8:16].copy().view("<i8").ravel())
    found = (np.concatenate(numbers), np.concatenate(leaves), np.concatenate(counts), np.concatenate(written))
    return Survey(*found, np.unique(np.concatenate(referred)))


def _intact(reader: PageReader, pages: Pages, referred: list[Ints]) -> Ints:
    """Rows of whole branch and leaf pages; what they lead to is noted."""
    whole = (pages.fault == 0) & (pages.count > 0)
    branches = parse_nodes(pages, np.flatnonzero(whole & (pages.kind == BRANCH)), reader.form)
    whole[branches.page[~branches.good]] = False
    leaves = leaf_nodes(reader, pages, DUP_SORT)
    if leaves.lost.any():  # another order than the usual may explain it
        reverse = leaf_nodes(reader, pages, DUP_SORT | REVERSE_KEY)
        lost = np.bincount(leaves.nodes.page, leaves.lost, len(whole)) > 0
        lost &= np.bincount(reverse.nodes.page, reverse.lost, len(whole)) > 0
        whole &= ~lost
    whole &= (pages.kind == BRANCH) | (pages.kind == LEAF)
    referred.append(branches.child[branches.good & whole[branches.page]])
    flat = pages.content.reshape(-1)
    trees = (leaves.nodes.flags & TREE != 0) & whole[leaves.nodes.page] & ~leaves.lost
    roots = gather_u64(flat, leaves.data_start[trees] + TREE_BYTES - 8)
    referred.append(np.minimum(roots, np.uint64(1 << 62)).astype(np.int64))
    return np.flatnonzero(whole)


def find_main_tree(reader: PageReader, pages: Survey, excluded: Ints) -> Tree | None:
    """The largest tree that is whole (in format 3 the newest); roots among ``excluded`` are left out."""
    free_of_parents = ~np.isin(pages.numbers, pages.referred) & ~np.isin(pages.numbers, excluded)
    best: tuple[int, int, int] = (-1, 0, 0)
    chosen = None
    for row in np.flatnonzero(free_of_parents).tolist():
        root = int(pages.numbers[row])
        if pages.is_leaf[row]:
            leaves = pages.numbers[row : row + 1]
        else:
            plan = LeafPlan(reader, Tree(0, 1, 0, 0, 0, 0, root, 0))
            leaves = plan.leaves
        at = np.searchsorted(pages.numbers, leaves)
        at[at == len(pages.numbers)] = 0
        if not bool((pages.numbers[at] == leaves).all()) or not bool(pages.is_leaf[at].all()):
            continue
        entries = int(pages.count[at].sum())
        rank = (int(pages.transaction[row]), entries, root)
        if rank > best and not _is_free_list(reader, int(leaves[0])):
            best = rank
            chosen = Tree(guess_flags(reader, int(leaves[0])), 1, 0, len(leaves), 0, entries, root, 0)
    return chosen


def guess_flags(reader: PageReader, leaf: int) -> int:
    """A database's flags as far as one of its leaves shows them."""
    pages = reader.read(np.array([leaf]))
    nodes = parse_nodes(pages, np.zeros(1, np.int64), reader.form)
    flags = DUP_SORT if bool((nodes.flags & DUPLICATES != 0).any()) else 0
    if leaf_nodes(reader, pages, flags).lost.any() and not leaf_nodes(reader, pages, flags | REVERSE_KEY).lost.any():
        flags |= REVERSE_KEY
    return flags


def _is_free_list(reader: PageReader, leaf: int) -> bool:
    """Free lists have transaction numbers as keys and counted lists of page numbers as values."""
    window = leaf_nodes(reader, reader.read(np.array([leaf])), INTEGER_KEY)
    nodes = window.nodes
    if len(nodes.page) == 0 or not bool((nodes.key_size == 8).all()) or not bool((nodes.data_size % 8 == 0).all()):
        return False
    inline = (nodes.flags & BIG == 0) & (nodes.data_size >= 8)
    counts = gather_u64(window.pages.content.reshape(-1), window.data_start[inline]).astype(np.int64)
    return bool((counts == nodes.data_size[inline] // 8 - 1).all())


def free_pages(reader: PageReader, tree: Tree) -> dict[int, Ints]:
    """The free list: pages by the transaction that freed them. What is damaged of it is left out."""
    found = {}
    fetcher = ValueFetcher(reader, Table())
    for rows in RecordReader(reader, INTEGER_KEY).rows(LeafPlan(reader, tree).leaves):
        if not isinstance(rows, Rows):
            continue
        for part in rows.batches():
            batch, _ = fetcher.fetch(part)
            for key, value in zip(batch.keys, batch.values, strict=True) if batch is not None else ():
                if len(value) >= 8 and len(value) % 8 == 0:
                    found[int.from_bytes(key, "little")] = np.frombuffer(value, "<i8")[1:].astype(np.int64)
    return found


def insert_lost_leaves(reader: PageReader, planned: Ints, pages: Survey, taken: Ints, flags: int) -> Ints:
    """Put intact leaves that nothing leads to (and that are not ``taken``) between the planned ones, by their keys."""
    lost = pages.numbers[pages.is_leaf & ~np.isin(pages.numbers, taken)]
    known = _key_ranges(reader, planned, flags)
    ordered = [number for number in planned.tolist() if number in known]
    in_place = longest_ascending([known[number][0] for number in ordered])
    # A leaf that a damaged pointer leads to from the wrong place is put where its keys belong.
    misplaced = {number: known[number] for place, number in enumerate(ordered) if place not in in_place}
    planned = np.where(np.isin(planned, list(misplaced)), UNKNOWN, planned)
    ordered = [number for number in ordered if number not in misplaced]
    firsts = [known[number][0] for number in ordered]
    # Old free lists are found too when the newest one is lost.
    found = {leaf: ends for leaf, ends in _key_ranges(reader, lost, flags).items() if not _is_free_list(reader, leaf)}
    found |= misplaced
    written = dict(zip(pages.numbers.tolist(), pages.transaction.tolist(), strict=True))
    counts = dict(zip(pages.numbers.tolist(), pages.count.tolist(), strict=True))
    followers: dict[int, list[int]] = {}
    anchor = {number: number for number in ordered}
    # Of two versions of a leaf the newer one counts; format 1 does not tell, but data sets grow.
    for number in sorted(found, key=lambda number: (-written.get(number, 0), -counts.get(number, 0), number)):
        low, high = found[number]
        at = bisect_right(firsts, low)
        if at and known[ordered[at - 1]][1] >= low:
            continue
        if at < len(ordered) and firsts[at] <= high:
            continue
        before = anchor[ordered[at - 1]] if at else -1
        known[number], anchor[number] = (low, high), before
        ordered.insert(at, number)
        firsts.insert(at, low)
        followers.setdefault(before, []).append(number)
    return _merged(planned.tolist(), followers, ordered)


def _merged(planned: list[int], followers: dict[int, list[int]], ordered: list[int]) -> Ints:
    """Planned pages with the lost ones behind the leaf that they follow and behind the damage that stands there."""
    rank = {number: place for place, number in enumerate(ordered)}
    merged: list[int] = []
    waiting = sorted(followers.get(-1, []), key=rank.__getitem__)
    for number in planned:
        if number in rank:
            merged += waiting
            waiting = sorted(followers.get(number, []), key=rank.__getitem__)
        merged.append(number)
    return np.array(merged + waiting, np.int64)


def _key_ranges(reader: PageReader, leaves: Ints, flags: int) -> dict[int, tuple[tuple[bytes, int], tuple[bytes, int]]]:
    """First and last key of the leaves that are whole, as the database sorts them."""
    ranges = {}
    for pages in reader.windows(leaves):
        window = leaf_nodes(reader, pages, flags)
        flat = pages.content.reshape(-1)
        for row in np.flatnonzero((pages.fault == 0) & (pages.kind == LEAF) & (pages.count > 0)).tolist():
            first, stop = np.searchsorted(window.nodes.page, [row, row + 1]).tolist()
            good = np.flatnonzero(window.entry[first:stop]) + first
            if len(good):
                ends = []
                for at in (int(good[0]), int(good[-1])):
                    start = int(window.nodes.key_start[at])
                    key = flat[start : start + int(window.nodes.key_size[at])].tobytes()
                    ends.append(sort_key(key, flags))
                ranges[int(pages.numbers[row])] = (ends[0], ends[1])
    return ranges
