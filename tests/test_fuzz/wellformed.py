"""What every report must be, whatever was scanned."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from datascan.scanner.finding import Finding, Severity
from datascan.scanner.report import Report
from datascan.scanner.rules import RULES

SEVERITIES = {rule.name: rule.severity for rule in RULES}
GRAVER = {"value-extreme": Severity.ERROR, "image-channels": Severity.ERROR}
"""Rules whose findings are graver than usual in some cases."""


def fingerprint(path: Path) -> str:
    """Names, bytes and times of a file, or of a folder with all that is in it."""
    digest = hashlib.sha256()
    for entry in sorted([path, *path.rglob("*")]):
        status = entry.lstat()
        digest.update(f"{entry} {status.st_mode} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode())
        if entry.is_file():
            digest.update(entry.read_bytes())
    return digest.hexdigest()


def check_report(report: Report) -> None:
    """Assert that a report is sound in itself."""
    (source,) = report.reports
    assert source.tracebacks == (), source.tracebacks[0]
    assert report.exit_code in (0, 1, 3)
    json.loads(report.to_json())
    if source.error is not None:
        assert report.exit_code == 3
        assert "\n" not in source.error
        return
    coverage, records = source.coverage, source.source.records
    if records is None:  # HDF5 itself dies of some files when it opens what they list
        assert [finding.rule for finding in source.findings] == ["store-reader-died"]
        assert not coverage.complete
        return
    assert coverage.seen >= 0
    assert coverage.unreadable >= 0
    assert coverage.seen + coverage.unreadable <= records, (coverage, records)
    assert coverage.complete == (not coverage.reasons)
    for finding in source.findings:
        check_finding(finding, records)
    assert report.exit_code != 0 or coverage.complete
    assert report.exit_code != 0 or coverage.unreadable == 0
    assert sum(source.count(severity) for severity in Severity) >= len(source.findings)


def check_finding(finding: Finding, records: int) -> None:
    """Assert that a finding is well-formed."""
    assert finding.rule in SEVERITIES, finding
    assert finding.severity <= GRAVER.get(finding.rule, SEVERITIES[finding.rule]), finding
    assert finding.message.strip(), finding
    assert "\n" not in finding.message, finding
    location = finding.location
    # Records may be lost behind the last one that could be counted.
    behind = 1 if finding.rule.startswith("store-") else 0
    assert location.index is None or 0 <= location.index < records + behind, (finding, records)
    assert location.offset is None or location.offset >= 0, finding
    assert location.element is None or all(place >= 0 for place in location.element), finding
    json.dumps(finding.to_dict(), allow_nan=False)
