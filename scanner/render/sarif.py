"""SARIF 2.1.0: findings for code scanning services and editors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import quote

from ..address import address, fingerprint
from ..finding import Finding, Severity
from ..printable import printable
from ..report import Report, SourceReport
from ..version import __version__
from .json_ import portable_json
from .pages import FIX, WHAT, WHY, Page
from .pieces import Lists
from .style import DEFAULT, Style
from .terminal import TEXTS, rule_pages

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
FINGERPRINT = "datascan/v1"


def render_sarif(
    report: Report, stream: TextIO, style: Style = DEFAULT, pages: Mapping[str, Page] | None = None
) -> None:
    """Write the report, result by result."""
    known = rule_pages(report) if pages is None else pages
    rules = sorted({finding.rule for finding in report})
    lists = Lists()
    run = {
        "tool": {
            "driver": {
                "name": "datascan",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [descriptor(rule, known.get(rule)) for rule in rules],
            }
        },
        "invocations": [invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": lists.mark(results(report, {rule: number for number, rule in enumerate(rules)})),
        "properties": {"verdict": report.verdict, "sources": [source_facts(one) for one in report.reports]},
    }
    for piece in lists.pieces({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}):
        stream.write(portable_json(piece, stream.encoding))
    stream.write("\n")


def descriptor(rule: str, page: Page | None) -> dict[str, Any]:
    """A rule with its page."""
    if page is None:
        return {"id": rule}
    text = "\n\n".join(f"{title}\n\n{body}" for title, body in page.sections)
    markdown = "\n\n".join(f"## {title}\n\n{body}" for title, body in page.sections)
    return {
        "id": rule,
        "shortDescription": {"text": page.brief(WHAT) or rule},
        "fullDescription": {"text": page.brief(WHY, 200) or rule},
        "help": {"text": text or rule, "markdown": markdown or rule},
        "defaultConfiguration": {"level": LEVELS[page.severity]},
        "properties": {"tags": [page.family], "fix": page.brief(FIX, 120)},
    }


def results(report: Report, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """A result for each finding."""
    for one in report.reports:
        for finding in one.findings:
            where = address(finding)
            yield {
                "ruleId": finding.rule,
                "ruleIndex": numbers[finding.rule],
                "level": LEVELS[finding.severity],
                "message": {"text": printable(f"{where}: {finding.message}" if where else finding.message)},
                "locations": [location(one, finding, where)],
                "partialFingerprints": {FINGERPRINT: fingerprint(one.source.path, finding)},
                "properties": {**finding.location.to_dict(), "data": dict(finding.data)},
            }


def location(report: SourceReport, finding: Finding, where: str) -> dict[str, Any]:
    """The source as the file, its line where it is text, and the record's address as the logical location."""
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri(report.source.path)}}
    if finding.location.line is not None and finding.location.line > 0:
        physical["region"] = {"startLine": finding.location.line}
    path = printable(report.source.path)
    found: dict[str, Any] = {"physicalLocation": physical}
    if report.source.layout not in TEXTS:
        row = finding.location.dataset is not None and finding.location.key is None
        kind = "data set" if not where else "row" if row else "record"
        logical = {"fullyQualifiedName": f"{path}::{where}" if where else path, "kind": kind}
        found["logicalLocations"] = [{"name": where, **logical} if where else {"name": path, **logical}]
    return found


def uri(path: str) -> str:
    """A path as a URI reference; bytes that are no text are percent-encoded like the rest."""
    text = quote(path.encode(errors="surrogateescape"), safe="/~!$&'()*+,;=@-._")
    return f"file://{text}" if path.startswith("/") else text


def invocation(report: Report) -> dict[str, Any]:
    """How the run went: what was not looked at stands here, where a consumer can't take it for clean."""
    notes = []
    for one in report.reports:
        path = printable(one.source.path)
        if one.error is not None:
            notes.append(notification("error", f"{path}: {printable(one.error)}"))
        notes += [notification("warning", f"{path}: {printable(reason)}") for reason in one.coverage.reasons]
        notes += [
            notification("note", f"{path}: {printable(entry.rule)} was not run: {printable(entry.reason)}")
            for entry in one.coverage.not_run
        ]
        notes += [
            notification("warning", f"{path}: {sum(counts.values()):,} more findings of {rule} beyond --max-findings")
            for rule, counts in sorted(one.omitted.items())
        ]
    ended: dict[str, Any] = {
        "executionSuccessful": all(
            one.error is None and not (one.crashed or one.interrupted) for one in report.reports
        ),
        "exitCode": int(report.exit_code),
        "toolExecutionNotifications": notes,
    }
    started = min((one.run.started for one in report.reports if one.run.started), default="")
    if started:
        ended["startTimeUtc"] = started.replace("+00:00", "Z")
    return ended


def notification(level: str, text: str) -> dict[str, Any]:
    """A remark about the run itself."""
    return {"level": level, "message": {"text": text}}


def source_facts(report: SourceReport) -> dict[str, Any]:
    """What was scanned and how much of it."""
    frame = report.frame(None)
    return {name: frame[name] for name in ("source", "coverage", "counts", "omitted")} | {"verdict": report.verdict}
