"""Faults of LevelDB folders, made in folders that LevelDB wrote."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google_crc32c
import plyvel
from tests.test_faults.datums import key, raw_records
from tests.test_faults.faults import Made, cut, flip, registry

LEVELDB_FAULTS, fault = registry()

COUNT = 300
SIDE = 16
LOG_BLOCK = 32768


def name(index: int) -> str:
    return key(index).decode()


def in_tables(folder: Path, count: int = COUNT, **options: object) -> Path:
    """All records in tables of blocks of about five records; the log is empty."""
    path = folder / "train_leveldb"
    options = {"write_buffer_size": 1 << 17, "max_file_size": 1 << 17, **options}
    with plyvel.DB(str(path), create_if_missing=True, **options) as database:
        for record in raw_records(count, SIDE).items():
            database.put(*record)
        database.compact_range()
    with plyvel.DB(str(path), **options):
        pass  # once more, so that the log that the compaction left is a fresh one
    return path


def in_log(folder: Path, count: int = COUNT, **options: object) -> Path:
    """All records in the log, one batch each."""
    path = folder / "train_leveldb"
    with plyvel.DB(str(path), create_if_missing=True, **options) as database:
        for record in raw_records(count, SIDE).items():
            database.put(*record)
    return path


def only(path: Path, pattern: str) -> Path:
    (found,) = path.glob(pattern)
    return found


def first_table(path: Path) -> Path:
    return min(path.glob("*.ldb"))


def reached_by_leveldb(path: Path) -> set[bytes]:
    """Records that LevelDB itself gives from a copy when it is asked for each by its key."""
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    reached = set()
    with plyvel.DB(str(copy)) as database:
        for i in range(COUNT):
            try:
                reached |= {key(i)} if database.get(key(i), verify_checksums=True) is not None else set()
            except plyvel.CorruptionError:
                continue
    shutil.rmtree(copy)
    return reached


def whole(path: Path) -> Made:
    """Nothing is lost."""
    return Made(path, COUNT, COUNT)


# ---- CURRENT and MANIFEST ----


@fault(20, "CURRENT removed", "store-damaged", "CURRENT")
def ldb_current_missing(folder: Path) -> Made:
    path = in_tables(folder)
    (path / "CURRENT").unlink()
    return whole(path)


@fault(20, "CURRENT leads out of the folder, to another database", "store-damaged", "CURRENT")
def ldb_current_traversal(folder: Path) -> Made:
    path = in_tables(folder)
    shutil.copytree(path, folder / "other")
    (path / "CURRENT").write_text(f"../other/{only(path, 'MANIFEST*').name}\n")
    return whole(path)


@fault(21, "the MANIFEST cut in half", "store-damaged", "MANIFEST")
def ldb_manifest_short(folder: Path) -> Made:
    path = in_tables(folder)
    manifest = only(path, "MANIFEST*")
    cut(manifest, manifest.stat().st_size // 2)
    return whole(path)


@fault(21, "one byte of the MANIFEST turned over", "store-damaged", "MANIFEST")
def ldb_manifest_flip(folder: Path) -> Made:
    path = in_tables(folder)
    manifest = only(path, "MANIFEST*")
    flip(manifest, manifest.stat().st_size // 2)
    return whole(path)


@fault(21, "the MANIFEST cut to 0 bytes", "store-damaged", "MANIFEST")
def ldb_manifest_empty(folder: Path) -> Made:
    path = in_tables(folder)
    cut(only(path, "MANIFEST*"), 0)
    return whole(path)


# ---- tables ----


def without_block(path: Path, table: Path) -> Made:
    reached = reached_by_leveldb(path)
    lost = [i for i in range(COUNT) if key(i) not in reached]
    assert lost == list(range(lost[0], lost[-1] + 1))
    around = {"file": table.name, "key_before": name(lost[0] - 1), "key_after": name(lost[-1] + 1)}
    return Made(path, COUNT, len(reached), {"index": lost[0]}, around, lost=None)


@fault(22, "one byte in a block of a table turned over", "store-damaged", "checksum")
def ldb_data_block_flip(folder: Path) -> Made:
    path = in_tables(folder)
    table = first_table(path)
    flip(table, 50_000)
    return without_block(path, table)


@fault(22, "512 zeros in a block of a table", "store-damaged", "checksum")
def ldb_data_block_zeroed(folder: Path) -> Made:
    path = in_tables(folder)
    table = first_table(path)
    content = bytearray(table.read_bytes())
    content[50_000:50_512] = bytes(512)
    table.write_bytes(content)
    return without_block(path, table)


@fault(23, "the last byte of a table's footer turned over", "store-damaged", "footer")
def ldb_footer_lost(folder: Path) -> Made:
    path = in_tables(folder)
    table = first_table(path)
    flip(table, table.stat().st_size - 1)
    return whole(path)


@fault(23, "one byte of a table's index turned over", "store-damaged", "index")
def ldb_index_flip(folder: Path) -> Made:
    path = in_tables(folder)
    table = first_table(path)
    flip(table, table.stat().st_size - 100)
    return whole(path)


@fault(23, "padding of a table's footer turned over", unseen="nothing reads these bytes: no record depends on them")
def ldb_footer_padding_flip(folder: Path) -> Made:
    path = in_tables(folder)
    table = first_table(path)
    content = table.read_bytes()
    assert content[-12:-8] == bytes(4)
    flip(table, len(content) - 10)
    return whole(path)


@fault(24, "a table cut in half", {"store-truncated": 1, "store-damaged": 1}, "ends at")
def ldb_table_truncated(folder: Path) -> Made:
    path = in_tables(folder)
    table = first_table(path)
    content = table.read_bytes()
    half = len(content) // 2
    last = max(end for end in block_ends(content) if end <= half)  # blocks that stand there as a whole
    saved = sum(content.find(value) < last for value in raw_records(COUNT, SIDE).values())
    cut(table, half)
    return Made(path, COUNT, saved, {}, {"file": table.name}, lost=None)


@fault(24, "a table removed", "store-damaged", "is missing")
def ldb_table_missing(folder: Path) -> Made:
    path = in_tables(folder)
    table = first_table(path)
    content = table.read_bytes()
    held = [i for i, value in enumerate(raw_records(COUNT, SIDE).values()) if value in content]
    assert 0 < len(held) < COUNT
    table.unlink()
    return Made(path, COUNT, COUNT - len(held), {}, {"file": table.name}, lost=None)


def masked_checksum(data: bytes) -> bytes:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def block_ends(content: bytes) -> list[int]:
    """Where the blocks of a table end, by their checksums; LevelDB cuts a block when it has passed 4 KiB."""
    ends, start = [0], 0
    while True:
        for size in range(1, 12_000):
            at = start + size
            if content[at + 1 : at + 5] == masked_checksum(content[start : at + 1]):
                start = at + 5
                ends.append(start)
                break
        else:
            return ends


# ---- the log ----


@fault(25, "one byte of a value in the log turned over", "store-damaged", "checksum")
def ldb_log_flip(folder: Path) -> Made:
    path = in_log(folder)
    log = only(path, "*.log")
    flip(log, log.read_bytes().index(raw_records(COUNT, SIDE)[key(123)]) + 400)
    return Made(path, COUNT, COUNT - 1)


@fault(25, "the log cut within a record", "store-truncated")
def ldb_log_truncated(folder: Path) -> Made:
    path = in_log(folder)
    log = only(path, "*.log")
    cut(log, log.read_bytes().index(raw_records(COUNT, SIDE)[key(200)]) + 400)
    return Made(path, COUNT, 200, lost=None)


@fault(25, "the log removed", "store-damaged", "log")
def ldb_log_missing(folder: Path) -> Made:
    path = in_log(folder)
    only(path, "*.log").unlink()
    return Made(path, COUNT, 0, lost=None)


@fault(
    25,
    "the newest log cut behind a record",
    unseen="a log of fewer writes looks the same: nothing says how many there were",
)
def ldb_log_cut_between_records(folder: Path) -> Made:
    path = in_log(folder)
    log = only(path, "*.log")
    # Batch header of 12 bytes, type, length of the key, the key, length of the value in two bytes.
    at = log.read_bytes().index(raw_records(COUNT, SIDE)[key(200)]) - 2 - len(key(200)) - 2 - 12 - 7
    assert at % LOG_BLOCK < LOG_BLOCK - 2000
    cut(log, at)
    return Made(path, COUNT, 200, lost=0)


@fault(
    25,
    "records in tables and 20 newer ones in the log, which is cut to 0 bytes",
    unseen="LevelDB leaves a log of 0 bytes whenever it has just begun a new one",
)
def ldb_log_cut_to_nothing(folder: Path) -> Made:
    path = in_tables(folder)
    with plyvel.DB(str(path)) as database:
        for i in range(20):
            database.put(b"%08d_late" % (COUNT + i), raw_records(COUNT, SIDE)[key(i)])
    log = max(path.glob("*.log"))
    cut(log, 0)
    return Made(path, COUNT + 20, COUNT, lost=0)


# ---- what others do to a folder ----


@fault(
    26,
    "the folder without write permission",
    remark="the folder is the same to the byte and to the nanosecond afterwards",
)
def ldb_readonly(folder: Path) -> Made:
    path = in_tables(folder)
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)
    return whole(path)


@fault(26, "LevelDB has the folder open and locked", remark="neither waited for nor disturbed")
def ldb_lock_held(folder: Path) -> Made:
    path = in_tables(folder)

    @contextmanager
    def opened() -> Iterator[Mapping[str, Any]]:
        with plyvel.DB(str(path)):
            yield {}

    return Made(path, COUNT, COUNT, meanwhile=opened)


@fault(27, "a block that claims to expand to 4 GiB, under a valid checksum", "store-damaged", "not believed")
def ldb_snappy_length_bomb(folder: Path) -> Made:
    path = folder / "train_leveldb"
    records = {name: value + bytes(800) for name, value in raw_records(COUNT, SIDE).items()}
    with plyvel.DB(str(path), create_if_missing=True, block_size=40_000) as database:
        for record in records.items():
            database.put(*record)
        database.compact_range()
    with plyvel.DB(str(path)):
        pass
    table = first_table(path)
    sound = table.read_bytes()
    flip(table, 1000)
    reached = reached_by_leveldb(path)  # LevelDB would try to take the 4 GiB
    content = bytearray(sound)
    stop = next(at for at in range(5000, 90_000) if content[at + 1 : at + 5] == masked_checksum(sound[: at + 1]))
    assert content[stop] == 1, "the block is not packed"
    content[:5] = b"\xff\xff\xff\xff\x0f"
    content[stop + 1 : stop + 5] = masked_checksum(bytes(content[: stop + 1]))
    table.write_bytes(content)
    return Made(path, COUNT, len(reached), {"offset": 0}, {"file": table.name}, lost=None)


@fault(28, "written with a comparator of another name, as browsers do")
def ldb_foreign_comparator(folder: Path) -> Made:
    def compare(a: bytes, b: bytes) -> int:
        return (a > b) - (a < b)

    return whole(in_tables(folder, comparator=compare, comparator_name=b"idb_cmp1"))
