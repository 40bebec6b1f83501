"""Scan data sets on a Dask cluster: python dask_scan.py HOST:PORT SOURCE... (without a cluster: local SOURCE...)."""

from __future__ import annotations

import sys

from datascan.scanner import check


def main(address: str, *sources: str) -> int:
    """The exit code of ``datascan check``; findings are printed."""
    engine = "dask" if address == "local" else f"dask://{address}"
    report = check(*sources, executor=engine)
    for one in report.reports:
        print(one.source.path, one.verdict, f"{one.coverage.seen:,} records")
    for finding in report:
        print(finding.rule, finding.location.key or finding.location.index, finding.message)
    return int(report.exit_code)


if __name__ == "__main__":  # Dask starts processes that import this file
    sys.exit(main(*sys.argv[1:]))
