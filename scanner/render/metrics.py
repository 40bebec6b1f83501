"""Metrics in Prometheus' text format, for the node exporter's textfile collector or a push."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

from ..finding import Severity
from ..printable import printable
from ..report import Report, SourceReport
from ..version import __version__
from .portable import writer
from .style import DEFAULT, Style

Sample = tuple[dict[str, str], float]


def render_metrics(report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
    """Write one family after the other, each with all its samples, as the format wants it."""
    write = writer(stream)
    for name, help_text, samples in families(report):
        if samples:
            write(f"# HELP {name} {help_text}\n# TYPE {name} gauge\n")
        for given, value in samples:
            write(f"{name}{labels(given)} {value:.17g}\n")


def families(report: Report) -> Iterator[tuple[str, str, list[Sample]]]:
    """Name, what it is, samples."""
    sources = named(report)
    yield "datascan_info", "The datascan that looked.", [({"version": __version__}, 1)]
    yield "datascan_exit_code", "The exit code of the run: 0 is clean and complete.", [({}, int(report.exit_code))]
    yield (
        "datascan_verdict",
        "1 for the verdict on a source.",
        [
            ({"source": name, "verdict": verdict}, float(one.verdict == verdict))
            for name, one in sources
            for verdict in ("pass", "fail", "incomplete")
        ],
    )
    yield (
        "datascan_findings",
        "Findings, those beyond --max-findings included.",
        [
            ({"source": name, "severity": severity.value}, one.count(severity))
            for name, one in sources
            for severity in sorted(Severity, reverse=True)
        ],
    )
    yield (
        "datascan_rule_findings",
        "Findings by rule.",
        [entry for name, one in sources for entry in by_rule(name, one)],
    )
    yield (
        "datascan_records_seen",
        "Records that were read and checked.",
        [({"source": name}, one.coverage.seen) for name, one in sources],
    )
    yield (
        "datascan_records_unreadable",
        "Records that the store could not give back.",
        [({"source": name}, one.coverage.unreadable) for name, one in sources],
    )
    yield (
        "datascan_records",
        "Records that the source holds, as far as is known.",
        [({"source": name}, one.source.records) for name, one in sources if one.source.records is not None],
    )
    yield (
        "datascan_source_bytes",
        "Size of the source.",
        [({"source": name}, one.source.bytes) for name, one in sources if one.source.bytes is not None],
    )
    yield (
        "datascan_complete",
        "1 if everything that was asked for was looked at.",
        [({"source": name}, float(one.coverage.complete and one.error is None)) for name, one in sources],
    )
    yield (
        "datascan_rules_not_run",
        "Rules and datasets that were not looked at.",
        [({"source": name}, len(one.coverage.not_run)) for name, one in sources],
    )
    yield (
        "datascan_scan_duration_seconds",
        "How long the scan took.",
        [({"source": name}, one.run.seconds) for name, one in sources if one.run.started],
    )
    yield (
        "datascan_scan_timestamp_seconds",
        "When the scan began.",
        [
            ({"source": name}, datetime.fromisoformat(one.run.started).timestamp())
            for name, one in sources
            if one.run.started
        ],
    )
    yield (
        "datascan_cause",
        "1 for the verdict on a cause of a loss that is not finite.",
        [({"cause": cause.cause, "verdict": cause.verdict}, 1) for cause in report.causes or ()],
    )


def named(report: Report) -> list[tuple[str, SourceReport]]:
    """Sources by a name that is unique: the same one twice is numbered, since two equal series are refused."""
    seen: dict[str, int] = {}
    found = []
    for one in report.reports:
        name = printable(one.source.path)
        seen[name] = seen.get(name, 0) + 1
        found.append((name if seen[name] == 1 else f"{name} ({seen[name]})", one))
    return found


def by_rule(name: str, report: SourceReport) -> Iterator[Sample]:
    """Findings of each rule: a zero for those that looked and found nothing."""
    counts: dict[tuple[str, Severity], int] = {}
    for finding in report.findings:
        counts[finding.rule, finding.severity] = counts.get((finding.rule, finding.severity), 0) + 1
    for rule, omitted in report.omitted.items():
        for severity, count in omitted.items():
            counts[rule, severity] = counts.get((rule, severity), 0) + count
    silent = {rule for rule, _ in counts}
    for rule in report.rules:
        if rule not in silent:
            yield {"source": name, "rule": rule, "severity": ""}, 0
    for (rule, severity), count in sorted(counts.items(), key=lambda entry: (entry[0][0], entry[0][1].weight)):
        yield {"source": name, "rule": rule, "severity": severity.value}, count


def labels(given: dict[str, str]) -> str:
    """Labels in braces; an empty one is the same as none."""
    said = ",".join(f'{name}="{escaped(value)}"' for name, value in given.items() if value)
    return f"{{{said}}}" if said else ""


def escaped(text: str) -> str:
    """A label's value."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
