"""Super-resolution sets that were given together: every image is as many times as large as its other half."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..backends.errors import StoreError
from .finding import Finding, Location
from .layouts.basicsr import BasicSr, Sizes, meta_sizes
from .reader import Reader
from .report import SourceReport
from .rules import rule_named
from .supervisor import WorkerDied
from .worker import SourceRef

RULE = "record-shape-mismatch"
MOST = 0.95
"""A ratio that so many pairs have is the one that is meant."""


@dataclass(frozen=True, slots=True)
class Odd:
    """Pairs of another ratio than the usual one: the first, with key and sizes (height, width), and their number."""

    ratio: Fraction
    pairs: tuple[tuple[bytes, tuple[int, int], tuple[int, int]], ...]
    count: int


def compare_sizes(one: SourceRef, other: SourceRef, most: int) -> Odd | None:
    """Pairs of two BasicSR sets whose sizes do not go together; runs in a worker. ``None`` where no ratio is usual.

    Sizes are those of ``meta_info.txt``, which each set's own scan has held against its images. BasicSR's
    ``paired_random_crop`` refuses a pair whose sizes differ by another factor than the scale.
    """
    return odd_pairs(meta_sizes(Path(one.at or one.path)), meta_sizes(Path(other.at or other.path)), most)


def odd_pairs(here: Sizes, there: Sizes, most: int) -> Odd | None:
    """See `compare_sizes`."""
    pairs = [(key, size[:2], there[key][:2]) for key, size in here.items() if key in there]
    ratios = Counter(ratio for _, size, twin in pairs if (ratio := _ratio(size, twin)) is not None)
    if not ratios:
        return None
    (usual, count), *_ = ratios.most_common(1)
    if count < MOST * len(pairs) or 1 not in (usual.numerator, usual.denominator):
        return None
    odd = [pair for pair in pairs if _ratio(*pair[1:]) != usual]
    return Odd(usual, tuple(odd[:most]), len(odd))


def _ratio(size: tuple[int, int], twin: tuple[int, int]) -> Fraction | None:
    if 0 in twin or size[0] * twin[1] != size[1] * twin[0]:
        return None
    return Fraction(size[0], twin[0])


def with_sizes(report: SourceReport, other: SourceReport, ask: Callable[..., Any]) -> SourceReport:
    """The report, with the images whose size does not go with that of their half in the other set."""
    mine, others = report.reader, other.reader
    if not (isinstance(mine, Reader) and isinstance(others, Reader)):
        return report
    if not all(one.source.layout == BasicSr.name and RULE in one.rules for one in (report, other)):
        return report
    options = mine.options
    try:
        found: Odd | None = ask(compare_sizes, mine.source, others.source, options.max_findings)
    except (WorkerDied, StoreError):  # that the sets could not be compared is said with their keys
        return report
    if found is None or not found.count:
        return report
    severity = options.severities.get(RULE, rule_named(RULE).severity)
    added = [
        Finding(RULE, severity, _message(size, twin, found.ratio, other.source.path), Location(key))
        for key, size, twin in found.pairs
    ]
    omitted = {rule: dict(counts) for rule, counts in report.omitted.items()}
    if left := found.count - len(added):
        counts = omitted.setdefault(RULE, {})
        counts[severity] = counts.get(severity, 0) + left
    return replace(report, findings=(*added, *report.findings), omitted=omitted)


def _message(size: tuple[int, int], twin: tuple[int, int], ratio: Fraction, path: str) -> str:
    usual = f"{ratio.numerator} times as large" if ratio.denominator == 1 else f"1/{ratio.denominator} as large"
    usual = "of equal size" if ratio == 1 else usual
    here, there = (f"{width}x{height}" for height, width in (size, twin))
    return f"{here} (width x height), and {there} in {path}: the other pairs are {usual}"
