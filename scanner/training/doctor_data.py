"""What a scan of a source tells about it that a net's judge wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..finding import Severity
from ..report import SourceReport
from .net_data import DataSource
from .net_facts import DATA, LABEL, SourceFacts, TopFacts

MANY_LABELS = 1000
"""Labels that a report lists at most; a longer list may be cut, so that only its ends would be known."""


def source_facts(report: SourceReport, reader: DataSource) -> SourceFacts:
    """Shapes and ranges of a scanned source, by the names that a net's judge looks them up under."""
    if report.error is not None or not report.coverage.seen:
        return SourceFacts()
    statistics = report.statistics
    shapes = [shape_of(text) for text in statistics.get("shapes", {})]
    known = [shape for shape in shapes if shape is not None]
    tops = {
        DATA: data_facts(statistics, known[0] if len(known) == 1 == len(shapes) else None),
        LABEL: label_facts(statistics, reader),
    }
    smallest = None
    if shapes and len(known) == len(shapes) and all(len(shape) == 3 for shape in known):
        smallest = (min(shape[1] for shape in known), min(shape[2] for shape in known))
    if reader.kind == "HDF5":
        tops = {name: facts for name, facts in tops.items() if name in reader.tops}
        return SourceFacts(tops)
    return SourceFacts(tops, smallest if len(known) > 1 else None, encoded=bool(statistics.get("formats")))


def as_read(report: SourceReport, reader: DataSource) -> SourceReport:
    """The report of a source for the layer that reads it: forced to one number of channels, grey images do no harm.

    Caffe forces only images that it decodes.
    """
    if not (reader.force_color or reader.force_gray) or not report.statistics.get("formats"):
        return report
    findings = tuple(
        replace(finding, severity=min(finding.severity, Severity.INFO)) if finding.rule == "image-channels" else finding
        for finding in report.findings
    )
    return replace(report, findings=findings)


def shape_of(text: str) -> tuple[int, ...] | None:
    """``3x32x32`` as numbers; ``None`` for anything else."""
    parts = text.split("x")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else None


def data_facts(statistics: Mapping[str, Any], shape: tuple[int, ...] | None) -> TopFacts:
    """The samples themselves."""
    channels = statistics.get("channels", [])
    lows = [one["min"] for one in channels if is_number(one.get("min"))]
    highs = [one["max"] for one in channels if is_number(one.get("max"))]
    whole = bool(channels) and all(isinstance(one.get("min"), int) for one in channels)
    return TopFacts(shape, min(lows, default=None), max(highs, default=None), whole or None)


def label_facts(statistics: Mapping[str, Any], reader: DataSource) -> TopFacts:
    """Labels: classes, or rows of targets, of which the least and the greatest value count."""
    columns: Mapping[str, Any] = statistics.get("label_columns", {})
    column = columns.get(f"/{LABEL}") or columns.get(LABEL)
    if columns and column is None:
        return TopFacts()
    if column is not None and (column["width"] > 1 or "labels" not in statistics or len(columns) > 1):
        shape = (column["width"],) if column["width"] > 1 else ()
        return TopFacts(shape, column.get("min"), column.get("max"))
    labels = sorted(int(text) for text in statistics.get("labels", {}))
    if not labels:
        return TopFacts()
    if len(labels) >= MANY_LABELS:
        return TopFacts((), None, None, integral=True)
    values = frozenset(map(float, labels))
    return TopFacts((), min(values), max(values), integral=True, values=values)


def is_number(value: object) -> bool:
    """Whether a statistic is a number; those that JSON does not have are words."""
    return isinstance(value, int | float) and not isinstance(value, bool)
