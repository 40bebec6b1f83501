"""Annotations for GitHub's workflows: lines that its runner turns into remarks at a file and line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from ..address import address
from ..finding import Finding, Severity
from ..printable import printable
from ..report import Report, SourceReport
from .findings import Group, grouped, remedy
from .numbers import counted
from .portable import writer
from .style import DEFAULT, Style
from .terminal import TEXTS, verdict_sentence

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}

MOST = 10
"""Annotations of one kind: GitHub shows no more of a step, and drops the rest without a word."""

PLACES = 5
"""Records that the annotation of a rule names."""


def render_github(report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
    """Write the annotations, the gravest first, at most `MOST` of a kind and one that counts the others."""
    write = writer(stream)
    made = [entry for one in report.reports for entry in remarks(one)]
    made += [
        ("error", {"title": f"datascan: {cause.cause} {cause.verdict}"}, cause.summary)
        for cause in report.causes or ()
        if cause.guilty
    ]
    for command in COMMANDS.values():
        mine = [entry for entry in made if entry[0] == command]
        for _, properties, message in mine[: MOST if len(mine) <= MOST else MOST - 1]:
            write(annotation(command, properties, message))
        if len(mine) > MOST:
            left = f"{len(mine) - MOST + 1:,} more annotations of this kind are left out; see the report"
            write(annotation(command, {"title": "datascan"}, left))


def remarks(report: SourceReport) -> Iterator[tuple[str, dict[str, str], str]]:
    """What was not looked at, then the findings: those about a line by themselves, others a rule at a time."""
    path = printable(report.source.path)
    if report.error is not None or not report.coverage.complete:
        reasons = "; ".join(dict.fromkeys(filter(None, (report.error, *report.coverage.reasons))))
        yield "error", {"title": "datascan: not everything was looked at"}, f"{path}: {printable(reasons)}"
    for group in grouped(report):
        command = COMMANDS[group.severity]
        title = f"datascan: {group.rule}"
        if report.source.layout in TEXTS:
            for finding in group.findings:
                yield command, {"file": path, **line_of(finding), "title": title}, message_of(finding)
        else:
            yield command, {"title": title}, f"{path}: {summary(group)}"
    if report.exit_code == 0 and not report.findings:
        yield "notice", {"title": "datascan"}, f"{path}: {verdict_sentence(report)}"


def line_of(finding: Finding) -> dict[str, str]:
    """The line, where there is one."""
    return {} if finding.location.line is None else {"line": str(finding.location.line)}


def message_of(finding: Finding) -> str:
    """What is wrong, and what to write instead."""
    said = remedy(finding)
    return printable(finding.message) + (f" -> {said}" if said else "")


def summary(group: Group) -> str:
    """How many, and the first of them."""
    lines = [f"{counted(group.count, 'finding')} of {group.rule}"]
    for finding in group.findings[:PLACES]:
        where = address(finding)
        lines.append(f"{where}: {printable(finding.message)}" if where else printable(finding.message))
    if group.count > PLACES:
        lines.append(f"and {group.count - PLACES:,} more")
    return "\n".join(lines)


def annotation(command: str, properties: dict[str, str], message: str) -> str:
    """One line of a workflow command."""
    said = ",".join(f"{name}={value_of(value)}" for name, value in properties.items())
    return f"::{command} {said}::{escaped(message)}\n"


def escaped(text: str) -> str:
    """A message: what would end the line or begin an escape is written as one."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def value_of(text: str) -> str:
    """A property: what would end it, too."""
    return escaped(text).replace(":", "%3A").replace(",", "%2C")
