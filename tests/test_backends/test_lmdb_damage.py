"""Damage to LMDB files: never an exception, what survives is equal to what was written, what is lost is counted."""

from __future__ import annotations

import errno
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import pytest

from datascan.backends.base import Damage
from datascan.backends.errors import StoreError, StoreNotFound
from datascan.backends.files import ReadOnlyFile
from datascan.backends.lmdb_store import LmdbStore
from datascan.scanner.testing.store_contract import Scan, read_all, shrink

PAGE = 4096
HEADER = {0: 16, 1: 24}
LEAF, BRANCH, OVERFLOW = 2, 1, 4


@dataclass
class Original:
    """A data file and what LMDB says is in it."""

    content: bytes
    records: dict[bytes, bytes]
    lib_version: int

    def pages(self, flags: int) -> list[int]:
        """Pages that say their own number and these flags; stale ones are among them."""
        at = HEADER[self.lib_version] - 6
        found = []
        for number in range(2, len(self.content) // PAGE):
            page = self.content[number * PAGE : (number + 1) * PAGE]
            if int.from_bytes(page[:8], "little") == number and int.from_bytes(page[at : at + 2], "little") == flags:
                found.append(number)
        return found

    @property
    def root(self) -> int:
        """The newest root of the unnamed database."""
        header = HEADER[self.lib_version]
        metas = [self.content[slot * PAGE + header : slot * PAGE + header + 136] for slot in (0, 1)]
        newest = max(metas, key=lambda meta: struct.unpack_from("<Q", meta, 128)[0])
        return int(struct.unpack_from("<Q", newest, 112)[0])


def made(folder: Path, lib_version: int, sizes: tuple[int, ...], long_keys: bool = False) -> Original:
    rng = random.Random(len(sizes) + lib_version)
    environment = lmdb.open(str(folder), map_size=1 << 26, lib_version=lib_version, sync=False)
    for start in range(0, 900, 300):
        with environment.begin(write=True) as transaction:
            for i in range(start, start + 300):
                transaction.put(b"%06d" % i + b"k" * (60 * long_keys), rng.randbytes(rng.choice(sizes)))
    with environment.begin() as transaction:
        records = dict(transaction.cursor())
    environment.close()
    return Original((folder / "data.mdb").read_bytes(), records, lib_version)


# Values in overflow pages take one page each, so that each page that is zeroed shows.
SHAPES = {"inline": ((10, 300, 900), True), "overflow": ((3000, 3500), False), "mixed": ((0, 50, 3000), False)}


COMBINATIONS = [(0, "inline"), (0, "mixed"), (1, "overflow"), (1, "mixed")]


@pytest.fixture(scope="module", params=COMBINATIONS, ids=lambda p: f"{p[1]}-{p[0]}")
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Original:
    lib_version, shape = request.param
    return made(tmp_path_factory.mktemp("original"), lib_version, *SHAPES[shape])


@pytest.fixture
def scan(tmp_path: Path) -> Callable[[bytes], tuple[Scan, int | None]]:
    def scanned(content: bytes) -> tuple[Scan, int | None]:
        path = tmp_path / "data.mdb"
        path.write_bytes(content)
        with LmdbStore(tmp_path) as store:
            store.sample()
            store.find(b"000123")
            return read_all(store), store.records_claimed

    return scanned


def zeroed(content: bytes, page: int) -> bytes:
    return content[: page * PAGE] + bytes(PAGE) + content[(page + 1) * PAGE :]


def flipped(content: bytes, offset: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ 0xFF]) + content[offset + 1 :]


def lost(damages: list[Damage]) -> int:
    return sum(damage.records_lost or 0 for damage in damages)


def check(original: Original, scan: Scan, claimed: int | None) -> None:
    """What was read is right, in order and without repeats; what is missing is counted by the damage."""
    assert set(scan.records) <= set(original.records.items())
    assert [key for key, _ in scan.records] == sorted({key for key, _ in scan.records})
    missing = len(original.records) - len(scan.records)
    if missing:
        assert scan.damages
        assert claimed is None or lost(scan.damages) == missing
    assert all(damage.reason for damage in scan.damages)


Scanner = Callable[[bytes], tuple[Scan, int | None]]


def test_undamaged_file_has_no_damage(original: Original, scan: Scanner) -> None:
    whole, claimed = scan(original.content)
    assert whole.records == sorted(original.records.items())
    assert whole.damages == []
    assert claimed == len(original.records)


def test_truncation_anywhere(original: Original, scan: Scanner) -> None:
    size = len(original.content)
    ends = {0, 1, 100, 4095, *range(PAGE, 7 * PAGE, PAGE), *range(8 * PAGE, size, size // 20 // PAGE * PAGE)}
    ends |= {end + 1234 for end in range(3 * PAGE, size - PAGE, size // 8)}
    for end in sorted(ends):
        rest, claimed = scan(original.content[:end])
        if claimed is not None:
            if end >= 2 * PAGE:  # else the older of the two states is all that is known
                check(original, rest, claimed)
            assert "truncated" in {damage.kind for damage in rest.damages}
        else:
            assert rest.damages[0].kind == "unreadable"
            assert rest.records == []


def test_each_zeroed_page_costs_what_it_held(original: Original, scan: Scanner) -> None:
    rng = random.Random(4)
    for page in rng.sample(range(2, len(original.content) // PAGE), 20):
        rest, claimed = scan(zeroed(original.content, page))
        check(original, rest, claimed)
        assert len(original.records) - len(rest.records) <= 170  # no more than a leaf holds


def test_zeroed_branches_lose_nothing(original: Original, scan: Scanner) -> None:
    for page in {original.root, *original.pages(BRANCH)} - set(original.pages(LEAF)):
        rest, claimed = scan(zeroed(original.content, page))
        assert rest.records == sorted(original.records.items())
        assert claimed == len(original.records)
        if page == original.root:
            assert [damage.data.get("page") for damage in rest.damages] == [page]
            assert "zeroed" in rest.damages[0].reason


def test_zeroed_leaf_is_named_with_the_keys_around_it(original: Original, scan: Scanner) -> None:
    keys = sorted(original.records)
    named = 0
    for page in random.Random(5).sample(original.pages(LEAF), 4):
        rest, claimed = scan(zeroed(original.content, page))
        check(original, rest, claimed)
        survivors = {key for key, _ in rest.records}
        gone = [key for key in keys if key not in survivors]
        if not gone:
            continue
        named += 1
        (damage,) = [damage for damage in rest.damages if damage.data.get("page") == page]
        assert damage.offset == page * PAGE
        first, last = keys.index(gone[0]), keys.index(gone[-1])
        assert damage.data["key_before"] == (keys[first - 1].decode() if first else None)
        assert damage.data["key_after"] == (keys[last + 1].decode() if last + 1 < len(keys) else None)
        assert damage.position == first
    assert named


def test_garbage_in_pages(original: Original, scan: Scanner) -> None:
    rng = random.Random(6)
    for page in rng.sample(original.pages(LEAF), 5) + original.pages(BRANCH)[:5] + original.pages(OVERFLOW)[:5]:
        garbage = rng.randbytes(PAGE)
        content = original.content[: page * PAGE] + garbage + original.content[(page + 1) * PAGE :]
        check(original, *scan(content))


def test_flipped_bytes_in_headers_and_pointers(original: Original, scan: Scanner) -> None:
    rng = random.Random(7)
    pages = original.pages(LEAF) + original.pages(BRANCH)
    for _ in range(30):
        page, at = rng.choice(pages), rng.randrange(HEADER[original.lib_version] + 60)
        check(original, *scan(flipped(original.content, page * PAGE + at)))


def test_any_flipped_byte_of_a_meta_page(original: Original, scan: Scanner) -> None:
    used = HEADER[original.lib_version] + 136
    for offset in [*range(0, used, 7), *range(PAGE, PAGE + used, 7)]:
        rest, _ = scan(flipped(original.content, offset))
        assert rest.records == sorted(original.records.items()), offset


def nodes_of(original: Original, page: int) -> tuple[int, list[int]]:
    """Offset of a page's pointers in the file, and the offsets of its nodes."""
    header = HEADER[original.lib_version]
    base = header if original.lib_version else 0
    start = page * PAGE
    count = (struct.unpack_from("<H", original.content, start + header - 4)[0] - header + base) >> 1
    pointers = struct.unpack_from(f"<{count}H", original.content, start + header)
    return start + header, [start + base + pointer for pointer in pointers]


def live_leaf(original: Original, key: bytes) -> tuple[int, int]:
    """The leaf that holds a key, and its place there: the one whose record is as LMDB gives it back."""
    for page in reversed(original.pages(LEAF)):
        for place, node in enumerate(nodes_of(original, page)[1]):
            if original.content[node + 8 : node + 8 + len(key)] == key:
                return page, place
    raise AssertionError(key)


def test_flipped_leaf_pointers_cost_their_record_alone(original: Original, scan: Scanner) -> None:
    keys = sorted(original.records)
    page, place = live_leaf(original, keys[-1])
    pointers, nodes = nodes_of(original, page)
    for step in range(min(len(nodes), 12)):
        offset = pointers + 2 * (place - step)
        for bit in (1, 4, 9):
            number = struct.unpack_from("<H", original.content, offset)[0] ^ 1 << bit
            damaged = original.content[:offset] + struct.pack("<H", number) + original.content[offset + 2 :]
            rest, claimed = scan(damaged)
            check(original, rest, claimed)
            assert len(original.records) - len(rest.records) == 1
            (damage,) = rest.damages
            assert damage.data["page"] == page
            assert damage.position == len(keys) - 1 - step


def test_a_node_that_claims_to_be_shorter_gives_no_shorter_record(original: Original, scan: Scanner) -> None:
    keys = sorted(key for key, value in original.records.items() if 10 <= len(value) < 2000)
    for key in keys[-5:]:
        page, place = live_leaf(original, key)
        node = nodes_of(original, page)[1][place]
        size = struct.unpack_from("<H", original.content, node)[0] - 4
        rest, claimed = scan(original.content[:node] + struct.pack("<H", size) + original.content[node + 2 :])
        check(original, rest, claimed)
        assert len(original.records) - len(rest.records) == 1


@pytest.mark.parametrize("flag", [0x02, 0x04, 0x08])
def test_flags_of_another_order_cost_nothing(original: Original, scan: Scanner, flag: int) -> None:
    content = bytearray(original.content)
    for slot in (0, 1):
        content[slot * PAGE + HEADER[original.lib_version] + 72 + 4] ^= flag
    rest, _ = scan(bytes(content))
    assert rest.records == sorted(original.records.items())


def with_child(content: bytes, node: int, page: int) -> bytes:
    return content[:node] + struct.pack("<IH", page, 0) + content[node + 6 :]


def test_branches_that_lead_back_or_astray(original: Original, scan: Scanner) -> None:
    nodes = nodes_of(original, original.root)[1]
    children = [struct.unpack_from("<I", original.content, node)[0] for node in nodes]
    for number in (original.root, children[0], children[-1], 0, 1, 2**31):
        rest, claimed = scan(with_child(original.content, nodes[1], number))
        check(original, rest, claimed)
        if number != children[1]:
            assert rest.damages
            assert rest.records == sorted(original.records.items())


def test_swapped_children_cost_no_order(original: Original, scan: Scanner) -> None:
    nodes = nodes_of(original, original.root)[1]
    children = [struct.unpack_from("<I", original.content, node)[0] for node in nodes]
    for one, other in ((0, 1), (0, len(nodes) - 1)):
        swapped = with_child(original.content, nodes[one], children[other])
        rest, claimed = scan(with_child(swapped, nodes[other], children[one]))
        check(original, rest, claimed)
        assert rest.damages


@pytest.mark.parametrize("slot", [0, 1])
def test_one_zeroed_meta_page_loses_nothing(original: Original, scan: Scanner, slot: int) -> None:
    rest, claimed = scan(zeroed(original.content, slot))
    assert rest.records == sorted(original.records.items())
    assert claimed == len(original.records)
    assert "damaged" in {damage.kind for damage in rest.damages}
    assert f"meta page {slot} is damaged: it is zeroed" in rest.damages[0].reason


def test_both_meta_pages_zeroed_loses_nothing(original: Original, scan: Scanner) -> None:
    rest, claimed = scan(bytes(2 * PAGE) + original.content[2 * PAGE :])
    assert rest.records == sorted(original.records.items())
    assert claimed is None
    (damage,) = rest.damages
    assert damage.kind == "damaged"
    assert "neither meta page" in damage.reason


def test_metas_and_root_zeroed_still_gives_records(original: Original, scan: Scanner) -> None:
    rest, _ = scan(zeroed(bytes(2 * PAGE) + original.content[2 * PAGE :], original.root))
    assert set(rest.records) <= set(original.records.items())
    assert [key for key, _ in rest.records] == sorted({key for key, _ in rest.records})
    assert rest.damages


def test_damage_in_partitions_is_the_same(
    original: Original, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan: Scanner
) -> None:
    content = original.content
    for page in original.pages(LEAF)[::3]:
        content = zeroed(content, page)
    whole, _ = scan(content)
    shrink(monkeypatch, 16 << 10)
    with LmdbStore(tmp_path) as store:
        assert len(store.partitions()) > 3
        cut = read_all(store)
    assert cut.records == whole.records
    assert [(d.reason, d.data) for d in cut.damages] == [(d.reason, d.data) for d in whole.damages]


def test_truncated_file_names_each_lost_record(tmp_path: Path) -> None:
    original = made(tmp_path, 0, (3000,))
    cut = len(original.content) // 2
    (tmp_path / "data.mdb").write_bytes(original.content[:cut])
    with LmdbStore(tmp_path) as store:
        rest = read_all(store)
    opening, *others = rest.damages
    assert opening.kind == "truncated"
    assert opening.offset == cut
    named = [damage for damage in others if damage.key is not None]
    assert named
    assert all(damage.kind == "truncated" and damage.records_lost == 1 for damage in named)
    keys = sorted(original.records)
    assert all(damage.key == keys[damage.position or 0] for damage in named)
    assert all(damage.key not in dict(rest.records) for damage in named)
    assert lost(rest.damages) == len(keys) - len(rest.records)


def test_overflow_header_damaged(tmp_path: Path) -> None:
    original = made(tmp_path, 0, (3000,))
    page = original.pages(OVERFLOW)[10]
    content = bytearray(original.content)
    content[page * PAGE : page * PAGE + 16] = bytes(16)
    (tmp_path / "data.mdb").write_bytes(bytes(content))
    with LmdbStore(tmp_path) as store:
        rest = read_all(store)
    (damage,) = rest.damages
    assert damage.kind == "damaged"
    assert damage.key is not None
    assert damage.records_lost == 1
    assert damage.offset == page * PAGE
    assert dict(rest.records) == {key: value for key, value in original.records.items() if key != damage.key}


def test_two_records_of_one_overflow_page(tmp_path: Path) -> None:
    original = made(tmp_path, 0, (3000,))
    first, second = (struct.pack("<Q", page) for page in original.pages(OVERFLOW)[20:22])
    content = original.content
    for leaf in original.pages(LEAF):
        page = content[leaf * PAGE : (leaf + 1) * PAGE]
        content = content[: leaf * PAGE] + page.replace(second, first) + content[(leaf + 1) * PAGE :]
    (tmp_path / "data.mdb").write_bytes(content)
    with LmdbStore(tmp_path) as store:
        rest = read_all(store)
    assert lost(rest.damages) == len(original.records) - len(rest.records) >= 1
    assert "another record" in rest.damages[0].reason


def test_wrong_entry_count(tmp_path: Path) -> None:
    original = made(tmp_path, 0, (10,))
    content = bytearray(original.content)
    for slot in (0, 1):
        at = slot * PAGE + 16 + 72 + 32
        content[at : at + 8] = struct.pack("<Q", 950)
    (tmp_path / "data.mdb").write_bytes(bytes(content))
    with LmdbStore(tmp_path) as store:
        rest = read_all(store)
        assert store.records_claimed == 950
        assert store.partitions(limit=10)
        assert store.closing_damage(10) == []
    (damage,) = rest.damages
    assert damage.kind == "count-mismatch"
    assert damage.records_lost == 50
    assert len(rest.records) == 900


def test_page_in_use_on_the_free_list(tmp_path: Path) -> None:
    original = made(tmp_path, 0, (10,))
    free = original.root
    content = bytearray(original.content)
    header = struct.pack("<QHHHH", 0, 0, 2, 0, 0)[10:12]
    changed = 0
    for page in original.pages(LEAF):
        base = page * PAGE
        assert content[base + 10 : base + 12] == header
        count = (struct.unpack_from("<H", content, base + 12)[0] - 16) >> 1
        for i in range(count):
            node = base + struct.unpack_from("<H", content, base + 16 + 2 * i)[0]
            size, _, _, key_size = struct.unpack_from("<HHHH", content, node)
            pages = struct.unpack_from("<Q", content, node + 16)[0] if key_size == 8 and size >= 16 else 0
            if pages and size == 8 * (pages + 1):
                content[node + 24 : node + 32] = struct.pack("<Q", free)
                changed += 1
    assert changed
    (tmp_path / "data.mdb").write_bytes(bytes(content))
    with LmdbStore(tmp_path) as store:
        rest = read_all(store)
    assert len(rest.records) == 900
    (damage,) = rest.damages
    assert damage.kind == "damaged"
    assert "free list" in damage.reason
    assert f"page {free}" in damage.reason


def test_pages_given_back_at_the_end_of_the_file_are_no_truncation(tmp_path: Path) -> None:
    environment = lmdb.open(str(tmp_path), map_size=1 << 26)
    with environment.begin(write=True) as transaction:
        transaction.put(b"kept", b"value")
    for size in (100_000, 5_000, 300_000):
        with environment.begin(write=True) as transaction:
            for key in (b"taken", b"back"):
                transaction.put(key, b"x" * size)
            for key in (b"taken", b"back"):
                transaction.delete(key)
    last_page = environment.info()["last_pgno"]
    environment.close()
    assert (tmp_path / "data.mdb").stat().st_size // PAGE < last_page
    with LmdbStore(tmp_path) as store:
        assert read_all(store).damages == []


@pytest.mark.parametrize("flags", [LEAF, OVERFLOW])
def test_unreadable_sectors_cost_their_records_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int
) -> None:
    original = made(tmp_path, 0, (3000,))
    leaf = live_leaf(original, max(original.records))[0]
    bad = PAGE * (leaf if flags == LEAF else original.pages(OVERFLOW)[200])

    def failing(read: Callable[..., Any], size: Callable[[Any], int]) -> Callable[..., Any]:
        def wrapped(file: ReadOnlyFile, one: Any, other: Any) -> Any:
            offset, length = (one, other) if isinstance(one, int) else (other, size(one))
            if offset <= bad < offset + length:
                raise OSError(errno.EIO, "Input/output error")
            return read(file, one, other)

        return wrapped

    monkeypatch.setattr(ReadOnlyFile, "read", failing(ReadOnlyFile.read, len))
    monkeypatch.setattr(ReadOnlyFile, "read_into", failing(ReadOnlyFile.read_into, lambda target: target.nbytes))
    monkeypatch.setattr(
        ReadOnlyFile, "scatter", failing(ReadOnlyFile.scatter, lambda parts: sum(p.nbytes for p in parts))
    )
    with LmdbStore(tmp_path) as store:
        rest = read_all(store)
        check(original, rest, store.records_claimed)
    assert len(rest.records) < len(original.records)
    if flags == OVERFLOW:
        (damage,) = rest.damages
        assert damage.offset == bad
        assert "Input/output error" in damage.reason
        assert len(original.records) - len(rest.records) == 1
    else:
        assert "the medium could not be read" in rest.damages[0].reason


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\0" * 50_000, b"garbage" * 5000, b"x"])
def test_no_lmdb_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.mdb").write_bytes(content)
    with LmdbStore(tmp_path) as store:
        assert [damage.kind for damage in store.opening_damage()] == ["unreadable"]
        assert store.partitions() == []
        assert read_all(store).records == []
        assert store.find(b"x") is None


@pytest.mark.parametrize("flags", [{}, {"dupfixed": True}], ids=str)
@pytest.mark.parametrize("lib_version", [0, 1])
def test_damaged_sets_of_duplicates(tmp_path: Path, lib_version: int, flags: dict[str, Any]) -> None:
    environment = lmdb.open(str(tmp_path), map_size=1 << 26, max_dbs=2, lib_version=lib_version)
    database = environment.open_db(b"sets", dupsort=True, **flags)
    with environment.begin(write=True, db=database) as transaction:
        for i in range(4000):
            transaction.put(b"%03d" % (i % 300 if i % 2 else 7), b"%08d" % i)
    with environment.begin(db=database) as transaction:
        records = set(transaction.cursor())
    environment.close()
    content = (tmp_path / "data.mdb").read_bytes()
    rng = random.Random(8)
    for trial in range(24):
        page = rng.randrange(2, len(content) // PAGE)
        damaged = zeroed(content, page) if trial % 2 else flipped(content, page * PAGE + rng.randrange(PAGE))
        (tmp_path / "data.mdb").write_bytes(damaged)
        try:
            store = LmdbStore(tmp_path, "sets")
        except StoreNotFound:  # the leaf that holds the name is gone
            continue
        with store:
            rest = read_all(store)
        if trial % 2:
            assert set(rest.records) <= records
            assert lost(rest.damages) == len(records) - len(rest.records)


class TestWriter:
    """A writer is at work while the data set is read."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Any:
        made(tmp_path, 0, (10, 500, 3000))
        with lmdb.open(str(tmp_path), map_size=1 << 26, sync=False) as environment:
            yield environment

    def commit(self, environment: Any, round_: int) -> None:
        with environment.begin(write=True) as transaction:
            for i in range(900):
                transaction.put(b"%06d" % i, b"written meanwhile %d" % round_ * (i % 200))

    def test_one_transaction_later_the_state_is_still_whole(self, tmp_path: Path, environment: Any) -> None:
        with environment.begin() as transaction:
            records = list(transaction.cursor())
        with LmdbStore(tmp_path) as store:
            partitions = store.partitions()
            self.commit(environment, 0)
            scan = read_all(store, partitions)
            assert scan.records == records
            assert scan.damages == []
            assert store.closing_damage(len(records)) == []

    def test_several_transactions_later_it_says_in_use_and_nothing_else(self, tmp_path: Path, environment: Any) -> None:
        with LmdbStore(tmp_path) as store:
            store.opening_damage()
            partitions = store.partitions()
            for round_ in range(4):
                self.commit(environment, round_)
            scan = read_all(store, partitions)
            assert scan.damages == []
            assert [damage.kind for damage in store.closing_damage(len(scan.records))] == ["in-use"]


def resized(content: bytes, lib_version: int, size: int) -> bytes:
    """The same database in larger pages, as a machine with such pages writes it; extents must be of one page."""
    header = HEADER[lib_version]
    base = header if lib_version else 0
    pages = []
    for number in range(len(content) // PAGE):
        page = content[number * PAGE : (number + 1) * PAGE]
        flags = int.from_bytes(page[header - 6 : header - 4], "little")
        if flags in (LEAF, BRANCH):
            lower, upper = struct.unpack_from("<HH", page, header - 4)
            grown = size - PAGE
            count = (lower - header + base) >> 1
            pointers = [pointer + grown for pointer in struct.unpack_from(f"<{count}H", page, header)]
            head = page[: header - 4] + struct.pack(f"<HH{count}H", lower, upper + grown, *pointers)
            nodes = page[upper + base :]
            pages.append(head + bytes(size - len(head) - len(nodes)) + nodes)
        else:
            if number < 2:
                page = page[: header + 24] + struct.pack("<I", size) + page[header + 28 :]
            pages.append(page + bytes(size - PAGE))
    return b"".join(pages)


@pytest.mark.parametrize(("lib_version", "size"), [(0, 16384), (0, 32768), (1, 16384), (1, 65536)])
@pytest.mark.parametrize("lost_metas", [(), (0,), (0, 1)], ids=str)
def test_page_sizes_of_other_machines(tmp_path: Path, lib_version: int, size: int, lost_metas: tuple[int, ...]) -> None:
    original = made(tmp_path, lib_version, (10, 300, 3000))
    content = resized(original.content, lib_version, size)
    for slot in lost_metas:
        content = content[: slot * size] + bytes(size) + content[(slot + 1) * size :]
    (tmp_path / "data.mdb").write_bytes(content)
    with LmdbStore(tmp_path) as store:
        scan = read_all(store)
    assert scan.records == sorted(original.records.items())
    assert bool(scan.damages) == bool(lost_metas)


@pytest.mark.parametrize(
    ("head", "machine"),
    [
        (struct.pack("<12xII", 0xBEEFC0DE, 1), "32-bit little-endian"),
        (struct.pack(">16xII", 0xBEEFC0DE, 1), "64-bit big-endian"),
        (struct.pack(">24xII", 0xBEEFC0DE, 3), "64-bit big-endian"),
        (struct.pack(">12xII", 0xBEEFC0DE, 1), "32-bit big-endian"),
    ],
)
def test_files_of_other_machines_are_refused_by_name(tmp_path: Path, head: bytes, machine: str) -> None:
    (tmp_path / "data.mdb").write_bytes(head.ljust(3 * PAGE, b"\0"))
    with pytest.raises(StoreError, match=f"{machine} machine.*mdb_dump there and mdb_load here"):
        LmdbStore(tmp_path)


def test_unknown_format_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(struct.pack("<16xII", 0xBEEFC0DE, 999).ljust(3 * PAGE, b"\0"))
    with pytest.raises(StoreError, match="version 999"):
        LmdbStore(tmp_path)
