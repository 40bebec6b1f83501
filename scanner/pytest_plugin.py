"""A pytest plug-in: ``datascan_clean("train_lmdb")`` fails the test with the findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # a test run that does not use it pays nothing
    from .finding import Finding
    from .report import Report


SHOWN = 20
"""Findings that a failed test lists."""


def told(finding: Finding) -> str:
    """A finding in a line."""
    place = finding.location.key_text or finding.location.dataset or "the set"
    return f"  {finding.severity.value} {finding.rule} {place}: {finding.message}"


@pytest.fixture
def datascan_clean() -> Callable[..., Report]:
    """Scan sources by path, or by their name in the configuration, and fail on what would fail ``datascan check``.

    Options are those of ``check()``: ``datascan_clean("train", num_classes=10)``. Gives the report.
    """

    def clean(*sources: str, **options: Any) -> Report:
        __tracebackhide__ = True
        from .configured import check_configured
        from .report import FindingsError

        report = check_configured(*sources, **options)
        try:
            report.raise_for_findings()
        except FindingsError as exc:
            lines = [told(finding) for finding in list(report)[:SHOWN]]
            pytest.fail("\n".join([str(exc), *lines]), pytrace=False)
        return report

    return clean
