"""Exhibits for a report: asked for in workers, so that a record that kills its reader costs its own picture alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...backends.errors import StoreError
from ..crew import Crew
from ..exhibit import Distributions, Exhibit
from ..interrupt import interrupting
from ..reader import Reader
from ..report import Report, SourceReport
from ..supervisor import WorkerDied
from .choose import PER_REPORT, Wanted, chosen
from .distribution import distributions
from .read import exhibits

AT_ONCE = 16
"""Records that are asked for together; where one of them ends the reader, each is asked for alone."""

Ask = Callable[..., Any]


def with_exhibits(report: Report, crew: Crew | None = None) -> Report:
    """The report with pictures of what was found, as far as the sources can still be read; none after an interruption.

    Without a crew a worker is started for it.
    """
    readable = [one for one in report.reports if isinstance(one.reader, Reader)]
    if not readable or any(one.interrupted for one in report.reports):
        return report
    if crew is None:
        with Crew(1) as own:
            return with_exhibits(report, own)
    room = max(PER_REPORT // len(readable), 1)
    reports: list[SourceReport] = []
    try:
        with interrupting():
            reports += (exhibited(one, crew.call, room) for one in report.reports)
    except KeyboardInterrupt:
        pass  # what was scanned is told, with the pictures that there are
    return replace(report, reports=(*reports, *report.reports[len(reports) :]))


def exhibited(report: SourceReport, ask: Ask, room: int) -> SourceReport:
    """One source with its exhibits."""
    reader = report.reader
    if not isinstance(reader, Reader) or report.exhibits or report.distributions is not None:
        return report
    wanted = chosen(report, reader, room)
    found: dict[int, Exhibit] = {}
    for start in range(0, len(wanted), AT_ONCE):
        found.update(asked(ask, reader, wanted[start : start + AT_ONCE]))
    return replace(report, exhibits=found, distributions=spread(ask, reader))


def asked(ask: Ask, reader: Reader, wanted: Sequence[Wanted]) -> dict[int, Exhibit]:
    """Exhibits of some records; none of those that end the reader, or of a source that is another one now."""
    try:
        found: dict[int, Exhibit] = ask(exhibits, replace(reader, spans=()), wanted)
    except StoreError:
        return {}
    except WorkerDied:
        if len(wanted) == 1:
            return {}
        found = {}
        for one in wanted:
            found |= asked(ask, reader, [one])
    return found


def spread(ask: Ask, reader: Reader) -> Distributions | None:
    """Distributions of values; ``None`` where they can't be had."""
    try:
        found: Distributions | None = ask(distributions, reader)
    except (StoreError, WorkerDied):
        return None
    return found
