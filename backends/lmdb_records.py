"""The records of leaf pages: nodes checked, duplicates spread out, damage named with the keys around it."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .base import Damage
from .lmdb_format import (
    BEYOND,
    BIG,
    BRANCH,
    BRANCH_AS_LEAF,
    DUP_SORT,
    DUPLICATES,
    FAULTS,
    LEAF,
    LOST_POINTER,
    NO_TREE_PAGE,
    NODE_HEADER,
    PACKED,
    SUBPAGE,
    TREE,
    TREE_BYTES,
    TWICE,
    Flags,
    Ints,
    Nodes,
    PageBytes,
    Pages,
    Tree,
    ascending,
    gather_u64,
    parse_nodes,
    sort_key,
)
from .lmdb_pages import LeafPlan, PageReader
from .lmdb_values import Rows


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


@dataclass(slots=True)
class RecordReader:
    """Reads leaf pages one window after the other and counts positions.

    Attributes
    ----------
    flags
        The database's flags.
    position
        Position of the next record.
    last_key, key_behind
        The key before the first leaf (later: the last key read) and the one behind the last leaf: damage is
        placed by the keys around it.
    named
        Number of named databases met: they are no records.
    """

    reader: PageReader
    flags: int
    position: int = 0
    last_key: bytes | None = None
    key_behind: bytes | None = None
    named: int = 0
    _waiting: list[Damage] = field(default_factory=list)

    def rows(self, leaves: Ints) -> Iterator[Rows | Damage]:
        """The records of the leaves, in order; their values are not fetched yet."""
        for pages in self.reader.windows(leaves):
            window = leaf_nodes(self.reader, pages, self.flags, in_order=True)
            self.named += int(window.named.sum())
            yield from self._window(window)
        yield from self._release(self.key_behind)

    def _window(self, window: LeafNodes) -> Iterator[Rows | Damage]:
        counted = window.entry | window.lost
        position = self.position + np.cumsum(counted) - counted
        entries = np.flatnonzero(window.entry)
        if len(entries):
            yield from self._release(_key(window, int(entries[0])))
        self._look_for_damage(window, position)
        # Behind the last key the damage waits for the next window.
        ready = [damage for damage in self._waiting if damage.data["key_after"] is not None]
        self._waiting = self._waiting[len(ready) :]
        yield from ready
        sets = np.flatnonzero(window.entry & (window.nodes.flags & DUPLICATES != 0))
        if len(sets):
            yield from self._with_duplicates(window, sets)
        else:
            if len(entries):
                yield self._plain(window, entries, position[entries])
            self.position += int(counted.sum())
        if len(entries):
            self.last_key = _key(window, int(entries[-1]))

    def _plain(self, window: LeafNodes, at: Ints, position: Ints) -> Rows:
        nodes = window.nodes
        flat = window.pages.content.reshape(-1)
        start = window.data_start[at]
        big = nodes.flags[at] & BIG != 0
        extent = np.full(len(at), -1, np.int64)
        if big.any():
            extent[big] = np.minimum(gather_u64(flat, start[big]), np.uint64(1 << 40)).astype(np.int64)
        return Rows(flat, nodes.key_start[at], nodes.key_size[at], flat, start, nodes.data_size[at], extent, position)

    # Damage -------------------------------------------------------------------------------------------------

    def _look_for_damage(self, window: LeafNodes, position: Ints) -> None:
        """Note damaged pages and nodes of the window, in page order, with the keys before and after them."""
        pages, nodes = window.pages, window.nodes
        faults = pages.fault.copy()
        faults[(faults == 0) & (pages.kind == BRANCH)] = BRANCH_AS_LEAF
        faults[(faults == 0) & (pages.kind == LEAF | PACKED)] = NO_TREE_PAGE
        lost = np.bincount(nodes.page[window.lost], minlength=len(pages.numbers))
        for row in np.flatnonzero((faults != 0) | (lost > 0)).tolist():
            first = int(np.searchsorted(nodes.page, row))
            stop = int(np.searchsorted(nodes.page, row + 1))
            number = int(pages.numbers[row])
            if faults[row]:
                reason, count = self._page_reason(pages, row, int(faults[row])), None
                at, before, after = first, first, stop
            else:
                reason = f"page {number}: {int(lost[row])} of {stop - first} nodes are damaged"
                count = int(lost[row])
                bad = np.flatnonzero(window.lost[first:stop]) + first
                at, before, after = int(bad[0]), int(bad[0]), int(bad[-1]) + 1
            self._note(
                window,
                faults[row] == BEYOND,
                reason,
                number,
                count,
                before,
                after,
                int(position[at] if at < len(position) else self.position + int((window.entry | window.lost).sum())),
            )

    def _page_reason(self, pages: Pages, row: int, fault: int) -> str:
        number = int(pages.numbers[row])
        if fault == LOST_POINTER:
            return "a pointer to a page of records is damaged"
        text = FAULTS[fault] if fault != int(pages.fault[row]) else pages.reason(row)
        if fault == TWICE:
            return f"the tree leads to page {number} a second time"
        return f"page {number} is damaged: {text}"

    def _note(
        self,
        window: LeafNodes,
        beyond: bool,
        reason: str,
        number: int,
        count: int | None,
        before: int,
        after: int,
        position: int,
    ) -> None:
        earlier = np.flatnonzero(window.entry[:before])
        later = np.flatnonzero(window.entry[after:])
        key_before = _key(window, int(earlier[-1])) if len(earlier) else self.last_key
        key_after = _key(window, after + int(later[0])) if len(later) else None
        data = {"page": number, "key_before": key_text(key_before), "key_after": key_text(key_after)}
        offset = number * self.reader.page_size if number >= 0 else None
        kind = "truncated" if beyond else "damaged"
        self._waiting.append(
            Damage(kind, reason, position=position, offset=offset, records_lost=count, data=data)  # type: ignore[arg-type]
        )

    def _release(self, key_after: bytes | None) -> Iterator[Damage]:
        """Damage waits until the next key is known."""
        for damage in self._waiting:
            if damage.data["key_after"] is None:
                damage = replace(damage, data={**damage.data, "key_after": key_text(key_after)})
            yield damage
        self._waiting.clear()

    # Duplicates ---------------------------------------------------------------------------------------------

    def _with_duplicates(self, window: LeafNodes, sets: Ints) -> Iterator[Rows | Damage]:
        """Each value of a key is a record; runs of keys and small sets of a window stay together."""
        counted = window.entry | window.lost
        is_set = np.zeros(len(counted), np.bool_)
        is_set[sets] = True
        run: list[Rows] = []
        first = 0
        for at in [*sets.tolist(), len(counted)]:
            between = np.flatnonzero(counted[first:at]) + first
            if len(between):
                position = self.position + np.arange(len(between))
                self.position += len(between)
                good = window.entry[between]
                run.append(self._plain(window, between[good], position[good]))
            if at < len(counted):
                if window.nodes.flags[at] & TREE:
                    if run:
                        yield _joined(run)
                    run = []
                    yield from self._value_tree(window, at)
                else:
                    inside = self._subpage(window, at)
                    run += [part for part in inside if isinstance(part, Rows)]
                    yield from (part for part in inside if isinstance(part, Damage))
            first = at + 1
        if run:
            yield _joined(run)

    def _subpage(self, window: LeafNodes, at: int) -> list[Rows | Damage]:
        """The values of a key whose set is small: a page within the node's data (``MDB_page``, ``P_SUBP``)."""
        form = self.reader.form
        flat = window.pages.content.reshape(-1)
        start, size = int(window.data_start[at]), int(window.nodes.data_size[at])
        header = (
            flat[start + form.header - 8 : start + form.header].view("<u2").tolist() if size >= form.header else [0] * 4
        )
        fixed, flags, lower, upper = header
        count = (lower - form.header + form.base) >> 1
        starts: list[int] = []
        sizes: list[int] = []
        if flags & SUBPAGE and flags & PACKED and count >= 0 and count * fixed <= size - form.header:
            starts = [start + form.header + i * fixed for i in range(count)]
            sizes = [fixed] * count
        elif flags & SUBPAGE and flags & PACKED == 0 and count >= 0 and form.header + 2 * count <= size:
            pointers = flat[start + form.header : start + form.header + 2 * count].tobytes()
            for i in range(count):
                node = int.from_bytes(pointers[2 * i : 2 * i + 2], "little") + form.base
                length = (
                    size
                    if node + NODE_HEADER > size
                    else int.from_bytes(flat[start + node + 6 : start + node + 8].tobytes(), "little")
                )
                fits = node >= upper + form.base and node + NODE_HEADER + length <= size
                starts.append(start + node + NODE_HEADER if fits else -1)
                sizes.append(length)
        position = self.position + np.arange(max(len(starts), 1))
        self.position += len(position)
        good = np.array(starts, np.int64) >= 0
        parts: list[Rows | Damage] = []
        if good.any():
            parts.append(
                self._values_of(
                    window, at, flat, np.array(starts)[good], np.array(sizes)[good], position[: len(good)][good]
                )
            )
        if not good.all() or not starts:
            parts.append(self._set_damage(window, at, int(position[0]), int((~good).sum()) or 1))
        return parts

    def _value_tree(self, window: LeafNodes, at: int) -> Iterator[Rows | Damage]:
        """The values of a key whose set has a tree of its own: they are the keys of that tree."""
        flat = window.pages.content.reshape(-1)
        start = int(window.data_start[at])
        tree = Tree.parse(flat[start : start + TREE_BYTES].tobytes())
        key, before = _key(window, at), self.position
        for pages in self.reader.windows(LeafPlan(self.reader, tree).leaves):
            for row in np.flatnonzero(pages.fault).tolist():
                damage = self._set_damage(window, at, self.position, None)
                yield replace(
                    damage, reason=f"{self._page_reason(pages, row, int(pages.fault[row]))}; it holds values of one key"
                )
            content = pages.content.reshape(-1)
            starts, sizes = _tree_values(self.reader, pages)
            position = self.position + np.arange(len(starts))
            self.position += len(starts)
            if len(starts):
                yield self._values_of(window, at, content, starts, sizes, position)
        missing = tree.entries - (self.position - before)
        if missing > 0:
            yield Damage(
                "damaged",
                f"{missing} of {tree.entries} values of one key are lost",
                position=self.position,
                key=key,
                records_lost=missing,
            )

    def _values_of(
        self, window: LeafNodes, at: int, flat: PageBytes, starts: Ints, sizes: Ints, position: Ints
    ) -> Rows:
        count = len(starts)
        return Rows(
            window.pages.content.reshape(-1),
            np.repeat(window.nodes.key_start[at], count),
            np.repeat(window.nodes.key_size[at], count),
            flat,
            starts,
            sizes,
            np.full(count, -1, np.int64),
            position,
        )

    def _set_damage(self, window: LeafNodes, at: int, position: int, lost: int | None) -> Damage:
        number = int(window.pages.numbers[window.nodes.page[at]])
        return Damage(
            "damaged",
            f"page {number}: values of one key are damaged",
            position=position,
            key=_key(window, at),
            offset=number * self.reader.page_size,
            records_lost=lost,
            data={"page": number},
        )


def edge_key(reader: PageReader, leaves: Ints, flags: int, *, last: bool) -> bytes | None:
    """First or last key of the first of the leaves that can be read."""
    for leaf in leaves.tolist():
        window = leaf_nodes(reader, reader.read(np.array([leaf])), flags)
        entries = np.flatnonzero(window.entry)
        if len(entries):
            return _key(window, int(entries[-1 if last else 0]))
    return None


def key_text(key: bytes | None) -> str | None:
    """A key for the report's ``data``: as text, in hexadecimal where it is none."""
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        return "0x" + key.hex()


def _key(window: LeafNodes, at: int) -> bytes:
    start = int(window.nodes.key_start[at])
    return window.pages.content.reshape(-1)[start : start + int(window.nodes.key_size[at])].tobytes()


def _tree_values(reader: PageReader, pages: Pages) -> tuple[Ints, Ints]:
    """Starts and sizes of the keys on leaves of a tree of duplicates, packed or not, in page order."""
    starts, sizes = [], []
    nodes = parse_nodes(pages, np.flatnonzero((pages.fault == 0) & (pages.kind == LEAF)), reader.form)
    for row in np.flatnonzero(pages.fault == 0).tolist():
        if pages.kind[row] == LEAF | PACKED:
            fixed, count = int(pages.fixed_size[row]), int(pages.count[row])
            begin = row * reader.page_size + reader.form.header
            starts.append(begin + fixed * np.arange(count))
            sizes.append(np.full(count, fixed, np.int64))
        elif pages.kind[row] == LEAF:
            first, stop = np.searchsorted(nodes.page, [row, row + 1]).tolist()
            good = nodes.good[first:stop]
            starts.append(nodes.key_start[first:stop][good])
            sizes.append(nodes.key_size[first:stop][good])
    if not starts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(starts), np.concatenate(sizes)


def _joined(parts: list[Rows]) -> Rows:
    """Rows of one window, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        parts[0].keys,
        np.concatenate([part.key_start for part in parts]),
        np.concatenate([part.key_size for part in parts]),
        parts[0].values,
        np.concatenate([part.value_start for part in parts]),
        np.concatenate([part.value_size for part in parts]),
        np.concatenate([part.extent for part in parts]),
        np.concatenate([part.position for part in parts]),
    )
