"""The records of leaf pages: nodes checked, duplicates spread out, damage named with the keys around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from .base import Damage
from .lmdb_format import (
    BEYOND,
    BIG,
    BRANCH,
    BRANCH_AS_LEAF,
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
    Ints,
    PageBytes,
    Pages,
    Tree,
    gather_u64,
    parse_nodes,
)
from .lmdb_leaves import LeafNodes, leaf_nodes
from .lmdb_pages import LeafPlan, PageReader
from .lmdb_values import Rows

VALUES_LOST = "values_lost"
"""Names, in a damage's data, how many values of a key took no position: the pages that held them are gone."""


@dataclass(slots=True)
class RecordReader:
    """Reads leaf pages one window after the other and counts positions.

    Attributes
    ----------
    flags
        The database's flags.
    root
        The root page, where it is known: which keys were below it can't be told if it is lost.
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
    root: int | None = None
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
            yield from self._release(window.key(int(entries[0])))
        self._look_for_damage(window, position)
        # Behind the last key the damage waits for the next window.
        ready = [damage for damage in self._waiting if self._is_placed(damage)]
        self._waiting = [damage for damage in self._waiting if not self._is_placed(damage)]
        yield from _joined_pages(ready)
        sets = np.flatnonzero(window.entry & (window.nodes.flags & DUPLICATES != 0))
        if len(sets):
            yield from self._with_duplicates(window, sets)
        else:
            if len(entries):
                yield self._plain(window, entries, position[entries])
            self.position += int(counted.sum())
        if len(entries):
            self.last_key = window.key(int(entries[-1]))

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
        key_before = window.key(int(earlier[-1])) if len(earlier) else self.last_key
        key_after = window.key(after + int(later[0])) if len(later) else None
        known = number >= 0
        if number == self.root:
            key_before = key_after = None
        around = {"key_before": key_text(key_before), "key_after": key_text(key_after)}
        data = {"page": number if known else None, **around}
        offset = number * self.reader.page_size if known else None
        kind = "truncated" if beyond else "damaged"
        self._waiting.append(
            Damage(kind, reason, position=position, offset=offset, records_lost=count, data=data)  # type: ignore[arg-type]
        )

    def _is_placed(self, damage: Damage) -> bool:
        """Whether it is known which key follows, or that this can't be known."""
        return damage.data["key_after"] is not None or (self.root is not None and damage.data["page"] == self.root)

    def _release(self, key_after: bytes | None) -> Iterator[Damage]:
        """Damage waits until the next key is known."""
        waiting, self._waiting = self._waiting, []
        yield from _joined_pages(
            [
                damage
                if self._is_placed(damage)
                else replace(damage, data={**damage.data, "key_after": key_text(key_after)})
                for damage in waiting
            ]
        )

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
        key, before = window.key(at), self.position
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
                data={VALUES_LOST: missing},
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
            key=window.key(at),
            offset=number * self.reader.page_size,
            records_lost=lost,
            data={"page": number},
        )


def _joined_pages(damages: list[Damage]) -> Iterator[Damage]:
    """Damages as they are; neighbouring pages that a cut file has lost become one."""
    for (kind, _), group in groupby(damages, lambda damage: (damage.kind, damage.position)):
        first, *others = group
        if kind == "truncated" and others:
            number, count = first.data["page"], len(others) + 1
            reason = f"page {number} and {count - 1} more beside it lie beyond the end of the file"
            first, others = replace(first, reason=reason, data={**first.data, "pages": count}), []
        yield from (first, *others)


def key_text(key: bytes | None) -> str | None:
    """A key for the report's ``data``: as text, in hexadecimal where it is none."""
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        return "0x" + key.hex()


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
