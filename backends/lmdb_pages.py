"""Reading pages of an LMDB file by number: in file order, neighbours together, never mapped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from .files import ReadOnlyFile
from .lmdb_format import (
    BEYOND,
    BRANCH,
    DEEPEST,
    DUP_SORT,
    FIRST_PAGE,
    LEAF,
    LOST_POINTER,
    NO_TREE_PAGE,
    TWICE,
    UNREADABLE,
    Flags,
    Ints,
    Nodes,
    PageBytes,
    PageFormat,
    Pages,
    Tree,
    ascending,
    parse_nodes,
    parse_pages,
    sort_key,
)

UNKNOWN = -1
"""Stands in a list of pages where the pointer to a page is damaged."""

WINDOW_PAGES_BYTES = 8 << 20
"""Pages of a tree that are held at a time."""


class PageReader:
    """Pages of one file."""

    def __init__(self, file: ReadOnlyFile, form: PageFormat, page_size: int) -> None:
        self.file = file
        self.form = form
        self.page_size = page_size
        self.file_size = file.size_bytes
        self.page_count = self.file_size // page_size
        self.window = max(WINDOW_PAGES_BYTES // page_size, 1)

    def read(self, numbers: Ints) -> Pages:
        """Read pages in whatever order they are named; `UNKNOWN` and ``~page`` (a page reached twice) are not read."""
        content = np.empty((len(numbers), self.page_size), np.uint8)
        fault = np.zeros(len(numbers), np.int64)
        fault[numbers < 0] = TWICE
        fault[numbers == UNKNOWN] = LOST_POINTER
        fault[(numbers >= 0) & (numbers < FIRST_PAGE)] = NO_TREE_PAGE
        fault[numbers >= self.page_count] = BEYOND
        rows = np.flatnonzero(fault == 0)
        rows = rows[np.argsort(numbers[rows], kind="stable")]
        stretches = list(runs(numbers[rows]))
        if len(stretches) > 1:
            for first, stop in stretches:
                self.file.prefetch(int(numbers[rows[first]]) * self.page_size, (stop - first) * self.page_size)
        for first, stop in stretches:
            self._read_run(content, rows[first:stop], int(numbers[rows[first]]), fault)
        content[fault != 0] = 0
        return parse_pages(content, np.where(numbers < UNKNOWN, ~numbers, numbers), fault, self.form)

    def windows(self, numbers: Ints) -> Iterator[Pages]:
        """Read many pages, some at a time."""
        for first in range(0, len(numbers), self.window):
            pages = self.read(numbers[first : first + self.window])
            self._prefetch(numbers[first + self.window : first + 2 * self.window])
            yield pages

    def _prefetch(self, numbers: Ints) -> None:
        """Have pages fetched that will be asked for next."""
        order = np.sort(numbers[(numbers >= FIRST_PAGE) & (numbers < self.page_count)])
        for first, stop in runs(order):
            self.file.prefetch(int(order[first]) * self.page_size, (stop - first) * self.page_size)

    def _read_run(self, content: PageBytes, rows: Ints, number: int, fault: Ints) -> None:
        offset = number * self.page_size
        first, last = int(rows[0]), int(rows[-1])
        try:
            if last - first + 1 == len(rows) and bool((np.diff(rows) == 1).all()):
                done = self.file.read_into(content[first : last + 1], offset)
            else:
                done = self.file.scatter([content[row] for row in rows.tolist()], offset)
            fault[rows[done // self.page_size :]] = BEYOND  # cut short since the file was opened
        except OSError:
            for step, row in enumerate(rows.tolist()):
                try:
                    self.file.read_into(content[row], offset + step * self.page_size)
                except OSError:
                    fault[row] = UNREADABLE


def runs(numbers: Ints) -> Iterator[tuple[int, int]]:
    """Cut ascending page numbers into slices of neighbours."""
    if len(numbers) == 0:
        return
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    bounds = [0, *cuts.tolist(), len(numbers)]
    yield from pairwise(bounds)


class LeafPlan:
    """The leaf pages of a tree in key order, found from its branch pages alone.

    Attributes
    ----------
    leaves
        Page numbers; a branch page that is damaged stands where its leaves would (reading it as a leaf says what
        is wrong), and so do `UNKNOWN` and ``~page`` for a page that was reached before.
    branches
        Branch pages that were read.
    suspect
        Whether leaves may be missing.
    """

    def __init__(self, reader: PageReader, tree: Tree) -> None:
        self.suspect = False
        root = np.empty(0, np.int64) if tree.root is None else np.array([min(tree.root, 1 << 62)], np.int64)
        self.leaves, final = root, root < 0
        self._read = [np.empty(0, np.int64)]
        depth = tree.depth if 1 <= tree.depth <= DEEPEST else 1
        for level in range(1, DEEPEST):
            if final.all() or (level >= depth and not self._above_leaves(reader, final)):
                break
            self.leaves, final = self._descend(reader, self.leaves, final, tree.flags)
        self.branches = np.concatenate(self._read)
        # Trees of duplicates count with the tree that they hang in.
        counted = tree.flags & DUP_SORT == 0 and tree.entries > 0
        self.suspect |= counted and len(self.leaves) != tree.leaf_pages

    def _above_leaves(self, reader: PageReader, final: Flags) -> bool:
        """Whether the depth that the tree claims is too small."""
        first = self.leaves[~final][:1]
        return bool((reader.read(first).kind == BRANCH).any())

    def _descend(self, reader: PageReader, level: Ints, final: Flags, flags: int) -> tuple[Ints, Flags]:
        found, finals = [], []
        for start in range(0, len(level), reader.window):
            numbers = level[start : start + reader.window]
            settled = final[start : start + reader.window].copy()
            pages = reader.read(np.where(settled, UNKNOWN, numbers))
            branch = (pages.fault == 0) & (pages.kind == BRANCH) & (pages.count > 0)
            self.suspect |= bool((~settled & ~branch).any())
            nodes = parse_nodes(pages, np.flatnonzero(branch), reader.form)
            self.suspect |= not self._in_order(pages, nodes, flags)
            self._read.append(numbers[branch])
            times = np.where(branch, pages.count, 1)
            children = np.repeat(numbers, times)
            ended = np.repeat(~branch, times)
            children[~ended] = np.where(nodes.good, nodes.child, UNKNOWN)
            found.append(children)
            finals.append(ended)
        children, ended = np.concatenate(found), np.concatenate(finals)
        outside = ~ended & ((children < FIRST_PAGE) | (children >= reader.page_count))
        ended |= outside
        open_rows = np.flatnonzero(~ended)
        twice = np.ones(len(open_rows), np.bool_)
        twice[np.unique(children[open_rows], return_index=True)[1]] = False
        twice |= np.isin(children[open_rows], np.concatenate(self._read))
        children[open_rows[twice]] = ~children[open_rows[twice]]
        ended[open_rows[twice]] = True
        self.suspect |= bool(outside.any() or twice.any())
        return children, ended

    @staticmethod
    def _in_order(pages: Pages, nodes: Nodes, flags: int) -> bool:
        """The first key of a branch means "everything smaller" and takes no part."""
        if not len(nodes.page):
            return True
        follows = np.diff(nodes.page) == 0
        follows[1:] &= follows[:-1]
        follows[:1] = False
        risen = ascending(pages.content.reshape(-1), nodes.key_start, nodes.key_size * nodes.good, flags)
        return bool(nodes.good.all() and risen[follows].all())


def find_node(reader: PageReader, tree: Tree, key: bytes) -> tuple[Pages, Nodes, int] | None:
    """Descend to a key: its leaf page, that page's nodes and the row among them; ``None`` if it is not reached."""
    if tree.root is None:
        return None
    wanted = sort_key(key, tree.flags)
    number = tree.root
    for _ in range(DEEPEST):
        pages = reader.read(np.array([min(number, 1 << 62)], np.int64))
        if pages.fault[0] or pages.kind[0] not in (BRANCH, LEAF):
            return None
        nodes = parse_nodes(pages, np.zeros(1, np.int64), reader.form)
        if not nodes.good.all():
            return None
        flat = pages.content.reshape(-1)
        starts, sizes = nodes.key_start.tolist(), nodes.key_size.tolist()
        keys = [flat[start : start + size].tobytes() for start, size in zip(starts, sizes, strict=True)]
        if pages.kind[0] == LEAF:
            return (pages, nodes, keys.index(key)) if key in keys else None
        below = [row for row, low in enumerate(keys) if row == 0 or sort_key(low, tree.flags) <= wanted]
        if not below:
            return None
        number = int(nodes.child[below[-1]])
    return None
