"""Findings about the course of the loss: it grows, is huge or negative, saturates, or does not move."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from ..finding import Finding, Severity
from .log_facts import LogRun
from .log_judge import EXPLODED, GREW, JUMPED_FAR, FirstBad, classes_of, distinct, period_of, saturated
from .log_numbers import spelled
from .log_rules import (
    LogLossExplodes,
    LogLossFrozen,
    LogLossHuge,
    LogLossNegative,
    LogLossPlateau,
    LogLossRepeats,
    LogLossZero,
)
from .log_series import Point

NEAR = 0.01
"""Share by which a frozen loss may differ from the logarithm of the classes: the labels of a batch are not even."""


# ---- the level of the loss ----


def check_level(run: LogRun, bad: FirstBad | None) -> Iterator[Finding]:
    """Losses that explode, are huge or negative."""
    points = distinct([point for point in run.loss.outline.points() if math.isfinite(point.value)])
    if not points or run.loss.low is None or run.loss.high is None:
        return
    if bad is None:
        yield from check_growth(run, points)
    largest = max((run.loss.low, run.loss.high), key=lambda point: abs(point.value))
    scale = max(abs(points[0].value), 1e-3)
    if run.loss.low.value < -1e-3 * scale and run.framework == "caffe":
        first = next((point for point in points if point.value < -1e-3 * scale), run.loss.low)
        yield LogLossNegative.finding(
            f"the loss is {spelled(first.value)} at iteration {first.iteration:,}; its least value is"
            f" {spelled(run.loss.low.value)}",
            first.line,
            cause="loss-function",
            iteration=first.iteration,
            value=first.value,
            least=run.loss.low.value,
        )
    if median(abs(point.value) for point in points) > 1e6:
        yield LogLossHuge.finding(
            f"the loss is {spelled(points[0].value)} at iteration {points[0].iteration:,} and"
            f" {spelled(largest.value)} at most",
            points[0].line,
            iteration=points[0].iteration,
            value=points[0].value,
            most=largest.value,
        )


def check_growth(run: LogRun, points: list[Point]) -> Iterator[Finding]:
    """A loss that has grown and stays high; or that is growing when the log ends."""
    values = [abs(point.value) for point in points]
    first, total = values[0], len(values)
    if first <= 0 or total < 6:
        return
    tail = values[-max(5, total // 5) :]
    low = min(median(values[at : at + 5]) for at in range(total - 4))
    stays = min(tail) >= 2 * first and (
        median(tail) >= EXPLODED * first or (median(tail) >= GREW * first and median(tail) >= 2 * EXPLODED * low)
    )
    rising = all(one < other for one, other in pairwise(values[-5:])) and values[-1] >= JUMPED_FAR * values[-5]
    leaps = total >= 10 and values[-1] >= EXPLODED * max(values[:-1])
    if not stays and not ((rising or leaps) and values[-1] >= GREW * first):
        return
    onset = next((point for point in points if abs(point.value) >= GREW * first), points[-1])
    rates = [run.rate.value_before(point.iteration) for point in (points[0], points[-1])]
    moved = [one.value for one in rates if one is not None and math.isfinite(one.value)]
    grew = len(moved) == 2 and abs(moved[1]) >= 10 * abs(moved[0]) > 0
    cause = "learning-rate" if len(moved) == 2 and moved[1] < 0 else "gradient-explosion"
    if any(point.value < -first / GREW for point in points):
        cause = "loss-function"
    greatest = max(points, key=lambda one: abs(one.value))
    yield LogLossExplodes.finding(
        f"the loss grows from {spelled(points[0].value)} to {spelled(greatest.value)}"
        f" and is {spelled(points[-1].value)} at iteration {points[-1].iteration:,}"
        + (f", while the rate rises from {spelled(moved[0])} to {spelled(moved[1])}" if grew else ""),
        onset.line,
        cause=cause,
        severity=None if stays else Severity.WARNING,
        iteration=onset.iteration,
        value=onset.value,
        ratio=median(tail) / first if stays else values[-1] / first,
        rates=moved,
        rate_grew=grew,
    )


def check_plateau(run: LogRun) -> Iterator[Finding]:
    """Softmax losses at a whole number of examples times the ceiling."""
    candidates = [one for one in run.train.values() if one.weight] if len(run.train) > 1 else []
    for series in (run.loss, *candidates):
        points = distinct([*series.head, *(point for point in series.tail if point not in series.head)])
        finite = [point for point in points if math.isfinite(point.value)]
        hits = [point for point in finite if saturated(run, point.value)]
        in_row = any(saturated(run, one.value) and saturated(run, other.value) for one, other in pairwise(finite))
        if not hits or not (in_row or hits[0] == finite[0] or (series.bad is not None and hits[-1] == finite[-1])):
            continue
        at_start = hits[0] == finite[0]
        lasting = len(finite) >= 3 and all(point in hits for point in finite[-3:])
        yield LogLossPlateau.finding(
            f"{series.name} is {spelled(hits[0].value)} at iteration {hits[0].iteration:,}, a whole number of examples"
            f" at the ceiling of 87.3365: the scores are saturated"
            + (" before the first update" if at_start else f" in {len(hits)} of {len(finite)} values"),
            hits[0].line,
            cause="gradient-explosion" if not at_start and (lasting or series.bad is not None) else None,
            severity=Severity.ERROR if lasting and not at_start else None,
            iteration=hits[0].iteration,
            value=hits[0].value,
            at_start=at_start,
            lasting=lasting,
            values=[point.value for point in hits[:8]],
        )
        return


# ---- a loss that does not move ----


def check_stillness(run: LogRun) -> Iterator[Finding]:
    """Losses that are zero, constant, at the logarithm of the classes, or that repeat."""
    points = distinct(run.loss.tail)
    if len(points) < 3:
        return
    last = points[-3:]
    if all(abs(point.value) < 1e-6 for point in last):
        first = next(point for point in points if abs(point.value) < 1e-6)
        yield LogLossZero.finding(
            f"the loss is {spelled(last[-1].value)} from iteration {first.iteration:,} on",
            first.line,
            cause="input-data",
            iteration=first.iteration,
            value=last[-1].value,
        )
        return
    period = period_of(run.loss)
    if period is not None and period > 1:
        first = points[-2 * period]
        yield LogLossRepeats.finding(
            f"the loss repeats exactly every {period} values: the weights don't change",
            first.line,
            iteration=first.iteration,
            value=first.value,
            period=period,
        )
        return
    yield from check_frozen(run, points, constant=period == 1)


def check_frozen(run: LogRun, points: list[Point], *, constant: bool) -> Iterator[Finding]:
    """A loss at one value, or near the logarithm of the classes."""
    classes = classes_of(run)
    level = math.log(classes) if classes else None
    if constant:
        value = points[-1].value
        if saturated(run, value):
            return
        first = next(point for point in points if point.value == value)
        guess = round(math.exp(value)) if 0 < value < 12 else 0
        is_guess = guess > 1 and abs(math.log(guess) - value) < 5e-6 * max(value, 1)
        known = f", which is ln({guess}): every class is given the same probability" if is_guess else ""
        yield LogLossFrozen.finding(
            f"the loss is {spelled(value)} at every iteration from {first.iteration:,} on{known}",
            first.line,
            iteration=first.iteration,
            value=value,
            classes=guess if is_guess else None,
            constant=True,
        )
        return
    if level is None or classes is None:
        return
    start = len(points)
    while start and abs(points[start - 1].value - level) <= NEAR * level:
        start -= 1
    frozen = points[start:]
    if len(frozen) < 4 or 4 * len(frozen) < len(points):
        return
    whole = start == 0 and run.loss.count == len(run.loss.tail)
    if whole and len(frozen) < 8:
        return
    yield LogLossFrozen.finding(
        f"the loss stays at {spelled(frozen[-1].value)}, which is what guessing among {classes} classes costs"
        f" (ln {classes} = {level:.6g}), from iteration {frozen[0].iteration:,} on",
        frozen[0].line,
        severity=Severity.INFO if whole else None,
        iteration=frozen[0].iteration,
        value=frozen[-1].value,
        classes=classes,
        constant=False,
        from_the_start=whole,
    )
