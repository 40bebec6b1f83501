"""A table file (``.ldb``, ``.sst``): its index, or what can be found again without one, and its records."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .base import Damage
from .files import ReadOnlyFile
from .leveldb_blocks import BadBlock, Handles, read_blocks
from .leveldb_entries import Decoded, Entries, decode_blocks
from .leveldb_folder import Folder, NotOpened
from .leveldb_format import FOOTER_BYTES, TRAILER_BYTES, FormatError, Handle, index_handle, key_text
from .leveldb_manifest import Claim
from .leveldb_salvage import find_blocks


@dataclass(frozen=True, slots=True)
class Table:
    """An opened table's plan; the file itself is open only while it is read.

    Attributes
    ----------
    handles, bounds
        Its data blocks in order; each one's users' keys are not above its bound and above the one before.
    smallest, largest
        Range of the users' keys, as far as known: of the empty key and ``None`` (no upper bound) where it is not.
    damage
        What is wrong with the table as a whole.
    """

    folder: Folder
    name: str
    handles: Handles
    bounds: Sequence[bytes]
    smallest: bytes
    largest: bytes | None
    damage: Sequence[Damage]

    @classmethod
    def planned(cls, folder: Folder, name: str, claim: Claim | None) -> Table:
        """Read a table's index. ``claim`` is what the MANIFEST says of the table, if it can be trusted."""
        try:
            with folder.opened(name) as file:
                return _plan(folder, name, claim, file)
        except NotOpened as exc:
            low, high = (b"", None) if claim is None else (claim.smallest, claim.largest)
            damage = Damage(exc.kind, str(exc), data={"file": name, **_range(low, high)})
        return cls(folder, name, Handles.of([]), (), low, high, (damage,))

    def chunks(self, low: bytes | None, high: bytes | None, chunk_bytes: int) -> Iterator[Entries | Damage]:
        """The entries with ``low <= key < high``, some ``chunk_bytes`` at a time.

        A damaged block is named by the range that its bound lies in, so that of neighbouring ranges one does.
        """
        first = 0 if low is None else bisect_left(self.bounds, low)
        stop = len(self.bounds) if high is None else min(len(self.bounds), bisect_left(self.bounds, high) + 1)
        owned = len(self.bounds) if high is None else bisect_left(self.bounds, high)
        if first >= stop:
            return
        try:
            with self.folder.opened(self.name) as file:
                yield from self._read(file, first, stop, owned, low, high, chunk_bytes)
        except NotOpened as exc:
            yield Damage(exc.kind, str(exc), data={"file": self.name, **_range(self.smallest, self.largest)})

    def weights(self, step_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Keys some ``step_bytes`` apart, each with the stored bytes since the one before."""
        size = 0
        for stored, bound in zip(self.handles.sizes.tolist(), self.bounds, strict=True):
            size += stored + TRAILER_BYTES
            if size >= step_bytes:
                yield bound, size
                size = 0
        if size:
            yield self.bounds[-1], size

    def _read(
        self,
        file: ReadOnlyFile,
        first: int,
        stop: int,
        owned: int,
        low: bytes | None,
        high: bytes | None,
        chunk_bytes: int,
    ) -> Iterator[Entries | Damage]:
        before = self.bounds[first - 1] if first else None
        stored_bytes = chunk_bytes
        while first < stop:
            blocks, count = read_blocks(file, self.handles[first:stop], chunk_bytes, stored_bytes)
            # Where blocks expand, no more of them are read at once than will fill a chunk.
            taken = int(self.handles.stops[first + count - 1] - self.handles.offsets[first])
            stored_bytes = min(chunk_bytes, chunk_bytes * taken // max(len(blocks.buffer), 1) + taken // 8)
            decoded, bad = blocks.decode()
            upto = 0
            for run in _runs([block for block in bad if first + block.number < owned]):
                for entries in _between(decoded, upto, run[0].number):
                    before = entries.key(len(entries) - 1)
                    yield from _inside(entries, low, high)
                upto = run[-1].number + 1
                after = next((part.key(0) for part in _between(decoded, upto, count)), self.bounds[first + upto - 1])
                yield self._blocks_damaged(first, run, before, after)
            for entries in _between(decoded, upto, count):
                before = entries.key(len(entries) - 1)
                yield from _inside(entries, low, high)
            first += count

    def _blocks_damaged(self, first: int, run: Sequence[BadBlock], before: bytes | None, after: bytes) -> Damage:
        """One damage for bad blocks that follow one another."""
        start = int(self.handles.offsets[first + run[0].number])
        stop = int(self.handles.stops[first + run[-1].number])
        if len(run) == 1:
            reason = f"the block at offset {start} of {self.name} {run[0].reason}"
        else:
            reason = f"{len(run)} blocks from offset {start} to {stop} of {self.name}: the first {run[0].reason}"
        data = {"file": self.name, "blocks": len(run), "bytes": stop - start, **_range(before, after)}
        return Damage("damaged", reason, offset=start, data=data)


def _inside(entries: Entries, low: bytes | None, high: bytes | None) -> Iterator[Entries]:
    """The entries that lie in the range, if any."""
    first = 0 if low is None else entries.rows_below(low)
    stop = len(entries) if high is None else entries.rows_below(high)
    if first < stop:
        yield entries if stop - first == len(entries) else entries.take(slice(first, stop))


def _between(decoded: Sequence[Decoded], first: int, stop: int) -> Iterator[Entries]:
    """Entries of the blocks with the numbers ``first`` to ``stop``."""
    for entries, blocks in decoded:
        rows = slice(*np.searchsorted(blocks, (first, stop)).tolist())
        if rows.start < rows.stop:
            yield entries if rows == slice(0, len(entries)) else entries.take(rows)


def _runs(bad: Sequence[BadBlock]) -> Iterator[list[BadBlock]]:
    """Bad blocks, those that follow one another together."""
    run: list[BadBlock] = []
    for block in bad:
        if run and block.number != run[-1].number + 1:
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def _plan(folder: Folder, name: str, claim: Claim | None, file: ReadOnlyFile) -> Table:
    size = file.size_bytes
    if claim is not None and size < claim.size_bytes:
        reason = f"{name} ends at {size} of the {claim.size_bytes} bytes that MANIFEST says"
        return _Salvage(file).table(folder, name, claim, reason, cut=True)
    try:
        # A longer file is no harm: LevelDB too looks for the footer where the MANIFEST says that the table ends.
        handles, bounds = _index(file, size if claim is None else claim.size_bytes)
    except FormatError as exc:
        return _Salvage(file).table(folder, name, claim, f"{name}: {exc}", cut=False)
    if claim is not None:
        return Table(folder, name, handles, bounds, claim.smallest, claim.largest, ())
    return Table(folder, name, handles, bounds, _first_key(file, handles), bounds[-1] if bounds else b"", ())


def _index(file: ReadOnlyFile, size: int) -> tuple[Handles, list[bytes]]:
    """Handles and bounds of the data blocks, out of the index that the footer leads to."""
    try:
        footer = file.read(max(size - FOOTER_BYTES, 0), FOOTER_BYTES)
    except OSError as exc:
        raise FormatError(f"its footer can't be read ({exc.strerror})") from exc
    handle = index_handle(footer)
    blocks, _ = read_blocks(file, Handles.of([handle]), 0, 0)
    decoded, bad = blocks.decode()
    if bad:
        raise FormatError(f"its index block at offset {handle.offset} {bad[0].reason}")
    return _handles(decoded)


def _handles(decoded: Sequence[Decoded]) -> tuple[Handles, list[bytes]]:
    """What an index block says. A single block never comes in parts."""
    if not decoded:
        return Handles.of([]), []
    return Handles.stored_in(decoded[0].entries), decoded[0].entries.key_list()


def _first_key(file: ReadOnlyFile, handles: Handles) -> bytes:
    """The first key, or the empty one where the first block is lost."""
    if len(handles):
        blocks, _ = read_blocks(file, handles[:1], 0, 0)
        for entries, _ in blocks.decode()[0]:
            return entries.key(0)
    return b""


class _Salvage:
    """What can be found of a table without its footer or index: every block proves itself by its checksum."""

    def __init__(self, file: ReadOnlyFile) -> None:
        self._size = file.size_bytes
        self._handles: list[Handle] = []
        self._firsts: list[bytes] = []
        self._lasts: list[bytes] = []
        self._index: tuple[Handles, list[bytes]] | None = None
        self._rest = 0  # where filters and indexes begin: behind the last data block
        self._gaps: list[tuple[int, int, int]] = []  # start and stop of what is lost, and the block that follows
        seen = 0
        for handle, content in find_blocks(file):
            if handle.offset > seen:
                self._gaps.append((seen, handle.offset, len(self._handles)))
            seen = handle.offset + handle.size + TRAILER_BYTES
            self._sort_in(handle, content)
        if not self._rest and seen < self._size:
            self._gaps.append((seen, self._size, len(self._handles)))

    def table(self, folder: Folder, name: str, claim: Claim | None, reason: str, cut: bool) -> Table:
        """The table with what was found, and what is wrong with it."""
        if self._index is not None:
            handles, bounds = self._index
            found, gaps = "its index was found again by its checksum", []
        else:
            handles, bounds = Handles.of(self._handles), self._lasts
            found, gaps = f"{len(handles)} blocks were found again by their checksums", self._gaps
        smallest = self._firsts[0] if self._firsts and not (gaps and gaps[0][0] == 0) else b""
        largest = bounds[-1] if bounds and not (gaps and gaps[-1][2] == len(handles)) else None
        if claim is not None:
            smallest, largest = claim.smallest, claim.largest
            if bounds and bounds[-1] == largest:  # nothing behind the last block can have been records
                gaps = [gap for gap in gaps if gap[2] < len(handles)]
        data = {"file": name, **_range(smallest, largest)}
        damage = [Damage("truncated" if cut else "damaged", f"{reason}: {found}", records_lost=0, data=data)]
        damage += [self._gap(name, gap, largest) for gap in gaps]
        return Table(folder, name, handles, bounds, smallest, largest, damage)

    def _sort_in(self, handle: Handle, content: np.typing.NDArray[np.uint8]) -> None:
        decoded, bad = decode_blocks(content, np.zeros(1, np.int64), np.array([len(content)], np.int64))
        if bad.any() or not decoded:  # a filter, or the meta index, whose keys are names
            self._rest = self._rest or handle.offset
            return
        if self._is_index(handle, decoded):
            self._index = _handles(decoded)
            return
        entries = decoded[0].entries, decoded[-1].entries
        self._handles.append(handle)
        self._firsts.append(entries[0].key(0))
        self._lasts.append(entries[1].key(len(entries[1]) - 1))
        self._rest = 0

    def _is_index(self, handle: Handle, decoded: Sequence[Decoded]) -> bool:
        """The index is the file's last block and leads to all data blocks: no data looks like that."""
        if handle.offset + handle.size + TRAILER_BYTES + FOOTER_BYTES < self._size:
            return False
        try:
            handles, _ = _handles(decoded)
        except FormatError:
            return False
        stops = [0, *handles.stops.tolist()]
        known = set(zip(handles.offsets.tolist(), handles.sizes.tolist(), strict=True))
        chained = handles.offsets.tolist() == stops[:-1] and stops[-1] <= handle.offset
        return chained and known.issuperset(self._handles)

    def _gap(self, name: str, gap: tuple[int, int, int], largest: bytes | None) -> Damage:
        start, stop, following = gap
        before = self._lasts[following - 1] if following else None
        after = self._firsts[following] if following < len(self._firsts) else largest
        reason = f"no sound block was found in {name} from offset {start} to {stop}"
        data = {"file": name, "bytes": stop - start, **_range(before, after)}
        return Damage("damaged", reason, offset=start, data=data)


def _range(before: bytes | None, after: bytes | None) -> dict[str, str | None]:
    return {"key_before": key_text(before), "key_after": key_text(after)}
