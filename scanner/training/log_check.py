"""Findings of a training log."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..finding import Finding, Severity
from .log_curve import check_level, check_plateau, check_stillness
from .log_facts import LogFacts, LogRun
from .log_judge import (
    FirstBad,
    blamed_by_debug,
    cause_of_layer,
    first_bad,
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
    LogLossInf,
    LogLossNan,
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
from .rules import in_line_order

CAUSES_OF_BLAME = {
    "rate": "learning-rate",
    "solver": "learning-rate",
    "weight": "loss-function",
}
EMPTY_WINDOW = ": MAX pooling gives -FLT_MAX for a window without input, and the mean of that is infinite"


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
