"""The curves of a run for a chart: loss and learning rate, with the first bad point of each."""

from __future__ import annotations

from dataclasses import dataclass

from .log_facts import LogRun
from .log_numbers import spelled
from .log_series import Series


@dataclass(frozen=True, slots=True)
class Curve:
    """A title, iteration and value of at most some 500 points, and the first bad point with how it is written."""

    title: str
    points: tuple[tuple[int, float], ...]
    bad: tuple[int, str] | None


def curves(run: LogRun) -> list[Curve]:
    """What is worth a chart: the loss, and the rate where it is printed."""
    return [curve(title, series) for title, series in (("loss", run.loss), ("learning rate", run.rate)) if series.count]


def curve(title: str, series: Series) -> Curve:
    """One series as a curve."""
    bad = (series.bad.iteration, f"{title} is {spelled(series.bad.value)}") if series.bad else None
    return Curve(title, tuple((point.iteration, point.value) for point in series.outline.points()), bad)
