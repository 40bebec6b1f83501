"""LMDB's file format: metas, trees, page headers and nodes, many pages at a time.

After ``libraries/liblmdb/mdb.c`` of OpenLDAP (``MDB_page``, ``MDB_node``, ``MDB_db``, ``MDB_meta``): format 1 is
written by LMDB 0.9, format 3 by LMDB 1.0. All numbers are in the writing machine's byte order and word size; this
reader takes those of 64-bit little-endian machines.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
PageBytes = NDArray[np.uint8]

MAGIC = 0xBEEFC0DE
NO_PAGE = (1 << 64) - 1
FIRST_PAGE = 2
"""Pages 0 and 1 are the metas."""
DEEPEST = 32

BRANCH, LEAF, OVERFLOW, META, DIRTY, PACKED, SUBPAGE = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
"""Page flags; PACKED (``P_LEAF2``) pages hold fixed-size values without nodes."""
BIG, TREE, DUPLICATES = 0x01, 0x02, 0x04
"""Node flags: value in overflow pages; value is a tree's record; value is a set of duplicates."""
REVERSE_KEY, DUP_SORT, INTEGER_KEY, DUP_FIXED, INTEGER_DUP, REVERSE_DUP = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
"""Flags of a database."""
_DATABASE_FLAGS = REVERSE_KEY | DUP_SORT | INTEGER_KEY | DUP_FIXED | INTEGER_DUP | REVERSE_DUP

NODE_HEADER = 8
TREE_BYTES = 48
META_BYTES = 136


@dataclass(frozen=True, slots=True)
class PageFormat:
    """What differs between the two file formats.

    Attributes
    ----------
    header
        Bytes of a page's header; its last eight are ``pad, flags, lower, upper`` (or the number of pages).
    base
        Node pointers, ``lower`` and ``upper`` count from here.
    even_keys
        Whether a leaf's keys are padded to an even length.
    extent_node
        Bytes that a node keeps of a value in overflow pages: the page number first.
    """

    name: str
    version: int
    header: int
    base: int
    even_keys: bool
    extent_node: int


LMDB_09 = PageFormat("0.9", 1, 16, 0, False, 8)
LMDB_10 = PageFormat("1.0", 3, 24, 24, True, 24)
FORMATS = (LMDB_09, LMDB_10)


@dataclass(frozen=True, slots=True)
class Tree:
    """A B-tree's record (``MDB_db``). ``root`` is ``None`` for an empty tree."""

    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int | None
    fixed_size: int

    @classmethod
    def parse(cls, record: bytes | memoryview) -> Tree:
        """From the 48 bytes of the record."""
        fixed, flags, depth, branch, leaf, overflow, entries, root = struct.unpack_from("<IHH5Q", record)
        return cls(flags, depth, branch, leaf, overflow, entries, None if root == NO_PAGE else root, fixed)

    @property
    def pages(self) -> int:
        """Pages that the tree says it has."""
        return self.branch_pages + self.leaf_pages + self.overflow_pages


EMPTY_TREE = Tree(0, 0, 0, 0, 0, 0, None, 0)


@dataclass(frozen=True, slots=True)
class Meta:
    """A meta page: one committed state of the database."""

    slot: int
    page_size: int
    free: Tree
    main: Tree
    last_page: int
    transaction: int


def parse_meta(page: bytes, form: PageFormat, slot: int) -> Meta | str:
    """The meta of a page, or what is wrong with it."""
    header = form.header
    if len(page) < header + META_BYTES:
        return "the file ends before it"
    if not any(page[: header + META_BYTES]):
        return "it is zeroed"
    magic, version = struct.unpack_from("<II", page, header)
    if magic != MAGIC:
        return "its magic number is missing"
    if version != form.version:
        return f"its format version {version} does not belong to LMDB {form.name}"
    number, flags = struct.unpack_from("<Q", page)[0], struct.unpack_from("<H", page, header - 6)[0]
    if number != slot or not flags & META:
        return f"its header says page {number}, flags {flags:#x}"
    free = Tree.parse(page[header + 24 : header + 72])
    main = Tree.parse(page[header + 72 : header + 120])
    last_page, transaction = struct.unpack_from("<QQ", page, header + 120)
    size = free.fixed_size  # the free list has no fixed-size values: its field keeps the page size
    if size < 512 or size > 65536 or size & (size - 1):
        return f"its page size {size} is impossible"
    if main.flags & ~_DATABASE_FLAGS:
        return f"its database flags {main.flags:#x} are impossible"
    return Meta(slot, size, free, main, last_page, transaction)


FAULTS = (
    "",
    "it is zeroed",
    "it carries another page's number",
    "it is not a page of a tree (flags {flags:#x})",
    "its bounds {lower}..{upper} are impossible",
    "it lies beyond the end of the file",
    "the medium could not be read",
    "the tree leads to it twice",
    "it is a branch where a leaf was expected",
    "the pointer to it is damaged",
)
"""Why a page is of no use; index 0 is for pages that are."""
ZEROED, OTHER_NUMBER, NO_TREE_PAGE, BOUNDS, BEYOND, UNREADABLE, TWICE, BRANCH_AS_LEAF, LOST_POINTER = range(1, 10)


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages that were read together.

    Attributes
    ----------
    content
        ``(pages, page size)`` bytes.
    numbers
        The pages' numbers.
    kind
        Flags of the type alone.
    count
        Nodes of each page; 0 for those that are damaged.
    lower, upper
        Where the node pointers end and the nodes begin; counted as the format counts.
    fixed_size
        Bytes of a value on packed pages.
    fault
        Index into `FAULTS`.
    """

    content: PageBytes
    numbers: Ints
    kind: Ints
    count: Ints
    lower: Ints
    upper: Ints
    fixed_size: Ints
    fault: Ints

    def reason(self, row: int) -> str:
        """What is wrong with a page."""
        values = {"flags": int(self.kind[row]), "lower": int(self.lower[row]), "upper": int(self.upper[row])}
        return FAULTS[int(self.fault[row])].format(**values)


def parse_pages(content: PageBytes, numbers: Ints, fault: Ints, form: PageFormat) -> Pages:
    """Read the headers; ``fault`` holds what is already known to be wrong."""
    size = content.shape[1]
    stored = np.ascontiguousarray(content[:, :8]).view("<u8").ravel()
    words = np.ascontiguousarray(content[:, form.header - 8 : form.header]).view("<u2").astype(np.int64)
    fixed, flags, lower, upper = words.T
    kind = flags & ~DIRTY if form is LMDB_09 else flags
    packed = kind == (LEAF | PACKED)
    first = form.header - form.base
    count = (lower - first) >> 1
    bounded = (lower >= first) & (lower <= upper) & (upper <= size - form.base) & ((lower - first) % 2 == 0)
    packed_bounded = (lower >= first) & (fixed > 0) & (count * fixed <= size - form.header)
    checks = (
        (np.where(packed, packed_bounded, bounded), BOUNDS),
        ((kind == BRANCH) | (kind == LEAF) | packed, NO_TREE_PAGE),
        (stored == numbers.astype(np.uint64), OTHER_NUMBER),
    )
    found = np.zeros(len(numbers), np.int64)
    for good, code in checks:
        found[~good] = code
    for row in np.flatnonzero(found).tolist():
        if not content[row].any():
            found[row] = ZEROED
    found = np.where(fault != 0, fault, found)
    return Pages(content, numbers, kind, np.where(found == 0, count, 0), lower, upper, fixed, found)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes of several pages, flat, in page and pointer order.

    Attributes
    ----------
    page
        Row of the node's page in `Pages`.
    start
        Offset of the node in the flattened pages.
    key_size, data_size, flags
        As stored; ``data_size`` and ``flags`` together are the child's number on a branch.
    good
        Whether header and key lie within the page's node area.
    """

    page: Ints
    start: Ints
    key_size: Ints
    data_size: Ints
    flags: Ints
    good: Flags

    @property
    def child(self) -> Ints:
        """The child's page number, on a branch."""
        return self.data_size | (self.flags << 32)

    @property
    def key_start(self) -> Ints:
        """Offset of the key in the flattened pages."""
        return self.start + NODE_HEADER

    def data_start(self, form: PageFormat) -> Ints:
        """Offset of a leaf's data in the flattened pages."""
        return self.key_start + ((self.key_size + 1) & ~1 if form.even_keys else self.key_size)

    def data_bytes(self, form: PageFormat) -> Ints:
        """Bytes that a leaf's data takes within the page."""
        return np.where(self.flags & BIG != 0, form.extent_node, self.data_size)


def parse_nodes(pages: Pages, rows: Ints, form: PageFormat) -> Nodes:
    """The nodes of some of the pages."""
    size = pages.content.shape[1]
    count = pages.count[rows]
    widest = int(count.max()) if len(rows) else 0
    words = pages.content.view("<u2")
    first = form.header >> 1
    taken = np.arange(widest) < count[:, None]
    pointers = words[rows, first : first + widest][taken].astype(np.int64) + form.base
    page = np.repeat(rows, count)
    good = (pointers >= pages.upper[page] + form.base) & (pointers + NODE_HEADER <= size) & (pointers & 1 == 0)
    start = page * size + np.where(good, pointers, 0)
    at = start >> 1
    flat = words.reshape(-1)
    low, high, flags, key_size = (flat[at + field].astype(np.int64) for field in range(4))
    good &= np.where(good, pointers, 0) + NODE_HEADER + key_size <= size
    return Nodes(page, start, key_size, low | (high << 16), flags, good)


def gather_u64(flat: PageBytes, starts: Ints) -> NDArray[np.uint64]:
    """64-bit numbers at any offsets."""
    words: NDArray[np.uint64] = flat[starts[:, None] + np.arange(8)].view("<u8").ravel()
    return words


def ascending(flat: PageBytes, starts: Ints, sizes: Ints, flags: int) -> Flags:
    """For each key but the first: does it sort after the one before it, as the database sorts?"""
    if len(starts) < 2:
        return np.ones(max(len(starts) - 1, 0), np.bool_)
    widest = (int(sizes.max()) + 7) & ~7
    columns = np.arange(max(widest, 8))
    if flags & (REVERSE_KEY | INTEGER_KEY):  # both compare from the last byte on
        columns_at = (starts + sizes - 1)[:, None] - columns
    else:
        columns_at = starts[:, None] + columns
    inside = columns < sizes[:, None]
    keys = np.where(inside, flat[np.clip(columns_at, 0, len(flat) - 1)], 0)
    words = np.ascontiguousarray(keys, np.uint8).view(">u8").astype(np.uint64)
    differs = words[1:] != words[:-1]
    where = differs.argmax(axis=1)
    rows = np.arange(len(where))
    greater: Flags = words[1:][rows, where] > words[:-1][rows, where]
    return np.where(differs[rows, where], greater, sizes[1:] > sizes[:-1])


def sort_key(key: bytes, flags: int) -> tuple[bytes, int]:
    """What Python can compare to sort keys as the database sorts them."""
    if flags & (REVERSE_KEY | INTEGER_KEY):
        return key[::-1], len(key)
    return key, len(key)


def foreign_machine(head: bytes) -> str | None:
    """The kind of machine that wrote a file which is LMDB but not ours to read."""
    for order, name in (("<", "little-endian"), (">", "big-endian")):
        for header, words in ((12, "32-bit"), (16, ""), (24, "")):
            if len(head) < header + 8:
                continue
            magic, version = struct.unpack_from(f"{order}II", head, header)
            if magic != MAGIC or version not in (1, 3):
                continue
            if order == "<" and (header, version) in ((16, 1), (24, 3)):
                return None
            bits = words or ("32-bit" if (header, version) == (16, 3) else "64-bit")
            return f"a {bits} {name} machine"
    return None


def known_versions(head: bytes) -> Sequence[int]:
    """Versions that stand behind a magic number at either place where a 64-bit machine writes it."""
    found = []
    for form in FORMATS:
        if len(head) >= form.header + 8:
            magic, version = struct.unpack_from("<II", head, form.header)
            if magic == MAGIC:
                found.append(version)
    return found
