"""Files of partial reports: frames that are whole or not there, written by `Codec`, so that reading runs nothing.

A file is a line that names the format, then frames: length, checksum, number of the source, number of the partition,
contents. A frame that was cut short by a crash does not fit its checksum, and is dropped with all behind it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Self, TypeVar

import xxhash

from ..backends.base import Table
from ..backends.errors import UsageError
from .codec import Codec, CodecError
from .finding import Finding, Location, Severity
from .options import Options, Trace
from .partial import FindingLog, Partial
from .prints import Prints
from .summary.classes import CLASSES

SYNC_S = 5.0
"""What a power cut may cost: frames are handed to the system at once, and forced to the disk so often."""

ABOUT, DONE = -1, -2
"""In place of a partition's number: what describes a source, and that it is done."""

RUN = -1
"""In place of a source's number: the frame that describes the run."""

_HEAD = struct.Struct("<QQqq")
"""Length of the contents, checksum, number of the source, number of the partition."""

_PLACE = struct.Struct("<qq")

PARTIALS = Codec((Partial, FindingLog, Finding, Location, Severity, Table, Options, Trace, Prints, *CLASSES))
"""Writes partial reports, and the frames around them."""

_T = TypeVar("_T")


class FrameFile:
    """A file of frames, open for one writer at a time or for any number of readers.

    Parameters
    ----------
    file
        Its path; a writer makes it where there is none.
    readonly
        Read what is whole, and change nothing.

    Raises
    ------
    UsageError
        It is something else, or in use (see `error`).
    """

    magic: ClassVar[bytes]
    noun: ClassVar[str]
    error: ClassVar[type[UsageError]] = UsageError

    def __init__(self, file: str | os.PathLike[str], *, readonly: bool = False) -> None:
        self.path = Path(os.path.realpath(file))
        self.file = os.fspath(file)
        self.readonly = readonly
        self.about: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self._frames: dict[int, list[tuple[int, int]]] = {}  # offset and partition, by source
        self._stream = self._open()
        try:
            self._read()
        except BaseException:
            self._stream.close()
            raise
        self._synced = time.monotonic()

    def _open(self) -> IO[bytes]:
        flags = os.O_RDONLY if self.readonly else os.O_RDWR | os.O_CREAT
        try:
            descriptor = os.open(self.path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
            stream = os.fdopen(descriptor, "rb" if self.readonly else "r+b")
        except OSError as exc:
            raise self.error(f"can't open the {self.noun} {self.file}: {exc.strerror}") from exc
        try:
            fcntl.flock(stream, (fcntl.LOCK_SH if self.readonly else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as exc:
            stream.close()
            raise self.error(f"the {self.noun} {self.file} is in use by another run") from exc
        return stream

    # ---- reading ----

    def _read(self) -> None:
        """Find the frames that are whole; a writer cuts off what is behind them."""
        stream = self._stream
        start = stream.read(len(self.magic))
        if start != self.magic:
            if self.readonly or not self.magic.startswith(start):
                raise self.error(f"{self.file} is not a {self.noun} of this version; name another file")
            stream.seek(0)
            stream.truncate()
            stream.write(self.magic)
            return
        end = stream.tell()
        while (frame := self._read_frame(end)) is not None:
            source, ordinal, body = frame
            if ordinal in (ABOUT, DONE):
                (self.about if ordinal == ABOUT else self.done)[source] = self._decoded(body, dict)
            else:
                self._frames.setdefault(source, []).append((end, ordinal))
            end = stream.tell()
        if not self.readonly:
            stream.seek(end)
            stream.truncate()

    def _read_frame(self, offset: int) -> tuple[int, int, bytes] | None:
        """Source, partition and contents of the frame at an offset; ``None`` at the end, and where it is not whole."""
        self._stream.seek(offset)
        head = self._stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, checksum, source, ordinal = _HEAD.unpack(head)
        left = os.fstat(self._stream.fileno()).st_size - offset - _HEAD.size
        body = self._stream.read(length) if length <= left else b""
        if len(body) < length or _checksum(source, ordinal, body) != checksum:
            return None
        return source, ordinal, body

    def _decoded(self, body: bytes, kind: type[_T]) -> _T:
        try:
            contents = PARTIALS.decode(body)
        except CodecError as exc:
            raise self.error(f"the {self.noun} {self.file} can't be used: {exc}") from exc
        if not isinstance(contents, kind):
            raise self.error(f"the {self.noun} {self.file} can't be used: it holds something else")
        return contents

    def partials(self, source: int, first: int = 0) -> Iterator[Partial]:
        """The partial reports of a source, in store order and without a gap, from partition ``first`` on."""
        for expected, (offset, _) in enumerate(self._frames.get(source, []), first):
            frame = self._read_frame(offset)
            if frame is None or frame[1] != expected:
                raise self.error(f"the {self.noun} {self.file} has lost a part; delete it to start afresh")
            yield self._decoded(frame[2], Partial)

    # ---- writing ----

    def write(self, source: int, ordinal: int, contents: Any) -> None:
        """Add a frame. Raises OSError where the disk takes no more."""
        body = PARTIALS.encode(contents)
        self._stream.seek(0, os.SEEK_END)
        self._stream.write(_HEAD.pack(len(body), _checksum(source, ordinal, body), source, ordinal) + body)
        self._stream.flush()
        if time.monotonic() - self._synced > SYNC_S:
            os.fsync(self._stream.fileno())
            self._synced = time.monotonic()

    def close(self) -> None:
        """Close it, to be used again. Twice does no harm."""
        if not self._stream.closed:
            if not self.readonly:
                with suppress(OSError):
                    os.fsync(self._stream.fileno())
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _checksum(source: int, ordinal: int, body: bytes) -> int:
    return xxhash.xxh3_64_intdigest(_PLACE.pack(source, ordinal) + body)
