"""Leaf pages: which of their nodes can be trusted."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .lmdb_format import (
    BIG,
    DUP_SORT,
    DUPLICATES,
    LEAF,
    NODE_HEADER,
    TREE,
    TREE_BYTES,
    Flags,
    Ints,
    Nodes,
    PageBytes,
    Pages,
    ascending,
    parse_nodes,
    sort_key,
)
from .lmdb_pages import PageReader


@dataclass(frozen=True, slots=True)
class LeafNodes:
    """Nodes of a window of leaf pages: those that are records or sets of them, and those that are lost.

    ``entry`` are good nodes that are not records of named databases; ``lost`` are nodes that can't be trusted.
    """

    pages: Pages
    nodes: Nodes
    data_start: Ints
    entry: Flags
    lost: Flags

    def key(self, at: int) -> bytes:
        """One node's key."""
        start = int(self.nodes.key_start[at])
        return self.pages.content.reshape(-1)[start : start + int(self.nodes.key_size[at])].tobytes()

    @property
    def named(self) -> Flags:
        """Nodes that hold a named database."""
        return ~self.lost & ~self.entry


def leaf_nodes(reader: PageReader, pages: Pages, flags: int, *, in_order: bool = False) -> LeafNodes:
    """Parse the leaves among the pages and tell good nodes from damaged ones.

    With ``in_order`` the pages are a stretch of a tree's leaves, so that keys ascend from page to page too.
    """
    form, size = reader.form, reader.page_size
    nodes = parse_nodes(pages, np.flatnonzero((pages.fault == 0) & (pages.kind == LEAF)), form)
    start = nodes.data_start(form)
    held = nodes.data_bytes(form)
    kind = nodes.flags
    set_of = kind & DUPLICATES != 0
    good = nodes.good & (start + held <= (nodes.page + 1) * size) & (kind & ~(BIG | TREE | DUPLICATES) == 0)
    good &= (kind & TREE == 0) | ((kind & BIG == 0) & (nodes.data_size == TREE_BYTES))
    good &= ~(set_of & (kind & BIG != 0))
    if flags & DUP_SORT == 0:
        good &= ~set_of
    taken = np.where(good, (start - nodes.start + held + 1) & ~1, 0)
    flat = pages.content.reshape(-1)
    risen = ascending(flat, nodes.key_start, np.where(nodes.good, nodes.key_size, 0), flags)
    same_page = nodes.page[1:] == nodes.page[:-1]
    room = size - form.base - pages.upper
    filled = np.bincount(nodes.page, taken, len(pages.numbers)).astype(np.int64)
    doubtful = (filled != room) & (pages.count > 0)
    doubtful[nodes.page[1:][~risen & same_page]] = True
    for row in np.flatnonzero(doubtful).tolist():
        _settle(pages, nodes, taken, good, row, reader, flags)
    if in_order and bool((~risen & ~same_page & good[1:] & good[:-1]).any()):
        _drop_misplaced(flat, nodes, good, range(len(good)), flags)
    return LeafNodes(pages, nodes, start, good & ~((kind & TREE != 0) & ~set_of), ~good)


def _settle(pages: Pages, nodes: Nodes, taken: Ints, good: Flags, row: int, reader: PageReader, flags: int) -> None:
    """Find the wrong nodes of a page whose nodes overlap, leave holes or do not ascend.

    LMDB keeps nodes without holes between ``upper`` and the end of the page. Following them from ``upper`` on by
    their own sizes gives the true ones, unless a size is damaged; a pointer to anywhere else is wrong.
    """
    first, stop = np.searchsorted(nodes.page, [row, row + 1]).tolist()
    flat = pages.content.reshape(-1)
    end = (row + 1) * reader.page_size
    true = _chain(flat, row * reader.page_size + int(pages.upper[row]) + reader.form.base, end, reader)
    sizes = {int(nodes.start[i]): int(taken[i]) for i in range(first, stop) if good[i]}
    wrong: set[int] = set()
    if true:
        wrong = set(sizes) - true
    else:
        covered = sorted((start, start + size) for start, size in sizes.items())
        for (start, start_stop), (other, _) in itertools.pairwise(covered):
            if other < start_stop:
                wrong |= {start, other}
        if not wrong and bool(good[first:stop].all()):
            # A hole that a lost pointer explains holds whole nodes; else the size of the node before it is wrong.
            for (start, start_stop), (other, _) in itertools.pairwise([*covered, (end, end)]):
                if start_stop < other and not _chain(flat, start_stop, other, reader):
                    wrong.add(start)
    for i in range(first, stop):
        if int(nodes.start[i]) in wrong:
            good[i] = False
    _drop_misplaced(flat, nodes, good, range(first, stop), flags)


def _chain(flat: PageBytes, at: int, stop: int, reader: PageReader) -> set[int]:
    """Starts of the nodes that fill a part of a page by their own sizes; empty if they do not fill it exactly."""
    form = reader.form
    starts = set()
    while at + NODE_HEADER <= stop:
        starts.add(at)
        low, high, flags, key_size = flat[at : at + NODE_HEADER].view("<u2").tolist()
        held = form.extent_node if flags & BIG else low | high << 16
        at += (NODE_HEADER + key_size + (key_size & 1 if form.even_keys else 0) + held + 1) & ~1
    return starts if at == stop else set()


def longest_ascending(keys: Sequence[tuple[bytes, int]]) -> set[int]:
    """Places of the longest strictly ascending run of keys: one wrong key does not take its neighbours along."""
    # Patience sorting: for each length the smallest key that a run of that length can end with.
    ends: list[tuple[bytes, int]] = []
    ends_at: list[int] = []
    before: list[int] = []
    for i, key in enumerate(keys):
        length = bisect_left(ends, key)
        before.append(ends_at[length - 1] if length else -1)
        ends[length : length + 1] = [key]
        ends_at[length : length + 1] = [i]
    at = ends_at[-1] if ends_at else -1
    run = set()
    while at >= 0:
        run.add(at)
        at = before[at]
    return run


def _drop_misplaced(flat: PageBytes, nodes: Nodes, good: Flags, rows: range, flags: int) -> None:
    """Of good nodes that do not ascend, leave those that do."""
    kept = [i for i in rows if good[i]]
    keys = []
    for i in kept:
        start = int(nodes.key_start[i])
        keys.append(sort_key(flat[start : start + int(nodes.key_size[i])].tobytes(), flags))
    run = longest_ascending(keys)
    for place, i in enumerate(kept):
        good[i] = place in run


def edge_key(reader: PageReader, leaves: Ints, flags: int, *, last: bool) -> bytes | None:
    """First or last key of the first of the leaves that can be read."""
    for leaf in leaves.tolist():
        window = leaf_nodes(reader, reader.read(np.array([leaf])), flags)
        entries = np.flatnonzero(window.entry)
        if len(entries):
            return window.key(int(entries[-1 if last else 0]))
    return None
