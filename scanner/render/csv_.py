"""Findings as a table: RFC 4180, a row each, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from ..finding import Finding
from ..printable import key_text, printable
from ..report import Report
from .json_ import portable_json
from .portable import writer
from .style import DEFAULT, Style

COLUMNS = (
    "source",
    "rule",
    "severity",
    "index",
    "key",
    "key_hex",
    "dataset",
    "element",
    "offset",
    "line",
    "message",
    "data",
)

FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the start of a formula, which may start programs."""


def render_csv(report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
    """Write a head and a row for each finding; what was not looked at is not in a table of findings."""
    table = csv.writer(Target(writer(stream)), lineterminator="\r\n")
    table.writerow(COLUMNS)
    for one in report.reports:
        path = cell(one.source.path)
        table.writerows([path, *row(finding, stream.encoding)] for finding in one.findings)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the csv module writes to."""

    write: Callable[[str], object]


def row(finding: Finding, encoding: str | None) -> list[str]:
    """One finding; the data is JSON."""
    location = finding.location
    data = json.dumps(dict(finding.data), ensure_ascii=False, allow_nan=False) if finding.data else ""
    return [
        finding.rule,
        finding.severity.value,
        number(location.index),
        "" if location.key is None else cell(key_text(location.key)),
        "" if location.key is None else location.key.hex(),
        "" if location.dataset is None else cell(location.dataset),
        "" if location.element is None else " ".join(map(str, location.element)),
        number(location.offset),
        number(location.line),
        cell(finding.message),
        portable_json(data, encoding),
    ]


def number(value: int | None) -> str:
    """A number, empty where there is none."""
    return "" if value is None else str(value)


def cell(text: str) -> str:
    """A text in one line; one that a spreadsheet would take for a formula gets an apostrophe before it."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) else shown
