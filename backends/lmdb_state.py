"""The database that is read and the leaves that belong to it, whatever state the file is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .base import Damage
from .files import ReadOnlyFile
from .lmdb_format import BIG, DUP_SORT, EMPTY_TREE, INTEGER_KEY, REVERSE_KEY, TREE_BYTES, Ints, Meta, Tree
from .lmdb_leaves import leaf_nodes
from .lmdb_metas import Snapshot
from .lmdb_pages import LeafPlan, PageReader, find_node
from .lmdb_salvage import Survey, find_main_tree, free_pages, guess_flags, guess_format, insert_lost_leaves, survey

SEARCHED_LEAVES = 1024
"""Leaf pages of the unnamed database that are searched for named ones: a data set of its own has more."""


@dataclass(frozen=True, slots=True)
class State:
    """What is read of a file.

    Attributes
    ----------
    main
        The unnamed database.
    claimed
        Whether its counts are what a meta page says.
    scattered
        Whether its tree is lost as a whole, so that all intact leaves are taken for its own.
    damages
        What is wrong with the file as a whole.
    """

    reader: PageReader
    main: Tree
    free: Tree
    claimed: bool
    damages: tuple[Damage, ...]
    scattered: bool = False


def page_reader(file: ReadOnlyFile, snapshot: Snapshot) -> PageReader:
    """The reader for the snapshot's pages; their size is guessed where no meta page says it."""
    if snapshot.meta is None:
        return PageReader(file, *guess_format(file))
    return PageReader(file, snapshot.form, snapshot.page_size)


def find_state(reader: PageReader, snapshot: Snapshot) -> State:
    """The newest state of the unnamed database that can be found."""
    meta = snapshot.meta
    if meta is None:
        return _without_metas(reader)
    damages = (*snapshot.damages, *_truncation(reader, meta))
    if snapshot.alone and (newer := _newer_tree(reader, snapshot)) is not None:
        note = Damage(
            "damaged",
            f"the lost meta page was the newer one; its {newer.entries} records are read from page {newer.root} down",
            data={"page": newer.root},
        )
        return State(reader, newer, EMPTY_TREE, True, (*damages, note))
    main, unordered = _without_wrong_order(reader, meta.main)
    return State(reader, main, meta.free, True, (*damages, *unordered))


def _without_wrong_order(reader: PageReader, main: Tree) -> tuple[Tree, Sequence[Damage]]:
    """The unnamed database without flags for an order that its keys do not have: one bit would cost all records."""
    plain = replace(main, flags=main.flags & ~(REVERSE_KEY | INTEGER_KEY))
    if plain == main:
        return main, ()
    pages = reader.read(LeafPlan(reader, plain).leaves[: reader.window])
    claimed, other = (int(leaf_nodes(reader, pages, tree.flags, in_order=True).lost.sum()) for tree in (main, plain))
    if claimed <= 2 * other:
        return main, ()
    return plain, (Damage("damaged", f"the database's flags {main.flags:#x} say an order that its keys do not have"),)


def _truncation(reader: PageReader, meta: Meta) -> Sequence[Damage]:
    """Whether the file ends before its pages do.

    Pages that a transaction both took and gave back at the end of the file are never written: those are free.
    """
    pages = meta.last_page + 1
    missing = pages - reader.page_count
    if missing <= 0:
        return ()
    free = np.concatenate([np.empty(0, np.int64), *free_pages(reader, meta.free).values()])
    behind = np.unique(free[(free >= reader.page_count) & (free < pages)])
    if len(behind) == missing:
        return ()
    reason = (
        f"the file ends after {reader.file_size} bytes; its meta page says {pages} pages of {reader.page_size} bytes, "
        f"{pages * reader.page_size} bytes"
    )
    data = {"pages": pages, "page_size": reader.page_size}
    return (Damage("truncated", reason, offset=reader.file_size, data=data),)


def _without_metas(reader: PageReader) -> State:
    if reader.file_size == 0:
        return _nothing(reader, "the file is empty: it has 0 bytes")
    pages = survey(reader)
    leaves = pages.numbers[pages.is_leaf]
    if not len(leaves):
        return _nothing(
            reader, "neither meta page is usable and no page of records was found: no LMDB, or nothing left of it"
        )
    reason = f"neither meta page is usable; records are read from {len(leaves)} intact pages that were found"
    damage = Damage("damaged", f"{reason}: older versions of records may be among them", offset=0)
    tree = find_main_tree(reader, pages, np.empty(0, np.int64))
    if tree is None:
        flags = guess_flags(reader, int(leaves[0]))
        return State(reader, replace(EMPTY_TREE, flags=flags), EMPTY_TREE, False, (damage,), scattered=True)
    return State(reader, tree, EMPTY_TREE, False, (damage,))


def _nothing(reader: PageReader, reason: str) -> State:
    return State(reader, EMPTY_TREE, EMPTY_TREE, False, (Damage("unreadable", reason, offset=0),))


def _newer_tree(reader: PageReader, snapshot: Snapshot) -> Tree | None:
    """The tree of the transaction after the one whose meta page is left, if there was one.

    Its pages are new ones or were free before; pages that the known transaction freed belong to an older one.
    """
    meta = snapshot.meta
    assert meta is not None
    pages = survey(reader)
    plan = LeafPlan(reader, meta.main)
    freed = free_pages(reader, meta.free).get(meta.transaction, np.empty(0, np.int64))
    known = np.concatenate([plan.leaves, plan.branches, LeafPlan(reader, meta.free).leaves, freed])
    if reader.form.version == 3:
        keep = pages.transaction > meta.transaction
        known = np.concatenate([known, pages.numbers[~keep]])
    tree = find_main_tree(reader, pages, known)
    if tree is None or tree.root is None:
        return None
    if reader.form.version == 3:
        return tree
    # Format 1 pages bear no transaction: a data set that grew has records behind the end that the meta page knows.
    new = np.setdiff1d(LeafPlan(reader, tree).leaves, plan.leaves)
    grown = tree.root > meta.last_page or bool((new > meta.last_page).any()) or _reaches(reader, new, meta.last_page)
    return tree if grown and tree.entries > meta.main.entries else None


def _reaches(reader: PageReader, leaves: Ints, last_page: int) -> bool:
    """Whether values of the leaves lie behind a page."""
    for pages in reader.windows(leaves):
        window = leaf_nodes(reader, pages, DUP_SORT)
        big = window.entry & (window.nodes.flags & BIG != 0)
        flat, starts = pages.content.reshape(-1), window.data_start[big]
        extents = flat[starts[:, None] + np.arange(8)].view("<u8").ravel()
        if bool((extents > last_page).any()):
            return True
    return False


def named_databases(state: State) -> tuple[dict[str, Tree], int | None]:
    """Named databases by name, and how many records the unnamed one has beside them (``None``: not looked at all)."""
    plan = LeafPlan(state.reader, state.main)
    found: dict[str, Tree] = {}
    records = 0
    for pages in state.reader.windows(plan.leaves[:SEARCHED_LEAVES]):
        window = leaf_nodes(state.reader, pages, state.main.flags)
        flat = pages.content.reshape(-1)
        for at in np.flatnonzero(window.named).tolist():
            start, data = int(window.nodes.key_start[at]), int(window.data_start[at])
            key = flat[start : start + int(window.nodes.key_size[at])].tobytes()
            found[_name(key)] = Tree.parse(flat[data : data + TREE_BYTES].tobytes())
        records += int(window.entry.sum() + window.lost.sum())
    return found, records if len(plan.leaves) <= SEARCHED_LEAVES else None


def database_tree(state: State, name: str) -> Tree | None:
    """A named database."""
    for key in (name.encode(), name.encode() + b"\0"):
        node = find_node(state.reader, state.main, key)
        if node is not None:
            pages, _, row = node
            window = leaf_nodes(state.reader, pages, state.main.flags)
            if window.named[row]:
                start = int(window.data_start[row])
                return Tree.parse(pages.content.reshape(-1)[start : start + TREE_BYTES].tobytes())
    return named_databases(state)[0].get(name)


def _name(key: bytes) -> str:
    return key.rstrip(b"\0").decode("utf-8", "backslashreplace")


def find_leaves(state: State, tree: Tree) -> tuple[Ints, Ints]:
    """The leaves of a database in key order, lost ones put back where they belong; and its branch pages."""
    plan = LeafPlan(state.reader, tree)
    if tree.flags & DUP_SORT or not (plan.suspect or state.scattered):
        return plan.leaves, plan.branches
    pages = survey(state.reader)
    taken = _taken(state, pages, plan)
    return insert_lost_leaves(state.reader, plan.leaves, pages, taken, tree.flags), plan.branches


def _taken(state: State, pages: Survey, plan: LeafPlan) -> Ints:
    """Pages that are known not to be lost leaves: reached by a tree, or free."""
    reader = state.reader
    free = LeafPlan(reader, state.free)
    parts = [plan.leaves, plan.branches, free.leaves, free.branches, *free_pages(reader, state.free).values()]
    trees = [state.main, *named_databases(state)[0].values()]
    for tree in trees:
        other = LeafPlan(reader, tree)
        parts += [other.leaves, other.branches]
    if any(tree.flags & DUP_SORT for tree in trees):
        parts.append(_without_values(reader, pages))
    return np.concatenate(parts)


def _without_values(reader: PageReader, pages: Survey) -> Ints:
    """Leaves of trees of duplicates: they have keys alone."""
    found = [np.empty(0, np.int64)]
    for window in reader.windows(pages.numbers[pages.is_leaf]):
        nodes = leaf_nodes(reader, window, DUP_SORT).nodes
        held = np.bincount(nodes.page, nodes.data_size, len(window.numbers))
        found.append(window.numbers[held == 0])
    return np.concatenate(found)
