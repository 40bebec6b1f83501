"""Rules about training files: a name, a severity, a page, and the way to make their findings.

A rule of a data set looks at batches; a file is small, so its judges (`solver.check_solver`, `net.check_net`,
the log's) are plain functions that walk it once and make findings through these classes::

    yield NetPooling.finding("the last window ...", line=12, cause="pooling", remedy="stride: 1", window=33)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ..finding import Finding, Location, Severity

CAUSES = (
    "gradient-explosion",
    "learning-rate",
    "loss-function",
    "input-data",
    "pooling",
    "layer-parameters",
    "initial-weights",
    "aborted",
)
"""Causes of a NaN loss; the five usual ones first."""


class FileRule:
    """One thing looked for in solvers, nets or logs. The docstring is the rule's page (``datascan rules NAME``)."""

    name: ClassVar[str]
    severity: ClassVar[Severity]

    @classmethod
    def finding(
        cls,
        message: str,
        line: int | None = None,
        *,
        cause: str | None = None,
        remedy: str | None = None,
        severity: Severity | None = None,
        **evidence: Any,
    ) -> Finding:
        """A finding of this rule.

        Parameters
        ----------
        message
            One sentence without the place.
        line
            The line to change, or the one that the file has instead.
        cause
            Which of `CAUSES` it would bring about; ``None`` for a remark that explains no NaN.
        remedy
            What to put there, where possible a line that can be copied.
        evidence
            Further values of the finding's ``data``; numbers that JSON has not become words.
        """
        assert cause is None or cause in CAUSES, cause
        data: dict[str, Any] = {"cause": cause, "remedy": remedy, **evidence}
        return Finding(
            cls.name,
            severity or cls.severity,
            message,
            Location(line=line),
            {name: spoken(value) for name, value in data.items() if value is not None},
        )


def spoken(value: Any) -> Any:
    """A value that JSON can carry: NaN and the infinities as words, float32 numbers in their shortest form."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, float) and abs(value) < 1e38 and float(np.float32(value)) == value:
        return float(str(np.float32(value)))
    if isinstance(value, list | tuple):
        return [spoken(one) for one in value]
    if isinstance(value, Mapping):
        return {name: spoken(one) for name, one in value.items()}
    return value


def in_line_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings by line, those without one first; each only once."""
    ordered = sorted(findings, key=lambda finding: finding.location.line or 0)
    seen: set[tuple[str, str, int | None]] = set()
    for finding in ordered:
        key = (finding.rule, finding.message, finding.location.line)
        if key not in seen:
            seen.add(key)
            yield finding
