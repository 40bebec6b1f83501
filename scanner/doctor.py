"""Why is my loss NaN? Solver, net, log and data joined into ranked causes: the Python face of ``datascan doctor``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from ..backends.errors import UsageError
from .api import OptionFields, check
from .crew import Crew
from .finding import Severity
from .progress import Progress
from .report import Chart, Report, SourceReport
from .training.doctor_case import Case, Scanned, find, judge, read_case, sources_of
from .training.doctor_causes import diagnose
from .training.doctor_data import as_read
from .training.log_chart import curves
from .training.net import Net, outputs
from .training.net_data import DataSource
from .training.net_facts import DataFacts

ScanSource = Callable[[str, OptionFields], SourceReport]
"""Scans one source with some options."""


@dataclass(frozen=True, slots=True)
class Target:
    """A source of a net, found: its path, the layer that reads it, and the options to scan it with."""

    path: str
    reader: DataSource
    fields: OptionFields


def doctor(
    *sources: str | PathLike[str],
    solver: str | PathLike[str] | None = None,
    net: str | PathLike[str] | None = None,
    log: str | PathLike[str] | None = None,
    data_root: str | PathLike[str] | None = None,
    crew: Crew | None = None,
    progress: Callable[[Progress], None] | None = None,
    fail_on: Severity | None = Severity.ERROR,
    scan: ScanSource | None = None,
) -> Report:
    """Give a verdict on every cause of a loss that is not finite (``report.causes``), with the evidence.

    Any of the inputs may be absent; what the log has of solver and net stands in for them. The sources that the net
    names are scanned where they are found, relative to this folder or to ``data_root``.

    Parameters
    ----------
    sources
        Further data sets to scan.
    scan
        Scans one source with some options; `check` by default.

    Raises
    ------
    UsageError
        Nothing was given.

    Examples
    --------
    >>> from datascan.scanner.doctor import doctor
    >>> doctor(solver="solver.prototxt", net="train_val.prototxt", log="train.log").causes[0]  # doctest: +SKIP
    """
    if not sources and solver is None and net is None and log is None:
        raise UsageError("nothing given; name a solver, a net, a log or a data set")
    folders = folders_of(data_root)
    solver, net, log = (None if one is None else fspath(one) for one in (solver, net, log))
    case = read_case(solver, net, log, folders, fail_on)

    def scan_by_check(path: str, fields: OptionFields) -> SourceReport:
        chosen: OptionFields = {**fields, "fail_on": fail_on}
        return check(path, crew=crew, progress=progress, **chosen).reports[0]

    scan_all(case, [fspath(source) for source in sources], scan or scan_by_check)
    judge(case, fail_on)
    charts: tuple[Chart, ...] = ()
    if case.run is not None:
        charts = tuple(Chart(one.title, one.points, one.bad) for one in curves(case.run))
    seen: list[SourceReport] = []
    for one in case.scanned:  # two layers may read one set alike
        if one.report not in seen:
            seen.append(one.report)
    reports = (*case.reports, *seen)
    return Report(reports, diagnose(case), charts)


def folders_of(data_root: str | PathLike[str] | None) -> Sequence[Path]:
    """Where relative paths of a net count from: the folder that Caffe was started in, or the working folder."""
    return [Path()] if data_root is None else [Path(), Path(fspath(data_root))]


def scan_all(case: Case, sources: Sequence[str], scan: ScanSource) -> None:
    """Scan what the net names, and what the user named besides, each once."""
    targets, case.missing = targets_of(case.layers, sources_of(case), case.folders, case)
    scanned: dict[tuple[str, str], SourceReport] = {}
    for target in targets:
        key = (target.path, repr(sorted(target.fields.items())))
        if key not in scanned:
            scanned[key] = scan(target.path, target.fields)
        case.scanned.append(Scanned(as_read(scanned[key], target.reader), target.reader))
    known = {Path(target.path).resolve() for target in targets}
    for source in sources:
        if Path(source).resolve() not in known:
            case.scanned.append(Scanned(scan(source, {})))


def targets_of(
    net: Net | None, readers: Sequence[DataSource], folders: Sequence[Path], case: Case | None = None
) -> tuple[list[Target], list[DataSource]]:
    """The sources of a net that are at hand, with the options that their layers ask for, and those that are not."""
    found, missing = [], []
    if net is None:
        return [], []
    shapes = case.run.train_net.shapes if case is not None and case.run is not None and case.run.train_net else {}
    losses = outputs(net, DataFacts(tops=shapes))
    for reader in readers:
        if reader.kind in ("ImageData", "WindowData"):
            missing.append(reader)
            continue
        path = find(reader.source, folders)
        if path is None:
            missing.append(reader)
            continue
        fields: OptionFields = {}
        if reader.batch_size > 0:
            fields["batch_size"] = reader.batch_size
        if reader.crop is not None:
            fields["crop"] = reader.crop
        mine = [loss for loss in losses if loss.data_layer == reader.layer and loss.classes is not None]
        if mine:
            fields["num_classes"] = min(loss.classes for loss in mine if loss.classes is not None)
            ignored = tuple(dict.fromkeys(loss.ignored for loss in mine if loss.ignored is not None))
            if ignored:
                fields["ignore_labels"] = ignored
        found.append(Target(str(path), reader, fields))
    return found, missing
