"""Checkpoints: what is done of a scan, on disk, so that a scan that was ended goes on where it was.

The first frame describes the run; then each source has one that describes it, and one for each partition that was
scanned, in store order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xxhash

from ..backends.errors import UsageError
from ..backends.magic import is_leveldb, is_lmdb
from ..backends.urls import is_remote
from .frames import ABOUT, PARTIALS, RUN, FrameFile
from .partial import Partial
from .plan import Plan
from .version import __version__


class ResumeError(UsageError):
    """A checkpoint that does not belong to this run; nothing was scanned."""


class Journal(FrameFile):
    """A checkpoint file, open for one run at a time.

    Parameters
    ----------
    file
        Its path, outside of every source; made where there is none.
    sources
        The paths of the run, in order.
    run
        What else tells the run from others.

    Raises
    ------
    ResumeError
        The file is something else, belongs to another run, or is in use.
    """

    magic = b"datascan checkpoint 1\n"
    noun = "checkpoint"
    error = ResumeError

    def __init__(
        self, file: str | os.PathLike[str], sources: Sequence[str], run: Mapping[str, Any] | None = None
    ) -> None:
        self.sources = list(sources)
        self.failure: str | None = None
        refuse_sources(os.fspath(file), self.noun, sources)
        super().__init__(file)
        try:
            now = {"version": __version__, "sources": list(sources), **(run or {})}
            if RUN not in self.about:
                self._describe(RUN, now)
            self._compare(self.about[RUN], now)
        except BaseException:
            self._stream.close()
            raise

    def _describe(self, source: int, facts: dict[str, Any]) -> None:
        self.about[source] = facts
        self.write(source, ABOUT, facts)

    def _compare(self, written: Mapping[str, Any], now: Mapping[str, Any], of: str = "") -> None:
        different = differing(written, now)
        if different:
            raise self.error(
                f"the {self.noun} {self.file} does not fit this run{of}: {different} differ; scan as before, or "
                "delete it to start afresh"
            )

    def source(self, plan: Plan, first: int = 0) -> SourceJournal:
        """What is written of one of the sources, from partition ``first`` on, if it is still what was planned then.

        Raises
        ------
        ResumeError
            The source, or how it is to be scanned, has changed.
        """
        number, now = self.sources.index(plan.source.path), identity_of(plan)
        if number not in self.about:
            self._describe(number, now)
        self._compare(self.about[number], now, f" of {plan.source.path}")
        return SourceJournal(self, number, first)

    def append(self, number: int, ordinal: int, partial: Partial) -> None:
        """Write a partial report down. A disk that is full costs the checkpoint, not the scan: see `failure`."""
        if self.failure is not None:
            return
        try:
            self.write(number, ordinal, partial)
        except OSError as exc:
            self.failure = f"can't write the {self.noun} {self.file}: {exc.strerror}; the scan went on without it"

    def finish(self) -> None:
        """Remove it: everything was scanned and reported."""
        self.path.unlink(missing_ok=True)


class SourceJournal:
    """The part of a checkpoint that belongs to one source; it begins with partition ``first``."""

    def __init__(self, journal: Journal, number: int, first: int = 0) -> None:
        self.journal = journal
        self.number = number
        self.first = first

    def partials(self) -> Iterator[Partial]:
        """See `FrameFile.partials`."""
        return self.journal.partials(self.number, self.first)

    def append(self, ordinal: int, partial: Partial) -> None:
        """See `Journal.append`."""
        self.journal.append(self.number, ordinal, partial)


_NAMES = {
    "version": "the version of datascan",
    "sources": "the data sets",
    "identity": "the contents of the data set",
    "partitions": "the parts that it is read in",
}


def differing(written: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What two descriptions of a run or a source differ in, in words; empty where they agree."""
    return ", ".join(_NAMES.get(name, name) for name in {**written, **now} if written.get(name) != now.get(name))


def identity_of(plan: Plan) -> dict[str, Any]:
    """What has to be as it was for the written partial reports to be those of this scan."""
    digest = xxhash.xxh3_128()
    for partition in plan.partitions:
        digest.update(repr((partition.table, partition.token)).encode())
    options = {name: PARTIALS.encode(value) for name, value in asdict(plan.context.options).items()}
    return {
        "path": plan.source.path if is_remote(plan.source.path) else os.path.realpath(plan.source.path),
        "identity": plan.source.identity,
        "backend": plan.source.backend,
        "database": plan.source.database,
        "layout": plan.choice.layout.name,
        "rules": plan.rules,
        "partitions": digest.hexdigest(),
        **options,
    }


def refuse_sources(file: str, noun: str, sources: Sequence[str]) -> None:
    """A source is never written to, nor is a file added to it."""
    path = Path(os.path.realpath(file))
    for source in sources:
        root = Path(os.path.realpath(source))
        if path == root or (root.is_dir() and root in path.parents):
            raise ResumeError(f"can't keep the {noun} in {file}: it is in the data set {source}")
    if is_lmdb(path.parent) or is_leveldb(path.parent):
        raise ResumeError(f"can't keep the {noun} in {file}: its folder is a data set")
