"""Records as a cause: the findings of the scanned sources, held against the iterations that took them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..finding import Finding, Severity
from ..printable import key_text
from .doctor_case import Case, Scanned
from .doctor_signs import Sign, Symptoms
from .doctor_trace import PREFETCHED, Trace
from .net_data import PARAMS

POISON = ("value-nan", "value-inf", "label-nan")
"""Findings of values that make a loss NaN by themselves."""

EXTREME = "value-extreme"
USUAL_RECORDS, USUAL_SHARE = 10, 0.05
"""Records beyond which large values are no outliers any more."""

NARROW = 3
"""Iterations in which a record that lies there is not there by chance."""

NAMED = 5
"""Records of one source that are named in the evidence."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A record, or a whole source, that something is wrong with.

    ``reached`` is the first iteration that took it, ``inside`` whether it lies in the iterations in which the loss went
    wrong; both ``None`` where that can't be known.
    """

    scanned: Scanned
    finding: Finding
    reached: int | None = None
    inside: bool | None = None

    @property
    def name(self) -> str:
        """``train_lmdb, record 37 (00000037_bike.jpg)``."""
        where, path = self.finding.location, self.scanned.report.source.path
        if where.index is None:
            return path
        word = "row" if where.dataset is not None and where.key is None else "record"
        key = f" ({key_text(where.key)})" if where.key is not None else ""
        return f"{path}, {word} {where.index:,}{key}"


def suspects(case: Case, symptoms: Symptoms) -> list[Suspect]:
    """Findings of the sources that training reads, the ones that speak most for themselves first."""
    found = []
    for one in case.scanned:
        if not one.trains:
            continue
        trace = trace_of(case, one, symptoms)
        found += [
            suspect(one, finding, trace, symptoms)
            for finding in one.report.findings
            if finding.severity is Severity.ERROR or finding.rule == EXTREME
        ]
    return sorted(found, key=lambda one: (one.inside is not True, one.finding.rule not in POISON))


def suspect(scanned: Scanned, finding: Finding, trace: Trace | None, symptoms: Symptoms) -> Suspect:
    """A finding, with the iterations that took its record."""
    index = finding.location.index
    if index is None or trace is None or not symptoms.seen:
        return Suspect(scanned, finding)
    inside = None
    if symptoms.window is not None:
        first, last = symptoms.window
        inside = trace.within(index, first - 1, last)
        if finding.rule in POISON:
            inside = first - 1 <= trace.first_reached(index) <= last
    elif symptoms.failure is not None:
        first = symptoms.last + 1 if symptoms.last >= 0 else symptoms.start
        inside = trace.within(index, first - 1, first + PREFETCHED)
    return Suspect(scanned, finding, trace.first_reached(index), inside)


def trace_of(case: Case, scanned: Scanned, symptoms: Symptoms) -> Trace | None:
    """How training walks through a source; ``None`` where its order or the net is not known."""
    reader, records = scanned.reader, scanned.report.source.records
    if reader is None or not records or reader.batch_size < 1 or shuffled(case, scanned):
        return None
    settings = case.settings
    passes = max(settings.iter_size, 1) if settings is not None else 1
    return Trace(records, reader.batch_size * passes, symptoms.start)


def shuffled(case: Case, scanned: Scanned) -> bool:
    """Whether the data layer mixes the records, so that no iteration can be traced to them."""
    reader, net = scanned.reader, case.layers
    if reader is None or net is None:
        return False
    layers = [layer for layer in net.layers if layer.name == reader.layer]
    return any(layer.param(PARAMS.get(layer.type, "")).boolean("shuffle") for layer in layers)


def record_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """What the scanned records say of the loss."""
    found = suspects(case, symptoms)
    for number, one in enumerate(found):
        if number == NAMED:
            yield Sign(10, f"{len(found) - NAMED:,} more findings in the data; see the sources below")
            break
        text = f"{one.finding.message}{story(one, symptoms)}"
        yield Sign(weight_of(one, symptoms), text, f"{one.name}, {one.finding.rule}", remedy_of(one))
    for scanned in case.scanned:
        trace = trace_of(case, scanned, symptoms) if scanned.trains else None
        if trace is not None and symptoms.window is not None and scanned.looked_at:
            first, last = symptoms.window
            if last - first < 4:
                ranges = "; ".join(f"iteration {at:,}: {trace.range_of(at)}" for at in range(max(first, 0), last + 1))
                yield Sign(0, f"taken there, {ranges}", scanned.report.source.path)
        elif scanned.trains and shuffled(case, scanned) and symptoms.window is not None:
            yield Sign(
                0, "the layer shuffles, so that no iteration can be traced to its records", scanned.report.source.path
            )


def story(one: Suspect, symptoms: Symptoms) -> str:
    """When the record was taken."""
    if one.reached is None:
        return ""
    if one.reached > symptoms.last and symptoms.last >= 0 and symptoms.failure is None:
        return f"; training would take it at iteration {one.reached:,}, which it never came to"
    bad = symptoms.bad
    if bad is not None and one.inside:
        return (
            f"; iteration {one.reached:,} takes it first, and the loss is {bad.value:g} at iteration {bad.iteration:,}"
        )
    return f"; iteration {one.reached:,} takes it first"


def weight_of(one: Suspect, symptoms: Symptoms) -> float:
    """How much one finding explains."""
    rule, extreme = one.finding.rule, one.finding.rule == EXTREME
    if rule in POISON:
        return poison_weight(one, symptoms)
    if extreme:
        return extreme_weight(one, symptoms)
    if symptoms.bad is None and symptoms.exploded is None:
        return 45
    return 65 if one.inside else 40


def extreme_weight(one: Suspect, symptoms: Symptoms) -> float:
    """The same for large values, which do harm as outliers, the first time that they are taken."""
    report, records = one.scanned.report, one.scanned.report.source.records or 0
    overflows = one.finding.severity is Severity.ERROR
    if report.rule_count(EXTREME) > max(USUAL_RECORDS, USUAL_SHARE * records):
        return 25  # the whole set is of this magnitude
    if symptoms.bad is None and not symptoms.grew:
        return 65 if overflows and one.reached is not None and one.reached <= symptoms.last else 40
    if one.inside and symptoms.window is not None and one.reached is not None:
        first, last = symptoms.window
        if not first - 1 <= one.reached <= last:
            return 55  # an earlier pass took it without harm
        return 93 if overflows or last - first <= NARROW else 70
    return 50


def poison_weight(one: Suspect, symptoms: Symptoms) -> float:
    """The same for NaN and infinity, which always do harm as soon as they are read."""
    if not symptoms.seen:
        return 80
    if one.reached is None:
        return 88 if symptoms.troubled else 75
    if symptoms.failure is not None and symptoms.bad is None:
        return 98 if one.inside else 60
    if symptoms.bad is not None:
        if one.inside:
            return 99
        return 30 if one.reached > symptoms.bad.iteration else 85
    if one.reached <= symptoms.last:
        return 96 if symptoms.troubled else 88
    return 62


def remedy_of(one: Suspect) -> str:
    """What to do about the record."""
    path = one.scanned.report.source.path
    if one.finding.location.index is None:
        return f"build {path} again"
    return f"datascan rebuild {path} CLEAN, which leaves {one.name.removeprefix(path + ', ')} out"
