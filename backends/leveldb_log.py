"""LevelDB's log format, which both the write-ahead logs and the MANIFEST are kept in.

A log is blocks of 32 KiB; a record is cut into fragments so that none crosses a block's end, each with its own
checksum (``doc/log_format.md``). After damage reading goes on at the next fragment that proves itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .files import ReadOnlyFile
from .leveldb_format import masked_crc

BLOCK_BYTES = 32 << 10
HEADER_BYTES = 7
FULL, FIRST, MIDDLE, LAST = range(1, 5)

_WINDOW_BYTES = 32 * BLOCK_BYTES


class Fragment(NamedTuple):
    """A verified piece of a record; ``offset`` is where its payload begins in the file."""

    kind: int
    offset: int
    payload: bytes


class Tear(NamedTuple):
    """A stretch of the file, from ``offset`` to ``stop``, in which no fragment could be verified.

    ``cut`` tells a file that ends too early from one whose bytes are wrong.
    """

    offset: int
    stop: int
    reason: str
    cut: bool = False


def fragments(file: ReadOnlyFile) -> Iterator[Fragment | Tear]:
    """Walk through a log."""
    size = file.size_bytes
    for start in range(0, size, _WINDOW_BYTES):
        try:
            window = file.read(start, _WINDOW_BYTES)
        except OSError:
            window = b""
        wanted = min(_WINDOW_BYTES, size - start)
        for at in range(0, len(window), BLOCK_BYTES):
            yield from _block(window[at : at + BLOCK_BYTES], start + at)
        if len(window) < wanted:
            yield from _block_by_block(file, start + len(window) // BLOCK_BYTES * BLOCK_BYTES, start + wanted)


def _block_by_block(file: ReadOnlyFile, start: int, stop: int) -> Iterator[Fragment | Tear]:
    """Read what came short as a whole: a bad sector costs its block only."""
    for at in range(start, stop, BLOCK_BYTES):
        upto = min(at + BLOCK_BYTES, stop)
        try:
            block = file.read(at, BLOCK_BYTES)
        except OSError as exc:
            yield Tear(at, upto, f"can't be read ({exc.strerror})")
            continue
        yield from _block(block, at) if block else [Tear(at, upto, "ends", cut=True)]


def _block(block: bytes, start: int) -> Iterator[Fragment | Tear]:
    """The fragments of one block, which is shorter than the others only at the end of the file."""
    at, size = 0, len(block)
    while at + HEADER_BYTES <= size:
        stop = at + HEADER_BYTES + int.from_bytes(block[at + 4 : at + 6], "little")
        reason = _fault(block, at, stop)
        if reason is None:
            yield Fragment(block[at + 6], start + at + HEADER_BYTES, block[at + HEADER_BYTES : stop])
            at = stop
        elif stop + HEADER_BYTES <= size and _fault(block, stop, _stop(block, stop)) is None:
            yield Tear(start + at, start + stop, reason)
            at = stop
        else:
            yield Tear(start + at, start + size, reason, cut=stop > size and size < BLOCK_BYTES)
            return
    if at < size < BLOCK_BYTES:
        yield Tear(start + at, start + size, "ends inside a fragment's header", cut=True)


def _stop(block: bytes, at: int) -> int:
    return at + HEADER_BYTES + int.from_bytes(block[at + 4 : at + 6], "little")


def _fault(block: bytes, at: int, stop: int) -> str | None:
    """What is wrong with the fragment at ``at``; ``None`` for a good one."""
    if stop > len(block):
        if len(block) < BLOCK_BYTES:
            return "ends inside a fragment"
        return "has a fragment that is longer than its block"
    if not any(block[at : at + HEADER_BYTES]):
        return "holds zeros where a fragment should begin"
    if masked_crc(block[at + 6 : stop]) != int.from_bytes(block[at : at + 4], "little"):
        return "has a fragment that fails its checksum"
    if not FULL <= block[at + 6] <= LAST:
        return f"has a fragment of the unknown type {block[at + 6]}"
    return None
