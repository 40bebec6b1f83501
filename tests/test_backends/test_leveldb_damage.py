"""Damage in a LevelDB costs the records that it holds, is named, and never ends the scan."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cramjam
import google_crc32c
import plyvel
import pytest

from datascan.backends.base import Damage
from datascan.backends.errors import StoreNotFound, UnknownFormat
from datascan.backends.leveldb_folder import Folder
from datascan.backends.leveldb_store import LevelDbStore
from datascan.scanner.testing.store_contract import Scan, read_all, shrink, untouched

Records = dict[bytes, bytes]


def scan(path: Path) -> Scan:
    with LevelDbStore(path) as store:
        return read_all(store)


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


def kinds(found: Scan) -> list[str]:
    return [damage.kind for damage in found.damages]


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


@pytest.fixture(scope="module")
def records() -> Records:
    rng = random.Random(3)
    return {b"%06d.jpg" % i: rng.randbytes(rng.randrange(500, 1500)) for i in range(200)}


@pytest.fixture(scope="module")
def in_table(tmp_path_factory: pytest.TempPathFactory, records: Records) -> Path:
    """All records in one table of some fifty blocks."""
    path = tmp_path_factory.mktemp("table") / "db"
    with plyvel.DB(str(path), create_if_missing=True, bloom_filter_bits=10) as db:
        for key, value in records.items():
            db.put(key, value)
        db.compact_range()
    return path


@pytest.fixture(scope="module")
def in_log(tmp_path_factory: pytest.TempPathFactory, records: Records) -> Path:
    """All records in the log: one batch of half of them, then one batch each."""
    path = tmp_path_factory.mktemp("log") / "db"
    with plyvel.DB(str(path), create_if_missing=True) as db:
        pairs = list(records.items())
        with db.write_batch() as batch:
            for key, value in pairs[:100]:
                batch.put(key, value)
        for key, value in pairs[100:]:
            db.put(key, value)
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    def copied(source: Path) -> Path:
        target = tmp_path / "copy"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        return target

    return copied


Copy = Callable[[Path], Path]


def lost_keys(damage: Damage, records: Records) -> list[bytes]:
    """The keys that a damage's range names."""
    before, after = damage.data["key_before"] or "", damage.data["key_after"]
    return [key for key in records if before.encode() < key < after.encode()]


def test_a_flipped_block_costs_its_records_alone(in_table: Path, records: Records, copy: Copy) -> None:
    path = copy(in_table)
    flip(only(path, "*.ldb"), 50_000)
    found = scan(path)
    (damage,) = found.damages
    assert damage.kind == "damaged"
    assert damage.data["file"] == only(path, "*.ldb").name
    assert damage.offset is not None
    assert damage.offset <= 50_000 < damage.offset + damage.data["bytes"]
    lost = lost_keys(damage, records)
    assert 1 <= len(lost) <= 10
    assert found.records == [(key, value) for key, value in records.items() if key not in lost]
    assert damage.position == list(records).index(lost[0])


def test_neighbouring_damaged_blocks_are_one_damage(in_table: Path, records: Records, copy: Copy) -> None:
    path = copy(in_table)
    for offset in range(60_000, 90_000, 1000):
        flip(only(path, "*.ldb"), offset)
    found = scan(path)
    (damage,) = found.damages
    assert damage.data["blocks"] >= 5
    assert [key for key in records if key not in dict(found.records)] == lost_keys(damage, records)


def test_flips_anywhere_in_a_table(in_table: Path, records: Records, copy: Copy) -> None:
    size = only(in_table, "*.ldb").stat().st_size
    silent = []
    for offset in [*range(0, size - 3000, 4001), *range(size - 3000, size, 97), *range(size - 48, size, 5)]:
        path = copy(in_table)
        flip(only(path, "*.ldb"), offset)
        found = scan(path)
        assert set(found.records) <= set(records.items())
        assert [key for key, _ in found.records] == sorted(dict(found.records))
        if len(found.records) < len(records):
            assert kinds(found) == ["damaged"]
        elif not found.damages:
            silent.append(size - offset)
    # Only filters, the meta index and the footer's padding can change without a word: a scan has no use for them.
    assert max(silent) < 2500
    assert all(distance > 1 for distance in silent)


@pytest.mark.parametrize("from_end", [1, 5, 40, 60, 400, 900])
def test_without_footer_or_index_blocks_are_found_by_their_checksums(
    in_table: Path, records: Records, copy: Copy, from_end: int
) -> None:
    path = copy(in_table)
    table = only(path, "*.ldb")
    flip(table, table.stat().st_size - from_end)
    found = scan(path)
    assert found.records == list(records.items())
    assert all(damage.records_lost == 0 for damage in found.damages)
    if from_end in (1, 5, 60, 400, 900):
        assert kinds(found) == ["damaged"]


def test_a_table_without_index_and_with_a_damaged_block(in_table: Path, records: Records, copy: Copy) -> None:
    path = copy(in_table)
    table = only(path, "*.ldb")
    flip(table, table.stat().st_size - 400)
    flip(table, 100_000)
    found = scan(path)
    assert kinds(found) == ["damaged", "damaged"]
    gap = found.damages[1]
    assert gap.offset is not None
    assert gap.offset <= 100_000 < gap.offset + gap.data["bytes"]
    assert [key for key in records if key not in dict(found.records)] == lost_keys(gap, records) != []


def test_a_table_cut_anywhere(in_table: Path, records: Records, copy: Copy) -> None:
    size = only(in_table, "*.ldb").stat().st_size
    counts = []
    for left in [0, 1, 47, 48, 3000, *range(5000, size - 2000, 23_456), size - 49, size - 48, size - 1]:
        path = copy(in_table)
        cut(only(path, "*.ldb"), left)
        found = scan(path)
        assert "truncated" in kinds(found)
        assert set(kinds(found)) <= {"truncated", "damaged"}
        assert found.records == list(records.items())[: len(found.records)]
        assert len(found.records) >= left / 1600 - 8
        counts.append(len(found.records))
    assert counts == sorted(counts)
    assert counts[-1] == len(records)


def test_a_missing_table_is_named_with_its_keys(in_table: Path, records: Records, copy: Copy) -> None:
    path = copy(in_table)
    only(path, "*.ldb").unlink()
    found = scan(path)
    assert found.records == []
    (damage,) = found.damages
    assert damage.kind == "damaged"
    assert damage.data["key_before"].encode() == min(records)
    assert damage.data["key_after"].encode() == max(records)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"MANIFEST-000002",
        b"MANIFEST-999999\n",
        b"../other/MANIFEST-000002\n",
        b"/etc/passwd\n",
        b"\xff" * 99,
    ],
)
@pytest.mark.parametrize("where", ["in_table", "in_log"])
def test_current_is_lost(
    request: pytest.FixtureRequest, records: Records, copy: Copy, content: bytes | None, where: str
) -> None:
    path = copy(request.getfixturevalue(where))
    (path / "CURRENT").unlink()
    if content is not None:
        (path / "CURRENT").write_bytes(content)
    found = scan(path)
    assert found.records == list(records.items())
    assert kinds(found) == ["damaged"]
    assert found.damages[0].reason.startswith("CURRENT")


@pytest.mark.parametrize("where", ["in_table", "in_log"])
def test_manifest_is_missing_flipped_or_cut_anywhere(
    request: pytest.FixtureRequest, records: Records, copy: Copy, where: str
) -> None:
    source = request.getfixturevalue(where)
    size = only(source, "MANIFEST*").stat().st_size

    def manifests() -> Iterator[Path]:
        path = copy(source)
        only(path, "MANIFEST*").unlink()
        yield path
        for offset in range(0, size, 3):
            path = copy(source)
            flip(only(path, "MANIFEST*"), offset)
            yield path
            path = copy(source)
            cut(only(path, "MANIFEST*"), offset)
            yield path

    for path in manifests():
        found = scan(path)
        assert found.records == list(records.items())
        assert set(kinds(found)) == {"damaged"}


def test_a_manifest_cut_between_edits_is_stale(tmp_path: Path) -> None:
    """The edits that are left are sound, but tables have come and gone since."""
    path = tmp_path / "db"
    expected = {}
    with plyvel.DB(str(path), create_if_missing=True, write_buffer_size=64 << 10) as db:
        for turn in range(3):
            for i in range(turn, 300, turn + 1):
                db.put(b"%04d" % i, b"%d-" % turn * 100)
                expected[b"%04d" % i] = b"%d-" % turn * 100
            db.compact_range()
    manifest = only(path, "MANIFEST*")
    whole = manifest.read_bytes()
    at, stale = 0, 0
    while at < len(whole):
        at += 7 + int.from_bytes(whole[at + 4 : at + 6], "little")
        manifest.write_bytes(whole[:at])
        found = scan(path)
        assert dict(found.records) == expected
        assert all(kind == "damaged" for kind in kinds(found))
        stale += bool(found.damages)
        assert at < len(whole) or not found.damages
    assert stale >= 4


def test_tables_that_the_manifest_does_not_know(in_log: Path, records: Records, copy: Copy, tmp_path: Path) -> None:
    """A crash leaves a table that repeats the log; a MANIFEST that lost its end leaves one with records of its own."""
    other = tmp_path / "other"
    shutil.copytree(in_log, other)
    with plyvel.DB(str(other)) as db:  # puts the log's records into a table
        repeated = only(other, "*.ldb").read_bytes()
        db.put(b"000007.jpg", b"newer")
        db.put(b"extra", b"1")
        db.delete(b"000008.jpg")
        db.compact_range()
    path = copy(in_log)
    (path / "000099.ldb").write_bytes(repeated)
    assert scan(path).records == list(records.items())
    assert scan(path).damages == []
    (path / "000099.ldb").write_bytes(repeated[: len(repeated) // 2])
    assert scan(path).records == list(records.items())
    assert scan(path).damages == []
    (path / "000099.ldb").write_bytes(max(other.glob("*.ldb")).read_bytes())
    found = scan(path)
    expected = {**records, b"000007.jpg": b"newer", b"extra": b"1"}
    del expected[b"000008.jpg"]
    assert dict(found.records) == expected
    assert [damage.kind for damage in found.damages] == ["damaged"]
    assert found.damages[0].reason.startswith("3 writes stand only in tables that are newer than MANIFEST")


def test_a_table_that_is_written_while_the_folder_is_looked_at(
    in_table: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing is older than the MANIFEST: that is no damage but a reason to look again."""
    listed = Folder.listed
    listings = [replace(listed(in_table), tables={}, sizes={"CURRENT": 16})]
    monkeypatch.setattr(Folder, "listed", lambda path: listings.pop() if listings else listed(path))
    found = scan(in_table)
    assert listings == []
    assert found.records == list(records.items())
    assert found.damages == []


def test_a_flipped_fragment_costs_its_own_batch_alone(in_log: Path, records: Records, copy: Copy) -> None:
    path = copy(in_log)
    log = only(path, "*.log")
    flip(log, log.read_bytes().index(records[b"000150.jpg"]) + 100)
    found = scan(path)
    assert found.records == [pair for pair in records.items() if pair[0] != b"000150.jpg"]
    assert [(damage.kind, damage.records_lost) for damage in found.damages] == [("damaged", 1)]


def test_a_log_cut_anywhere(in_log: Path, records: Records, copy: Copy) -> None:
    size = only(in_log, "*.log").stat().st_size
    counts = []
    for left in [*range(1, 200, 7), *range(200, size, 2977), 32768, 65536, 98304, size - 1]:
        path = copy(in_log)
        cut(only(path, "*.log"), left)
        found = scan(path)
        assert found.records == list(records.items())[: len(found.records)]
        if len(found.records) < 100:  # inside the batch, whose header says how many writes it had
            assert kinds(found) == ["truncated"]
            if left > 32768:  # the header stands in the first fragment
                assert found.damages[0].records_lost == 100 - len(found.records)
            counts.append((left, len(found.records)))
        else:  # a cut between two batches leaves a shorter log, not a damaged one
            assert set(kinds(found)) <= {"truncated"}
    assert [count for _, count in sorted(counts)] == sorted(count for _, count in counts)


def test_a_log_flipped_anywhere(in_log: Path, records: Records, copy: Copy) -> None:
    size = only(in_log, "*.log").stat().st_size
    for offset in [*range(0, 40, 3), *range(100, size, 3001), 32768, 32770, 32773, 65540]:
        path = copy(in_log)
        flip(only(path, "*.log"), offset)
        found = scan(path)
        assert set(found.records) <= set(records.items())
        lost = len(records) - len(found.records)
        costs = [damage.records_lost for damage in found.damages]
        assert (lost > 0) <= bool(costs)
        # At the log's end nothing tells how many writes there were.
        assert sum(cost or 0 for cost in costs) == lost or None in costs


def test_a_flip_inside_a_large_value_in_the_log_costs_that_record(tmp_path: Path) -> None:
    rng = random.Random(8)
    records = {b"%08d_img" % i: rng.randbytes(150_000) for i in range(6)}
    path = tmp_path / "db"
    with plyvel.DB(str(path), create_if_missing=True, write_buffer_size=64 << 20) as db, db.write_batch() as batch:
        for key, value in records.items():
            batch.put(key, value)
    flip(only(path, "*.log"), 400_000)
    found = scan(path)
    (damage,) = found.damages
    assert (damage.kind, damage.key, damage.position, damage.records_lost) == ("damaged", b"00000002_img", 2, 1)
    assert found.records == [pair for pair in records.items() if pair[0] != b"00000002_img"]
    assert found.positions == [0, 1, 3, 4, 5]
    assert found.extent == 6
    with LevelDbStore(path) as store:
        assert store.find(b"00000002_img") is None
        sample = store.sample()
        assert sample is not None
        assert len(sample) == 5


def test_a_lost_newer_version_does_not_bring_back_the_older(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with plyvel.DB(str(path), create_if_missing=True, write_buffer_size=64 << 20) as db:
        db.put(b"a", b"old")
        db.put(b"b", b"old")
        db.compact_range()
        db.put(b"a", random.Random(1).randbytes(200_000))
        db.put(b"b", b"new")
    flip(max(path.glob("*.log")), 100_000)
    found = scan(path)
    assert found.records == [(b"b", b"new")]
    assert [(damage.key, damage.records_lost) for damage in found.damages] == [(b"a", 1)]


def test_writes_that_are_in_no_log_are_missed(tmp_path: Path) -> None:
    """LevelDB numbers its writes without gaps; here each fills one block of the log, and one block is taken out."""
    path = tmp_path / "db"
    size = 32768 - 7 - 12 - 1 - 1 - 4 - 3
    with plyvel.DB(str(path), create_if_missing=True) as db:
        for i in range(5):
            db.put(b"%04d" % i, bytes([i]) * size)
    log = only(path, "*.log")
    whole = log.read_bytes()
    assert len(whole) == 5 * 32768
    log.write_bytes(whole[: 2 * 32768] + whole[3 * 32768 :])
    found = scan(path)
    assert [key for key, _ in found.records] == [b"0000", b"0001", b"0003", b"0004"]
    assert [(damage.kind, damage.records_lost) for damage in found.damages] == [("damaged", 1)]


def test_a_zeroed_stretch_of_the_log(in_log: Path, records: Records, copy: Copy) -> None:
    path = copy(in_log)
    with only(path, "*.log").open("r+b") as file:
        file.seek(4 * 32768)
        file.write(bytes(32768))
    found = scan(path)
    assert kinds(found) == ["damaged"]
    assert found.damages[0].records_lost == len(records) - len(found.records) > 10
    assert set(found.records) <= set(records.items())


def test_a_missing_log_is_named(in_log: Path, copy: Copy) -> None:
    path = copy(in_log)
    only(path, "*.log").unlink()
    found = scan(path)
    assert found.records == []
    assert kinds(found) == ["damaged"]


def test_a_torn_batch_that_leveldb_wrote_over_does_not_count(tmp_path: Path) -> None:
    """After a crash LevelDB drops the torn batch and gives its numbers to the next writes."""
    for name, keys in (("before", b"abcdef"), ("after", b"uvw")):
        with plyvel.DB(str(tmp_path / name), create_if_missing=True) as db, db.write_batch() as batch:
            for key in keys:
                batch.put(bytes([key]), bytes([key]) * 20_000)
    log = only(tmp_path / "before", "*.log")
    cut(log, 70_000)
    shutil.copy(only(tmp_path / "after", "*.log"), log.with_name("000009.log"))
    found = scan(tmp_path / "before")
    assert [key for key, _ in found.records] == [b"u", b"v", b"w"]
    assert kinds(found) == ["truncated"]


def test_damage_is_named_once_however_the_keys_are_cut(
    in_table: Path, records: Records, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy(in_table)
    table = only(path, "*.ldb")
    for offset in (100, 77_777, 150_000):
        flip(table, offset)
    whole = scan(path)
    shrink(monkeypatch, 6_000)
    with LevelDbStore(path) as store:
        assert len(store.partitions()) > 15
        parts = read_all(store)
    assert parts.records == whole.records
    assert [damage.offset for damage in parts.damages] == [damage.offset for damage in whole.damages]
    flip(table, table.stat().st_size - 1)
    with LevelDbStore(path) as store:
        assert sum("footer" in damage.reason for damage in read_all(store).damages) == 1


def test_older_versions_stand_in_only_where_damage_says_so(tmp_path: Path) -> None:
    """Flips in any file of a database whose records were overwritten: every surprise is covered by a damage."""
    source = tmp_path / "db"
    versions: dict[bytes, list[bytes]] = {}
    with plyvel.DB(str(source), create_if_missing=True, write_buffer_size=64 << 10, block_size=1000) as db:
        rng = random.Random(4)
        for turn in range(3):
            for i in range(turn, 150, turn + 1):
                value = rng.randbytes(600)
                db.put(b"%04d" % i, value)
                versions.setdefault(b"%04d" % i, []).append(value)
            if turn == 0:
                db.compact_range()
        expected = dict(db)
    assert expected == {key: values[-1] for key, values in versions.items()}
    files = sorted([*source.glob("*.ldb"), *source.glob("*.log")])
    for file in files:
        for _ in range(25):
            path = tmp_path / "copy"
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(source, path)
            if not file.stat().st_size:
                continue
            flip(path / file.name, rng.randrange(file.stat().st_size))
            found = scan(path)
            assert all(value in versions[key] for key, value in found.records)
            if dict(found.records) != expected:
                assert found.damages != []


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/etc/passwd", path), os.mkdir])
@pytest.mark.parametrize("name", ["CURRENT", "*.ldb", "MANIFEST*"])
def test_only_regular_files_are_opened(
    in_table: Path, copy: Copy, make: Callable[[Path], None], name: str, records: Records
) -> None:
    path = copy(in_table)
    victim = only(path, name)
    victim.unlink()
    make(victim)
    found = scan(path)
    assert set(kinds(found)) == {"damaged"}
    assert found.records == ([] if name == "*.ldb" else list(records.items()))


def test_a_link_to_the_table_is_not_followed(in_table: Path, copy: Copy, tmp_path: Path) -> None:
    path = copy(in_table)
    table = only(path, "*.ldb")
    shutil.move(table, tmp_path / "outside.ldb")
    table.symlink_to(tmp_path / "outside.ldb")
    assert scan(path).records == []


def test_a_table_that_vanishes_during_the_scan(in_table: Path, copy: Copy) -> None:
    path = copy(in_table)
    with LevelDbStore(path) as store:
        partitions = store.partitions()
        only(path, "*.ldb").unlink()
        found = read_all(store, partitions)
        assert kinds(found) == ["in-use"]
        assert [damage.kind for damage in store.closing_damage(0)] == ["in-use"]


def masked(data: bytes) -> bytes:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def test_a_block_that_claims_to_expand_beyond_belief(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with plyvel.DB(str(path), create_if_missing=True, block_size=40_000) as db:
        for i in range(60):
            db.put(b"%03d" % i, random.Random(i).randbytes(800) + bytes(800))
        db.compact_range()
    table = only(path, "*.ldb")
    content = bytearray(table.read_bytes())
    assert content[1] >= 0x80  # a block of more than 16 KiB: its length takes three bytes
    assert content[2] < 0x80
    stop = next(at for at in range(5000, 60_000) if content[at + 1 : at + 5] == masked(bytes(content[: at + 1])))
    content[:3] = b"\xff\xff\x7f"
    content[stop + 1 : stop + 5] = masked(bytes(content[: stop + 1]))
    table.write_bytes(content)
    found = scan(path)
    (damage,) = found.damages
    assert damage.offset == 0
    assert "not believed" in damage.reason
    assert 0 < len(found.records) < 60


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def test_zstd_blocks(tmp_path: Path) -> None:
    """Newer LevelDBs can compress by zstd; here the block of an older one is packed anew."""
    path = tmp_path / "db"
    records = {b"%03d" % i: b"value %d " % i * 20 for i in range(50)}
    with plyvel.DB(str(path), create_if_missing=True, block_size=1 << 20, compression=None) as db:
        for key, value in records.items():
            db.put(key, value)
        db.compact_range()
    table = only(path, "*.ldb")
    content = table.read_bytes()
    stop = next(at for at in range(1000, len(content)) if content[at + 1 : at + 5] == masked(content[: at + 1]))
    packed = bytes(cramjam.zstd.compress(content[:stop]))
    block = packed + b"\x02"
    block += masked(block)
    key = b"050" + (1).to_bytes(8, "little")
    handle = varint(0) + varint(len(packed))
    index = varint(0) + varint(len(key)) + varint(len(handle)) + key + handle + bytes(4) + b"\1\0\0\0" + b"\0"
    index += masked(index)
    footer = bytes(2) + varint(len(block)) + varint(len(index) - 5)
    table.write_bytes(block + index + footer.ljust(40, b"\0") + content[-8:])
    (path / "CURRENT").unlink()  # the MANIFEST knows another size
    only(path, "MANIFEST*").unlink()
    found = scan(path)
    assert found.records == list(records.items())
    assert all(damage.data["file"] in ("CURRENT", "MANIFEST") for damage in found.damages)


def test_random_bytes_are_no_end(in_table: Path, in_log: Path, tmp_path: Path) -> None:
    rng = random.Random(6)
    for source in (in_table, in_log):
        for file in source.iterdir():
            path = tmp_path / "copy"
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(source, path)
            (path / file.name).write_bytes(rng.randbytes(5000))
            with untouched(path):
                scan(path)


def block_ends(content: bytes) -> Iterator[tuple[int, int]]:
    """Start and type byte's place of each block of a table."""
    start = 0
    for at in range(8, len(content) - 48):
        if at > start + 8 and content[at + 1 : at + 5] == masked(content[start : at + 1]):
            yield start, at
            start = at + 5


def test_nonsense_with_valid_checksums_is_no_end(tmp_path: Path) -> None:
    """Blocks and log fragments in which bytes were changed and the checksums made right again."""
    source = tmp_path / "db"
    rng = random.Random(9)
    with plyvel.DB(str(source), create_if_missing=True, block_size=300, bloom_filter_bits=10) as db:
        for i in range(60):
            db.put(b"%04d" % i, b"value %d " % i * 8)
        db.compact_range()
        for i in range(0, 90, 3):
            db.put(b"%04d" % i, b"later %d " % i * 8)
    table, log = only(source, "*.ldb").name, max(source.glob("*.log")).name
    blocks = list(block_ends((source / table).read_bytes()))
    assert len(blocks) > 5
    for turn in range(150):
        path = tmp_path / "copy"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, path)
        name = (table, log, only(source, "MANIFEST*").name)[turn % 3]
        content = bytearray((path / name).read_bytes())
        if name == table:
            start, stop = rng.choice(blocks if turn % 2 else blocks[-4:])
            content[rng.choice([start, start + 1, start + 2, stop - 4, stop - 8, stop])] = rng.choice(
                [0, 1, 2, 127, 255]
            )
            content[rng.randrange(start, stop)] ^= rng.choice([0, 1, 255])
            content[stop + 1 : stop + 5] = masked(bytes(content[start : stop + 1]))
        else:
            stop = 7 + int.from_bytes(content[4:6], "little")
            content[rng.randrange(6, stop)] = rng.choice([0, 1, 2, 127, 128, 255])
            content[:4] = masked(bytes(content[6:stop]))
        (path / name).write_bytes(content)
        with LevelDbStore(path) as store:
            found = read_all(store)
            store.sample()
            store.find(b"0003")
        assert found.extent < 200


def test_unreadable_sectors_cost_what_they_hold(
    in_table: Path, in_log: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The medium fails for one sector of a file."""

    def fails(real: Callable[..., int | bytes]) -> Callable[..., int | bytes]:
        def read(descriptor: int, target: Any, offset: int, *flags: int) -> int | bytes:
            length = target if isinstance(target, int) else sum(map(len, target))
            if offset < 70_512 and offset + length > 70_000 and os.fstat(descriptor).st_size > 100_000:
                raise OSError(errno.EIO, "Input/output error")
            return real(descriptor, target, offset, *flags)

        return read

    monkeypatch.setattr(os, "pread", fails(os.pread))
    monkeypatch.setattr(os, "preadv", fails(os.preadv))
    for path in (in_table, in_log):
        found = scan(path)
        (damage,) = found.damages
        assert damage.kind == "damaged"
        assert "Input/output error" in damage.reason
        assert damage.offset is not None
        assert damage.offset <= 70_000 < damage.offset + damage.data["bytes"]
        assert set(found.records) < set(records.items())
        assert len(found.records) > 100


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        LevelDbStore(tmp_path / "absent")
    with pytest.raises(UnknownFormat):
        LevelDbStore(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnknownFormat):
        LevelDbStore(tmp_path / "file")
