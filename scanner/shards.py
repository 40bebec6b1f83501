"""Shards: a scan that is spread over processes which know nothing of each other, and put together from their files.

Each of N processes plans the same scan, scans its share of the partitions and writes their partial reports to a file
of its own. Merging plans the scan once more, takes the partial reports in store order, and concludes as a whole scan
does: the report is the same, byte for byte but for the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..backends.base import Partition
from ..backends.errors import StoreError, UsageError
from .crew import Crew
from .engines import Engine
from .frames import DONE, RUN, FrameFile
from .journal import Journal, ResumeError, differing, identity_of
from .options import Options
from .partial import Partial
from .plan import Plan, Request
from .report import Report, SourceReport, not_looked_at
from .scan import (
    Clock,
    ProgressCallback,
    begin,
    conclude_scan,
    never_opened,
    plan_source,
    read_partitions,
    wanted_rules,
)
from .spill import Workspace
from .supervisor import WorkerDied


class ShardError(ResumeError):
    """Files of shards that do not make up one scan, or a file that belongs to another one."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The ``number``-th of ``count`` shares, counted from 1.

    Raises
    ------
    UsageError
        There is no such share.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(f"there is no shard {self}; shards of {self.count} count from 1/{self.count}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def share(self, partitions: Sequence[Partition]) -> range:
        """The numbers of the neighbouring partitions that are its share: cut by their size, alike for all shards."""
        sizes = [max(partition.size_bytes, 1) for partition in partitions]
        total, before, owners = sum(sizes), 0, []
        for size in sizes:
            owners.append((2 * before + size) * self.count // (2 * total) + 1)
            before += size
        mine = [number for number, owner in enumerate(owners) if owner == self.number]
        first = sum(owner < self.number for owner in owners)
        return range(first, first + len(mine))


class ShardFile(Journal):
    """A shard's file. The same command on the same file goes on where the one before ended."""

    magic = b"datascan shard 1\n"
    noun = "partial report"
    error = ShardError

    def append(self, number: int, ordinal: int, partial: Partial) -> None:
        """Write a partial report down. Raises `StoreError` where the disk takes no more: nothing else is kept."""
        super().append(number, ordinal, partial)
        if self.failure is not None:
            raise StoreError(f"can't write the partial report {self.file}: the disk takes no more")

    def finish_source(self, path: str, share: range) -> None:
        """Note that the share of a source is done."""
        number = self.sources.index(path)
        if number not in self.done:
            self.done[number] = {"partitions": (share.start, share.stop)}
            self.write(number, DONE, self.done[number])


class WrittenShard(FrameFile):
    """A shard's file, as it is merged: read and not changed."""

    magic = ShardFile.magic
    noun = ShardFile.noun
    error = ShardError

    def __init__(self, file: str | os.PathLike[str]) -> None:
        super().__init__(file, readonly=True)
        if RUN not in self.about:
            self.close()
            raise ShardError(f"the partial report {self.file} is empty: its shard was ended before it began")
        self.run = self.about[RUN]
        self.shard = Shard(*self.run["shard"])

    def __str__(self) -> str:
        return f"shard {self.shard} ({self.file})"


@dataclass(slots=True)
class Tally:
    """What a shard has found so far: a `Taker` that keeps counts and no more."""

    records: int = 0
    unreadable: int = 0
    findings: int = 0
    interrupted: bool = False
    stopped: str | None = None

    def merge(self, partition: Partition, partial: Partial) -> None:
        """Count what a partition gave."""
        self.records += partial.seen
        self.unreadable += partial.unreadable
        omitted = sum(count for counts in partial.findings.omitted.values() for count in counts.values())
        self.findings += sum(1 for _ in partial.findings) + omitted


@dataclass(frozen=True, slots=True)
class ShardScan:
    """What came of a shard of one source; ``error`` says why its share is not done."""

    path: str
    tally: Tally
    partitions: int = 0
    error: str | None = None


def shard_run(shard: Shard, options: Options, where: Mapping[str, str | None]) -> dict[str, Any]:
    """What a shard's file says of the run, beside the version and the sources."""
    return {"shard": (shard.number, shard.count), "options": options, **where}


def scan_shard(
    path: str,
    options: Options,
    shard: Shard,
    file: ShardFile,
    crew: Crew,
    *,
    where: Mapping[str, str | None],
    copy: Callable[[], str | None] = lambda: None,
    engine: Engine | None = None,
    progress: ProgressCallback | None = None,
) -> ShardScan:
    """Scan a shard of a source and write its partial reports to the file; ``where`` is backend, database, layout;
    ``copy`` gives the place of a copy to read instead.

    Raises
    ------
    UsageError
        An option that makes no sense for this source; a file of another scan.
    KeyboardInterrupt
        Before the first partition.
    """
    tally = Tally()
    try:
        plan = plan_source(Request(path, options, wanted_rules(options), **where, at=copy()), crew)
        share = shard.share(plan.partitions)
        journal = file.source(plan, share.start)
        read_partitions(plan, [plan.tasks()[at] for at in share], tally, crew, engine, progress, journal)
    except WorkerDied as death:
        return ShardScan(path, tally, error=f"opening {path} ends the reader: it {death.reason}")
    except StoreError as exc:
        return ShardScan(path, tally, error=str(exc))
    if tally.interrupted:
        return ShardScan(path, tally, len(share), "interrupted")
    if tally.stopped is None:
        file.finish_source(path, share)
    return ShardScan(path, tally, len(share), tally.stopped)


# ---- merging ----


def merge_shards(
    files: Sequence[WrittenShard],
    crew: Crew,
    progress: ProgressCallback | None = None,
    workspace: Workspace | None = None,
) -> Report:
    """The report of the whole scan, from the files of all its shards, in any order.

    Raises
    ------
    ShardError
        A shard is missing, there twice or not finished, or they are not of one scan: named, with what differs.
    """
    shards = _complete(files)
    run = shards[0].run
    return Report(
        tuple(_merge_source(number, shards, crew, progress, workspace) for number in range(len(run["sources"])))
    )


def _complete(files: Sequence[WrittenShard]) -> list[WrittenShard]:
    """The shards in order, if they are all of one scan."""
    first, by_number = files[0], dict[int, WrittenShard]()
    for one in files:
        if one.shard.count != first.shard.count:
            raise ShardError(f"{one} and {first} are not of one scan: one is cut in {one.shard.count}, the other not")
        if (other := by_number.setdefault(one.shard.number, one)) is not one:
            raise ShardError(f"shard {one.shard} is there twice: {other.file} and {one.file}; give one of them")
        if different := differing(_told(first.run), _told(one.run)):
            raise ShardError(f"{one} and {first} are not of one scan: {different} differ")
    missing = [
        str(Shard(number, first.shard.count)) for number in range(1, first.shard.count + 1) if number not in by_number
    ]
    if missing:
        raise ShardError(f"the partial report of shard {', '.join(missing)} is missing")
    return [by_number[number] for number in sorted(by_number)]


def _told(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the runs of all shards have in common, option by option."""
    options = run["options"]
    return {
        **{name: value for name, value in run.items() if name not in ("shard", "options")},
        **{one.name: getattr(options, one.name) for one in fields(options)},
    }


def _merge_source(
    number: int,
    shards: Sequence[WrittenShard],
    crew: Crew,
    progress: ProgressCallback | None,
    workspace: Workspace | None,
) -> SourceReport:
    run, clock = shards[0].run, Clock()
    path, options = run["sources"][number], run["options"]
    request = Request(path, options, wanted_rules(options), run["backend"], run["database"], run["layout"])
    try:
        plan = plan_source(request, crew)
    except WorkerDied as death:
        return never_opened(path, options, death)
    except StoreError as exc:
        if any(number in shard.about for shard in shards):
            raise ShardError(f"{exc}; datascan merge has to see the data sets that the shards have scanned") from exc
        return not_looked_at(path, exc, options.fail_on)
    scanned = begin(plan, workspace)
    for ordinal, partial in enumerate(_partials(number, path, plan, shards)):
        scanned.merge(plan.partitions[ordinal], partial)
    return conclude_scan(plan, scanned, crew, clock)


def _partials(number: int, path: str, plan: Plan, shards: Sequence[WrittenShard]) -> Iterator[Partial]:
    """All partial reports of a source, in store order.

    Raises
    ------
    ShardError
        A shard that is not finished, or of another state of the source.
    """
    now = identity_of(plan)
    for shard in shards:
        if number in shard.about and (different := differing(shard.about[number], now)):
            raise ShardError(f"{shard} was made of another {path}: {different} differ")
        if number not in shard.done:
            raise ShardError(f"{shard} is not finished with {path}: run its command again, it goes on where it was")
    for shard in shards:
        yield from shard.partials(number, shard.shard.share(plan.partitions).start)
