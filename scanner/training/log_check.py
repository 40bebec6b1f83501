"""Findings of a training log."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from ..finding import Finding, Severity
from .log_facts import LogFacts, LogRun
from .log_judge import (
    EXPLODED,
    GREW,
    JUMPED_FAR,
    FirstBad,
    blamed_by_debug,
    cause_of_layer,
    classes_of,
    distinct,
    first_bad,
    period_of,
    saturated,
)
from .log_numbers import spelled
from .log_rules import (
    LogAccuracyOfNan,
    LogActivationHuge,
    LogActivationNonFinite,
    LogCheckFailed,
    LogCrashed,
    LogCutOff,
    LogGradientNonFinite,
    LogLossExplodes,
    LogLossFrozen,
    LogLossHuge,
    LogLossInf,
    LogLossNan,
    LogLossNegative,
    LogLossPlateau,
    LogLossRepeats,
    LogLossZero,
    LogNoIterations,
    LogNotRecognised,
    LogOutputNonFinite,
    LogRateNegative,
    LogRateNonFinite,
    LogRateZero,
    LogTestNonFinite,
    LogUndecodable,
    LogUnreadable,
)
from .log_series import Point
from .rules import in_line_order

CAUSES_OF_BLAME = {
    "rate": "learning-rate",
    "solver": "learning-rate",
    "weight": "loss-function",
}
EMPTY_WINDOW = ": MAX pooling gives -FLT_MAX for a window without input, and the mean of that is infinite"
NEAR = 0.01
"""Share by which a frozen loss may differ from the logarithm of the classes: the labels of a batch are not even."""


def check_log(facts: LogFacts) -> list[Finding]:
    """All findings of a log, by line."""
    return list(in_line_order(found(facts)))


def found(facts: LogFacts) -> Iterator[Finding]:
    """Findings of the log as a whole, then of each run."""
    if facts.damage is not None:
        reason = f"the log can't be read beyond line {facts.lines:,}: {facts.damage}"
        yield LogUnreadable.finding(reason, facts.lines or None)
    if not facts.understood:
        yield LogNotRecognised.finding("no line of a training program was found" if facts.lines else "the log is empty")
        return
    for run in facts.runs:
        is_last = run is facts.runs[-1]
        yield from check_run(run, is_last=is_last, is_whole=facts.damage is None or not is_last)


def check_run(run: LogRun, *, is_last: bool = True, is_whole: bool = True) -> Iterator[Finding]:
    """Findings of one run; ``is_whole`` is false where its end could not be read."""
    bad = first_bad(run)
    yield from check_first_bad(run, bad)
    yield from check_outputs(run, bad)
    yield from check_debug(run)
    if bad is None:
        yield from check_norm(run)
    yield from check_rate(run)
    yield from check_level(run, bad)
    yield from check_plateau(run)
    if bad is None:
        yield from check_stillness(run)
    yield from check_failure(run)
    if is_whole:
        yield from check_end(run, is_last=is_last)


# ---- values that are not finite ----


def check_first_bad(run: LogRun, bad: FirstBad | None) -> Iterator[Finding]:
    """The first loss that is not finite."""
    if bad is None:
        return
    rule = LogLossNan if math.isnan(bad.value) else LogLossInf
    histories = {
        "initial": "from the run's first value on",
        "sudden": "at once",
        "jump": f"after one value {bad.ratio:.3g} times the usual",
        "explosion": f"after growing to {bad.ratio:.3g} times what it was",
    }
    snapshot = run.snapshot_before_bad
    yield rule.finding(
        f"{bad.series} is {spelled(bad.value)} at iteration {bad.iteration:,}, {histories[bad.growth]}: {bad.why}",
        bad.line,
        cause=cause_of(run, bad),
        remedy=f"go back to {snapshot[1]}" if snapshot else None,
        iteration=bad.iteration,
        earliest=bad.earliest,
        value=bad.value,
        growth=bad.growth,
        ratio=bad.ratio,
        blame=bad.blame,
        rate=bad.rate.value if bad.rate else None,
        text=bad.text,
        before=[[point.iteration, point.value] for point in bad.before[-5:]],
        recovered=run.loss.recovered.iteration if run.loss.recovered else None,
    )


def cause_of(run: LogRun, bad: FirstBad) -> str | None:
    """The cause that the log alone tells."""
    if bad.blame == "weights":
        return cause_of_weights(run)
    if bad.blame == "forward" and bad.debug is not None:
        return cause_of_layer(run, bad.debug.layer)
    return CAUSES_OF_BLAME.get(bad.blame) or ("gradient-explosion" if bad.growth == "explosion" else None)


def cause_of_weights(run: LogRun) -> str:
    """Where weights come from that are bad before the first update: a file, or a filler."""
    return "initial-weights" if run.finetuned or run.restored else "layer-parameters"


def check_outputs(run: LogRun, bad: FirstBad | None) -> Iterator[Finding]:
    """Outputs of training and test nets that are not finite, and accuracies that only seem perfect."""
    for name, series in run.train.items():
        if series.bad is not None and bad is None:
            yield LogOutputNonFinite.finding(
                f"output {name} is {spelled(series.bad.value)} at iteration {series.bad.iteration:,};"
                " the loss is finite",
                series.bad.line,
                iteration=series.bad.iteration,
                value=series.bad.value,
                text=series.bad_text,
            )
    first = next((one for one in run.test.values() if one.bad is not None), None)
    if first is not None and first.bad is not None:
        yield LogTestNonFinite.finding(
            f"test output {first.name} is {spelled(first.bad.value)} at iteration {first.bad.iteration:,}",
            first.bad.line,
            iteration=first.bad.iteration,
            value=first.bad.value,
            text=first.bad_text,
        )
    if bad is None:
        return
    for series in (*run.train.values(), *run.test.values()):
        late = [point for point in series.tail if point.iteration >= bad.iteration]
        if "acc" in series.name.lower() and late and all(point.value == 1 for point in late):
            yield LogAccuracyOfNan.finding(
                f"{series.name} is 1 from iteration {late[0].iteration:,} on, but the loss is {spelled(bad.value)}",
                late[0].line,
                iteration=late[0].iteration,
                value=1.0,
            )


def check_norm(run: LogRun) -> Iterator[Finding]:
    """A gradient norm that stays not finite where the loss does not say so.

    Mixed-precision training skips a step whose norm is infinite and goes on: that is healthy.
    """
    norm = run.norm
    if norm.bad is None or norm.last is None or math.isfinite(norm.last.value) or run.bad_debug:
        return
    yield LogGradientNonFinite.finding(
        f"the gradient norm is {spelled(norm.bad.value)} at iteration {norm.bad.iteration:,} and does not recover",
        norm.bad.line,
        iteration=norm.bad.iteration,
        value=norm.bad.value,
        text=norm.bad_text,
    )


def check_debug(run: LogRun) -> Iterator[Finding]:
    """The first layers of ``debug_info`` that are not finite, or huge."""
    if run.bad_debug:
        first = run.bad_debug[0]
        blame, _ = blamed_by_debug(run, run.bad_debug)
        cause = cause_of_weights(run) if blame == "weights" else None
        if blame == "forward":
            cause = cause_of_layer(run, first.layer)
        what = {"top": f"output {first.blob}", "bottom": f"gradient of {first.blob}", "norm": "norm of all parameters"}
        name = what.get(first.part) or ("weights" if first.direction == "forward" else "gradient of the weights")
        where = f"iteration {first.iteration:,}" if first.iteration is not None else "an iteration that was not printed"
        layer = f"layer {first.layer}: " if first.layer else ""
        yield LogActivationNonFinite.finding(
            f"{layer}{name} is {spelled(first.value)} at {where}, before all others"
            + (EMPTY_WINDOW if cause == "pooling" and math.isinf(first.value) else ""),
            first.line,
            cause=cause,
            blame=blame,
            iteration=first.iteration,
            value=first.value,
            layer=first.layer,
            blob=first.blob,
            part=first.part,
            direction=first.direction,
            step=first.step,
            text=first.text,
        )
    if run.huge_debug and (not run.bad_debug or run.huge_debug[0].line < run.bad_debug[0].line):
        first = run.huge_debug[0]
        yield LogActivationHuge.finding(
            f"layer {first.layer}: the mean magnitude of {first.blob} is {spelled(first.value)}",
            first.line,
            iteration=first.iteration,
            value=first.value,
            layer=first.layer,
            direction=first.direction,
            text=first.text,
        )


# ---- the rate ----


def check_rate(run: LogRun) -> Iterator[Finding]:
    """Learning rates that are NaN, infinite, negative or zero."""
    rate = run.rate
    if rate.bad is not None:
        yield LogRateNonFinite.finding(
            f"the learning rate is {spelled(rate.bad.value)} at iteration {rate.bad.iteration:,}: it shows in the loss"
            f" of iteration {rate.bad.iteration + 1:,}",
            rate.bad.line,
            cause="learning-rate",
            iteration=rate.bad.iteration,
            value=rate.bad.value,
            policy=run.policy,
            text=rate.bad_text,
        )
    kept = sorted({*rate.head, *rate.outline.points(), *rate.tail}, key=lambda point: point.line)
    negative = next((point for point in kept if point.value < 0 and math.isfinite(point.value)), None)
    if negative is not None:
        yield LogRateNegative.finding(
            f"the learning rate is {spelled(negative.value)} at iteration {negative.iteration:,}",
            negative.line,
            cause="learning-rate",
            iteration=negative.iteration,
            value=negative.value,
            policy=run.policy,
        )
    zero = next((point for point in kept if point.value == 0), None)
    if zero is not None and rate.last is not None and rate.last.value == 0 and rate.last.iteration > zero.iteration:
        yield LogRateZero.finding(
            f"the learning rate is 0 from iteration {zero.iteration:,} on: nothing is learned",
            zero.line,
            cause="learning-rate",
            iteration=zero.iteration,
            value=0.0,
            policy=run.policy,
        )


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


# ---- the end ----


def check_failure(run: LogRun) -> Iterator[Finding]:
    """What the program said while it failed."""
    failure = run.failure
    if failure is not None:
        rule = LogCheckFailed if failure.kind in ("check", "fatal") else LogCrashed
        when = (
            f" after iteration {failure.iteration:,}"
            if failure.iteration is not None
            else " before the first iteration"
        )
        place = f" in {failure.frames[0]}" if failure.frames and failure.kind == "signal" else ""
        yield rule.finding(
            f"the program stopped{when}{place}: {failure.reason}",
            failure.line,
            cause="aborted",
            iteration=failure.iteration,
            kind=failure.kind,
            reason=failure.reason,
            signal=failure.signal,
            prefetch=failure.in_prefetch,
            frames=failure.frames[:8],
            details=[[line, text] for line, text in failure.details],
        )
    for kind, what in (("undecodable", "a record could not be decoded"), ("jpeg", "an image is damaged")):
        remark = next((one for one in run.remarks if one.kind == kind), None)
        if remark is not None:
            yield LogUndecodable.finding(
                f"{what} ({run.remark_counts[kind]:,} times): {remark.text}",
                remark.line,
                cause="input-data",
                iteration=remark.iteration,
                count=run.remark_counts[kind],
            )
    told = next((one for one in run.remarks if one.kind == "nan"), None)
    if told is not None and run.loss.bad is None:
        yield LogLossNan.finding(
            f"the program says so: {told.text}", told.line, iteration=told.iteration, text=told.text, blame="unknown"
        )


def check_end(run: LogRun, *, is_last: bool) -> Iterator[Finding]:
    """How the run ended, where it did not fail."""
    if run.failure is not None or run.framework != "caffe" or not run.started:
        return
    if run.done and run.loss.count <= 1 and not run.rate.count:
        line = run.loss.first.line if run.loss.first else run.done
        yield LogNoIterations.finding(
            "training ended without an update", line, cause="learning-rate", max_iter=run.setting("max_iter", 0)
        )
    elif not run.done and not run.stopped and run.begun:
        number, text = run.last_message or (run.last_line, "")
        waiting = text.endswith("Waiting for data")
        hangs = waiting and run.last_iteration is None
        last = f"iteration {run.last_iteration:,}" if run.last_iteration is not None else "the beginning"
        yield LogCutOff.finding(
            f"the log ends after {last} without the program having ended; its last line is: {text.strip()[-200:]}",
            number,
            cause="aborted" if hangs else None,
            severity=Severity.WARNING if hangs or not is_last else None,
            iteration=run.last_iteration,
            reason=text.strip(),
            waiting=waiting,
        )
