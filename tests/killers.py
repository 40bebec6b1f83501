"""Layouts whose decoding dies, hangs or eats memory on marked records, as a library with a bug would."""

from __future__ import annotations

import ctypes
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np

from datascan.backends.base import RecordBatch
from datascan.backends.hdf5_readers import ColumnReader, FixedReader
from datascan.backends.hdf5_store import Hdf5Store
from datascan.scanner.layouts.base import RecordLayout
from datascan.scanner.options import Options
from datascan.scanner.sample import LabelBlock, SampleBatch
from datascan.scanner.stamp import touch
from datascan.scanner.worker import SourceRef

GOOD = b"good"
LABELS = 1000
"""As many as a report lists."""


def write_records(path: Path, marks: dict[int, bytes], count: int, padding: int = 0) -> Path:
    """An LMDB of records that hold their number and a word: `GOOD`, or how they kill."""
    with lmdb.open(str(path), map_size=1 << 26, lock=False) as env, env.begin(write=True) as txn:
        for index in range(count):
            txn.put(b"%08d" % index, b"%d %s " % (index, marks.get(index, GOOD)) + bytes(padding))
    return path


def die(how: str) -> None:
    """End this process, or keep it from going on."""
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
    elif how == "read-null":
        ctypes.string_at(0)
    elif how == "exit":
        os._exit(3)
    elif how == "loop":
        while True:
            pass
    elif how == "memory":
        hoard = []
        while True:
            hoard.append(np.ones(1 << 22))


class Killer(RecordLayout):
    """Numbers as labels; a record whose word is a way to die kills whoever decodes it. Says which record it is at."""

    name = "killer"
    title = "Records that kill"
    stamps = True

    def __init__(self, options: Options, folder: Path) -> None:
        super().__init__(options)
        self.folder = folder

    @classmethod
    def agrees(cls, sample: RecordBatch) -> list[bool]:
        return [True] * len(sample)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        numbers, company = [], 0
        for row, value in enumerate(batch.values):
            if self.stamps:
                touch(row)
            number, word = bytes(value).split(b" ")[:2]
            numbers.append(int(number) % LABELS)
            company += word == b"company"
            self.meet(word.decode(), int(number), company)
        rows = np.arange(len(batch))
        return SampleBatch(batch, rows, labels=[LabelBlock("label", rows, np.array(numbers))])

    def meet(self, word: str, number: int, company: int) -> None:
        if word == "company" and company == 2:
            die("SIGSEGV")
        elif word == "once":
            try:
                (self.folder / str(number)).touch(exist_ok=False)
            except FileExistsError:
                return
            die("SIGSEGV")
        elif word not in ("company", "good"):
            die(word)


class SilentKiller(Killer):
    """As `Killer`, but only the batch is known when it dies."""

    stamps = False


class KillingStore(Hdf5Store):
    """Reading some rows of any of its datasets kills, as a damaged chunk index does."""

    culprits: tuple[int, ...] = ()

    def _make_reader(self, path: str) -> ColumnReader:
        reader = super()._make_reader(path)
        assert isinstance(reader, FixedReader)
        fetch, culprits = reader.fetch, self.culprits

        def killing(start: int, stop: int) -> object:
            if any(start <= culprit < stop for culprit in culprits):
                die("SIGSEGV")
            return fetch(start, stop)

        reader.fetch = killing  # type: ignore[method-assign,assignment]
        return reader


@dataclass(frozen=True, slots=True)
class KillingSource(SourceRef):
    """Opens a `KillingStore`."""

    culprits: tuple[int, ...] = ()

    def open(self) -> Hdf5Store:
        store = KillingStore(self.path)
        store.culprits = self.culprits
        return store
