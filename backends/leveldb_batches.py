"""Write batches, parsed from a log's fragments as they come (``db/write_batch.cc``).

A batch is never held as a whole. Its writes are numbered, and so are all writes of a set, without gaps: so the
number of the next batch tells how many writes were lost before it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from .base import Damage, DamageKind
from .leveldb_entries import DELETED, LOST, PUT
from .leveldb_format import LARGEST_NUMBER, FormatError, varint
from .leveldb_log import BLOCK_BYTES, FIRST, FULL, HEADER_BYTES, LAST, Fragment, Tear

_BATCH_HEADER = 12
_LONGEST_LENGTH = 10


@dataclass(slots=True)
class _Batch:
    """The batch that is being parsed; ``parsed`` of its ``count`` writes are whole."""

    offset: int
    sequence: int | None = None
    count: int = 0
    parsed: int = 0

    @property
    def missing(self) -> int | None:
        """How many writes are not whole, if the batch got as far as saying how many it has."""
        return None if self.sequence is None else max(self.count - self.parsed, 0)


@dataclass(slots=True)
class _Open:
    """A write whose value is not yet whole."""

    key: bytes
    start: int
    length: int
    lost_at: Tear | None = None


@dataclass(slots=True)
class _Fault:
    """Damage whose cost is not known before the next batch was seen."""

    kind: DamageKind
    file: str
    offset: int
    stop: int
    reason: str


class BatchParser:
    """Collects the writes of logs, their places, and what is wrong.

    Attributes
    ----------
    keys, sequences, kinds, starts, lengths
        One element a write, in the order written.
    pieces_start, pieces_file, pieces_offset
        One element a fragment: where it begins in the payload, its file's ordinal, its offset there.
    damage
        Complete after `finish`.
    lost
        Writes whose value was hit while everything around it is sound, by key and sequence number.
    """

    def __init__(self, last_sequence: int | None) -> None:
        self.keys: list[bytes] = []
        self.sequences = array("q")
        self.kinds = bytearray()
        self.starts = array("q")
        self.lengths = array("q")
        self.pieces_start = array("q")
        self.pieces_file = array("q")
        self.pieces_offset = array("q")
        self.damage: list[Damage] = []
        self.lost: dict[tuple[bytes, int], Damage] = {}
        self._file = ""
        self._ordinal = -1
        self._payload = 0
        self._batch: _Batch | None = None
        self._carry = bytearray()
        self._open: _Open | None = None
        self._skip = 0
        self._faults: list[_Fault] = []
        self._last_known = last_sequence
        self._torn_batch: _Batch | None = None
        # The write that must come next. Logs may begin with writes that tables have too, so after a MANIFEST
        # with history it is known only once a batch was seen.
        self._next = 1 if last_sequence == 0 else None

    def begin_file(self, name: str) -> None:
        """What follows comes from another file."""
        self._file = name
        self._ordinal += 1

    def unreadable(self, reason: str) -> None:
        """The file can't be opened."""
        self._torn_batch = None
        self._fault("damaged", 0, 0, reason)

    def end_file(self) -> None:
        """The file is at its end: so must the batch be."""
        if self._batch is not None:
            self._torn("truncated", f"{self._file} ends")

    def finish(self) -> None:
        """No more files: settle what is open."""
        if self._batch is not None:
            self.end_file()
        self._settle(None if self._torn_batch is None else self._torn_batch.missing)

    def tear(self, tear: Tear) -> None:
        """A stretch without a verified fragment."""
        payload = tear.stop - tear.offset - HEADER_BYTES
        if self._open is not None and tear.stop % BLOCK_BYTES == 0 and 0 < payload <= self._skip:
            # The value is known to go on to the end of this block or further, so nothing but its bytes was here:
            # the write is lost, and only it.
            self._open.lost_at = self._open.lost_at or tear
            self._piece(tear.offset + HEADER_BYTES)
            self._payload += payload
            self._skip -= payload
            if self._skip == 0:
                self._close_value()
                if self._batch is not None and self._batch.missing == 0:
                    self._end_batch()
            return
        kind: DamageKind = "truncated" if tear.cut else "damaged"
        if self._batch is not None:
            self._torn(kind, f"{self._file} {tear.reason}", tear)
        else:
            self._torn_batch = None  # there is more missing than what that batch declares
            self._fault(kind, tear.offset, tear.stop, f"{self._file} {tear.reason} at offset {tear.offset}")

    def fragment(self, fragment: Fragment) -> None:
        """A verified piece of a batch."""
        if fragment.kind in (FULL, FIRST):
            if self._batch is not None:
                self._torn("damaged", f"{self._file} begins another batch at offset {fragment.offset}")
            self._batch = _Batch(fragment.offset)
        elif self._batch is None:  # what came before it is damaged and has been noted, or was never written
            if not self._faults:
                at = fragment.offset
                self._fault(
                    "damaged", at, at, f"{self._file} has the end of a batch without its beginning at offset {at}"
                )
            return
        self._piece(fragment.offset)
        try:
            self._take(fragment.payload)
        except FormatError as exc:
            self._torn("damaged", f"{self._file} holds a batch that makes no sense ({exc})")
            return
        if fragment.kind in (FULL, LAST):
            self._end_batch()

    def _piece(self, offset: int) -> None:
        self.pieces_start.append(self._payload)
        self.pieces_file.append(self._ordinal)
        self.pieces_offset.append(offset)

    def _take(self, payload: bytes) -> None:
        """Parse on with the next piece of the batch."""
        step = min(self._skip, len(payload))
        self._skip -= step
        if self._open is not None and self._skip == 0:
            self._close_value()
        origin = self._payload + step - len(self._carry)
        self._payload += len(payload)
        self._carry += payload[step:]
        data = bytes(self._carry) if len(self._carry) <= 2 * BLOCK_BYTES else self._carry
        del self._carry[: self._parse(data, origin)]

    def _parse(self, data: bytes | bytearray, origin: int) -> int:
        """Parse what is whole; gives how far. ``origin`` is the place of ``data`` in the payload."""
        at, batch = 0, self._batch
        assert batch is not None
        if batch.sequence is None:
            if len(data) < _BATCH_HEADER:
                return 0
            self._begin_batch(batch, int.from_bytes(data[:8], "little"), int.from_bytes(data[8:12], "little"))
            at = _BATCH_HEADER
        while at < len(data):
            write = _write(data, at)
            if write is None:
                break
            kind, key, value_at, length = write
            if batch.parsed == batch.count:
                raise FormatError(f"more than the {batch.count} writes that it declares")
            at = value_at + length
            if at > len(data):
                self._open = _Open(key, origin + value_at, length)
                self._skip = at - len(data)
                return len(data)
            self._append(kind, key, origin + value_at, length)
        return at

    def _begin_batch(self, batch: _Batch, sequence: int, count: int) -> None:
        """The header is there: now the cost of what was damaged before is known."""
        if sequence + count >= LARGEST_NUMBER:
            raise FormatError(f"it begins with write {sequence}")
        batch.sequence, batch.count = sequence, count
        expected = self._next
        if self._faults:
            torn = self._torn_batch
            if (
                torn is not None
                and torn.sequence is not None
                and torn.sequence <= sequence < torn.sequence + torn.parsed
            ):
                self._forget_from(sequence)  # LevelDB had dropped the torn batch itself and written on in its place
            self._settle(None if expected is None else max(sequence - expected, 0))
        else:
            if expected is None and self._last_known is not None:
                expected = self._last_known + 1
            if expected is not None and sequence > expected:
                at, count = batch.offset, sequence - expected
                reason = f"{count} writes before {self._file}, offset {at}, are in no log"
                self.damage.append(Damage("damaged", reason, offset=at, records_lost=count, data={"file": self._file}))
        self._next = max(sequence, self._next or 0)
        self._torn_batch = None

    def _append(self, kind: int, key: bytes, start: int, length: int) -> None:
        batch = self._batch
        assert batch is not None
        assert batch.sequence is not None
        self.keys.append(key)
        self.sequences.append(batch.sequence + batch.parsed)
        self.kinds.append(kind)
        self.starts.append(start)
        self.lengths.append(length)
        batch.parsed += 1

    def _close_value(self) -> None:
        """The open value's last byte was passed."""
        value, batch = self._open, self._batch
        assert value is not None
        assert batch is not None
        self._open = None
        if value.lost_at is not None:
            sequence = (batch.sequence or 0) + batch.parsed
            tear = value.lost_at
            self.lost[value.key, sequence] = Damage(
                "damaged",
                f"the value has a part that {self._file} has lost at offset {tear.offset}: it {tear.reason}",
                key=value.key,
                offset=tear.offset,
                records_lost=1,
                data={"file": self._file},
            )
        self._append(PUT if value.lost_at is None else LOST, value.key, value.start, value.length)

    def _end_batch(self) -> None:
        batch = self._batch
        assert batch is not None
        if batch.sequence is None or batch.parsed != batch.count or self._carry or self._open is not None:
            self._torn("damaged", f"{self._file} holds a batch that ends early")
            return
        self._next = max(self._next or 0, batch.sequence + batch.count)
        self._batch = None

    def _torn(self, kind: DamageKind, what: str, tear: Tear | None = None) -> None:
        """The batch can't be read on."""
        batch = self._batch
        assert batch is not None
        offset = batch.offset if tear is None else tear.offset
        reason = f"{what} inside the write batch at offset {batch.offset}"
        if batch.sequence is not None:
            reason += f", of whose {batch.count} writes {batch.parsed} are whole"
            self._next = max(self._next or 0, batch.sequence + batch.parsed)
        self._torn_batch = batch
        self._fault(kind, offset, offset if tear is None else tear.stop, reason)
        self._abandon()

    def _abandon(self) -> None:
        self._batch, self._open, self._carry, self._skip = None, None, bytearray(), 0

    def _fault(self, kind: DamageKind, offset: int, stop: int, reason: str) -> None:
        last = self._faults[-1] if self._faults else None
        if last is not None and last.file == self._file and last.stop == offset and last.kind == kind:
            last.stop = stop  # one stretch of damage over several blocks
        else:
            self._faults.append(_Fault(kind, self._file, offset, stop, reason))

    def _settle(self, lost: int | None) -> None:
        """Turn faults into damage. Together they cost ``lost`` writes: the first of them carries the number."""
        for number, fault in enumerate(self._faults):
            self.damage.append(
                Damage(
                    fault.kind,
                    fault.reason,
                    offset=fault.offset,
                    records_lost=0 if number and lost is not None else lost,
                    data={"file": fault.file, "bytes": fault.stop - fault.offset},
                )
            )
        self._faults.clear()

    def _forget_from(self, sequence: int) -> None:
        """Drop the writes from ``sequence`` on: they were salvaged from a batch that never counted."""
        while self.sequences and self.sequences[-1] >= sequence:
            for column in (self.keys, self.sequences, self.kinds, self.starts, self.lengths):
                column.pop()
        self._next = sequence


def _write(data: bytes | bytearray, at: int) -> tuple[int, bytes, int, int] | None:
    """Kind, key, and the value's place and length; ``None`` if more data is needed to tell."""
    kind = data[at]
    if kind not in (DELETED, PUT):
        raise FormatError(f"unknown kind of write {kind}")
    length = _length(data, at + 1)
    if length is None:
        return None
    key_length, key_at = length
    value_at = key_at + key_length
    if value_at > len(data):
        return None
    key = bytes(data[key_at:value_at])
    if kind == DELETED:
        return kind, key, value_at, 0
    length = _length(data, value_at)
    return None if length is None else (kind, key, length[1], length[0])


def _length(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """As `varint`, for a number that may go on in the next fragment."""
    if len(data) - at < _LONGEST_LENGTH and all(byte >= 0x80 for byte in data[at:]):
        return None
    return varint(data, at)
