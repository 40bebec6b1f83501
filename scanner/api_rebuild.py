"""The Python face of ``datascan rebuild``. Importing it is cheap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike, fspath
from typing import Any, Literal, Unpack

from ..backends.errors import UsageError
from .api import OptionFields, check_limits, make_options
from .crew import Crew
from .progress import Progress
from .report import Report
from .supervisor import Limits


def rebuild(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    drop: str | Sequence[str] | None = None,
    drop_keys: str | PathLike[str] | None = None,
    to: Literal["lmdb", "leveldb", "hdf5"] | None = None,
    fixes: str | Sequence[str] = (),
    decode: bool = False,
    dtype: Literal["float32", "stored"] = "float32",
    renumber: bool = False,
    shuffle: int | None = None,
    split: float | None = None,
    validation: str | PathLike[str] | None = None,
    rows_per_file: int | None = None,
    map_file: str | PathLike[str] | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    skip_list: str | PathLike[str] | None = None,
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    jobs: int | None = None,
    timeout_s: float = Limits.timeout_s,
    max_memory: int | None = Limits.max_memory,
    crew: Crew | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Unpack[OptionFields],
) -> Report:
    """Write a data set again without its broken records, and prove that nothing else was lost.

    The source is never written to. Records with findings go to a quarantine beside the target, with their reasons in
    ``quarantine.jsonl``. The target gets its name when a scan of it has given every record that was kept, and equal.

    Parameters
    ----------
    drop
        Severities, rules and families: what sends a record to the quarantine. ``error`` by default; ``never`` for
        nothing.
    drop_keys
        A file that lists records to drop, one key a line (or a ``quarantine.jsonl``); then only these, unless ``drop``
        is given as well.
    to
        The kind of store to write, the source's by default.
    fixes
        Changes that lose nothing: ``trailing-data``, ``end-marker``, ``orientation``, ``grey-to-colour``,
        ``colour-to-grey``, ``label-offset``.
    decode, dtype
        Datum to HDF5: decode encoded images; write ``float32``, as Caffe's HDF5Data reads, or the type ``stored``.
    renumber, shuffle, split, validation
        New numbers in the keys; a random order of this seed; the share that stays in the target, the rest going to
        ``validation`` (``TARGET-val``), every label with its share and no content on both sides.
    rows_per_file
        HDF5: write a list of files of so many rows each.
    overwrite, dry_run, skip_list
        Replace what stands at the target; only say what would happen; only write the list of records to skip.
    options
        Those of the scans before and after, see `Options`.

    Returns
    -------
    Report
        ``report.rebuild`` says what was done; ``report.exit_code`` is 0 where the target is proven, clean, and
        holds all that was not dropped.

    Raises
    ------
    UsageError
        Options that make no sense, a target that is in the way; nothing was written.
    StoreError, WriteError
        The source could not be read, or the target not written; nothing stands in its place.

    Examples
    --------
    >>> from datascan.scanner import rebuild
    >>> report = rebuild("train_lmdb", "train_clean", num_classes=1000)  # doctest: +SKIP
    >>> report.rebuild.records["kept"]  # doctest: +SKIP
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is {jobs}; at least one worker is needed")
    check_limits(timeout_s, max_memory)
    chosen = make_options(**options)
    with ExitStack() as stack:
        workers = crew or stack.enter_context(Crew(jobs, Limits(timeout_s, max_memory)))
        from .rebuilding.choices import Choices, words_of
        from .rebuilding.run import Rebuild, Source  # loads numpy, while the first worker starts

        listed = drop_keys is not None
        words = words_of(drop) if drop is not None else ("never",) if listed else ("error",)
        if "record-near-duplicate" in words:  # by its name alone: a family or a severity doesn't ask for what it costs
            chosen = replace(chosen, near=True)
        named: Any = words_of(fixes)
        choices = Choices(
            words,
            None if drop_keys is None else fspath(drop_keys),
            to,
            named,
            decode,
            dtype,
            renumber,
            shuffle,
            split,
            None if validation is None else fspath(validation),
            rows_per_file,
            None if map_file is None else fspath(map_file),
            overwrite,
            dry_run,
            None if skip_list is None else fspath(skip_list),
        )
        asked = Source(fspath(source), chosen, backend, database, layout)
        return Rebuild(asked, fspath(target), choices, workers, progress).run()
