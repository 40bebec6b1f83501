"""What a run's numbers mean: when the loss went wrong first, what came before, and what is to blame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .log_facts import DebugLine, LogRun
from .log_numbers import spelled
from .log_series import Point, Series
from .prototxt import parse

CEILING = -math.log(1.1754943508222875e-38)
"""87.3365: what an example costs whose true class has probability 0, which Caffe's softmax loss raises to FLT_MIN."""

GREW = 3.0
EXPLODED = 5.0
JUMPED_FAR = 8.0


@dataclass(frozen=True, slots=True)
class FirstBad:
    """The first value that is not finite.

    Attributes
    ----------
    series
        ``loss``, or the name of an output.
    iteration, line, text
        Where it is printed.
    earliest
        The first iteration that may have been bad: the one after the last that was printed finite.
    growth
        ``initial`` (it is the first value of the run), ``sudden``, ``jump`` (the value just before was far above the
        rest) or ``explosion`` (the loss had grown over several values, or overflowed).
    ratio
        How far the values before it had grown.
    blame
        ``forward``: that iteration's own data or a layer; ``update``: the update before it; ``rate``: the update
        before it, because its learning rate was bad; ``weights``: those that the run began with; ``solver``;
        ``weight``: the loss weight; ``unknown``: either.
    why
        One sentence for that.
    rate
        The learning rate of the update before.
    debug
        The line of ``debug_info`` that shows it first.
    """

    series: str
    iteration: int
    earliest: int
    line: int
    text: str
    value: float
    growth: str
    ratio: float
    blame: str
    why: str
    rate: Point | None
    before: tuple[Point, ...]
    debug: DebugLine | None


def first_bad(run: LogRun) -> FirstBad | None:
    """The first value of the loss, or of what is trained on besides, that is not finite."""
    series = run.loss
    if series.bad is None:
        weighted = [one for one in run.train.values() if one.bad is not None and one.weight is not None]
        if not weighted:
            return None
        series = min(weighted, key=lambda one: one.bad.line if one.bad else 0)
    bad = series.bad
    assert bad is not None
    before = tuple(series.before)
    growth, ratio = growth_of(before, run)
    if growth == "jump" and math.isinf(bad.value):
        growth = "explosion"
    blame, why = blamed(run, bad, before, growth)
    return FirstBad(
        series=series.name,
        iteration=bad.iteration,
        earliest=before[-1].iteration + 1 if before else bad.iteration,
        line=bad.line,
        text=series.bad_text,
        value=bad.value,
        growth=growth,
        ratio=ratio,
        blame=blame,
        why=why,
        rate=rate_before(run, bad.iteration),
        before=before,
        debug=run.bad_debug[0] if run.bad_debug else None,
    )


def rate_before(run: LogRun, iteration: int) -> Point | None:
    """The rate of the last update before an iteration's forward pass."""
    return run.rate.value_before(iteration - 1)


def growth_of(before: Sequence[Point], run: LogRun) -> tuple[str, float]:
    """How the loss came to its first bad value, and by which factor it had grown."""
    values = [abs(point.value) for point in before]
    if not values:
        return "initial", 1.0
    for start in range(1, len(values)):
        level = median(values[:start])
        rest = values[start:]
        if level > 0 and min(rest) >= GREW * level and max(rest) >= EXPLODED * level:
            several = len(rest) > 1 or any(saturated(run, point.value) for point in before[start:])
            return "explosion" if several else "jump", max(rest) / level
    return "sudden", max(values) / median(values) if median(values) else 1.0


def blamed(run: LogRun, bad: Point, before: Sequence[Point], growth: str) -> tuple[str, str]:
    """Whether the iteration's own forward pass or the update before it made the loss bad.

    Caffe computes the loss of N, prints it, then updates with the rate of N: a bad rate of N shows in N + 1.
    """
    if run.solver is not None and run.solver.whole("iter_size") == 0:
        return "solver", "iter_size is 0, so that the loss is a sum of nothing divided by 0"
    if (rate := run.rate.bad) is not None and rate.iteration < bad.iteration:
        return "rate", f"the learning rate of iteration {rate.iteration} is {spelled(rate.value)}"
    weights = [one for one in run.train.values() if one.weight is not None and not math.isfinite(one.weight)]
    if weights:
        return "weight", f"the loss weight of {weights[0].name} is {spelled(weights[0].weight or 0.0)}"
    told = [line for line in run.bad_debug if line.iteration is None or line.iteration <= bad.iteration]
    if told:
        return blamed_by_debug(run, told)
    first = run.first_iteration
    if not before and (first is None or bad.iteration == first) and begins_at(run, bad.iteration):
        if run.finetuned or run.restored:
            source = (run.finetuned or run.restored or ("", 0))[0]
            return "weights", f"no update had been made, and the weights came from {source}"
        return "forward", "no update had been made: the data, the first weights or a layer must be to blame"
    if growth == "explosion":
        return "update", "the loss had grown before: the updates made the weights too large"
    return "unknown", "the iteration's own data, or the update before it"


def begins_at(run: LogRun, iteration: int) -> bool:
    """Whether an iteration is the run's first one: it is 0, or the next display after a snapshot was restored."""
    if iteration == 0:
        return True
    return run.restored is not None and iteration % max(run.setting("display", 1), 1) == 0 and run.begun


def blamed_by_debug(run: LogRun, told: Sequence[DebugLine]) -> tuple[str, str]:
    """The same where ``debug_info`` names the layer. Caffe prints a layer's outputs before its parameters."""
    first = told[0]
    same = [line for line in told if (line.iteration, line.step) == (first.iteration, first.step)]
    where = f"iteration {first.iteration}" if first.iteration is not None else f"line {first.line}"
    if first.direction != "forward":
        return "update", f"the gradient of layer {first.layer or '(all)'} was {spelled(first.value)} first, at {where}"
    for line in same:
        if line.direction == "forward" and line.part == "param" and line.layer == first.layer:
            if first.iteration is not None and first.iteration == run.first_iteration and first.step == 0:
                return (
                    "weights",
                    f"the weights of layer {line.layer} were {spelled(line.value)} before the first update",
                )
            return "update", f"the weights of layer {line.layer} were {spelled(line.value)} already at {where}"
    return "forward", f"layer {first.layer} gave {spelled(first.value)} first, at {where}, with finite weights"


# ---- values that mean something ----


def examples_of(run: LogRun) -> set[int]:
    """Over how many examples a loss is averaged, as far as the log tells: batch size by places, times iter_size."""
    net = run.train_net
    found = set()
    if net is not None:
        for layer in net.losses:
            shape = net.scores_of(layer)
            if shape and len(shape) > 1:
                found |= {shape[0], shape[0] * math.prod(shape[2:])}
    passes = max(run.setting("iter_size", 1), 1)
    window = max(run.setting("average_loss", 1), 1)
    return {one * factor for one in found for factor in {1, passes, passes * window} if 0 < one * factor < 1 << 20}


def saturated(run: LogRun, value: float) -> bool:
    """Whether a softmax loss is a whole number of examples at the ceiling and all others at 0: k/B x 87.3365."""
    if not math.isfinite(value) or value < 0.01:
        return False
    if abs(value - CEILING) < 1e-3:
        return True
    counts = examples_of(run) or ({8, 10, 16, 20, 32, 50, 64} if value > 8 else set())
    return any(whole_share(value, count) for count in counts)


def whole_share(value: float, count: int) -> bool:
    """Whether a value of six digits is k/count of the ceiling, where that can be told."""
    share = value * count / CEILING
    tolerance = share * 1e-5 + 1e-5 * count / CEILING
    return tolerance < 0.05 and round(share) >= 1 and round(share) <= count and abs(share - round(share)) <= tolerance


def classes_of(run: LogRun) -> int | None:
    """Number of classes of the only softmax that a loss is fed from, as far as the log tells."""
    net = run.train_net
    if net is None:
        return None
    shapes = [net.scores_of(layer) for layer in net.losses]
    counts = {shape[1] for shape in shapes if shape and len(shape) > 1 and shape[1] > 1}
    return counts.pop() if len(counts) == 1 and len(net.losses) == 1 else None


def distinct(points: Sequence[Point]) -> list[Point]:
    """Points of different iterations: Caffe prints the last one again at the end."""
    return [
        point for number, point in enumerate(points) if not number or point.iteration != points[number - 1].iteration
    ]


def period_of(series: Series) -> int | None:
    """After how many values the last ones repeat exactly, if they do.

    Caffe reads its data in the same order again and again, so with weights that don't change the losses repeat.
    """
    values = [point.value for point in distinct(series.tail)]
    total = len(values)
    for period in range(1, total // 2 + 1):
        checked = max(2 * period, period + 4)
        if checked > total:
            break
        last = values[total - checked :]
        if all(one == other for one, other in zip(last, last[period:], strict=False)):
            return period
    return None


# ---- layers ----

CAUSES_OF_TYPES = {
    "Pooling": "pooling",
    **dict.fromkeys(
        ("BatchNorm", "Dropout", "Exp", "LRN", "Log", "MVN", "Normalize", "Power", "Scale", "Bias"), "layer-parameters"
    ),
    **dict.fromkeys(("Data", "AnnotatedData", "HDF5Data", "ImageData", "MemoryData", "WindowData"), "input-data"),
}


def type_of(run: LogRun, layer: str) -> str:
    """A layer's type, read from the net that Caffe printed; empty where that does not say."""
    net = run.train_net
    if net is None or net.text is None:
        return ""
    message = parse(net.text.text)
    for one in (*message.messages("layer"), *message.messages("layers")):
        if one.string("name") == layer:
            found = one.scalar("type")
            return found.text if found is not None else ""
    return ""


def cause_of_layer(run: LogRun, layer: str) -> str | None:
    """What is wrong where a layer makes finite values into others."""
    kind = type_of(run, layer)
    normal = kind if kind in CAUSES_OF_TYPES else kind.title()
    if normal.lower().replace("_", "").endswith("loss"):
        return "loss-function"
    return CAUSES_OF_TYPES.get(normal)
