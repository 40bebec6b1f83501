"""The Python face of ``datascan check``. Importing it is cheap: numpy and the stores are loaded by the first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import fields as fields_of
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, get_args

from ..backends.errors import StoreError, UsageError
from ..backends.urls import is_remote
from .crew import Crew
from .engines import Engine, open_engine
from .expectations import Expectations, make_expectations
from .finding import Finding, Severity
from .interrupt import interrupting
from .options import Duplicates, LossName, NetName, Options, PhaseName, Precision, ProbeOptions, Statistics, merged
from .progress import Progress
from .report import Report, SourceReport, not_looked_at
from .supervisor import LEAST_MEMORY, Limits

if TYPE_CHECKING:  # loads numpy
    from .journal import Journal


class OptionFields(TypedDict, total=False):
    """The fields of `Options` as keywords; severities may be given by name (``"warning"``)."""

    select: tuple[str, ...]
    ignore: tuple[str, ...]
    severities: Mapping[str, Severity | str]
    fail_on: Severity | str | None
    num_classes: int | None
    ignore_labels: tuple[int, ...]
    charset: str | None
    batch_size: int | None
    crop: int | None
    extreme: float
    max_pixels: int
    max_findings: int
    limit: int | None
    sample: float | None
    statistics: Statistics
    duplicates: Duplicates
    follow_external: bool
    probe: ProbeOptions | Mapping[str, Any] | bool | None
    expect: Expectations | Mapping[str, Any] | None
    remember: bool
    near: bool


def check(
    *sources: str | PathLike[str],
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    jobs: int | None = None,
    timeout_s: float = Limits.timeout_s,
    max_memory: int | None = Limits.max_memory,
    crew: Crew | None = None,
    executor: Executor | Engine | str | None = None,
    resume: str | PathLike[str] | Journal | None = None,
    progress: Callable[[Progress], None] | None = None,
    found: Callable[[str, Sequence[Finding]], None] | None = None,
    data_root: str | PathLike[str] | None = None,
    work_dir: str | PathLike[str] | None = None,
    cache_dir: str | PathLike[str] | None = None,
    **options: Unpack[OptionFields],
) -> Report:
    """Scan data sets and report what is wrong in them.

    A source that can't be looked at does not end the others: its report says why (``report.reports[i].error``).

    Parameters
    ----------
    sources
        Paths of LMDB or LevelDB folders, LMDB or HDF5 files, or lists of HDF5 files; or a net (``.prototxt``),
        which is judged, and whose data layers' sources are scanned with each layer's batch size, crop and classes.
    backend, database, layout
        What the sources are, where it must not be recognised from their bytes.
    jobs
        Worker processes, all cores by default; the report is the same for any number.
    timeout_s, max_memory
        How long a worker may make no progress, and how many bytes of memory it may take, before it is replaced
        and the record that it was reading is reported.
    crew
        Workers to use instead of new ones (`jobs`, `timeout_s` and `max_memory` are theirs, then): for many small
        data sets, one call each.
    executor
        Any `concurrent.futures.Executor` that scans the partitions instead, or the name of one: ``dask``,
        ``dask://host:port``, ``mpi``, ``package.module:factory``. Its processes must see the same paths.
    resume
        A file outside of the data sets in which it is written down what is done, so that the same call goes on
        there after it was killed. It is removed when all is done; a `Journal` is left to the caller.
    progress
        Called in this process as the scan goes on.
    found
        Called in this process with a source's path and findings of it, as soon as they are known. Findings of a set as
        a whole, and those of the sources of a net, stand in the report alone.
    data_root
        A folder that relative sources of a net count from, besides the working folder.
    work_dir
        A folder, outside of the data sets, for temporary files: about 24 bytes a record from a million records on.
        The system's by default.
    cache_dir
        A folder to copy sources on a server to before they are read; without it they are read in ranges.
    options
        See `Options`.

    Raises
    ------
    UsageError
        An option that makes no sense, or a file to resume from that belongs to another scan.

    Examples
    --------
    >>> from datascan.scanner import check
    >>> report = check("train_lmdb", num_classes=1000)  # doctest: +SKIP
    >>> report.raise_for_findings()  # doctest: +SKIP
    """
    if not sources:
        raise UsageError("no source given; name at least one data set")
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is {jobs}; at least one worker is needed")
    check_limits(timeout_s, max_memory)
    chosen = make_options(**options)
    with ExitStack() as stack:
        workers = crew or stack.enter_context(Crew(jobs, Limits(timeout_s, max_memory)))
        from .journal import Journal
        from .scan import scan_source  # loads numpy, while the first worker starts
        from .spill import Workspace
        from .twin_sources import with_twins

        engine = stack.enter_context(open_engine(executor, workers))

        paths = [fspath(source) for source in sources]
        folder = None if work_dir is None else fspath(work_dir)
        journal = resume
        if resume is not None and not isinstance(resume, Journal):
            journal = stack.enter_context(Journal(resume, paths))
        assert journal is None or isinstance(journal, Journal)

        def scan_as(
            path: str, settled: Options, tell: Callable[[str, Sequence[Finding]], None] | None = None
        ) -> SourceReport:
            try:
                return scan_source(
                    path,
                    settled,
                    backend=backend,
                    database=database,
                    layout=layout,
                    at=copy_of(path, cache_dir, progress),
                    crew=workers,
                    engine=engine,
                    progress=progress,
                    journal=journal,
                    found=tell,
                    workspace=Workspace(folder, sources=[path, *paths]),
                )
            except StoreError as exc:
                return not_looked_at(path, exc, chosen.fail_on)

        def scan(path: str, fields: Mapping[str, Any]) -> SourceReport:
            """What the user chose wins over what a net asks for."""
            return scan_as(path, merged(chosen, fields))

        reports: list[SourceReport] = []
        for path in paths:
            if path.endswith(".prototxt"):
                from .net_sources import check_net_sources, folders_of

                if journal is not None:
                    raise UsageError(
                        f"a scan by way of a net can't be resumed; name the data sets of {path} themselves"
                    )
                try:
                    more = None
                    if chosen.probe is not None:
                        from .net_probe import settled_by_net

                        more = settled_by_net(chosen.probe, path, folders_of(data_root))
                    folders, judged = folders_of(data_root), not chosen.select
                    reports += check_net_sources(path, folders, scan, chosen.fail_on, judged, more)
                except StoreError as exc:
                    reports.append(not_looked_at(path, exc, chosen.fail_on))
            else:
                scanned = scan_as(path, as_trained(chosen, path, data_root), found)
                reports.append(with_twins(scanned, reports, workers.call))
            if reports[-1].interrupted:
                break
        report = Report(tuple(reports))
        if journal is not None and journal is not resume and report.finished:
            journal.finish()
        return report


def as_trained(options: Options, source: str, data_root: str | PathLike[str] | None) -> Options:
    """The options with what a net that the probe is given says of a source.

    Raises
    ------
    UsageError
        The net can't be used.
    """
    if options.probe is None or (options.probe.prototxt is None and options.probe.caffe is None):
        return options
    from .net_probe import options_as_trained
    from .net_sources import folders_of

    return options_as_trained(options, source, folders_of(data_root))


def copy_of(
    path: str, cache_dir: str | PathLike[str] | None, progress: Callable[[Progress], None] | None
) -> str | None:
    """Where the copy of a source on a server is, ``None`` for a path of this machine or without a folder for copies.

    Raises
    ------
    StoreError
        It can't be copied.
    """
    if cache_dir is None or not is_remote(path):
        return None
    from ..backends.remote_copy import copied

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress(0, done, total, path))

    with interrupting():
        return str(copied(path, Path(cache_dir), tell))


def preview_probe(
    source: str,
    options: Options,
    crew: Crew,
    *,
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    data_root: str | PathLike[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """The network that a source's samples would go through, as the report's ``statistics.probe`` describes it.

    By the source's path: a net may name several sources.

    Raises
    ------
    StoreError
        A source could not be looked at.
    UsageError
        The network, the model or the preprocessing does not go with a source.
    """
    from .plan import Request, make_plan
    from .probing import settled_plan
    from .summary import ProbeSummary
    from .supervisor import WorkerDied

    if source.endswith(".prototxt"):
        from .net_probe import sources_as_read
        from .net_sources import folders_of

        read = sources_as_read(options, source, folders_of(data_root))
    else:
        read = {source: as_trained(options, source, data_root)}
    found: dict[str, dict[str, Any]] = {}
    for path, settled in read.items():
        try:
            plan = crew.call(make_plan, Request(path, settled, (), backend, database, layout))
        except WorkerDied as death:
            raise StoreError(f"opening {path} ends the reader: it {death.reason}") from death
        found[path] = ProbeSummary(settled_plan(crew.call, plan).context.options).statistics()["probe"]
    return found


def check_limits(timeout_s: float, max_memory: int | None) -> None:
    """Raise `UsageError` for limits that no worker could keep."""
    if not timeout_s > 0:
        raise UsageError(f"the timeout is {timeout_s:g} s; it must be above 0")
    if max_memory is not None and max_memory < LEAST_MEMORY:
        least = f"{LEAST_MEMORY >> 20}M"
        raise UsageError(f"the memory limit is {max_memory} bytes; a worker needs {least} to read anything at all")


def make_options(**fields: Unpack[OptionFields]) -> Options:
    """Checked `Options` from keywords.

    Raises
    ------
    UsageError
        A value that makes no sense, alone or with another.
    """
    fail_on = fields.get("fail_on", Severity.ERROR)
    checked: dict[str, Any] = {
        **fields,
        "severities": {rule: _severity(level) for rule, level in fields.get("severities", {}).items()},
        "fail_on": None if fail_on is None else _severity(fail_on),
        "probe": make_probe(fields.get("probe")),
        "expect": make_expectations(fields.get("expect")),
    }
    options = Options(**checked)
    for name in ("num_classes", "batch_size", "crop", "max_pixels", "limit"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    if options.charset == "":
        raise UsageError("charset is empty; name the characters that text labels may hold")
    if options.max_findings < 0:
        raise UsageError(f"max_findings is {options.max_findings}; it must not be negative")
    if not options.extreme > 0:
        raise UsageError(f"extreme is {options.extreme}; it must be above 0")
    if options.duplicates not in get_args(Duplicates):
        raise UsageError(f"duplicates is {options.duplicates!r}; choose one of {', '.join(get_args(Duplicates))}")
    if options.statistics not in get_args(Statistics):
        raise UsageError(f"statistics is {options.statistics!r}; choose one of {', '.join(get_args(Statistics))}")
    if options.sample is not None and not 0 < options.sample <= 1:
        raise UsageError(f"sample is {options.sample}; it is a share of the records, above 0 and at most 1")
    if options.sample is not None and options.limit is not None:
        raise UsageError("limit and sample were both given; choose one")
    return options


def make_probe(given: ProbeOptions | Mapping[str, Any] | bool | None) -> ProbeOptions | None:
    """Checked `ProbeOptions`: from an instance, from its fields, or the defaults for ``True``.

    Raises
    ------
    UsageError
        A value that makes no sense.
    """
    if given is None or given is False:
        return None
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - {one.name for one in fields_of(ProbeOptions)})
        if unknown:
            raise UsageError(f"the probe has no option {unknown[0]!r}")
        named: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        given = ProbeOptions(**named)
    probe = ProbeOptions() if given is True else given
    for name, kinds in (("net", NetName), ("loss", LossName), ("dtype", Precision), ("phase", PhaseName)):
        value = getattr(probe, name)
        if value not in get_args(kinds):
            raise UsageError(f"{name} of the probe is {value!r}; choose one of {', '.join(get_args(kinds))}")
    for name, least in (("outputs", 1), ("num_units", 1), ("iter_size", 1), ("train_steps", 0)):
        number = getattr(probe, name)
        if number is not None and number < least:
            raise UsageError(f"{name} of the probe is {number}; it must be at least {least}")
    refuse_contradictions(probe)
    return probe


def refuse_contradictions(probe: ProbeOptions) -> None:
    """Raise `UsageError` for options of the probe that leave each other nothing to say."""
    models = [name for name in ("onnx", "torch", "caffe") if getattr(probe, name) is not None]
    if len(models) > 1:
        raise UsageError(f"--{models[0]} and --{models[1]} were both given; choose one model")
    for name, harmless in (("net", "auto"), ("num_units", None), ("outputs", None), ("train_steps", 0)):
        if models and getattr(probe, name) != harmless:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{option} is for the probe's own networks; --{models[0]} runs yours, and does not train it"
            )
    if models and models != ["caffe"] and probe.dtype != "float32":
        raise UsageError(f"--dtype is for networks that numpy runs; --{models[0]} computes in its own precision")
    for name, harmless in (("weights", None), ("phase", "train")):
        if models != ["caffe"] and getattr(probe, name) != harmless:
            raise UsageError(f"--{name} belongs to a net in prototxt: give it with --caffe")
    if probe.mean_file is not None and probe.mean_values:
        raise UsageError("--mean-file and --mean-value were both given; Caffe stops at that: choose one")


def _severity(level: Severity | str) -> Severity:
    if isinstance(level, Severity):
        return level
    try:
        return Severity(level.lower())
    except ValueError:
        raise UsageError(f"no severity {level!r}; there are error, warning and info") from None
