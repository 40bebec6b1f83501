"""Findings: what is wrong, how bad it is, and exactly where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class Severity(Enum):
    """How bad a finding is. Comparable: ``ERROR > WARNING > INFO``."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def weight(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return ("info", "warning", "error").index(self.value)

    def __lt__(self, other: Severity) -> bool:
        return self.weight < other.weight

    def __le__(self, other: Severity) -> bool:
        return self.weight <= other.weight

    def __gt__(self, other: Severity) -> bool:
        return self.weight > other.weight

    def __ge__(self, other: Severity) -> bool:
        return self.weight >= other.weight


@dataclass(frozen=True, slots=True)
class Location:
    """Where a finding is. Every field is ``None`` where it does not apply or is not known.

    Attributes
    ----------
    key
        The record's key as it is stored.
    index
        The record's position in store order, from 0; for HDF5 the row. While a scan is under way it counts from
        the start of the partition; merging the partial reports makes it absolute.
    dataset
        HDF5: the dataset's path.
    element
        Coordinates inside the record's array, in stored axis order.
    offset
        Byte offset: in the file for damage, in the record's payload for an image.
    line
        Line number, for solver, net and log files.
    """

    key: bytes | None = None
    index: int | None = None
    dataset: str | None = None
    element: tuple[int, ...] | None = None
    offset: int | None = None
    line: int | None = None

    @property
    def key_text(self) -> str | None:
        """The key as text, ``None`` where there is no key or it is not UTF-8."""
        if self.key is None:
            return None
        try:
            return self.key.decode()
        except UnicodeDecodeError:
            return None

    @property
    def key_hex(self) -> str | None:
        """The key in hexadecimal, only where it is not UTF-8."""
        return self.key.hex() if self.key is not None and self.key_text is None else None

    def to_dict(self) -> dict[str, Any]:
        """The location of the JSON report; all fields are always there."""
        return {
            "key": self.key_text,
            "key_hex": self.key_hex,
            "index": self.index,
            "dataset": self.dataset,
            "element": None if self.element is None else list(self.element),
            "offset": self.offset,
            "line": self.line,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in one place (or in the set as a whole).

    ``message`` is one sentence without the location; ``data`` holds JSON values for machines.
    """

    rule: str
    severity: Severity
    message: str
    location: Location = Location()
    data: Mapping[str, Any] = field(default_factory=dict)

    def shifted(self, positions: int) -> Finding:
        """The same finding with its index moved by some records."""
        if self.location.index is None or positions == 0:
            return self
        return replace(self, location=replace(self.location, index=self.location.index + positions))

    def to_dict(self) -> dict[str, Any]:
        """The finding of the JSON report."""
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "message": self.message,
            "location": self.location.to_dict(),
            "data": dict(self.data),
        }


@dataclass(frozen=True, slots=True)
class Further:
    """So many more findings of a rule, that are counted and not told one by one."""

    rule: str
    severity: Severity
    count: int
