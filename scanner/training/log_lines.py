"""Logs as blocks of whole lines: plain or compressed, of any size, in any encoding."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

BLOCK_BYTES = 1 << 20
LONGEST_LINE = 4 << 20
"""Bytes after which a line is cut in two; without it a file without line ends would fill the memory."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines. ``data`` ends with a line feed; ``line`` is the number of its first line, from 1."""

    data: bytes
    line: int
    offset: int


@dataclass(slots=True)
class LogSource:
    """Where a log's bytes come from, and why they ended early if they did.

    Attributes
    ----------
    damage
        What stopped the reading before the end: a compressed log that is cut or damaged.
    """

    stream: BinaryIO
    damage: str | None = None
    bytes_read: int = 0
    terminated: bool = field(default=True)
    """Whether the last line ended with a line feed."""

    def pieces(self) -> Iterator[bytes]:
        """The bytes in pieces of about a block, up to the end or the damage."""
        # read1 gives what was decompressed before the damage; read would lose it.
        read = getattr(self.stream, "read1", self.stream.read)
        ended = False
        while not ended:
            gathered: list[bytes] = []
            size = 0
            while size < BLOCK_BYTES and not ended:
                try:
                    piece = read(BLOCK_BYTES)
                except (EOFError, OSError, zlib.error, lzma.LZMAError, ValueError) as error:
                    self.damage = str(error) or type(error).__name__
                    piece = b""
                ended = not piece
                gathered.append(piece)
                size += len(piece)
            self.bytes_read += size
            if size:
                yield b"".join(gathered)

    def blocks(self) -> Iterator[Block]:
        """The log in blocks of whole lines, in order."""
        line, offset, left = 1, 0, b""
        for piece in transcoded(self.pieces()):
            cut = piece.rfind(b"\n") + 1
            if not cut and len(left) + len(piece) < LONGEST_LINE:
                left += piece
                continue
            data, left = (left + piece[:cut], piece[cut:]) if cut else (left + piece + b"\n", b"")
            yield Block(data, line, offset)
            line += data.count(b"\n")
            offset += len(data)
        if left:
            self.terminated = False
            yield Block(left + b"\n", line, offset)


def transcoded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-16 (what PowerShell's ``>`` writes) as UTF-8; everything else as it is."""
    decoder: codecs.IncrementalDecoder | None = None
    for number, piece in enumerate(pieces):
        if number == 0:
            if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                decoder = codecs.getincrementaldecoder("utf-16")("replace")
            piece = piece.removeprefix(codecs.BOM_UTF8)
        if decoder is None:
            yield piece
        else:
            yield decoder.decode(piece).encode("utf-8", "replace")


def open_log(path: Path) -> BinaryIO:
    """A log's bytes, decompressed where the first bytes say gzip, bzip2 or xz."""
    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(path))
    if magic == b"\xfd7zXZ\x00":
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb")
