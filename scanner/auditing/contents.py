"""Contents compared with those of earlier nights: what is new, gone or changed, and what nobody wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...backends.errors import StoreError
from ..crew import Crew
from ..finding import Finding, Location
from ..options import Options
from ..reader import Reader
from ..rules.audit import StoreBitRot
from ..scan import wanted_rules
from ..supervisor import WorkerDied
from ..worker import keys_at
from .history import History
from .reading import Reading
from .remembered import Difference, Remembered, compare
from .stamp import nobody_wrote

Rot = dict[int, tuple[int, int, str]]
"""Keys of rotten records: the good contents, the rotten ones, since when."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing gave.

    ``records`` counts those that are new, gone and changed; ``findings`` are of bit-rot; ``keep`` says that these are
    the contents to compare with from now on.
    """

    records: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    rot: Rot | None = None
    keep: bool = True


def compared(
    reading: Reading, history: History, source: int, stamp: Mapping[str, Any], crew: Crew, options: Options, at: str
) -> Compared:
    """Compare what was read with the contents that the history holds."""
    stored = history.reference(source)
    if stored is None:
        return Compared(keep=reading.complete)
    before, earlier = stored
    if not reading.complete and not reading.keyed:
        return Compared(keep=False)  # nobody knows which rows these are
    known = history.rotten(source)
    difference = compare(earlier, reading.contents)
    unwritten = nobody_wrote(before, stamp)
    rot = _still_rotten(known, reading.contents)
    if unwritten:
        rot |= _rotted(difference, known, at)
    findings = _findings(rot, difference, unwritten, reading, crew, options)
    ill = np.array(sorted(rot), np.uint64)
    changed = int(np.count_nonzero(~np.isin(difference.changed_keys, ill)))
    records = {"changed": changed}
    if reading.complete:
        lost = reading.report.coverage.unreadable
        records = {"added": len(difference.added), "gone": max(difference.gone - lost, 0), **records}
    if unwritten:
        records = dict.fromkeys(records, 0)
    return Compared(
        records,
        findings if "store-bit-rot" in wanted_rules(replace(options, remember=True)) else (),
        rot if reading.complete or rot != known else None,
        keep=reading.complete and not (unwritten and (rot or not difference.nothing)),
    )


def _still_rotten(known: Rot, now: Remembered) -> Rot:
    """Records of which the rotten contents are still there; others are healed, written anew or gone."""
    if not known:
        return {}
    keys = np.array(list(known), np.uint64)
    order = np.argsort(now.keys)
    places = np.minimum(np.searchsorted(now.keys[order], keys), max(len(now) - 1, 0))
    rot: Rot = {}
    for key, place in zip(keys.tolist(), places.tolist(), strict=True):
        at = int(order[place]) if len(now) else -1
        if at >= 0 and int(now.keys[at]) == key:
            if int(now.values[at]) == known[key][1]:
                rot[key] = known[key]
        else:
            rot[key] = known[key]  # not read tonight, or lost: nobody has said that it is well
    return rot


def _rotted(difference: Difference, known: Rot, at: str) -> Rot:
    """Records that have changed although nobody wrote."""
    triples = zip(difference.changed_keys.tolist(), difference.was.tolist(), difference.now.tolist(), strict=True)
    return {
        key: (was, now, known[key][2] if key in known else at)
        for key, was, now in triples
        if key not in known or now != known[key][0]  # healed
    }


def _findings(
    rot: Rot, difference: Difference, unwritten: bool, reading: Reading, crew: Crew, options: Options
) -> tuple[Finding, ...]:
    severity = options.severities.get(StoreBitRot.name, StoreBitRot.severity)
    found: list[Finding] = []
    places = _places(rot, reading.contents)
    located = _located([place for place in places.values() if place is not None], reading, crew)
    for key, (_, _, since) in list(rot.items())[: max(options.max_findings, 1)]:
        place = places[key]
        location = Location() if place is None else located.get(place, Location())
        if location == Location() and place is None:
            continue
        found.append(
            Finding(
                StoreBitRot.name,
                severity,
                "the contents have changed although nothing was written to the store",
                location,
                {"since": since, "hash": f"{key:016x}"},
            )
        )
    if unwritten and reading.complete:
        for count, what in ((difference.gone, "gone"), (len(difference.added), "new")):
            if count and not reading.report.coverage.unreadable:
                message = f"{count:,} records are {what} although nothing was written to the store"
                found.append(Finding(StoreBitRot.name, severity, message, data={"records": count}))
    return tuple(found)


def _places(rot: Rot, now: Remembered) -> dict[int, int | None]:
    """Where rotten records stand, by their keys."""
    wanted = np.array(list(rot), np.uint64)
    rows = np.flatnonzero(np.isin(now.keys, wanted))
    found = {int(now.keys[row]): int(now.positions[row]) for row in rows.tolist()}
    return {key: found.get(key) for key in rot}


def _located(positions: list[int], reading: Reading, crew: Crew) -> dict[int, Location]:
    """Locations of positions: keys are read again, rows are counted within their table."""
    reader = reading.report.reader
    if not isinstance(reader, Reader):
        return {}
    found: dict[int, Location] = {}
    for position in positions:
        span = reader.place(position)
        if span is None:
            continue
        partition, place = span
        if partition.table.columns:
            start = 0
            for stretch in reading.report.stretches:
                if position < start + stretch.positions:
                    break
                start += stretch.positions
            found[position] = Location(index=position - start, dataset=partition.table.columns[0])
            continue
        try:
            keys: dict[int, bytes] = crew.call(keys_at, reader.source, partition, [place])
        except (WorkerDied, StoreError):
            keys = {}
        index = position if reading.complete else None
        found[position] = Location(key=keys.get(place), index=index)
    return found
