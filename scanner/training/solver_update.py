"""How a solver makes an update of a gradient, judged: momentum, decay, clipping, the types' own parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..finding import Finding, Severity
from .rules import FileRule
from .solver import Solver
from .solver_rate import HIGH_ELSEWHERE, extremes

CAUSE = "gradient-explosion"

MOMENTUM_FREE = ("RMSProp", "AdaGrad")
"""Solver types that Caffe refuses to make with a momentum."""

ADAPTIVE = ("AdaGrad", "RMSProp", "AdaDelta", "Adam")
"""Solver types that divide by the size of past gradients, and add ``delta`` to it."""


class SolverMomentumInvalid(FileRule):
    """
    ## What it does
    Checks `momentum`: below 1 and not negative for SGD and Nesterov, below 1 for Adam, from 0 to 1 for AdaDelta,
    absent for RMSProp and AdaGrad.

    ## Why is this bad?
    With SGD each update is at least the last one times the momentum: from 1 on they never die down, above 1 they grow
    without end. Adam divides by 1 - momentum. RMSProp and AdaGrad make Caffe stop at once. NaN is NaN everywhere (some
    BLAS libraries take it for 0).

    ## How to fix
    `momentum: 0.9`; for RMSProp and AdaGrad take the line out.
    """

    name = "solver-momentum-invalid"
    severity = Severity.ERROR


class SolverMomentum2Invalid(FileRule):
    """
    ## What it does
    Checks Adam's `momentum2`: from 0 to below 1.

    ## Why is this bad?
    Adam multiplies its rate by the root of 1 - momentum2^iteration: at 1 nothing is ever learned, above 1 and below 0
    a root of a negative number is NaN.

    ## How to fix
    `momentum2: 0.999`.
    """

    name = "solver-momentum2-invalid"
    severity = Severity.ERROR


class SolverRmsDecayInvalid(FileRule):
    """
    ## What it does
    Checks RMSProp's `rms_decay`: from 0 to below 1.

    ## Why is this bad?
    Caffe stops before the first iteration.

    ## How to fix
    `rms_decay: 0.99`, or lower.
    """

    name = "solver-rms-decay-invalid"
    severity = Severity.ERROR


class SolverDeltaInvalid(FileRule):
    """
    ## What it does
    Checks `delta`, which AdaGrad, RMSProp, AdaDelta and Adam add to what they divide by: a positive number.

    ## Why is this bad?
    With 0, a weight whose gradient has always been exactly 0 is updated by 0/0 (a dead ReLU is enough); AdaDelta
    never moves at all. A negative or infinite one turns updates around or to nothing.

    ## How to fix
    `delta: 1e-8`.
    """

    name = "solver-delta-invalid"
    severity = Severity.WARNING


class SolverDecayInvalid(FileRule):
    """
    ## What it does
    Checks that `weight_decay` is a number and not negative.

    ## Why is this bad?
    A negative decay makes every weight grow in proportion to itself. NaN and infinities reach the weights with the
    first update.

    ## How to fix
    `weight_decay: 0.0005`, or 0.
    """

    name = "solver-decay-invalid"
    severity = Severity.ERROR


class SolverDecayDiverging(FileRule):
    """
    ## What it does
    Multiplies the greatest rate of the run by `weight_decay` and compares with the bound beyond which the decay alone
    diverges: 2 (1 + momentum) for SGD, 2 (1 + momentum) / (1 + 2 momentum) for Nesterov. From 2 on it is a warning.

    ## Why is this bad?
    A step of decay takes rate x decay of each weight away. Above 2 what is left has the other sign and is larger than
    before, whatever the gradient says. Layers with `lr_mult` or `decay_mult` above 1 reach that sooner.

    ## How to fix
    Lower `weight_decay` or the rate until their product is far below 1.
    """

    name = "solver-decay-diverging"
    severity = Severity.ERROR


class SolverRegularizationUnknown(FileRule):
    """
    ## What it does
    Checks that `regularization_type` is L1 or L2.

    ## Why is this bad?
    Caffe stops at the first update with "Unknown regularization type", if there is a `weight_decay`.

    ## How to fix
    `regularization_type: "L2"`.
    """

    name = "solver-regularization-unknown"
    severity = Severity.ERROR


class SolverClipInvalid(FileRule):
    """
    ## What it does
    Checks that `clip_gradients` is a positive number where it is given; negative means off.

    ## Why is this bad?
    With 0 every gradient is scaled to 0 and nothing is learned. With NaN no comparison succeeds, and nothing is
    clipped.

    ## How to fix
    `clip_gradients: 10` and lower, by the norms that the log shows; or take the line out.
    """

    name = "solver-clip-invalid"
    severity = Severity.ERROR


UPDATE_RULES: tuple[type[FileRule], ...] = (
    SolverMomentumInvalid,
    SolverMomentum2Invalid,
    SolverRmsDecayInvalid,
    SolverDeltaInvalid,
    SolverDecayInvalid,
    SolverDecayDiverging,
    SolverRegularizationUnknown,
    SolverClipInvalid,
)


def check_update(solver: Solver) -> Iterator[Finding]:
    """Everything between the gradient and the weights."""
    yield from check_momentum(solver)
    yield from check_type_parameters(solver)
    yield from check_decay(solver)
    yield from check_clipping(solver)


def check_momentum(solver: Solver) -> Iterator[Finding]:
    """Momentum against what the solver type can bear."""
    momentum = solver.momentum
    if solver.type in MOMENTUM_FREE:
        if momentum != 0:
            yield SolverMomentumInvalid.finding(
                f"{solver.type} has no momentum: Caffe stops before the first iteration",
                solver.line("momentum"),
                cause="aborted",
                remedy="momentum: 0",
                momentum=momentum,
            )
        return
    problem = momentum_problem(solver)
    if problem is not None:
        text, severity = problem
        yield SolverMomentumInvalid.finding(
            f"momentum is {momentum:g}: {text}",
            solver.line("momentum"),
            cause=CAUSE,
            remedy="momentum: 0.9",
            severity=severity,
            momentum=momentum,
        )


def momentum_problem(solver: Solver) -> tuple[str, Severity] | None:
    """What a momentum does that is none, and how bad it is."""
    momentum = solver.momentum
    error, warning = Severity.ERROR, Severity.WARNING
    if not math.isfinite(momentum):
        return "every update becomes NaN (some BLAS libraries take NaN for 0)", error
    if solver.type == "Adam":
        if momentum >= 1:
            return "Adam divides by 1 - momentum^iteration, and what it divides never dies down", error
    elif solver.type == "AdaDelta":
        if momentum > 1:
            return "the mean of squares that it keeps turns negative, and its root is NaN", error
        if momentum == 1:
            return "the gradients' squares are never taken in, and AdaDelta does not adapt", warning
    elif momentum >= 1:
        return "no update ever dies down" if momentum == 1 else "each update is larger than the last", error
    if momentum <= -1:
        return "updates of changing sign grow without end", error
    return ("updates of changing sign", warning) if momentum < 0 else None


def check_type_parameters(solver: Solver) -> Iterator[Finding]:
    """momentum2, rms_decay and delta, each where the solver type reads it."""
    if solver.type == "Adam" and not 0 <= solver.momentum2 < 1:
        effect = "nothing is ever learned" if solver.momentum2 == 1 else "its root of 1 - momentum2^iteration is NaN"
        yield SolverMomentum2Invalid.finding(
            f"momentum2 is {solver.momentum2:g}: {effect}",
            solver.line("momentum2"),
            cause="learning-rate" if solver.momentum2 == 1 else CAUSE,
            remedy="momentum2: 0.999",
            momentum2=solver.momentum2,
        )
    if solver.type == "RMSProp" and not 0 <= solver.rms_decay < 1:
        yield SolverRmsDecayInvalid.finding(
            f"rms_decay is {solver.rms_decay:g}, not from 0 to below 1: Caffe stops before the first iteration",
            solver.line("rms_decay"),
            cause="aborted",
            remedy="rms_decay: 0.99",
            rms_decay=solver.rms_decay,
        )
    if solver.type in ADAPTIVE and not 0 < solver.delta < math.inf:
        effect, severity = delta_effect(solver)
        yield SolverDeltaInvalid.finding(
            f"delta is {solver.delta:g}: {effect}",
            solver.line("delta"),
            cause=CAUSE,
            remedy="delta: 1e-8",
            severity=severity,
            delta=solver.delta,
        )


def delta_effect(solver: Solver) -> tuple[str, Severity]:
    """What a delta does that is not positive, and how bad it is."""
    if math.isnan(solver.delta):
        return "every update is NaN", Severity.ERROR
    if math.isinf(solver.delta):
        return "every update is 0 or NaN, and nothing is learned", Severity.ERROR
    if solver.delta == 0 and solver.type == "AdaDelta":
        return "AdaDelta's first update is 0, and so are all that follow from it", Severity.ERROR
    if solver.delta == 0:
        return "weights whose gradient has always been 0 are updated by 0/0", Severity.WARNING
    if solver.type == "AdaDelta":
        return "the root of a negative number is NaN", Severity.ERROR
    return "weights with small gradients are updated the wrong way, or without bound", Severity.WARNING


def check_decay(solver: Solver) -> Iterator[Finding]:
    """Weight decay by itself, and against the rate."""
    decay = solver.weight_decay
    line = solver.line("weight_decay")
    if decay != 0 and solver.regularization_type not in ("L1", "L2"):
        yield SolverRegularizationUnknown.finding(
            f'no regularization type is "{solver.regularization_type[:60]}": Caffe stops at the first update',
            solver.line("regularization_type"),
            cause="aborted",
            remedy=f'regularization_type: "{"L1" if "1" in solver.regularization_type else "L2"}"',
        )
    if not 0 <= decay < math.inf:
        effect = "every weight grows in proportion to itself" if -math.inf < decay < 0 else "weights become NaN at once"
        yield SolverDecayInvalid.finding(
            f"weight_decay is {decay:g}: {effect}",
            line,
            cause=CAUSE,
            remedy=f"weight_decay: {min(-decay, 0.0005):g}" if decay < 0 else "weight_decay: 0.0005",
            weight_decay=decay,
        )
        return
    found = extremes(solver)
    if found is None or solver.type not in ("SGD", "Nesterov") or solver.regularization_type != "L2":
        return
    _, greatest, mark = found
    momentum = solver.momentum if 0 <= solver.momentum < 1 else 0.0
    bound = 2 * (1 + momentum) / (1 + 2 * momentum * (solver.type == "Nesterov"))
    product = greatest * decay
    if product > min(bound, 2):
        sure = product > bound
        too_fast = greatest > HIGH_ELSEWHERE
        yield SolverDecayDiverging.finding(
            f"rate {greatest:g} x weight_decay {decay:g} is {product:g}, above {bound if sure else 2:.4g}: "
            + ("the decay alone makes the weights diverge" if sure else "each step of decay turns the weights around"),
            solver.line("base_lr") if too_fast else line,
            cause=CAUSE,
            remedy="base_lr: 0.01" if too_fast else f"weight_decay: {min(0.0005, 0.01 / greatest):g}",
            severity=None if sure else Severity.WARNING,
            iteration=mark,
            rate=greatest,
            weight_decay=decay,
            product=product,
            bound=bound,
        )


def check_clipping(solver: Solver) -> Iterator[Finding]:
    """Clipping that takes everything or nothing."""
    clip = solver.clip_gradients
    if clip == 0 or math.isnan(clip):
        effect = "every gradient is scaled to 0, and nothing is learned" if clip == 0 else "nothing is clipped"
        yield SolverClipInvalid.finding(
            f"clip_gradients is {clip:g}: {effect}",
            solver.line("clip_gradients"),
            cause="learning-rate" if clip == 0 else CAUSE,
            remedy="clip_gradients: 10",
            clip_gradients=clip,
        )
