"""Why is my loss NaN? Solver, net, log and data joined into ranked causes: the Python face of ``datascan doctor``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..backends.errors import UsageError
from .api import OptionFields, check
from .crew import Crew
from .finding import Severity
from .net_sources import ScanSource, Target, each_once, folders_of, scan_targets, targets_of
from .progress import Progress
from .report import Chart, Report, SourceReport
from .training.doctor_case import Case, Scanned, judge, read_case
from .training.doctor_causes import diagnose
from .training.log_chart import curves


def doctor(
    *sources: str | PathLike[str],
    solver: str | PathLike[str] | None = None,
    net: str | PathLike[str] | None = None,
    log: str | PathLike[str] | None = None,
    data_root: str | PathLike[str] | None = None,
    fail_on: Severity | None = Severity.ERROR,
    crew: Crew | None = None,
    progress: Callable[[Progress], None] | None = None,
    scan: ScanSource | None = None,
) -> Report:
    """Give a verdict on every cause of a loss that is not finite (``report.causes``), with the evidence.

    Any of the inputs may be absent; what the log has of solver and net stands in for them. The sources that the net
    names are scanned where they are found, relative to this folder or to ``data_root``.

    Parameters
    ----------
    sources
        Further data sets to scan.
    crew, progress
        See `check`.
    scan
        Scans one source with some options, in place of `check`.

    Raises
    ------
    UsageError
        Nothing was given.

    Examples
    --------
    >>> from datascan.scanner.doctor import doctor
    >>> doctor(solver="solver.prototxt", net="train_val.prototxt", log="train.log").causes[0]  # doctest: +SKIP
    """

    def scan_by_check(path: str, fields: Mapping[str, Any]) -> SourceReport:
        chosen: OptionFields = {"fail_on": fail_on}
        chosen.update(fields)  # type: ignore[typeddict-item]  # names of options, made by `targets_of`
        return check(path, crew=crew, progress=progress, **chosen).reports[0]

    case, targets = gather(solver, net, log, data_root, bool(sources), fail_on)
    return examine(case, targets, [fspath(source) for source in sources], scan or scan_by_check, fail_on)


def gather(
    solver: str | PathLike[str] | None,
    net: str | PathLike[str] | None,
    log: str | PathLike[str] | None,
    data_root: str | PathLike[str] | None,
    has_sources: bool,
    fail_on: Severity | None,
) -> tuple[Case, list[Target]]:
    """What was given, read, and the data sets to scan.

    Raises
    ------
    UsageError
        Nothing was given.
    """
    names = [None if one is None else fspath(one) for one in (solver, net, log)]
    if not has_sources and not any(names):
        raise UsageError("nothing given; name a solver, a net, a log or a data set")
    case = read_case(names[0], names[1], names[2], folders_of(data_root), fail_on)
    targets: list[Target] = []
    if case.layers is not None:
        run = case.run
        shapes = run.train_net.shapes if run is not None and run.train_net is not None else {}
        targets, case.missing = targets_of(case.layers, case.folders, shapes)
    return case, targets


def examine(
    case: Case, targets: Sequence[Target], sources: Sequence[str], scan: ScanSource, fail_on: Severity | None
) -> Report:
    """Scan what the net names and what was named besides, judge the files, and rank the causes."""
    case.scanned = scan_targets(targets, scan)
    known = {Path(target.path).resolve() for target in targets}
    for source in sources:
        if any(one.report.interrupted for one in case.scanned):
            break
        if Path(source).resolve() not in known:
            case.scanned.append(Scanned(scan(source, {})))
    judge(case, fail_on)
    charts: tuple[Chart, ...] = ()
    if case.run is not None:
        charts = tuple(Chart(one.title, one.points, one.bad) for one in curves(case.run))
    return Report((*case.reports, *each_once(case.scanned)), diagnose(case), charts)
