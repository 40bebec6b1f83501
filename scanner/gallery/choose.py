"""Which findings are worth a picture, and how many of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ...backends.base import Partition
from ..finding import Finding
from ..reader import Reader
from ..report import SourceReport

PER_RULE = 8
PER_REPORT = 64
"""Pictures in all: some 5 kB each, in a page of a few hundred kB."""

NOT_SHOWN = ("record-key-gap", "record-key-order", "record-missing-twin", "image-too-large", "value-unscaled")
"""Rules about what is not there, about the set, or about what must not be decoded."""

KILLER = "store-reader-died"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record to show: the finding's number, where it is read, and what the finding says of it."""

    number: int
    partition: Partition
    position: int
    finding: Finding
    broken_from: float | None


def chosen(report: SourceReport, reader: Reader, room: int) -> list[Wanted]:
    """The records to show, in store order; ``room`` is how many there may be. Records that kill are left alone."""
    positions = list(report.positions())
    deadly = {at for finding, at in zip(report.findings, positions, strict=True) if finding.rule == KILLER}
    cuts = {at: cut for finding, at in zip(report.findings, positions, strict=True) if (cut := cut_of(finding))}
    by_rule: dict[str, list[Wanted]] = defaultdict(list)
    for number, (finding, at) in enumerate(zip(report.findings, positions, strict=True)):
        family = finding.rule.partition("-")[0]
        if at is None or at in deadly or family == "store" or finding.rule in NOT_SHOWN:
            continue
        if len(by_rule[finding.rule]) < PER_RULE and (place := reader.place(at)) is not None:
            by_rule[finding.rule].append(Wanted(number, *place, finding, cuts.get(at)))
    share = room // max(len(by_rule), 1)
    kept = [wanted for group in by_rule.values() for wanted in group[: max(share, 1)]][:room]
    return sorted(kept, key=lambda wanted: (wanted.partition.ordinal, wanted.position, wanted.number))


def cut_of(finding: Finding) -> float | None:
    """The share of an image's rows that are there, as the finding says it."""
    rows: Any = finding.data.get("rows")
    height: Any = finding.data.get("height")
    if finding.rule != "image-truncated" or not isinstance(rows, int) or not isinstance(height, int) or height < 1:
        return None
    return min(max(rows / height, 0.0), 1.0)
