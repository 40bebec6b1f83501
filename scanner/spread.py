"""The Python face of ``datascan check --shard`` and ``datascan merge``. Importing it is cheap."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, Unpack

from ..backends.errors import UsageError
from .api import OptionFields, copy_of, make_options
from .crew import Crew
from .engines import open_engine
from .progress import Progress
from .report import Report
from .supervisor import Limits

if TYPE_CHECKING:  # loads numpy
    from .shards import ShardScan


def check_shard(
    sources: Sequence[str | PathLike[str]],
    shard: tuple[int, int],
    file: str | PathLike[str],
    *,
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    jobs: int | None = None,
    crew: Crew | None = None,
    executor: Executor | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    cache_dir: str | PathLike[str] | None = None,
    **options: Unpack[OptionFields],
) -> list[ShardScan]:
    """Scan one shard of data sets and write its partial reports to a file for `merge`.

    The shards of a scan know nothing of each other; each must be asked for with the same sources and options. A shard
    that was ended goes on where it was when it is asked for again with the same file.

    Parameters
    ----------
    sources
        As for `check`, without nets.
    shard
        ``(number, count)``: the number counts from 1.
    file
        Where the partial reports go, outside of every source.

    Returns
    -------
    list[ShardScan]
        What came of each source; ``error`` says why a share is not done.

    Raises
    ------
    UsageError
        An option that makes no sense, or a file that belongs to another scan.
    """
    paths = [fspath(source) for source in sources]
    for path in paths:
        if path.endswith(".prototxt"):
            raise UsageError(
                f"a scan by way of a net can't be cut into shards; name the data sets of {path} themselves"
            )
    chosen = make_options(**options)
    if chosen.probe is not None and (chosen.probe.prototxt or chosen.probe.caffe):
        raise UsageError("a shard takes no preprocessing from a net: --prototxt and --caffe are for a whole scan")
    with ExitStack() as stack:
        workers = crew or stack.enter_context(Crew(jobs, Limits()))
        from .shards import Shard, ShardFile, scan_shard, shard_run  # loads numpy, while the first worker starts

        where = {"backend": backend, "database": database, "layout": layout}
        wanted = Shard(*shard)
        engine = stack.enter_context(open_engine(executor, workers))
        written = stack.enter_context(ShardFile(file, paths, shard_run(wanted, chosen, where)))
        scans: list[ShardScan] = []
        for path in paths:
            copy = partial(copy_of, path, cache_dir, progress)
            scans.append(
                scan_shard(
                    path, chosen, wanted, written, workers, where=where, copy=copy, engine=engine, progress=progress
                )
            )
            if scans[-1].tally.interrupted:
                break
        return scans


def merge(
    *files: str | PathLike[str],
    jobs: int | None = None,
    crew: Crew | None = None,
    progress: Callable[[Progress], None] | None = None,
    work_dir: str | PathLike[str] | None = None,
) -> Report:
    """The report of a whole scan from the files of all its shards, in any order.

    It is the report that `check` gives, byte for byte but for the run. The sources are opened for their last word, and
    are not read again. ``work_dir`` is as for `check`.

    Raises
    ------
    UsageError
        A shard that is missing, there twice, not finished, or of another scan: by name.
    """
    if not files:
        raise UsageError("no partial report given; name the files of all shards")
    with ExitStack() as stack:
        workers = crew or stack.enter_context(Crew(jobs, Limits()))
        from .shards import WrittenShard, merge_shards
        from .spill import Workspace

        shards = [stack.enter_context(WrittenShard(os.fspath(file))) for file in files]
        sources = shards[0].run["sources"]
        workspace = Workspace(None if work_dir is None else fspath(work_dir), sources=sources)
        return merge_shards(shards, workers, progress, workspace)
