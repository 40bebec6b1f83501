"""Marks: the positions of all findings, by rule and severity, in arrays."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from ..backends.distinct import distinct
from .finding import Finding, Severity


class Marks:
    """Positions of findings in records, eight bytes each, however many findings are kept."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, Severity], array[int]] = {}

    def add(self, finding: Finding) -> None:
        """Mark the record of a finding that has one."""
        if finding.location.index is not None:
            self._of(finding.rule, finding.severity).append(finding.location.index)

    def add_all(self, rule: str, severity: Severity, positions: NDArray[np.int64]) -> None:
        """Mark the records of several findings."""
        if len(positions):
            self._of(rule, severity).frombytes(positions.astype(np.int64).tobytes())

    def merge(self, later: Marks, offset: int) -> None:
        """Take in the marks of what follows in store order; their positions move by ``offset``."""
        for (rule, severity), positions in later.positions.items():
            moved = np.frombuffer(positions, np.int64) + offset
            self._of(rule, severity).frombytes(moved.tobytes())

    def of(self, rule: str, severity: Severity) -> NDArray[np.int64]:
        """The positions of a rule's findings of one severity, ascending, each once."""
        return distinct(np.frombuffer(self.positions.get((rule, severity), array("q")), np.int64))

    def _of(self, rule: str, severity: Severity) -> array[int]:
        return self.positions.setdefault((rule, severity), array("q"))
