"""A set that changes from night to night, written by LMDB's own library, and audits of it on given dates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from tests.in_process import InProcess
from tests.test_layouts.messages import Datum

from datascan.scanner.api import make_options
from datascan.scanner.auditing.history import History
from datascan.scanner.auditing.nightly import Audit, Job, Policy, audit
from datascan.scanner.crew import Crew

FIRST = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)
PIXELS = 48


class GrowingSet:
    """Raw 3x4x4 Datums under numbered keys, no two alike."""

    def __init__(self, path: Path, records: int = 200) -> None:
        self.path = path
        self.count = 0
        self.data: dict[int, bytes] = {}
        self.add(index % 3 for index in range(records))

    def value(self, index: int, label: int) -> bytes:
        self.data[index] = np.random.default_rng([7, index]).integers(0, 256, PIXELS, np.uint8).tobytes()
        return bytes(Datum(channels=3, height=4, width=4, data=self.data[index], label=label).SerializeToString())

    def put(self, records: Iterable[tuple[int, bytes | None]]) -> None:
        """Write records; ``None`` deletes one."""
        with lmdb.open(str(self.path), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
            for index, value in records:
                key = f"{index:08d}".encode()
                if value is None:
                    txn.delete(key)
                else:
                    txn.put(key, value)

    def add(self, labels: Iterable[int]) -> None:
        """Append records with these labels."""
        records = []
        for label in labels:
            records.append((self.count, self.value(self.count, label)))
            self.count += 1
        self.put(records)

    def add_broken(self) -> int:
        """Append a record whose payload is short."""
        datum = Datum(channels=3, height=4, width=4, data=b"x" * 40, label=1)
        self.put([(self.count, datum.SerializeToString())])
        self.count += 1
        return self.count - 1

    def rot(self, index: int) -> None:
        """Flip a bit of a record's pixels on the disk, as a disk does it: no time changes."""
        file = self.path / "data.mdb"
        status, contents = file.stat(), file.read_bytes()
        place = contents.index(self.data[index]) + 5
        with file.open("r+b") as raw:
            raw.seek(place)
            raw.write(bytes([contents[place] ^ 0x10]))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


class Nights:
    """Audits of some sources, one a night, into one history."""

    def __init__(self, history: Path, jobs: dict[str, Path], **options: Any) -> None:
        self.history = history
        self.jobs = [Job(name, str(path), make_options(**options)) for name, path in jobs.items()]
        self.policy = Policy()
        self.crew: Crew = InProcess()

    def audit(self, night: int, *, told: Callable[[Audit], object] | None = None, **policy: Any) -> Audit:
        """The audit of a night, counted from 1; it counts once everybody was ``told``."""
        moment = FIRST + timedelta(days=night - 1)
        with History(self.history) as history:
            chosen = Policy(**policy) if policy else self.policy
            found = audit(self.jobs, history, self.crew, chosen, now=lambda: moment)
            if told is not None:
                told(found)
            found.finish()
        return found
