"""What every key-value store promises. A backend's test inherits `StoreContract` and says how data is written."""

from __future__ import annotations

import mmap
import os
import pickle
import random
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...backends.base import BATCH_BYTES, Damage, Extent, Partition, RecordBatch, Store

Records = Mapping[bytes, bytes]


@dataclass
class Scan:
    """Everything that reading some partitions gave, in the order asked for."""

    records: list[tuple[bytes, bytes]] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    extent: int = 0
    batch_sizes: list[int] = field(default_factory=list)


def read_partition(store: Store, partition: Partition) -> Scan:
    """Read one partition, holding every batch until the end: a reader may not reuse what it has handed out."""
    batches: list[RecordBatch] = []
    scan = Scan()
    ended = False
    for part in store.read(partition):
        assert not ended, "something follows the extent"
        if isinstance(part, Extent):
            scan.extent, ended = part.positions, True
        elif isinstance(part, Damage):
            scan.damages.append(part)
        else:
            assert isinstance(part, RecordBatch)
            assert len(part) == len(part.keys) == len(part.values) > 0
            assert part.table == partition.table
            batches.append(part)
    assert ended, "no extent"
    for batch in batches:
        scan.records += [(bytes(key), bytes(value)) for key, value in zip(batch.keys, batch.values, strict=True)]
        scan.positions += batch.positions.tolist()
        scan.batch_sizes.append(batch.size_bytes)
    assert scan.positions == sorted(set(scan.positions)), "positions are not ascending"
    assert not scan.positions or 0 <= scan.positions[0] <= scan.positions[-1] < scan.extent
    return scan


def read_all(store: Store, partitions: Iterable[Partition] | None = None) -> Scan:
    """Read partitions (all by default) one after the other; damage of opening and closing is part of it."""
    whole = Scan(damages=list(store.opening_damage()))
    for partition in store.partitions() if partitions is None else partitions:
        scan = read_partition(store, partition)
        whole.records += scan.records
        whole.damages += scan.damages
        whole.positions += [whole.extent + position for position in scan.positions]
        whole.extent += scan.extent
        whole.batch_sizes += scan.batch_sizes
    if partitions is None:
        whole.damages += store.closing_damage(whole.extent)
    return whole


def in_order(records: Records) -> list[tuple[bytes, bytes]]:
    """The records as both engines order them: bytewise by key."""
    return sorted(records.items())


def made_up(count: int, smallest: int, largest: int, seed: int = 0) -> dict[bytes, bytes]:
    """Records with keys in order and values of random bytes."""
    rng = random.Random(seed)
    return {b"%08d" % i: rng.randbytes(rng.randint(smallest, largest)) for i in range(count)}


def snapshot(path: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Names, modes, times and bytes of a file or of everything below a folder, itself included."""
    found = {}
    for entry in [path, *sorted(path.rglob("*"))]:
        stat = entry.lstat()
        content = entry.read_bytes() if entry.is_file() else b""
        found[str(entry)] = (stat.st_mode, stat.st_mtime_ns, stat.st_ctime_ns, content)
    return found


def shrink(monkeypatch: pytest.MonkeyPatch, partition_bytes: int, batch_bytes: int | None = None) -> None:
    """Make partitions (and batches) small, so that a small store has many of them."""
    for name, module in list(sys.modules.items()):
        if name.startswith("datascan.backends"):
            if hasattr(module, "PARTITION_BYTES"):
                monkeypatch.setattr(module, "PARTITION_BYTES", partition_bytes)
            if batch_bytes is not None and hasattr(module, "BATCH_BYTES"):
                monkeypatch.setattr(module, "BATCH_BYTES", batch_bytes)


_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod", "os.utime", "os.truncate"}
_trespasses: list[str] = []
_watched: list[str] = []


def _audit(event: str, args: tuple[object, ...]) -> None:
    if not _watched:
        return
    if event == "open" and isinstance(args[0], str | bytes | os.PathLike) and isinstance(args[2], int):
        path, flags = os.fsdecode(args[0]), args[2]
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writes and path.startswith(_watched[0]):
            _trespasses.append(f"{path} opened for writing")
    elif event in {"fcntl.flock", "fcntl.lockf", "fcntl.fcntl"}:
        _trespasses.append(event)
    elif event == "mmap.__new__" and args[2] != mmap.ACCESS_READ:
        _trespasses.append("mapped for writing")
    elif event in _CHANGES and any(isinstance(arg, str) and arg.startswith(_watched[0]) for arg in args):
        _trespasses.append(f"{event} {args}")


sys.addaudithook(_audit)


@contextmanager
def untouched(path: Path) -> Iterator[None]:
    """Fail if the source is opened for writing, locked, mapped for writing or changed in any way inside the block."""
    before = snapshot(path)
    _trespasses.clear()
    _watched.append(str(path))
    try:
        yield
    finally:
        _watched.clear()
    assert _trespasses == []
    assert snapshot(path) == before


class StoreContract(ABC):
    """Tests that hold for every key-value store; its data is written by the format's own library."""

    @abstractmethod
    def write(self, path: Path, records: Records) -> None:
        """Write a new store at ``path`` (which does not exist yet) with the format's own library.

        Data of more than some 100 kB is laid out so that it can be read in several partitions.
        """

    @abstractmethod
    def open(self, path: Path) -> Store:
        """Open it with the store under test."""

    @pytest.fixture
    def many(self) -> dict[bytes, bytes]:
        """Some 600 kB in 300 records."""
        return made_up(300, 0, 4000)

    def test_records_come_back_equal_and_in_order(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        shuffled = list(many.items())
        random.Random(1).shuffle(shuffled)
        self.write(tmp_path / "store", dict(shuffled))
        with self.open(tmp_path / "store") as store:
            scan = read_all(store)
        assert scan.records == in_order(many)
        assert scan.positions == list(range(len(many)))
        assert scan.extent == len(many)
        assert scan.damages == []

    # One function serves several classes: hypothesis warns of that, but each run makes its own store.
    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.differing_executors])
    @given(records=st.dictionaries(st.binary(min_size=1, max_size=60), st.binary(max_size=6000), max_size=40))
    def test_whatever_is_written_is_read(self, records: dict[bytes, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.write(Path(folder) / "store", records)
            with self.open(Path(folder) / "store") as store:
                scan = read_all(store)
        assert scan.records == in_order(records)
        assert [damage for damage in scan.damages if damage.kind != "empty"] == []

    def test_partitions_cover_everything_once(
        self, tmp_path: Path, many: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.write(tmp_path / "store", many)
        shrink(monkeypatch, 64 << 10)
        with self.open(tmp_path / "store") as store:
            partitions = store.partitions()
            scan = read_all(store, partitions)
            assert len(partitions) > 1
            assert [partition.ordinal for partition in partitions] == list(range(len(partitions)))
            assert all(partition.size_bytes > 0 for partition in partitions)
        assert scan.records == in_order(many)
        assert scan.damages == []

    def test_partitions_are_independent_of_how_they_are_read(
        self, tmp_path: Path, many: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.write(tmp_path / "store", many)
        shrink(monkeypatch, 64 << 10)
        with self.open(tmp_path / "store") as store:
            partitions = store.partitions()
            forward = [read_partition(store, partition) for partition in partitions]
        backward = []
        for partition in reversed(partitions):
            sent = pickle.loads(pickle.dumps(partition))
            with self.open(tmp_path / "store") as store:
                backward.append(read_partition(store, sent))
        assert backward[::-1] == forward

    def test_planning_is_repeatable(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        self.write(tmp_path / "store", many)
        plans = []
        for _ in range(2):
            with self.open(tmp_path / "store") as store:
                plans.append(pickle.dumps(store.partitions()))
        assert plans[0] == plans[1]

    def test_partitions_and_tokens_are_small(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        self.write(tmp_path / "store", many)
        with self.open(tmp_path / "store") as store:
            assert len(pickle.dumps(store.partitions())) < 20_000

    @pytest.mark.parametrize("limit", [0, 1, 7, 100, 299, 300, 1000])
    def test_limit_is_exact(
        self, tmp_path: Path, many: dict[bytes, bytes], limit: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.write(tmp_path / "store", many)
        shrink(monkeypatch, 64 << 10)
        with self.open(tmp_path / "store") as store:
            scan = read_all(store, store.partitions(limit=limit))
        assert scan.records == in_order(many)[:limit]
        assert scan.extent == min(limit, len(many))
        assert scan.damages == []

    def test_sample_holds_first_and_last(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        self.write(tmp_path / "store", many)
        with self.open(tmp_path / "store") as store:
            sample = store.sample(16)
        assert sample is not None
        drawn = [(bytes(key), bytes(value)) for key, value in zip(sample.keys, sample.values, strict=True)]
        assert len(drawn) >= 8
        assert drawn[0] == in_order(many)[0]
        assert drawn[-1] == in_order(many)[-1]
        assert [key for key, _ in drawn] == sorted({key for key, _ in drawn})
        assert all(many[key] == value for key, value in drawn)

    def test_sample_holds_reserved_keys(self, tmp_path: Path) -> None:
        records = {b"image-%09d" % i: b"x" * 500 for i in range(1000)} | {b"label-%09d" % i: b"y" for i in range(1000)}
        records |= {b"num-samples": b"1000", b"length": b"7"}
        self.write(tmp_path / "store", records)
        with self.open(tmp_path / "store") as store:
            sample = store.sample()
        assert sample is not None
        keys = [bytes(key) for key in sample.keys]
        assert {b"num-samples", b"length"} <= set(keys)
        assert keys == sorted(set(keys))

    def test_sample_of_few_records_is_all_of_them(self, tmp_path: Path) -> None:
        records = {b"a": b"1", b"b": b"", b"c": b"3" * 9000}
        self.write(tmp_path / "store", records)
        with self.open(tmp_path / "store") as store:
            sample = store.sample()
        assert sample is not None
        assert [(bytes(k), bytes(v)) for k, v in zip(sample.keys, sample.values, strict=True)] == in_order(records)

    def test_find(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        self.write(tmp_path / "store", many)
        with self.open(tmp_path / "store") as store:
            for index, (key, value) in list(enumerate(in_order(many)))[::23]:
                found = store.find(key)
                assert found is not None
                position, stored = found
                assert bytes(stored) == value
                assert position in (None, index)
            for absent in (b"", b"0", b"00000000x", b"00000150 ", b"zzz", b"\xff" * 300):
                assert store.find(absent) is None

    def test_claimed_records_are_right_or_unknown(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        self.write(tmp_path / "store", many)
        with self.open(tmp_path / "store") as store:
            assert store.records_claimed in (None, len(many))
            assert store.size_bytes >= sum(map(len, many.values()))
            assert store.path == tmp_path / "store"

    def test_source_is_left_untouched(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        self.write(tmp_path / "store", many)
        with untouched(tmp_path / "store"), self.open(tmp_path / "store") as store:
            assert len(read_all(store).records) == len(many)
            store.sample()
            store.find(b"00000007")

    def test_folder_and_files_without_write_permission(self, tmp_path: Path, many: dict[bytes, bytes]) -> None:
        path = tmp_path / "store"
        self.write(path, many)
        entries = [*path.rglob("*"), path]
        for entry in entries:
            entry.chmod(0o555 if entry.is_dir() else 0o444)
        try:
            with untouched(path), self.open(path) as store:
                assert read_all(store).records == in_order(many)
        finally:
            for entry in reversed(entries):
                entry.chmod(0o755 if entry.is_dir() else 0o644)

    def test_empty_store(self, tmp_path: Path) -> None:
        self.write(tmp_path / "store", {})
        with self.open(tmp_path / "store") as store:
            scan = read_all(store)
            sample = store.sample()
            assert sample is None or len(sample) == 0
            assert store.find(b"a") is None
        assert scan.records == []
        assert scan.extent == 0
        assert {damage.kind for damage in scan.damages} <= {"empty"}

    def test_big_values(self, tmp_path: Path) -> None:
        records = {**made_up(6, 1 << 20, 3 << 20), b"huge": random.Random(2).randbytes(11 << 20), b"small": b"s"}
        self.write(tmp_path / "store", records)
        with self.open(tmp_path / "store") as store:
            scan = read_all(store)
        assert scan.records == in_order(records)
        assert scan.damages == []
        assert max(scan.batch_sizes) <= 2 * BATCH_BYTES + (11 << 20)

    def test_tiny_values(self, tmp_path: Path) -> None:
        records = {b"%d" % i: b"x" * (i % 3) for i in range(30_000)}
        self.write(tmp_path / "store", records)
        with self.open(tmp_path / "store") as store:
            scan = read_all(store)
        assert scan.records == in_order(records)
        assert scan.damages == []

    def test_closing_twice_does_no_harm(self, tmp_path: Path) -> None:
        self.write(tmp_path / "store", {b"a": b"1"})
        store = self.open(tmp_path / "store")
        store.close()
        store.close()
