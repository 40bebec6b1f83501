"""Reports out of the history, as if they had just been made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..finding import Finding, Location, Severity
from ..report import Coverage, NotRun, RunInfo, SourceInfo, SourceReport


def report_from(stored: Mapping[str, Any], fail_on: Severity | None) -> SourceReport:
    """A source's report from its JSON. What was left out beyond ``--max-findings`` counts with its rule's severity."""
    coverage = stored["coverage"]
    findings = tuple(finding_from(one) for one in stored["findings"])
    severities = {finding.rule: finding.severity for finding in findings}
    return SourceReport(
        source=SourceInfo(**stored["source"]),
        coverage=Coverage(
            coverage["seen"],
            coverage["unreadable"],
            coverage["complete"],
            tuple(coverage["reasons"]),
            tuple(NotRun(one["rule"], one["reason"]) for one in coverage["not_run"]),
        ),
        findings=findings,
        omitted={rule: {severities.get(rule, Severity.WARNING): count} for rule, count in stored["omitted"].items()},
        statistics=stored["statistics"],
        run=RunInfo(**stored["run"]),
        fail_on=fail_on,
        error=stored["error"],
    )


def finding_from(stored: Mapping[str, Any]) -> Finding:
    """A finding from its JSON."""
    at = stored["location"]
    key = at["key"].encode() if at["key"] is not None else None
    if at["key_hex"] is not None:
        key = bytes.fromhex(at["key_hex"])
    element = None if at["element"] is None else tuple(at["element"])
    location = Location(key, at["index"], at["dataset"], element, at["offset"], at["line"])
    return Finding(stored["rule"], Severity(stored["severity"]), stored["message"], location, stored["data"])
