"""Sets that were given together and belong together, record by record: the keys of one are held against the other's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.base import Extent, RecordBatch
from ..backends.errors import StoreError
from .finding import Finding, Location
from .layouts.keys import reserved_rows
from .printable import key_text
from .reader import Reader
from .report import SourceReport
from .rules import rule_named
from .summary.hashes import content_hashes
from .supervisor import WorkerDied
from .worker import SourceRef, open_source

RULE = "record-missing-twin"
KEYED = ("lmdb", "leveldb")

HALVES = (
    (frozenset({"lq", "lr", "low"}), frozenset({"gt", "hq", "hr", "high"})),
    (frozenset({"feature", "features"}), frozenset({"label", "labels", "target", "targets"})),
    (frozenset({"image", "images", "img", "imgs"}), frozenset({"label", "labels", "mask", "masks", "gt", "target"})),
)
"""Words in the names of two sets that hold the two halves of each sample."""

_PLAIN = frozenset({"lmdb", "leveldb", "db"})
COMMON = 0.5
"""Sets with fewer keys in common are numbered each in its own way, and no twins."""


def are_twins(one: str, other: str) -> bool:
    """Whether two paths are called like the halves of one set: ``train_HR.lmdb`` and ``train_LR_X4.lmdb``."""
    first, second = _words(one), _words(other)
    for left, right in HALVES:
        for here, there in ((left, right), (right, left)):
            if first & here and second & there and not (first & there or second & here):
                mine, others = first - here, second - there
                alike = mine <= others or others <= mine
                return alike and (bool(mine & others) or PurePath(one).parent == PurePath(other).parent)
    return False


def _words(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", PurePath(path).name.lower())) - _PLAIN


@dataclass(frozen=True, slots=True)
class Difference:
    """Keys of two sets: how many both have, and the first that only one has; ``here`` with their positions."""

    common: int
    here: tuple[tuple[bytes, int], ...]
    there: tuple[bytes, ...]
    here_count: int
    there_count: int


def compare_keys(one: SourceRef, other: SourceRef, most: int) -> Difference:
    """Compare the keys of two stores by their hashes, 16 bytes a record; runs in a worker."""
    first, second = _hashes(one), _hashes(other)
    here, there = np.flatnonzero(~np.isin(first, second)), np.flatnonzero(~np.isin(second, first))
    return Difference(
        len(first) - len(here),
        tuple(_named(one, here[:most])),
        tuple(key for key, _ in _named(other, there[:most])),
        len(here),
        len(there),
    )


def _keys(source: SourceRef) -> Iterator[tuple[RecordBatch, int]]:
    """Batches without reserved keys, each with the position at which its partition begins."""
    store, start = open_source(source), 0
    for partition in store.partitions():
        for part in store.read(partition):
            if isinstance(part, Extent):
                start += part.positions
            elif isinstance(part, RecordBatch):
                yield part.take(~reserved_rows(part.keys)), start


def _hashes(source: SourceRef) -> NDArray[np.uint64]:
    found = [content_hashes(batch.keys)[:, 0] for batch, _ in _keys(source) if len(batch)]
    return np.concatenate([np.empty(0, np.uint64), *found])


def _named(source: SourceRef, places: NDArray[np.int64]) -> Iterator[tuple[bytes, int]]:
    """Key and position of some records, counted without the reserved ones."""
    if not len(places):
        return
    passed = 0
    for batch, start in _keys(source):
        for row in (places[(places >= passed) & (places < passed + len(batch))] - passed).tolist():
            yield bytes(batch.keys[row]), start + int(batch.positions[row])
        passed += len(batch)
        if passed > int(places[-1]):
            return


def with_twins(report: SourceReport, earlier: Sequence[SourceReport], ask: Callable[..., Any]) -> SourceReport:
    """The report, with what it lacks of the sets before it that are its other half, and they of it."""
    for other in earlier:
        if _comparable(report) and _comparable(other) and are_twins(report.source.path, other.source.path):
            if RULE in report.rules and RULE in other.rules:
                report = _compared(report, other, ask)
            from .twin_sizes import with_sizes

            report = with_sizes(report, other, ask)
    return report


def _comparable(report: SourceReport) -> bool:
    whole = report.coverage.complete and not report.interrupted
    return whole and report.source.store in KEYED and isinstance(report.reader, Reader)


def _compared(report: SourceReport, other: SourceReport, ask: Callable[..., Any]) -> SourceReport:
    assert isinstance(report.reader, Reader)
    options = report.reader.options
    assert isinstance(other.reader, Reader)
    try:
        found: Difference = ask(compare_keys, report.reader.source, other.reader.source, options.max_findings)
    except (WorkerDied, StoreError):  # each was scanned, and damage named; the comparison alone is not there
        reasons = (*report.coverage.reasons, f"its keys could not be compared with those of {other.source.path}")
        return replace(report, coverage=replace(report.coverage, complete=False, reasons=reasons))
    if found.common < COMMON * (found.common + max(found.here_count, found.there_count)):
        return report
    severity = options.severities.get(RULE, rule_named(RULE).severity)
    path = other.source.path
    added = [Finding(RULE, severity, f"has no twin in {path}", Location(key, index)) for key, index in found.here]
    added += [
        Finding(RULE, severity, f"{name} of {path} has no twin here", data={"missing": name})
        for name in map(key_text, found.there)
    ]
    findings = sorted([*report.findings, *added], key=_index)
    left = found.here_count + found.there_count - len(added)
    omitted = {rule: dict(counts) for rule, counts in report.omitted.items()}
    if left:
        counts = omitted.setdefault(RULE, {})
        counts[severity] = counts.get(severity, 0) + left
    return replace(report, findings=tuple(findings), omitted=omitted)


def _index(finding: Finding) -> int:
    return -1 if finding.location.index is None else finding.location.index
