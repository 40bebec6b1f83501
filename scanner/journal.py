"""Checkpoints: what is done of a scan, on disk, so that a scan that was ended goes on where it was.

A checkpoint is a line that names the format, then frames: length, checksum, contents. The first frame describes the
run; then each source has one that describes it, and one for each partition that was scanned, in store order. A frame
that was cut short by a crash does not fit its checksum, and is dropped with all behind it. Contents are written by
`Codec`, so that reading a checkpoint from elsewhere can't run anything.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import xxhash

from ..backends.base import Table
from ..backends.errors import UsageError
from ..backends.magic import is_leveldb, is_lmdb
from .codec import Codec, CodecError
from .finding import Finding, Location, Severity
from .options import Options
from .partial import FindingLog, Partial
from .plan import Plan
from .summary.classes import CLASSES
from .version import __version__

MAGIC = b"datascan checkpoint 1\n"
SYNC_S = 5.0
"""What a power cut may cost: frames are handed to the system at once, and forced to the disk so often."""

_HEAD = struct.Struct("<QQqq")
"""Length of the contents, checksum, number of the source (or `_RUN`), number of the partition (or `_ABOUT`)."""

_PLACE = struct.Struct("<qq")
_RUN = _ABOUT = -1
_LONGEST = 1 << 40

PARTIALS = Codec((Partial, FindingLog, Finding, Location, Severity, Table, Options, *CLASSES))
"""Writes partial reports, and the frames around them."""


_T = TypeVar("_T")


class ResumeError(UsageError):
    """A checkpoint that does not belong to this run; nothing was scanned."""


class Journal:
    """A checkpoint file, open for one run at a time.

    Parameters
    ----------
    file
        Its path, outside of every source; made where there is none.
    sources
        The paths of the run, in order.

    Raises
    ------
    ResumeError
        The file is something else, belongs to another run, or is in use.
    """

    def __init__(self, file: str | os.PathLike[str], sources: Sequence[str]) -> None:
        self.path = Path(os.path.realpath(file))
        self.file = os.fspath(file)
        self.sources = list(sources)
        self.failure: str | None = None
        _refuse_sources(self.file, self.path, sources)
        self._stream = self._open()
        try:
            self._frames: dict[int, list[tuple[int, int]]] = {}  # offset and partition, by source
            self._headers: dict[int, dict[str, Any]] = {}
            self._read()
            run = {"version": __version__, "sources": list(sources)}
            if _RUN not in self._headers:
                self._headers[_RUN] = run
                self._write(_RUN, _ABOUT, run)
            self._compare(self._headers[_RUN], run)
        except BaseException:
            self._stream.close()
            raise
        self._synced = time.monotonic()

    def _open(self) -> IO[bytes]:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as exc:
            raise ResumeError(f"can't open the checkpoint {self.file}: {exc.strerror}") from exc
        stream = os.fdopen(descriptor, "r+b")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            stream.close()
            raise ResumeError(f"the checkpoint {self.file} is in use by another run") from exc
        return stream

    # ---- frames ----

    def _read(self) -> None:
        """Find the frames that are whole, and cut off what is behind them."""
        stream = self._stream
        start = stream.read(len(MAGIC))
        if start != MAGIC:
            if not MAGIC.startswith(start):
                raise ResumeError(f"{self.file} is not a checkpoint of this version; name another file")
            stream.seek(0)
            stream.truncate()
            stream.write(MAGIC)
            return
        end = stream.tell()
        while (frame := self._read_frame(end)) is not None:
            source, ordinal, body = frame
            if ordinal == _ABOUT:
                self._headers[source] = self._decoded(body, dict)
            else:
                self._frames.setdefault(source, []).append((end, ordinal))
            end = stream.tell()
        stream.seek(end)
        stream.truncate()

    def _read_frame(self, offset: int) -> tuple[int, int, bytes] | None:
        """Source, partition and contents of the frame at an offset; ``None`` at the end, and where it is not whole."""
        self._stream.seek(offset)
        head = self._stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, checksum, source, ordinal = _HEAD.unpack(head)
        body = self._stream.read(length) if length < _LONGEST else b""
        if len(body) < length or _checksum(source, ordinal, body) != checksum:
            return None
        return source, ordinal, body

    def _decoded(self, body: bytes, kind: type[_T]) -> _T:
        try:
            contents = PARTIALS.decode(body)
        except CodecError as exc:
            raise ResumeError(f"the checkpoint {self.file} can't be used: {exc}") from exc
        if not isinstance(contents, kind):
            raise ResumeError(f"the checkpoint {self.file} can't be used: it holds something else")
        return contents

    def _write(self, source: int, ordinal: int, contents: Any) -> None:
        body = PARTIALS.encode(contents)
        self._stream.seek(0, os.SEEK_END)
        self._stream.write(_HEAD.pack(len(body), _checksum(source, ordinal, body), source, ordinal) + body)
        self._stream.flush()

    def _compare(self, written: Mapping[str, Any], now: Mapping[str, Any], of: str = "") -> None:
        different = [name for name in {**written, **now} if written.get(name) != now.get(name)]
        if different:
            raise ResumeError(
                f"the checkpoint {self.file} does not fit this run{of}: {', '.join(map(_described, different))} "
                "differ; scan as before, or delete it to start afresh"
            )

    # ---- sources ----

    def source(self, plan: Plan) -> SourceJournal:
        """What is written of one of the sources, if it is still what was planned then.

        Raises
        ------
        ResumeError
            The source, or how it is to be scanned, has changed.
        """
        number, now = self.sources.index(plan.source.path), _identity(plan)
        if number not in self._headers:
            self._headers[number] = now
            self._write(number, _ABOUT, now)
        self._compare(self._headers[number], now, f" of {plan.source.path}")
        return SourceJournal(self, number)

    def partials(self, number: int) -> Iterator[Partial]:
        """The partial reports of a source that were written before, in store order and without a gap."""
        for expected, (offset, _) in enumerate(self._frames.get(number, [])):
            frame = self._read_frame(offset)
            if frame is None or frame[1] != expected:
                raise ResumeError(f"the checkpoint {self.file} has lost a part; delete it to start afresh")
            yield self._decoded(frame[2], Partial)

    def append(self, number: int, ordinal: int, partial: Partial) -> None:
        """Write a partial report down. A disk that is full costs the checkpoint, not the scan: see `failure`."""
        if self.failure is not None:
            return
        try:
            self._write(number, ordinal, partial)
            if time.monotonic() - self._synced > SYNC_S:
                os.fsync(self._stream.fileno())
                self._synced = time.monotonic()
        except OSError as exc:
            self.failure = f"can't write the checkpoint {self.file}: {exc.strerror}; the scan went on without it"

    # ---- the end ----

    def finish(self) -> None:
        """Remove it: everything was scanned and reported."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close it, to be used again. Twice does no harm."""
        if not self._stream.closed:
            with suppress(OSError):
                os.fsync(self._stream.fileno())
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class SourceJournal:
    """The part of a checkpoint that belongs to one source."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.journal = journal
        self.number = number

    def partials(self) -> Iterator[Partial]:
        """See `Journal.partials`."""
        return self.journal.partials(self.number)

    def append(self, ordinal: int, partial: Partial) -> None:
        """See `Journal.append`."""
        self.journal.append(self.number, ordinal, partial)


def _checksum(source: int, ordinal: int, body: bytes) -> int:
    return xxhash.xxh3_64_intdigest(_PLACE.pack(source, ordinal) + body)


_NAMES = {
    "version": "the version of datascan",
    "sources": "the data sets",
    "identity": "the contents of the data set",
    "partitions": "the parts that it is read in",
}


def _described(name: str) -> str:
    return _NAMES.get(name, name)


def _identity(plan: Plan) -> dict[str, Any]:
    """What has to be as it was for the written partial reports to be those of this scan."""
    digest = xxhash.xxh3_128()
    for partition in plan.partitions:
        digest.update(repr((partition.table, partition.token)).encode())
    options = {name: PARTIALS.encode(value) for name, value in asdict(plan.context.options).items()}
    return {
        "path": os.path.realpath(plan.source.path),
        "identity": plan.source.identity,
        "backend": plan.source.backend,
        "database": plan.source.database,
        "layout": plan.choice.layout.name,
        "rules": plan.rules,
        "partitions": digest.hexdigest(),
        **options,
    }


def _refuse_sources(file: str, path: Path, sources: Sequence[str]) -> None:
    """A source is never written to, nor is a file added to it."""
    for source in sources:
        root = Path(os.path.realpath(source))
        if path == root or (root.is_dir() and root in path.parents):
            raise ResumeError(f"can't keep the checkpoint in {file}: it is in the data set {source}")
    if is_lmdb(path.parent) or is_leveldb(path.parent):
        raise ResumeError(f"can't keep the checkpoint in {file}: its folder is a data set")
