"""Records of leaf pages as columns, and their values fetched from overflow pages in large runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .base import BATCH_BYTES, BATCH_RECORDS, Damage, RecordBatch, Table
from .columns import BytesColumn
from .lmdb_format import DIRTY, FIRST_PAGE, LMDB_09, OVERFLOW, Flags, Ints, PageBytes
from .lmdb_pages import PageReader

_BRIDGED_PAGES = 2
"""Pages between two extents that are read along: cheaper than another call."""

_DENSE = 1.25
"""Runs that take up so many times their pages are read together with what lies between them."""

_UNCHECKED_BYTES = 16 << 20
"""A larger value's overflow header is read first: a damaged size must not make a huge buffer."""


Run = tuple[int, int, slice]
"""First page, number of pages, which of the ascending extents."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Records in store order, their values not yet fetched.

    Attributes
    ----------
    keys, values
        Flattened pages that the keys and the inline values lie in.
    extent
        First overflow page of the value, -1 where it lies inline.
    position
        Position in the partition.
    """

    keys: PageBytes
    key_start: Ints
    key_size: Ints
    values: PageBytes
    value_start: Ints
    value_size: Ints
    extent: Ints
    position: Ints

    def __len__(self) -> int:
        return len(self.position)

    def take(self, rows: slice | Ints | Flags) -> Rows:
        """Some of the rows; the pages are shared."""
        return Rows(
            self.keys,
            self.key_start[rows],
            self.key_size[rows],
            self.values,
            self.value_start[rows],
            self.value_size[rows],
            self.extent[rows],
            self.position[rows],
        )

    def key(self, row: int) -> bytes:
        """One key."""
        start = int(self.key_start[row])
        return self.keys[start : start + int(self.key_size[row])].tobytes()

    def batches(self) -> Iterator[Rows]:
        """Cut into batches; a value larger than a batch is one by itself."""
        stops = np.cumsum(self.key_size + self.value_size)
        first, before = 0, 0
        while first < len(self):
            stop = int(np.searchsorted(stops, before + BATCH_BYTES, "right"))
            stop = min(max(stop, first + 1), first + BATCH_RECORDS)
            yield self.take(slice(first, stop))
            first, before = stop, int(stops[stop - 1])


class ValueFetcher:
    """Turns rows into batches; overflow pages that can't be a row's value become damage."""

    def __init__(self, reader: PageReader, table: Table) -> None:
        self._reader = reader
        self._table = table
        # Extents of this partition so far: one that comes again belongs to another record.
        self._taken = np.empty(0, np.int64)

    def fetch(self, rows: Rows) -> tuple[RecordBatch | None, list[Damage]]:
        """A batch of the rows that are whole, and the damage of the others."""
        keys = BytesColumn(rows.keys, rows.key_start, rows.key_size)
        big = np.flatnonzero(rows.extent >= 0)
        if not len(big):
            values = BytesColumn(rows.values, rows.value_start, rows.value_size)
            return RecordBatch(self._table, rows.position, keys, values), []
        refused = self._refusals(rows, big)
        inline = np.flatnonzero(rows.extent < 0)
        sound = big[~np.isin(big, list(refused))] if refused else big
        buffer, starts = self._read_extents(rows, inline, sound, refused)
        damages = [self._damage(rows, row, refused[row]) for row in sorted(refused)]
        whole = np.ones(len(rows), np.bool_)
        whole[list(refused)] = False
        batch = RecordBatch(self._table, rows.position, keys, BytesColumn(buffer, starts, rows.value_size))
        if not whole.any():
            return None, damages
        return batch if whole.all() else batch.take(whole), damages

    def prefetch(self, rows: Rows) -> None:
        """Have the overflow pages of rows fetched that will be asked for next."""
        reader, size = self._reader, self._reader.page_size
        order = np.argsort(rows.extent, kind="stable")
        order = order[(rows.extent[order] >= FIRST_PAGE) & (rows.extent[order] < reader.page_count)]
        pages = np.minimum(self._pages(rows.value_size[order]), reader.page_count - rows.extent[order])
        for number, count, _ in _merge(rows.extent[order], pages):
            reader.file.prefetch(number * size, count * size)

    def check(self, rows: Rows) -> list[Damage]:
        """The damage that `fetch` would find, without reading the values."""
        big = np.flatnonzero(rows.extent >= 0)
        refused = self._refusals(rows, big)
        for row in big.tolist():
            if row not in refused and (reason := self._header_fault(rows, row)):
                refused[row] = reason
        return [self._damage(rows, row, refused[row]) for row in sorted(refused)]

    def _refusals(self, rows: Rows, big: Ints) -> dict[int, str]:
        """Rows whose extent shows by its numbers alone that it is none, with the reason."""
        reader = self._reader
        extent = rows.extent[big]
        stop = extent * reader.page_size + reader.form.header + rows.value_size[big]
        twice = np.ones(len(big), np.bool_)
        twice[np.unique(extent, return_index=True)[1]] = False
        twice |= np.isin(extent, self._taken)
        self._taken = np.concatenate([self._taken, extent])
        refused = {}
        for row in big[twice].tolist():
            refused[row] = "its overflow pages belong to another record too"
        for row in big[(extent < FIRST_PAGE) | (stop > reader.file_size)].tolist():
            refused[row] = "its overflow pages lie beyond the end of the file"
        for row in big[rows.value_size[big] > _UNCHECKED_BYTES].tolist():
            if row not in refused and (reason := self._header_fault(rows, row)):
                refused[row] = reason
        return refused

    def _header_fault(self, rows: Rows, row: int) -> str | None:
        reader, extent = self._reader, int(rows.extent[row])
        try:
            header = reader.file.read(extent * reader.page_size, reader.form.header)
        except OSError as error:
            return f"its overflow page can't be read: {error.strerror}"
        content = np.frombuffer(header.ljust(reader.form.header, b"\0"), np.uint8)
        good = self._headers_fit(
            content, np.zeros(1, np.int64), rows.extent[row : row + 1], rows.value_size[row : row + 1]
        )
        return None if good[0] else "the header of its overflow page is damaged"

    def _pages(self, sizes: Ints) -> Ints:
        form = self._reader.form
        return (form.header - 1 + sizes) // self._reader.page_size + 1

    def _headers_fit(self, flat: PageBytes, starts: Ints, extents: Ints, sizes: Ints) -> Flags:
        form = self._reader.form
        columns = np.arange(8)
        number = flat[starts[:, None] + columns].view("<u8").ravel()
        words = flat[(starts + form.header - 8)[:, None] + columns]
        flags = words.view("<u2")[:, 1] & ~np.uint16(DIRTY if form is LMDB_09 else 0)
        # LMDB keeps the larger extent when a value is overwritten by a shorter one: more pages than needed are normal.
        enough = words.view("<u4")[:, 1].astype(np.int64) >= self._pages(sizes)
        fits: Flags = (number == extents.astype(np.uint64)) & (flags == OVERFLOW) & enough
        return fits

    def _read_extents(self, rows: Rows, inline: Ints, big: Ints, refused: dict[int, str]) -> tuple[PageBytes, Ints]:
        """Values in one buffer, and where each begins in it; rows whose value can't be had join ``refused``."""
        order = big[np.argsort(rows.extent[big], kind="stable")]
        extents = rows.extent[order]
        plan = list(_merge(extents, self._pages(rows.value_size[order])))
        buffer = self._view(plan) if plan and not len(inline) else None
        if buffer is None:
            buffer, starts = self._gather(rows, inline, order, plan, refused)
        else:
            starts = rows.value_start.copy()
            starts[order] = (extents - plan[0][0]) * self._reader.page_size
        for row in order[~self._headers_fit(buffer, starts[order], extents, rows.value_size[order])].tolist():
            refused.setdefault(row, "the header of its overflow page is damaged")
        starts[order] += self._reader.form.header
        return buffer, starts

    def _view(self, plan: list[Run]) -> PageBytes | None:
        """All runs as they lie in the file; ``None`` where they are far apart or something can't be read."""
        size, first = self._reader.page_size, plan[0][0]
        span = plan[-1][0] + plan[-1][1] - first
        if span > _DENSE * sum(count for _, count, _ in plan):
            return None
        try:
            content = self._reader.file.view(first * size, span * size)
        except OSError:
            return None
        return content if len(content) == span * size else None

    def _gather(
        self, rows: Rows, inline: Ints, order: Ints, plan: list[Run], refused: dict[int, str]
    ) -> tuple[PageBytes, Ints]:
        """Read runs in file order into one buffer, behind a copy of the pages that hold inline values."""
        reader, size = self._reader, self._reader.page_size
        low = high = 0
        if len(inline):
            low = int(rows.value_start[inline].min())
            high = int((rows.value_start + rows.value_size)[inline].max())
        buffer = np.empty(high - low + size * sum(count for _, count, _ in plan), np.uint8)
        buffer[: high - low] = rows.values[low:high]
        starts = rows.value_start - low
        at = high - low
        if len(plan) > 1:
            for number, count, _ in plan:
                reader.file.prefetch(number * size, count * size)
        for number, count, members in plan:
            target = buffer[at : at + count * size]
            taken = order[members]
            try:
                done = reader.file.read_into(target, number * size)
            except OSError:
                done = len(target)
                for row in taken.tolist():
                    if reason := self._read_alone(target, number, rows, row):
                        refused[row] = reason
            ends = (rows.extent[taken] - number) * size + reader.form.header + rows.value_size[taken]
            for row in taken[ends > done].tolist():
                refused[row] = "its overflow pages lie beyond the end of the file"
            starts[taken] = at + (rows.extent[taken] - number) * size
            at += count * size
        return buffer, starts

    def _read_alone(self, target: PageBytes, number: int, rows: Rows, row: int) -> str:
        """Read one extent of a run that failed; the reason if it fails by itself, else nothing."""
        reader, size = self._reader, self._reader.page_size
        first = (int(rows.extent[row]) - number) * size
        stop = first + int(self._pages(rows.value_size[row : row + 1])[0]) * size
        try:
            reader.file.read_into(target[first:stop], number * size + first)
        except OSError as error:
            return f"its overflow pages can't be read: {error.strerror}"
        return ""

    def _damage(self, rows: Rows, row: int, reason: str) -> Damage:
        key, page = rows.key(row), int(rows.extent[row])
        beyond = reason.endswith("end of the file")
        return Damage(
            "truncated" if beyond else "damaged",
            f"the value of {int(rows.value_size[row])} bytes at page {page} is lost: {reason}",
            position=int(rows.position[row]),
            key=key,
            offset=page * self._reader.page_size,
            records_lost=1,
            data={"page": page},
        )


def _merge(extents: Ints, pages: Ints) -> Iterator[Run]:
    """Runs of ascending extents that are read at once."""
    if not len(extents):
        return
    stops = np.maximum.accumulate(extents + pages)
    cuts = np.flatnonzero(extents[1:] > stops[:-1] + _BRIDGED_PAGES) + 1
    bounds = [0, *cuts.tolist(), len(extents)]
    for first, last in itertools.pairwise(bounds):
        yield int(extents[first]), int(stops[last - 1] - extents[first]), slice(first, last)
