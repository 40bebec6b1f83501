"""Data sets by the nets that read them: each data layer's source, scanned with that layer's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..backends.errors import StoreError
from .finding import Severity
from .report import Coverage, NotRun, SourceInfo, SourceReport
from .training.doctor_case import Case, Scanned, find, judge, open_named, sources_of
from .training.doctor_data import as_read
from .training.net import Net, Output, outputs
from .training.net_data import DataSource
from .training.net_facts import DataFacts

ScanSource = Callable[[str, Mapping[str, Any]], SourceReport]
"""Scans one source with some fields of `Options`."""

NOT_OURS = ("ImageData", "WindowData")
"""Layers that read lists of image files, which are no store."""


@dataclass(frozen=True, slots=True)
class Target:
    """A source of a net that is at hand: its path, the layer that reads it, and the options that the layer asks for."""

    path: str
    reader: DataSource
    fields: Mapping[str, Any]


def folders_of(data_root: str | PathLike[str] | None) -> Sequence[Path]:
    """Where relative paths of a net count from: the folder that Caffe was started in, or the working folder."""
    return [Path()] if data_root is None else [Path(), Path(fspath(data_root))]


def targets_of(
    net: Net, folders: Sequence[Path], shapes: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[list[Target], list[DataSource]]:
    """The sources of a net that are at hand, and those that are not; ``shapes`` are those of blobs, where known."""
    found: list[Target] = []
    missing: list[DataSource] = []
    losses = outputs(net, DataFacts(tops=shapes or {}))
    for reader in sources_of(net):
        path = None if reader.kind in NOT_OURS else find(reader.source, folders)
        if path is None:
            missing.append(reader)
            continue
        found.append(Target(str(path), reader, fields_of(reader, losses)))
    return found, missing


def fields_of(reader: DataSource, losses: Sequence[Output]) -> dict[str, Any]:
    """The fields of `Options` that a data layer asks for; ``losses`` are those of its net."""
    fields: dict[str, Any] = {}
    if reader.batch_size > 0:
        fields["batch_size"] = reader.batch_size
    if reader.crop is not None:
        fields["crop"] = reader.crop
    mine = [loss for loss in losses if loss.data_layer == reader.layer]
    counts = [loss.classes for loss in mine if loss.classes is not None]
    if counts:
        fields["num_classes"] = min(counts)
    ignored = tuple(dict.fromkeys(loss.ignored for loss in mine if loss.ignored is not None))
    if ignored:
        fields["ignore_labels"] = ignored
    return fields


def scan_targets(targets: Sequence[Target], scan: ScanSource) -> list[Scanned]:
    """Scan the sources, each once for the same options; an interruption ends it."""
    done: dict[tuple[str, str], SourceReport] = {}
    scanned: list[Scanned] = []
    for target in targets:
        key = (target.path, repr(sorted(target.fields.items())))
        if key not in done:
            done[key] = scan(target.path, target.fields)
        scanned.append(Scanned(as_read(done[key], target.reader), target.reader))
        if done[key].interrupted:
            break
    return scanned


def each_once(scanned: Sequence[Scanned]) -> list[SourceReport]:
    """The reports, where two layers may read one set alike."""
    kept: list[SourceReport] = []
    for one in scanned:
        if one.report not in kept:
            kept.append(one.report)
    return kept


def check_net_sources(
    path: str,
    folders: Sequence[Path],
    scan: ScanSource,
    fail_on: Severity | None,
    judged: bool = True,
    more: Callable[[Net, Target], Target] | None = None,
) -> list[SourceReport]:
    """The report of a net, judged with what the scans tell, then that of each source that it names.

    ``more`` settles what else a scan of one of its sources is asked for.

    Raises
    ------
    StoreError
        It can't be read, or is no net.
    """
    case = Case(net=open_named(path, "net"), folders=folders)
    net = case.layers
    assert net is not None
    targets, case.missing = targets_of(net, folders)
    if more is not None:
        targets = [more(net, target) for target in targets]
    case.scanned = scan_targets(targets, scan)
    judge(case, fail_on)
    (report,) = case.reports
    if not judged:
        coverage = replace(report.coverage, not_run=(NotRun("net", "other rules were selected"),))
        report = replace(report, findings=(), coverage=coverage)
    return [report, *each_once(case.scanned), *(not_at_hand(path, one, fail_on) for one in case.missing)]


def not_at_hand(path: str, reader: DataSource, fail_on: Severity | None) -> SourceReport:
    """The report of a source that a net names and that was not looked at."""
    where = f"layer {reader.layer} in line {reader.line} of {path}"
    if reader.kind in NOT_OURS:
        error = f"{reader.source}: {where} reads a list of image files, which is not scanned"
    else:
        error = (
            f"{reader.source}: not found; {where} names it: start datascan where Caffe is started, or name the folder "
            "with --data-root"
        )
    coverage = Coverage(complete=False, reasons=("the source could not be looked at",))
    return SourceReport(SourceInfo(reader.source), coverage, fail_on=fail_on, error=error)


def paths_named_by(path: str, folders: Sequence[Path]) -> list[str]:
    """The data sets that a net names and that are at hand; none where it can't be read."""
    try:
        case = Case(net=open_named(path, "net"))
    except StoreError:
        return []
    return [] if case.layers is None else [target.path for target in targets_of(case.layers, folders)[0]]
