"""The Python face of ``datascan compare``. Importing it is cheap."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike, fspath
from typing import Unpack

from ..backends.errors import UsageError
from .api import OptionFields, check_limits, make_options
from .crew import Crew
from .engines import Engine, open_engine
from .progress import Progress
from .report import Report
from .supervisor import Limits


def compare(
    first: str | PathLike[str],
    second: str | PathLike[str],
    *,
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    jobs: int | None = None,
    timeout_s: float = Limits.timeout_s,
    max_memory: int | None = Limits.max_memory,
    crew: Crew | None = None,
    executor: Executor | Engine | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    work_dir: str | PathLike[str] | None = None,
    **options: Unpack[OptionFields],
) -> Report:
    """Scan two data sets and say what they share, and how they differ: training and validation, old and new.

    The report has one entry for each set; what is found of both stands in the second's. Records are told by their
    place in the second set, with that of the first in ``data``.

    Parameters
    ----------
    first, second
        Paths as for `check`, without nets. They may be different stores.
    options
        As for `check`; rules are those of the families ``set`` and ``store``.

    Raises
    ------
    UsageError
        An option that makes no sense.
    """
    paths = [fspath(first), fspath(second)]
    for path in paths:
        if path.endswith(".prototxt"):
            raise UsageError(f"two data sets are compared, and {path} is a net; name the data sets that it reads")
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is {jobs}; at least one worker is needed")
    check_limits(timeout_s, max_memory)
    chosen = replace(make_options(**options), keyed=True)
    if chosen.limit is not None or chosen.sample is not None:
        raise UsageError("two sets are compared as a whole: limit and sample leave out what they may share")
    with ExitStack() as stack:
        workers = crew or stack.enter_context(Crew(jobs, Limits(timeout_s, max_memory)))
        from .comparing import Comparison  # loads numpy, while the first worker starts
        from .spill import Workspace

        workspace = Workspace(None if work_dir is None else fspath(work_dir), sources=paths)
        engine = stack.enter_context(open_engine(executor, workers))
        where = {"backend": backend, "database": database, "layout": layout}
        return Comparison(chosen, workers, workspace, where, engine, progress).run(*paths)
