"""A named fault: how it is made from a sound store, and what a scan of it must say."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Made:
    """A damaged store.

    Attributes
    ----------
    path
        What is scanned.
    written
        Records that its own library put into it.
    savable
        Those that stand on sound bytes: every one of them must be scanned.
    where
        Fields of the location of one of the leading rule's findings, as far as they are known beforehand.
    data
        Entries of that finding's data.
    lost
        Records that the report must count as unreadable; by default those that can't be saved. ``None`` where the
        bytes do not tell how many there were.
    meanwhile
        What goes on during the scan; gives further arguments of `check`.
    """

    path: Path
    written: int
    savable: int
    where: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    lost: int | None = -1
    meanwhile: Callable[[], AbstractContextManager[Mapping[str, Any]]] = lambda: nullcontext({})

    @property
    def unreadable(self) -> int | None:
        """What the report's coverage must say."""
        return self.written - self.savable if self.lost == -1 else self.lost


@dataclass(frozen=True, eq=False)
class Fault:
    """One row of the matrix.

    Attributes
    ----------
    row
        Number of the kind of fault.
    what
        What is done to the bytes, for the table.
    findings
        All rules that must fire, with how often; the first is the leading one.
    words
        Pieces of the leading rule's messages.
    remark
        For the table.
    unseen
        Why the fault can't be seen, if it can't.
    options
        Of the scan.
    """

    row: int
    name: str
    what: str
    make: Callable[[Path], Made]
    findings: Mapping[str, int]
    words: tuple[str, ...] = ()
    exit_code: int = 1
    remark: str = ""
    unseen: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


Register = Callable[[Callable[[Path], Made]], Callable[[Path], Made]]


def registry() -> tuple[list[Fault], Callable[..., Register]]:
    """A list of faults, and the decorator that puts functions into it under their names."""
    faults: list[Fault] = []

    def fault(row: int, what: str, findings: Mapping[str, int] | str = "", *words: str, **fields: Any) -> Register:
        expected = {findings: 1} if isinstance(findings, str) and findings else dict(findings or {})
        fields.setdefault("exit_code", 1 if expected else 0)

        def register(make: Callable[[Path], Made]) -> Callable[[Path], Made]:
            name = make.__name__.replace("_", "-")
            faults.append(Fault(row, name, what, make, expected, words, **fields))
            return make

        return register

    return faults, fault


def flip(path: Path, offset: int, count: int = 1) -> None:
    """Turn over all bits of some bytes: overwriting them is sometimes a no-op."""
    content = bytearray(path.read_bytes())
    for at in range(offset, offset + count):
        content[at] ^= 0xFF
    path.write_bytes(content)


def put(path: Path, offset: int, new: bytes) -> None:
    """Overwrite bytes; they must have been others."""
    content = bytearray(path.read_bytes())
    assert content[offset : offset + len(new)] != new
    content[offset : offset + len(new)] = new
    path.write_bytes(content)


def cut(path: Path, size: int) -> None:
    """End a file early."""
    assert size < path.stat().st_size
    with path.open("r+b") as raw:
        raw.truncate(size)


def expanding_to_gibibyte(checksum: Callable[[bytes, int], int]) -> tuple[bytes, int]:
    """A deflate stream of 1 MiB that expands to 1 GiB of zeros, and the checksum of those."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    total = checksum(b"", 1 if checksum is zlib.adler32 else 0)
    for _ in range(1 << 10):
        total = checksum(bytes(1 << 20), total)
    return block * (1 << 10) + packer.flush(), total
